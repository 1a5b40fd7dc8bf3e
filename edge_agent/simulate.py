"""Runs a configuration against simulated devices: a copy of it with other ports, a state folder and a key of its own.

The simulator is another program (`hardware-sim serve-config`), started beside us; nothing of it is imported here, and
nothing of the real gateway's state is touched. What is sealed says that it is simulated, and goes nowhere unless a
voucher of a simulated log is given.
"""

import asyncio
import contextlib
import json
import shutil
import sys
import tomllib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from edge_agent.clock import SystemClock
from edge_agent.config import Config, load_config
from edge_agent.identity import enroll, load_identity, now_s
from edge_agent.manifest import software
from twin_wire.errors import ConfigError, LinkError
from twin_wire.keys import SigningKey
from twin_wire.note import vkey
from twin_wire.voucher import Voucher, encode_voucher, read_voucher

COMMAND = "hardware-sim"
READY = "served.json"  # the simulator writes it when its lines are open
READY_S = 20.0
NOWHERE = "http://127.0.0.1:9"  # nothing is sent without a voucher; this is the discard port of this machine
NEW_LINK_KEYS = ("port", "host", "tcp_port", "folder", "done", "memory")


class Stage(NamedTuple):
    """A simulated gateway ready to run."""

    config: Config
    path: Path
    missing: list[str]  # links that cannot be simulated


@contextlib.asynccontextmanager
async def simulated(path: Path, folder: Path, page: str, seed: int) -> AsyncIterator[Stage]:
    """Start the simulator for a configuration, yield the changed copy in `folder`, and end the simulator after."""
    source = load_config(path)
    await asyncio.to_thread(folder.mkdir, parents=True, exist_ok=True)
    await asyncio.to_thread((folder / READY).unlink, missing_ok=True)
    words = ("serve-config", str(path), "--dir", str(folder), "--seed", str(seed))
    process = await asyncio.create_subprocess_exec(_program(), *words, stdout=asyncio.subprocess.DEVNULL)
    try:
        links, missing = await _ready(process, folder / READY)
        copy = await asyncio.to_thread(_write_copy, source, path, folder, links, page)
        yield Stage(load_config(copy), copy, missing)
    finally:
        if process.returncode is None:
            process.terminate()
        await process.wait()


def enroll_simulated(config: Config, voucher: Voucher | None) -> None:
    """Give the copy an identity: of a simulated log's voucher, or one that leads nowhere; ConfigError for a real."""
    if voucher is not None and not voucher.simulated:
        text = "this voucher is of a real log: simulated readings must not get into it"
        raise ConfigError(text, "ask for a voucher of a log that is marked as simulated", (("--voucher", text),))
    if voucher is None:
        with contextlib.suppress(ConfigError):  # not enrolled, or a start that broke off half way
            load_identity(config)
            return
        key = SigningKey.generate()
        origin = f"simulated.invalid/{config.gateway.site}"
        voucher = Voucher(
            server=NOWHERE, enterprise="simulated", gateway=config.gateway.id, epoch=1, site=config.gateway.site,
            origin=origin, log_vkey=vkey(origin, key.public), secret=bytes(16), expires_s=1 << 40, simulated=True,
        )  # fmt: skip
        voucher = read_voucher(encode_voucher(voucher, key), now_s())
    enroll(config, voucher, software(), SystemClock())


def _program() -> str:
    """Return the simulator's command: the one installed beside this program, else the one on the path."""
    beside = Path(sys.executable).with_name(COMMAND)
    found = str(beside) if beside.is_file() else shutil.which(COMMAND)
    if not found:
        hint = "install it into the same environment: pip install mine-twin[edge,sim]"
        raise ConfigError(f"{COMMAND} is not installed here", hint, ((COMMAND, "is not found"),))
    return found


async def _ready(process: asyncio.subprocess.Process, file: Path) -> tuple[dict[str, Any], list[str]]:
    """Wait for the simulator's lines; ConfigError if it refuses the configuration, LinkError if it takes too long."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(READY_S):
            while process.returncode is None:
                if await asyncio.to_thread(file.exists):
                    told = json.loads(await asyncio.to_thread(file.read_text, "utf-8"))
                    return told["links"], told["missing"]
                await asyncio.sleep(0.05)
            text = f"{COMMAND} ended with code {process.returncode}"
            raise ConfigError(text, "its own message stands above", ((COMMAND, text),))
    raise LinkError(f"{COMMAND} was not ready after {READY_S:g} s", "is the machine very busy?")


def _write_copy(config: Config, path: Path, folder: Path, links: Mapping[str, Any], page: str) -> Path:
    tree = tomllib.loads(path.read_text("utf-8"))
    gateway = tree["gateway"]
    gateway["state"] = "state"
    for name in ("structure", "points", "ruleset"):
        file = gateway.get(name, "points.csv" if name == "points" else "")
        if file and (config.folder / file).is_file():
            gateway[name] = str((config.folder / file).absolute())
    for device in tree.get("device", []):
        if device["profile"].endswith(".toml"):
            device["profile"] = str((config.folder / device["profile"]).absolute())
    tree["page"] = {"listen": page}
    tree.pop("uplink", None)
    for link in tree.get("link", []):
        told = links.get(link["id"]) or _nowhere(link, folder)
        if told:
            for key in NEW_LINK_KEYS:
                link.pop(key, None)
            link |= told
            link |= {"parity": "N"} if "port" in link else {}  # a pseudo-terminal has none
            link.pop("rs485", None)
    copy = folder / path.name
    copy.write_text(_toml(tree), encoding="utf-8")
    return copy


def _nowhere(link: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Return where a link without a stand-in leads: never to the real port, and never to files of a real host."""
    if "folder" in link:
        return {"folder": str(folder / "not-simulated" / str(link["id"]))}
    if "port" in link:
        return {"port": str(folder / "not-simulated" / str(link["id"]))}
    if "host" in link:
        return {"host": "127.0.0.1"} | ({"tcp_port": 9} if "tcp_port" in link else {})
    return {}


def _plain(value: object) -> str:
    """Return a value as TOML; a table stays in its line."""
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(str(key))} = {_plain(item)}" for key, item in value.items()) + " }"
    return json.dumps(value, ensure_ascii=False)


def _toml(tree: Mapping[str, Any]) -> str:
    """Return tables and arrays of tables of plain values as TOML."""
    lines: list[str] = []
    for name, content in tree.items():
        for table in content if isinstance(content, list) else [content]:
            lines.append(f"[[{name}]]" if isinstance(content, list) else f"[{name}]")
            lines += [f"{key} = {_plain(value)}" for key, value in table.items()]
    return "\n".join(lines) + "\n"
