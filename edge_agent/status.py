"""What the installer's page and /metrics show of a running agent, as plain values."""

import math
from typing import TYPE_CHECKING, Any

from buffering.room import number_of
from drivers import Signal, Source
from edge_agent.health import prometheus
from edge_agent.poll import Poller
from twin_wire.keys import kid_text
from twin_wire.readings import Block

if TYPE_CHECKING:
    from edge_agent.agent import Agent

SYNC_WORDS = ("none", "ntp", "gnss", "manual")


def status(agent: "Agent") -> dict[str, Any]:
    """Return the JSON of GET /api/state; numbers that are not known are null."""
    clock = agent.watch.clock
    return {
        "gateway": agent.identity.gateway,
        "name": agent.config.gateway.name,
        "site": agent.identity.site,
        "enterprise": agent.identity.enterprise,
        "simulated": agent.identity.simulated,
        "version": agent.manifest.software,
        "key_id": kid_text(agent.kid),
        "uptime_s": round(agent.clock.monotonic_s() - agent.started_s, 1),
        "time_us": agent.clock.time_us(),
        "clock": {"sync": SYNC_WORDS[clock.sync], "error_us": clock.error_us, "offset_us": clock.offset_us},
        "links": [_link(agent, place, poller) for place, poller in enumerate(agent.pollers)],
        "devices": [_device(agent, poller, device) for poller in agent.pollers for device in poller.breakers],
        "own": [_point(agent, p.id, p.name, p.unit, b, c) for p, b, c in _own_points(agent)],
        "sync": _sync(agent),
        "budget": {
            "seconds_until_loss": _number(agent.vitals.budget_s()),
            "queue_bytes": agent.store.fill.used_bytes,
            "unsent_bytes": round(agent.vitals.unsent_bytes()),
            "quota_bytes": agent.store.fill.quota_bytes,
            "bytes_per_s": round(agent.vitals.bytes_per_s, 1),
        },
        "active": [_event(e) for e in [*agent.own.active(), *agent.watched()]],
        "events": [_event({**e._asdict()}) for e in reversed(agent.events)],
    }


def _link(agent: "Agent", place: int, poller: Poller) -> dict[str, Any]:
    table = agent.config.links[place]
    stats = [turn.source.stats for turn in poller.turns]
    paces = [turn.source.pace() for turn in poller.turns]
    down = sum(b.open for b in poller.breakers.values())
    state = "starting" if not stats else "down" if down == len(poller.breakers) else "degraded" if down else "up"
    port = _port(table.options)
    return {
        "id": table.id,
        "kind": table.kind,
        "port": port,
        "state": state,
        "utilisation": round(agent.vitals.loads[place], 4),
        "predicted": round(poller.link.utilisation(), 4) if poller.link else None,
        "polls": sum(s.scans for s in stats),
        "answers": sum(s.answers for s in stats),
        "timeouts": sum(s.timeouts for s in stats),
        "crc_errors": sum(s.crc_errors for s in stats),
        "rejected": sum(s.rejected for s in stats),
        "late": sum(s.late for s in stats),
        "exceptions": sum(s.exceptions for s in stats),
        "missed": sum(turn.missed for turn in poller.turns),
        "restarts": poller.restarts,
        "notes": learner.notes() if (learner := poller.learner()) is not None else [],
        "turnaround_ms": round(1e3 * max((p.turnaround_s for p in paces), default=0.0), 2),
    }


def _port(options: dict[str, Any]) -> str:
    """Return where a link's devices are, as its table says it."""
    number = options.get("tcp_port") or options.get("udp_port") or 502
    named = options.get("port") or options.get("listen") or options.get("path") or options.get("folder")
    return str(named or f"{options.get('host', '')}:{number}")


def _device(agent: "Agent", poller: Poller, device: str) -> dict[str, Any]:
    table = next(d for d in agent.config.devices if d.id == device)
    breaker = poller.breakers[device]
    sources = [turn.source for turn in poller.turns if turn.source.group.device == device]
    exchanges = sorted((e for s in sources for e in s.exchanges()), key=lambda e: e.time_us)
    return {
        "id": device,
        "name": table.name,
        "link": poller.name,
        "unit": table.unit,
        "profile": table.profile,
        "rung": agent.config.profiles[table.profile].rung,
        "state": "down" if breaker.open else "up" if device in poller.last_answer_us else "starting",
        "reason": breaker.reason if breaker.open or breaker.failures else poller.misasked(device),
        "since_us": breaker.since_us if breaker.open else poller.last_answer_us.get(device, 0),
        "counts": {
            name: sum(getattr(source.stats, name) for source in sources)
            for name in ("answers", "exceptions", "timeouts", "crc_errors", "rejected", "noise_bytes")
        },
        "last_question_hex": exchanges[-1].request.hex(" ") if exchanges else "",
        "last_answer_hex": exchanges[-1].answer.hex(" ") if exchanges else "",
        "points": [row for source in sources for row in _points(agent, source)],
    }


def _points(agent: "Agent", source: Source) -> list[dict[str, Any]]:
    block = agent.latest.get(source.group.points)
    specs = {p.row.point: p for p in agent.config.points}
    rows = []
    for column, name in enumerate(source.group.points):
        row = _point(agent, name, specs[name].row.name, specs[name].signal.unit, block, column)
        rows.append(row | {"word": word_of(specs[name].signal, row["value"])})
    return rows


def word_of(signal: Signal, value: float | None) -> str:
    """Return what the profile calls a number of an enumeration, "" if it has no word for it."""
    return "" if value is None or value != int(value) else signal.words.get(str(int(value)), "")


def _point(agent: "Agent", name: str, text: str, unit: str, block: Block | None, column: int) -> dict[str, Any]:
    value = float(block.value[column, -1]) if block is not None else math.nan
    spec = agent.point_specs[name]
    return {
        "id": name,
        "name": text,
        "value": _number(value),
        "unit": unit,
        "decimals": spec.decimals,
        "quality": int(block.quality[column, -1]) if block is not None else None,
        "time_us": int(block.time_us[-1]) if block is not None else None,
        "raw": round(value * 10**spec.decimals) if math.isfinite(value) and not spec.raw else None,
    }


def _own_points(agent: "Agent") -> list[tuple[Any, Block | None, int]]:
    group = agent.manifest.groups[-1]
    block = agent.latest.get(group.points)
    return [(agent.point_specs[name], block, column) for column, name in enumerate(group.points)]


def _sync(agent: "Agent") -> dict[str, Any]:
    remote, position, uplink = agent.store.queue.remote, agent.store.queue.position, agent.uplink
    head_epoch, head_seq = number_of(remote.server_id) if remote.server_id >= 0 else (None, None)
    return {
        "state": uplink.state,
        "reason": uplink.reason,
        "server": agent.identity.server,
        "epoch": position.epoch,
        "boot": position.boot,
        "seq": position.seq,
        "server_epoch": head_epoch,
        "server_seq": head_seq,
        "queued": agent.store.fill.batches,
        "unsent": agent.store.unsent,
        "quarantined": agent.store.fill.quarantined,
        "in_memory": agent.store.queue.held,
        "disk_fault": agent.store.fault,
        "last_receipt_us": remote.receipt_us,
        "verified_size": remote.verified_size,
        "backoff_s": round(uplink.backoff_s, 1),
        "round_trip_ms": _number(uplink.round_trip_ms),
        "watched": uplink.watched,
    }


def _event(event: dict[str, Any]) -> dict[str, Any]:
    return {**event, "numbers": {name: _number(number) for name, number in event["numbers"].items()}}


def _number(number: float) -> float | None:
    return number if math.isfinite(number) else None


def metrics(agent: "Agent") -> str:
    """Return the Prometheus text of GET /metrics."""
    health, uplink, store = agent.vitals.health, agent.uplink, agent.store
    plain: dict[str, float] = {
        "edge_samples_total": agent.samples,
        "edge_batches_sealed": store.queue.position.seq,
        "edge_batches_unsent": store.unsent,
        "edge_batches_sent_total": uplink.sent,
        "edge_receipts_verified_total": uplink.receipts,
        "edge_batches_refused_total": uplink.refused,
        "edge_batches_in_memory": store.queue.held,
        "edge_rows_not_recorded": agent.unsealed,
        "edge_uplink_up": float(uplink.link_up),
        "edge_log_verified_size": store.queue.remote.verified_size,
        "edge_queue_used_bytes": store.fill.used_bytes,
        "edge_queue_quota_bytes": store.fill.quota_bytes,
        "edge_offline_budget_seconds": agent.vitals.budget_s(),
        "edge_scans_missed_total": agent.vitals.scans_missed(),
        "edge_answers_lost_total": agent.vitals.answers_lost(),
        "edge_memory_bytes": health.memory * 1e6,
        "edge_cpu_percent": health.cpu,
        "edge_clock_error_seconds": health.clock_error / 1e3,
        "edge_poll_late_seconds": health.poll_late / 1e3,
        "edge_uptime_seconds": agent.clock.monotonic_s() - agent.started_s,
    }
    series: dict[str, dict[tuple[tuple[str, str], ...], float]] = {name: {(): n} for name, n in plain.items()}
    for place, poller in enumerate(agent.pollers):
        label = (("link", poller.name),)
        series.setdefault("edge_link_load_ratio", {})[label] = agent.vitals.loads[place]
        for device, breaker in poller.breakers.items():
            series.setdefault("edge_device_up", {})[(*label, ("device", device))] = float(not breaker.open)
    return prometheus(series)
