"""A witness signs what continues what it saw and nothing else; a log keeps its lines; a verifier reads them."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from tests.support.desk import desk
from tests.support.evidence import LOG, ORIGIN, VECTORS, Log, named_key, statement
from twin_server.config import WitnessTable
from twin_server.cosign import COSIGNED, Asker
from twin_server.verify import verify
from twin_server.witness import Witness, make_witness
from twin_wire.errors import ConfigError, FormatError, ProofError
from twin_wire.note import (
    checkpoint_text,
    cosign,
    parse_vkey,
    parse_witness,
    read_cosignatures,
    sign_note,
    vkey,
    witness_vkey,
)

TREE = Log([statement(seq=i) for i in range(40)])
NAME = "w.example"


def head(size: int, root: bytes | None = None) -> str:
    return sign_note(checkpoint_text(ORIGIN, size, root or TREE.roots[size]), ORIGIN, LOG)


def request(old: int, note: str, proof: list[bytes] | None = None) -> bytes:
    return f"old {old}\n{''.join(b64encode(p).decode() + chr(10) for p in proof or [])}\n{note}".encode()


def grow(old: int, new: int) -> bytes:
    return request(old, head(new), TREE.consistency(old, new) if 0 < old < new else [])


def ask(witness: Witness, data: bytes) -> tuple[int, str]:
    answer = asyncio.run(witness.add(data))
    return answer.status, (answer.text or (answer.body or b"").decode())  # type: ignore[union-attr]


@asynccontextmanager
async def serving(witness: Witness) -> AsyncIterator[str]:
    """Run a witness until the block ends."""
    runner = web.AppRunner(make_witness(witness), access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


@pytest.fixture
def witness(tmp_path: Path) -> Witness:
    return Witness(tmp_path / "w", NAME, [VECTORS["log_vkey"]])


def test_the_golden_cosignature_is_read_and_written() -> None:
    note = VECTORS["checkpoint"] + VECTORS["cosignature_line"]
    [found] = read_cosignatures(note, [VECTORS["w1_vkey"]])
    assert found.name == "w1.example"
    key = named_key("witness1")
    assert witness_vkey("w1.example", key.public) == VECTORS["w1_vkey"]
    assert cosign(VECTORS["checkpoint"], "w1.example", key, found.time_s) == VECTORS["cosignature_line"]
    assert read_cosignatures(VECTORS["checkpoint"], [VECTORS["w1_vkey"]]) == []


def test_a_changed_time_or_text_of_a_known_witness_is_refused() -> None:
    key = named_key("witness1")
    line = cosign(head(9), "w1.example", key, 77)
    with pytest.raises(ProofError):
        read_cosignatures(head(10) + line, [VECTORS["w1_vkey"]])
    other = cosign(head(10), "w1.example", key, 78)
    assert other != line
    with pytest.raises(FormatError, match="type 04"):
        parse_witness(VECTORS["log_vkey"])
    with pytest.raises(FormatError, match="type 01"):
        parse_vkey(VECTORS["w1_vkey"])


def test_a_log_that_grows_is_signed_and_the_witness_remembers_it_over_a_restart(witness: Witness) -> None:
    status, line = ask(witness, grow(0, 5))
    assert status == 200
    assert [each.name for each in read_cosignatures(head(5) + line, [witness.vkey])] == [NAME]
    again = Witness(witness.folder, NAME, [VECTORS["log_vkey"]])
    assert again.vkey == witness.vkey
    assert ask(again, grow(5, 31))[0] == 200
    assert ask(again, grow(31, 31))[0] == 200


def test_what_does_not_continue_what_was_seen_is_not_signed(witness: Witness) -> None:
    assert ask(witness, grow(0, 20))[0] == 200
    assert ask(witness, grow(5, 30)) == (409, "20\n")
    assert ask(witness, request(30, head(20)))[0] == 400
    assert ask(witness, request(20, head(20, b"x" * 32)))[0] == 422
    assert ask(witness, request(20, head(30), TREE.consistency(19, 30)))[0] == 422
    assert ask(witness, request(20, head(30, b"x" * 32), TREE.consistency(20, 30)))[0] == 422
    other = sign_note(checkpoint_text("else.example", 5, TREE.roots[5]), "else.example", LOG)
    assert ask(witness, request(0, other))[0] == 404
    forged = sign_note(checkpoint_text(ORIGIN, 30, TREE.roots[30]), ORIGIN, named_key("else"))
    assert ask(witness, request(20, forged, TREE.consistency(20, 30)))[0] == 403
    for data in (b"", b"old x\n\n" + head(30).encode(), b"old 020\n\n" + head(30).encode(), b"\xff\n\n"):
        assert ask(witness, data)[0] == 400
    assert ask(witness, grow(20, 30))[0] == 200


def test_a_log_asks_its_witness_keeps_the_lines_and_a_verifier_tells_by_when_entries_existed(tmp_path: Path) -> None:
    async def run() -> str:
        async with desk(tmp_path / "data") as at:
            await at.enterprise("e1")
            gateway = await at.gateway("e1", "gw-1")
            book = await at.ledger.open("e1")
            witness = Witness(tmp_path / "w", NAME, [book.row.log_vkey])
            async with serving(witness) as url, ClientSession() as session:
                table = WitnessTable(url, witness.vkey)
                assert await Asker(at.ledger, session, (table,)).ask("e1") == 1
                fresh = Asker(at.ledger, session, (table,))  # a restarted server learns what the witness holds
                await at.post(gateway, [gateway.seal_rows(1_760_000_000_000_000, [[1.0, 2.0, 3.0]])])
                assert await fresh.ask("e1") == 1
            kept = await at.store.note("e1", COSIGNED)
            assert kept is not None
            assert read_cosignatures(kept, [witness.vkey])
            return witness.vkey

    key = asyncio.run(run())
    [report] = asyncio.run(verify(str(tmp_path / "data"), "", "", "", True, lambda *_: None, [key]))
    assert report.faults == []
    assert {name for _, _, name in report.witnessed} == {NAME}
    other = witness_vkey(NAME, named_key("else").public)
    [stranger] = asyncio.run(verify(str(tmp_path / "data"), "", "", "", True, lambda *_: None, [other]))
    assert stranger.witnessed == []


def test_a_log_that_showed_its_witness_something_else_gets_no_signature(tmp_path: Path) -> None:
    async def run() -> None:
        async with desk(tmp_path / "data") as at:
            await at.enterprise("e1")
            gateway = await at.gateway("e1", "gw-1")
            book = await at.ledger.open("e1")
            witness = Witness(tmp_path / "w", NAME, [book.row.log_vkey])
            shown = sign_note(checkpoint_text(book.origin, 3, b"x" * 32), book.origin, book.key)
            assert (await witness.add(request(0, shown))).status == 200
            await at.post(gateway, [gateway.seal_rows(1_760_000_000_000_000, [[1.0, 2.0, 3.0]])])
            async with serving(witness) as url, ClientSession() as session:
                assert await Asker(at.ledger, session, (WitnessTable(url, witness.vkey),)).ask("e1") == 0
            assert await at.store.note("e1", COSIGNED) is None

    asyncio.run(run())


@pytest.mark.parametrize("name", ["", "two words", "plus+name"])
def test_a_witness_needs_a_name_that_notes_can_carry(tmp_path: Path, name: str) -> None:
    with pytest.raises((FormatError, ConfigError)):
        _ = Witness(tmp_path / "w", name, [vkey(ORIGIN, LOG.public)]).vkey
