"""Putting into operation: an alarm test from here to the log and back, and the certificate that ends the work."""

import math
from hashlib import sha256
from typing import TYPE_CHECKING

from buffering.room import row_id
from edge_agent.receipts import Asked
from twin_wire.commissioning import FRAME_HEX_MAX, Certificate, Device, Test, Value, Word, encode_certificate
from twin_wire.errors import ConfigError, FormatError
from twin_wire.ids import is_id
from twin_wire.manifest import encode_manifest
from twin_wire.readings import Event
from twin_wire.statement import read

if TYPE_CHECKING:
    from edge_agent.agent import Agent

TEST_SEVERITY = 3  # sealed and sent as an alarm is; its rule and text say that it is none
ROLES = ("installer", "technician", "inspector", "vendor")
WORDS_MAX = 8  # of one device


async def alarm_test(agent: "Agent", by: str) -> Asked:
    """Seal a marked test event at once, send it before everything else, and wait for its receipt from now on."""
    if not is_id(by):
        raise ConfigError("who tests?", "give an id of letters, digits, _ . : -, not a name")
    now_us = agent.clock.time_us()
    text = f"TEST of the alarm way by {by}: not an alarm"
    statement = await agent.seal_now(Event("alarm_test", TEST_SEVERITY, "", now_us, now_us + 1, "agent/1", {}, text))
    return await _ask(agent, "alarm_test", statement, now_us)


async def certify(agent: "Agent", by: str, role: str, photos: tuple[str, ...]) -> Asked:
    """Seal the certificate of what works now; ConfigError if the words are not usable or no device has answered."""
    now_us = agent.clock.time_us()
    devices = tuple(_device(agent, device.id) for device in agent.config.devices)
    silent = [device.id for device in devices if not device.words and not device.values]
    if not devices or len(silent) == len(devices):
        raise ConfigError("no instrument has answered yet", "wait for live values")
    if role not in ROLES:
        raise ConfigError(f"{role!r} is not a role", f"known: {', '.join(ROLES)}", (("role", "is not known"),))
    test = agent.uplink.asked.newest("alarm_test")
    certificate = Certificate(
        by=by,
        role=role,  # type: ignore[arg-type]
        at_ms=now_us // 1_000,
        manifest=sha256(encode_manifest(agent.manifest)).hexdigest(),
        software=agent.manifest.software,
        points=len(agent.config.points),
        limits=sum(len(point.limits) for point in agent.config.points),
        devices=devices,
        test=Test(test.epoch, test.seq, test.index, test.size) if test else None,
        photos=photos,
    )
    try:
        body = encode_certificate(certificate)
    except FormatError as error:
        raise ConfigError(str(error), "an id has no spaces; a photo is given by its SHA-256", error.faults) from error
    return await _ask(agent, "commissioning", await agent.seal_record_now("commissioning", body), now_us)


def receipt_state(agent: "Agent", what: str) -> dict[str, object] | None:
    """Return the newest test or certificate with its state: waiting, held (no receipt came) or proved."""
    asked = agent.uplink.asked.newest(what)
    if asked is None:
        return None
    held = row_id(asked.epoch, asked.seq) <= agent.store.queue.remote.server_id
    state = "proved" if asked.index >= 0 else "held" if held else "waiting"
    return {"state": state, **{name: getattr(asked, name) for name in asked.__struct_fields__}}


async def _ask(agent: "Agent", what: str, statement: bytes, now_us: int) -> Asked:
    chain = read(statement).chain
    asked = agent.uplink.asked.ask(what, chain.epoch, chain.seq, now_us)
    await agent.store.put("asked", agent.uplink.asked.document())
    agent.uplink.wake()
    return asked


def _device(agent: "Agent", name: str) -> Device:
    table = next(device for device in agent.config.devices if device.id == name)
    poller = next(poller for poller in agent.pollers if poller.name == table.link)
    sources = [turn.source for turn in poller.turns if turn.source.group.device == name]
    words: list[Word] = []  # frames longer than any of Modbus are left out: a positioning network's, say
    values: list[Value] = []
    for source in sources:
        told = [(each.time_us, each.request.hex(), each.answer.hex()) for each in source.exchanges()]
        told = [row for row in told if max(len(row[1]), len(row[2])) <= FRAME_HEX_MAX]
        words += [Word(time_us // 1_000, request, answer) for time_us, request, answer in told]
        block = agent.latest.get(source.group.points)
        for column, point in enumerate(source.group.points if block is not None else ()):
            assert block is not None
            number = float(block.value[column, -1])
            at_ms = int(block.time_us[-1]) // 1_000
            shown = number if math.isfinite(number) else None
            values.append(Value(point, shown, int(block.quality[column, -1]), at_ms))
    rung = agent.config.profiles[table.profile].rung
    return Device(name, table.profile, rung, table.link, table.unit, tuple(words[:WORDS_MAX]), tuple(values))
