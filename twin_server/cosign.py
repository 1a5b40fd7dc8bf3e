"""The log's side of witnessing: every new head is shown to the configured witnesses, and what they sign is kept."""

import asyncio
import logging
from base64 import b64encode
from collections.abc import AsyncIterator

import aiohttp
from aiohttp import web

from twin_server import proofs
from twin_server.config import WitnessTable
from twin_server.context import CONFIG, FAILED, LEDGER
from twin_server.log import Appender, Ledger
from twin_wire.errors import FormatError, ProofError, StoreError, UplinkError
from twin_wire.note import parse_witness, read_checkpoint, read_cosignatures

LOOK_S = 5.0
TIMEOUT_S = 10.0
STATE_US = 600_000_000  # the log itself remembers a cosigned head at most so often
ANSWER_BYTES_MAX = 4_096
COSIGNED = "cosigned"  # store note: the newest checkpoint with its witnesses' lines

log = logging.getLogger(__name__)


async def lifetime(app: web.Application) -> AsyncIterator[None]:
    """Show new heads to the witnesses while the application runs (cleanup_ctx)."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(TIMEOUT_S)) as session:
        task = asyncio.create_task(_run(app, Asker(app[LEDGER], session, app[CONFIG].witness)))
        yield
        task.cancel()
        await asyncio.wait([task])


async def _run(app: web.Application, asker: "Asker") -> None:
    while True:
        await asyncio.sleep(LOOK_S)
        for enterprise in app[LEDGER].sizes():
            try:
                await asker.ask(enterprise)
            except UplinkError as fault:
                log.warning("heads not cosigned reason=%s", fault)
            except StoreError as fault:
                log.critical("store failed: %s", fault)
                app[FAILED].set()
                return


class Asker:
    """Asks every witness about one log after the other; a witness that does not answer holds up nothing else."""

    def __init__(self, ledger: Ledger, session: aiohttp.ClientSession, witnesses: tuple[WitnessTable, ...]) -> None:
        self._ledger = ledger
        self._session = session
        self._witnesses = witnesses
        self._seen: dict[tuple[str, str], int] = {}  # by witness and enterprise, the size it holds
        self._asked: dict[str, int] = {}
        self._stated_us: dict[str, int] = {}
        self._down: set[str] = set()

    async def ask(self, enterprise: str) -> int:
        """Show the present head to all witnesses; return how many signed it. Nothing happens while it is unchanged."""
        book = await self._ledger.open(enterprise)
        note, size = book.note(), book.last.size
        if size == self._asked.get(enterprise):
            return 0
        found = await asyncio.gather(*(self._one(each, enterprise, note, size) for each in self._witnesses))
        lines = [line for line in found if line]
        if len(lines) == len(self._witnesses):
            self._asked[enterprise] = size
        if lines:
            await self._keep(enterprise, note + "".join(lines), lines)
        return len(lines)

    async def _one(self, witness: WitnessTable, enterprise: str, note: str, size: int) -> str:
        """Return the witness's line, "" when it gave none; says so once when it goes and once when it is back."""
        name = parse_witness(witness.vkey)[0]
        try:
            line = await self._post(witness, enterprise, note, size)
        except (aiohttp.ClientError, TimeoutError, FormatError, UnicodeDecodeError) as fault:
            if name not in self._down:
                log.error("witness does not sign name=%s enterprise=%s reason=%s", name, enterprise, fault)
            self._down.add(name)
            return ""
        if name in self._down:
            log.info("witness signs again name=%s", name)
        self._down.discard(name)
        return line

    async def _post(self, witness: WitnessTable, enterprise: str, note: str, size: int) -> str:
        key = (witness.vkey, enterprise)
        for _ in range(2):
            old = self._seen.get(key, 0)
            if old > size:
                raise ProofError(f"the witness holds {old} entries, this log has {size}")
            proof = await proofs.consistency(self._ledger, enterprise, old, size) if 0 < old < size else []
            data = "".join([f"old {old}\n", *(b64encode(step).decode() + "\n" for step in proof), "\n", note])
            url = witness.url.rstrip("/") + "/add-checkpoint"
            async with self._session.post(url, data=data.encode(), allow_redirects=False) as answer:
                body = (await answer.content.read(ANSWER_BYTES_MAX)).decode()
                status = answer.status
            if status == 409 and body.strip().isdigit():
                self._seen[key] = int(body)
                continue
            if status != 200:
                raise ProofError(f"HTTP {status}: {body.strip()[:200]}")
            if not read_cosignatures(note + body, [witness.vkey]):
                raise ProofError("it signed with another key than its own")
            self._seen[key] = size
            return body
        raise ProofError("the witness changed its mind about what it holds")

    async def _keep(self, enterprise: str, cosigned: str, lines: list[str]) -> None:
        head = read_checkpoint(cosigned, [(await self._ledger.open(enterprise)).row.log_vkey])
        now_us = self._ledger.clock()
        state = now_us - self._stated_us.get(enterprise, 0) >= STATE_US

        def job(appender: Appender) -> None:
            appender.tx.put_note(COSIGNED, cosigned.encode())
            if state:
                record = {"size": head.size, "root": head.root, "lines": [line.rstrip("\n") for line in lines]}
                appender.state("witness", record)

        await self._ledger.run(enterprise, job)
        if state:
            self._stated_us[enterprise] = now_us
