"""The gateway's own points, which travel in the same stream as all others, and its numbers for Prometheus."""

import os
import resource
import socket
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from twin_wire.manifest import PointSpec
from twin_wire.quantity import QUANTITIES
from twin_wire.readings import Block, Quality

HEALTH_GROUP = "gateway"
HEALTH_PERIOD_S = 10.0
BUDGET_H_MAX = 99_999.0  # "for ever": nothing is written, or everything is safe at the server

# id after the gateway's, quantity, name
POINTS = (
    ("queue-batches", "gateway_queue_batches", "Batches not yet at the server 待传批次"),
    ("queue-size", "gateway_queue_size", "Queue on the disk 队列大小"),
    ("offline-budget", "gateway_offline_budget", "Hours until data would be given up 离线余量"),
    ("cpu", "gateway_cpu", "Processor used by the agent 处理器"),
    ("memory", "gateway_memory", "Memory used by the agent 内存"),
    ("disk-free", "gateway_disk_free", "Free disk space 磁盘剩余"),
    ("clock-error", "gateway_clock_error", "Bound on the clock error 时钟误差"),
    ("samples", "gateway_samples", "Samples read 采样速率"),
    ("scans-missed", "gateway_scans_missed", "Scans missed since start 漏扫次数"),
    ("answers-lost", "gateway_answers_lost", "Answers missing or broken since start 应答失败"),
    ("poll-late", "gateway_poll_late", "Latest scan of the last period 轮询抖动"),
    ("round-trip", "gateway_round_trip", "Round trip to the server 往返时延"),
    ("uptime", "gateway_uptime", "Time since start 运行时长"),
)


class Health(NamedTuple):
    """One look at the gateway; NaN where a number is not known. Units are those of the quantities."""

    queue_batches: float
    queue_size: float
    offline_budget: float
    cpu: float
    memory: float
    disk_free: float
    clock_error: float
    samples: float
    scans_missed: float
    answers_lost: float
    poll_late: float
    round_trip: float
    uptime: float


def point_id(gateway: str, name: str) -> str:
    """Return the id of one of the gateway's own points."""
    return f"{gateway}.{name}"


def health_points(gateway: str, links: Sequence[str]) -> tuple[PointSpec, ...]:
    """Return the gateway's own points as the manifest lists them: the fixed ones, and the load of every link."""
    specs = [_spec(point_id(gateway, name), quantity, text) for name, quantity, text in POINTS]
    specs += [
        _spec(f"{gateway}.load.{link}"[:64], "gateway_link_load", f"Load of {link} 链路占用"[:120]) for link in links
    ]
    return tuple(specs)


def _spec(name: str, quantity: str, text: str) -> PointSpec:
    known = QUANTITIES[quantity]
    return PointSpec(
        id=name,
        quantity=quantity,
        unit=known.unit,
        decimals=known.decimals,
        raw=False,
        range_low=None,
        range_high=None,
        name=text,
        zone="",
        roadway="",
        chainage_m=None,
        device="",
    )


def health_block(points: Sequence[PointSpec], health: Health, loads: Sequence[float], time_us: int) -> Block:
    """Return one row of the gateway's own points, rounded to what the manifest declares."""
    numbers = [*health, *(100 * load for load in loads)]
    value = np.array([[round(n, p.decimals)] for n, p in zip(numbers, points, strict=True)], np.float64)
    quality = np.where(np.isnan(value), Quality.BAD, Quality.GOOD).astype(np.uint8)
    value[np.isnan(value)] = np.nan
    return Block(tuple(p.id for p in points), np.array([time_us], np.int64), value, quality)


def offline_budget_s(quota_bytes: int, unsent_bytes: float, bytes_per_s: float) -> float:
    """Return how long the queue could go on without the server before a body would have to be given up."""
    if bytes_per_s <= 0:
        return BUDGET_H_MAX * 3_600
    return min(max(0.0, quota_bytes * 0.97 - unsent_bytes) / bytes_per_s, BUDGET_H_MAX * 3_600)


def memory_mb() -> float:
    """Return the memory this process holds now, in MB."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1_000
    return pages * resource.getpagesize() / 1e6


def cpu_s() -> float:
    """Return the processor time this process has used, in s."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def disk_free_mb(folder: Path) -> float:
    """Return the free space of a folder's disk in MB."""
    disk = os.statvfs(folder)
    return disk.f_bavail * disk.f_frsize / 1e6


def prometheus(numbers: Mapping[str, Mapping[tuple[tuple[str, str], ...], float]]) -> str:
    """Return metrics in Prometheus text: name -> labels -> number; names carry their unit."""
    lines: list[str] = []
    for name, series in numbers.items():
        lines.append(f"# TYPE {name} {'counter' if name.endswith('_total') else 'gauge'}")
        for labels, number in series.items():
            inner = ",".join(f'{k}="{_escape(v)}"' for k, v in labels)
            lines.append(f"{name}{{{inner}}} {number:.10g}" if inner else f"{name} {number:.10g}")
    return "\n".join(lines) + "\n"


def _escape(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def notify(state: str) -> bool:
    """Tell systemd (READY=1, WATCHDOG=1, STOPPING=1); False where nobody listens."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return False
    target = "\0" + address[1:] if address.startswith("@") else address
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        try:
            channel.sendto(state.encode(), target)
        except OSError:
            return False
    return True


def watchdog_period_s() -> float:
    """Return how often systemd wants to hear from us, half its limit; 0 if it does not watch."""
    microseconds = os.environ.get("WATCHDOG_USEC", "")
    return int(microseconds) / 2e6 if microseconds.isdecimal() else 0.0
