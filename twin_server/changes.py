"""What happened besides readings, from the log: keys, limits, points, software, gaps, acts; manifests compared."""

from collections.abc import Mapping
from typing import Any

import msgspec
from aiohttp import web

from twin_server.context import LEDGER
from twin_server.live import LIVE
from twin_server.params import Call, answer
from twin_server.parties import WANTED, countersigners
from twin_server.store import Store
from twin_server.store.rows import StoredBatch
from twin_wire.commissioning import read_certificate
from twin_wire.errors import FormatError
from twin_wire.keys import kid_text
from twin_wire.manifest import Limit, Manifest, PointSpec, read_manifest
from twin_wire.records import decode_record
from twin_wire.statement import read
from twin_wire.voucher import read_enrol_body

LIST_MAX = 200  # rows of one kind in a summary; the manifest itself has the rest
TOLD_FIRST = tuple(
    f"{what}_{how}"
    for what, hows in (
        ("limits", ("loosened", "removed", "tightened", "added", "changed")),
        ("points", ("removed", "added", "changed")),
        ("devices", ("removed", "added", "changed")),
    )
    for how in hows
)
HEAD_FIELDS = ("software", "ruleset", "structure", "simulated", "site")


class Change(msgspec.Struct, frozen=True):
    """One entry of the log that is not readings, said in numbers and in one sentence."""

    index: int
    kind: str
    gateway: str
    time_us: int
    received_us: int
    summary: dict[str, Any]
    text: str


async def list_changes(call: Call) -> web.Response:
    """List what happened besides readings from an index of the log on: each manifest compared with the one before."""
    store, asked = call.app[LIVE].store, call.asked
    entries = await store.entries(call.enterprise, asked["since_index"], asked["limit"], without="data")
    before: dict[str, bytes | None] = {}  # by gateway, the manifest before the entry at hand
    origin = (await call.app[LEDGER].open(call.enterprise)).origin
    signed = await countersigners(store, call.enterprise, origin)
    rows = [await _change(store, call.enterprise, entry, before) for entry in entries]
    for row in rows:
        if row.kind in WANTED:
            row.summary["countersigned"] = signed.get(row.index, [])
    return answer(rows)


async def _change(store: Store, enterprise: str, entry: StoredBatch, before: dict[str, bytes | None]) -> Change:
    if entry.kind == "manifest" and not entry.disputed and entry.readable and entry.body:
        if entry.gateway not in before:
            before[entry.gateway] = await _manifest_before(store, enterprise, entry)
        summary = _manifest_summary(before[entry.gateway], entry.body)
        before[entry.gateway] = entry.body
    else:
        summary = record_summary(entry)
    if entry.disputed:
        summary["disputed"] = True
    text = sentence(entry.kind, entry.gateway, summary)
    return Change(entry.index, entry.kind, entry.gateway, entry.t1_us, entry.received_us, summary, text)


async def _manifest_before(store: Store, enterprise: str, entry: StoredBatch) -> bytes | None:
    held = [d for d in await store.documents(enterprise, "manifest", entry.gateway) if 0 <= d.index < entry.index]
    newest = max(held, key=lambda document: document.index, default=None)
    return newest.body if newest else None


def _manifest_summary(old: bytes | None, new: bytes) -> dict[str, Any]:
    try:
        return compare(read_manifest(old) if old else None, read_manifest(new))
    except FormatError as fault:
        return {"unreadable": str(fault)}


def compare(old: Manifest | None, new: Manifest) -> dict[str, Any]:
    """Return what `new` changes: a loosened limit lets more pass than before, a tightened one less."""
    if old is None:
        return {"first": True, "points": len(new.points), "devices": len(new.devices), "software": new.software}
    summary: dict[str, Any] = {
        name: {"from": getattr(old, name), "to": getattr(new, name)}
        for name in HEAD_FIELDS
        if getattr(old, name) != getattr(new, name)
    }
    was, now = ({point.id: point for point in each.points} for each in (old, new))
    rows: dict[str, list[Any]] = {
        "points_added": sorted(now.keys() - was.keys()),
        "points_removed": sorted(was.keys() - now.keys()),
        "points_changed": [row for point in sorted(was.keys() & now.keys()) for row in _moved(was[point], now[point])],
    }
    for point in sorted(was.keys() & now.keys()):
        for kind, row in _limits(was[point], now[point]):
            rows.setdefault(kind, []).append(row)
    devices = [{device.id: device for device in each.devices} for each in (old, new)]
    rows["devices_added"] = sorted(devices[1].keys() - devices[0].keys())
    rows["devices_removed"] = sorted(devices[0].keys() - devices[1].keys())
    rows["devices_changed"] = sorted(k for k in devices[0].keys() & devices[1].keys() if devices[0][k] != devices[1][k])
    for name, found in rows.items():
        if found:
            summary[name] = found[:LIST_MAX]
        if len(found) > LIST_MAX:
            summary[f"{name}_more"] = len(found) - LIST_MAX
    return summary


def _moved(was: PointSpec, now: PointSpec) -> list[dict[str, Any]]:
    """What of a point changed besides its limits: place, range, resolution, device, calibration."""
    names = [name for name in PointSpec.__struct_fields__ if name not in ("id", "limits")]
    return [
        {"point": now.id, "field": name, "from": getattr(was, name), "to": getattr(now, name)}
        for name in names
        if getattr(was, name) != getattr(now, name)
    ]


def _limits(was: PointSpec, now: PointSpec) -> list[tuple[str, dict[str, Any]]]:
    """Compare limits by (kind, severity), the agent's rule of identity."""
    old, new = ({(limit.kind, limit.severity): limit for limit in spec.limits} for spec in (was, now))
    found: list[tuple[str, dict[str, Any]]] = []
    for key in sorted(old.keys() | new.keys()):
        before, after = old.get(key), new.get(key)
        if before == after:
            continue
        row = {"point": now.id, "kind": key[0], "severity": key[1], "unit": now.unit}
        row |= {"from": _limit(before), "to": _limit(after)}
        if before is None:
            found.append(("limits_added", row))
        elif after is None:
            found.append(("limits_removed", row))
        else:
            found.append((_direction(before, after), row))
    return found


def _direction(before: Limit, after: Limit) -> str:
    """Say whether a limit lets more pass: higher for a high one, lower for a low one, or only later."""
    sign = -1 if before.kind == "low" else 1
    old, new = (sign * before.value, before.delay_s), (sign * after.value, after.delay_s)
    if new[0] > old[0] or (new[0] == old[0] and new[1] > old[1]):
        return "limits_loosened"
    return "limits_tightened" if new != old else "limits_changed"


def _limit(limit: Limit | None) -> dict[str, Any] | None:
    if limit is None:
        return None
    return {"value": limit.value, "restore": limit.restore, "delay_s": limit.delay_s, "source": limit.source}


def record_summary(entry: StoredBatch) -> dict[str, Any]:
    """Return what a record says, as JSON can say it: bytes in hex, a key by its id."""
    if entry.body is None:
        return {"body": "not here any more"}
    if not entry.readable:
        return {"unreadable": True}
    try:
        if entry.kind == "enrol":
            made = read_enrol_body(entry.body)
            return {"epoch": made.epoch, "kid": kid_text(made.public.kid), "software": made.software}
        if entry.kind == "structure":
            record = decode_record(entry.body)
            return {"digest": entry.digest.hex(), "site": record.get("site"), "revision": record.get("revision")}
        if entry.kind == "commissioning":
            read_certificate(entry.body)
        summary = {name: _plain(value) for name, value in decode_record(entry.body).items()}
        if "received_ms" in summary:  # the server's times of receipt: for auditors, not for people
            summary["received_ms"] = len(summary["received_ms"])
        if entry.kind == "rotate":
            summary.setdefault("kid", kid_text(read(entry.statement).kid))
        elif entry.kind == "revoke" and isinstance(summary.get("kid"), str):
            summary["kid"] = "-".join(summary["kid"][at : at + 4] for at in range(0, 16, 4))
        return summary
    except FormatError as fault:
        return {"unreadable": str(fault)}


def sentence(kind: str, gateway: str, summary: Mapping[str, Any]) -> str:
    """Return one English sentence for a person."""
    if "unreadable" in summary:
        return f"A {kind} entry of {gateway} cannot be read."
    who = summary.get("gateway", gateway)
    told = {
        "genesis": "The log begins" + (", marked as simulated." if summary.get("simulated") else "."),
        "enrol": f"Gateway {gateway} enrolled with key {summary.get('kid', '?')}, epoch {summary.get('epoch', '?')}.",
        "rotate": f"Gateway {gateway} changed its key.",
        "revoke": f"Key {summary.get('kid', '?')} of gateway {who} was revoked: {summary.get('reason', '?')}.",
        "structure": f"Gateway {gateway} sent a structure document, revision {summary.get('revision', '?')}.",
        "gap": f"Gateway {gateway} left out {_count(summary)} reserved numbers; some may be in the log."
        if summary.get("reason") == "reserve"
        else f"Gateway {gateway} says that {_count(summary)} batches are missing: {summary.get('reason', '?')}.",
        "silence": f"Gateway {who} is {summary.get('rule', 'silent')}" + _ended(summary),
        "clock": f"The clock of gateway {who} runs ahead" + _ended(summary)
        if "rule" in summary
        else "The server stated when it received the entries before.",
        "fork": f"Two statements of gateway {who} contradict each other: {summary.get('reason', '?')}",
        "restore": "The server's data was restored from an older copy; gateways send again what is missing.",
        "acknowledgement": f"{summary.get('by', '?')} acknowledged {summary.get('rule')} of "
        f"{summary.get('point') or who}.",
        "witness": f"Witnesses cosigned the log at {summary.get('size', '?')} entries.",
        "party": f"{summary.get('party', '?')} ({summary.get('role', '?')}) may countersign from here on.",
        "countersign": f"{summary.get('party', '?')} countersigned entry {summary.get('index', '?')}.",
        "mark": f"{summary.get('point', '?')} of gateway {gateway} is marked {summary.get('what', '?')}"
        f" by {summary.get('by', '?')}: {summary.get('reason', '?')}" + _ended(summary),
        "commissioning": _commissioned(gateway, summary),
        "access": f"{summary.get('who', '?')}: {summary.get('act', '?')} for tag {summary.get('tag', '?')}.",
    }
    if kind == "manifest":
        return f"Gateway {gateway}: {_manifest_text(summary)}."
    return told.get(kind, f"{kind} of {gateway}.")


def _manifest_text(summary: Mapping[str, Any]) -> str:
    if summary.get("first"):
        return f"first manifest, {summary['points']} points"
    parts = [
        f"{len(summary[name]) + summary.get(f'{name}_more', 0)} {name.replace('_', ' ')}"
        for name in TOLD_FIRST
        if name in summary
    ]
    parts += [f"{name} changed" for name in HEAD_FIELDS if name in summary]
    return ", ".join(parts) or "manifest sent again without a change"


def _commissioned(gateway: str, summary: Mapping[str, Any]) -> str:
    devices = summary.get("devices")
    count = len(devices) if isinstance(devices, list) else "?"
    who = f"{summary.get('by', '?')} ({summary.get('role', '?')})"
    return f"{who} put gateway {gateway} into operation: {count} devices, {summary.get('points', '?')} points."


def _count(summary: Mapping[str, Any]) -> str:
    return str(summary.get("batches", "?"))


def _ended(summary: Mapping[str, Any]) -> str:
    return " no more." if (summary.get("end_us") or summary.get("end_ms")) else "."


def _plain(value: object) -> Any:
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {str(key): _plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value[:LIST_MAX]]
    return value
