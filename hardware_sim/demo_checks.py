"""The demo's promises: what was counted at the sensors, in the twin and in the log, and whether it all agrees."""

import json
import math
import statistics
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any, NamedTuple

ALARM_DELAY_S_MAX = 1.0  # from the poll that saw the limit crossed to the page
UNANSWERED = ("NO_ANSWER", "BAD")  # rows of the export for which no device answered
PERCENTILES = (50, 95)


class Promise(NamedTuple):
    """Something the demo promises; `held` None: the run was too short to tell."""

    name: str
    held: bool | None
    text: str


class Exported(NamedTuple):
    """What the twin's CSV export holds of the configured points."""

    samples: Counter[str]  # per point
    unanswered: Counter[str]  # rows per point that say that no answer came in time
    duplicates: int  # rows of one point and time beyond the first
    own: int  # samples of the gateway's own points


async def read_export(lines: AsyncIterator[str], points: Iterable[str]) -> Exported:
    """Count the samples of an export; a row without an answer behind it is no sample."""
    known, own = set(points), 0
    samples, unanswered = Counter[str](), Counter[str]()
    seen: set[tuple[str, str]] = set()
    duplicates = 0
    head: dict[str, int] = {}
    async for line in lines:
        cells = line.split(",")
        if not head:
            head = {name: place for place, name in enumerate(cells)}
            continue
        point = cells[head["point"]]
        if point not in known:
            own += 1
            continue
        key = (point, cells[head["time_us"]])
        duplicates += key in seen
        seen.add(key)
        answered = not any(mark in cells for mark in UNANSWERED)
        (samples if answered else unanswered)[point] += 1
    return Exported(samples, unanswered, duplicates, own)


def sensors_of(status: dict[str, Any]) -> Counter[str]:
    """Return the samples the simulator served, per device."""
    units = (unit for link in status["links"].values() for unit in link.get("units", {}).values())
    return Counter({unit["device"]: unit["samples"] for unit in units if unit["samples"]})


def percentiles(values: list[float]) -> dict[str, float | None]:
    """Return p50 and p95 of a list."""
    if len(values) < 2:
        return {f"p{p}": (round(values[0], 3) if values else None) for p in PERCENTILES}
    cuts = statistics.quantiles(values, n=100, method="inclusive")
    return {f"p{p}": round(cuts[p - 1], 3) for p in PERCENTILES}


class Facts(NamedTuple):
    """Everything a run left to be judged; times in seconds, None for what did not happen."""

    seconds: float
    sensors: Counter[str]  # samples per device
    exported: Exported
    device_of: dict[str, str]  # point to device
    detail: dict[str, Any]  # the enterprise, from the server
    agent: dict[str, float]  # the agent's counters just before it was asked to stop
    agent_exit: int
    verified: dict[str, Any]  # report of `twin-server verify`
    fan_stop_at_s: float | None
    warning_at_s: float | None
    alarm_at_s: float | None
    alarm_delay_s: float | None
    receive_delays_s: list[float]
    cut_states: list[str]  # what the page said of the gateway while the link was cut
    cut_happened: bool
    backlog_s: float | None  # from the mended link to no backlog
    live_after_s: float
    mine_late_s: float  # the longest the simulator was kept waiting


def judge(facts: Facts) -> list[Promise]:
    """Return every promise with whether it held."""
    counts, faults = facts.verified["counts"], facts.verified["faults"]
    holes = [hole for gateway in facts.detail["gateways"] for hole in gateway["holes"]]
    sent, checked = facts.agent.get("edge_batches_sent_total"), facts.agent.get("edge_receipts_verified_total")
    refused = facts.agent.get("edge_batches_refused_total")
    return [
        _samples(facts),
        Promise("duplicates", facts.exported.duplicates == 0, f"{facts.exported.duplicates} duplicates"),
        Promise("gaps", not holes and not _missing(faults), f"{len(holes) + _missing(faults)} holes in the log"),
        Promise(
            "receipts",
            sent is not None and sent == checked and refused == 0 and sent > 0,
            f"{_whole(checked)} receipts checked by the agent for {_whole(sent)} batches, {_whole(refused)} refused",
        ),
        Promise(
            "proofs",
            not faults and counts["signatures"] > 0,
            f"{counts['entries']} entries, {counts['signatures']} signatures, {counts['receipts']} receipts, "
            f"{counts['bodies']} bodies checked: {len(faults)} faults",
        ),
        Promise("simulated", bool(facts.verified["simulated"]), "the log says that it is a simulation"),
        Promise("agent", facts.agent_exit == 0, f"the agent stopped with exit code {facts.agent_exit}"),
        *_story(facts),
    ]


def _samples(facts: Facts) -> Promise:
    """Every sample a device answered is in the twin, device by device; the simulator may have been late to answer."""
    at_sensors, in_twin, missing = facts.sensors.total(), facts.exported.samples.total(), _missing_samples(facts)
    text = f"{at_sensors} at the sensors, {in_twin} in the twin"
    if missing:
        text += f": {_per_device(facts, facts.exported.unanswered).total()} scans on record as unanswered in time"
    return Promise("samples", not missing and in_twin > 0, text)


def _per_device(facts: Facts, points: Counter[str]) -> Counter[str]:
    counted: Counter[str] = Counter()
    for point, count in points.items():
        counted[facts.device_of[point]] += count
    return counted


def _missing_samples(facts: Facts) -> dict[str, int]:
    in_twin = _per_device(facts, facts.exported.samples)
    differing = {device: facts.sensors[device] - in_twin[device] for device in facts.sensors | in_twin}
    return {device: count for device, count in sorted(differing.items()) if count}


def _story(facts: Facts) -> list[Promise]:
    told = facts.fan_stop_at_s is not None
    alarmed = facts.alarm_at_s is not None
    in_time = facts.alarm_delay_s is not None and facts.alarm_delay_s <= ALARM_DELAY_S_MAX
    said = bool({"late", "silent"} & set(facts.cut_states))
    order = facts.warning_at_s is not None and alarmed and facts.warning_at_s < (facts.alarm_at_s or 0.0)
    return [
        Promise("warning before alarm", order if told else None, _alarm_text(facts)),
        Promise(
            "alarm delay",
            in_time if alarmed else (False if told else None),
            f"alarm on the page {_seconds(facts.alarm_delay_s)} after the poll that saw it",
        ),
        Promise(
            "cut shown",
            said if facts.cut_happened else (False if told else None),
            f"while the link was cut the page said: {', '.join(facts.cut_states) or 'nothing'}",
        ),
        Promise(
            "backlog",
            facts.backlog_s is not None if facts.cut_happened else (False if told else None),
            f"the backlog was in {_seconds(facts.backlog_s)} after the link came back",
        ),
    ]


def summary_of(facts: Facts, promises: list[Promise], seed: int) -> dict[str, Any]:
    """Return the run as JSON."""
    in_twin, missing = _per_device(facts, facts.exported.samples), _missing_samples(facts)
    differing = {device: {"at_sensors": facts.sensors[device], "in_twin": in_twin[device]} for device in missing}
    return {
        "simulated": True,
        "note": "from the fan stop on the world ran ×20; wire time stays real",
        "seed": seed,
        "seconds": round(facts.seconds, 1),
        "held": all(promise.held is not False for promise in promises),
        "promises": {promise.name: {"held": promise.held, "text": promise.text} for promise in promises},
        "samples_at_sensors": facts.sensors.total(),
        "samples_in_twin": facts.exported.samples.total(),
        "samples_of_gateway_itself": facts.exported.own,
        "differing_devices": differing,
        "duplicates": facts.exported.duplicates,
        "gaps": sum(len(gateway["holes"]) for gateway in facts.detail["gateways"]) + _missing(facts.verified["faults"]),
        "batches": max((gateway["seq"] + 1 for gateway in facts.detail["gateways"]), default=0),
        "log_size": facts.detail["tree_size"],
        "receipts_checked": facts.agent.get("edge_receipts_verified_total"),
        "proofs_checked": facts.verified["counts"],
        "faults": facts.verified["faults"],
        "live_after_s": round(facts.live_after_s, 1),
        "simulator_late_s": facts.mine_late_s,
        "fan_stop_at_s": facts.fan_stop_at_s,
        "warning_at_s": facts.warning_at_s,
        "alarm_at_s": facts.alarm_at_s,
        "alarm_delay_s": facts.alarm_delay_s,
        "receive_delay_s": percentiles(facts.receive_delays_s),
        "cut_states": facts.cut_states,
        "backlog_s": facts.backlog_s,
    }


def write_summary(path: Path, summary: dict[str, Any]) -> None:
    """Write the summary as JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(summary, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _missing(faults: list[dict[str, Any]]) -> int:
    return sum(fault["kind"] in ("missing", "absent") for fault in faults)


def _alarm_text(facts: Facts) -> str:
    return f"early warning at {_seconds(facts.warning_at_s)}, alarm at {_seconds(facts.alarm_at_s)} of the story"


def _seconds(value: float | None) -> str:
    return "never" if value is None or math.isnan(value) else f"{value:.2f} s"


def _whole(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.0f}"
