"""Recomputes every sample from what the simulated devices say they answered, and compares it with a CSV export.

Imports nothing of ours, only the standard library: python recount.py GATEWAY_FOLDER EXPORT.csv PROFILES_FOLDER
"""

import csv
import struct
import sys
import tomllib
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

REGISTERS = {"bool": 1, "i16": 1, "u16": 1, "i32": 2, "u32": 2, "i64": 4, "u64": 4, "f32": 2, "f64": 4}
FORMATS = {"i16": ">h", "u16": ">H", "i32": ">i", "u32": ">I", "i64": ">q", "u64": ">Q", "f32": ">f", "f64": ">d"}
NOT_ANSWERED = ("NO_ANSWER", "BAD")
APART_S_MAX = 0.5  # between the journal's time (answer sent) and the sample's (answer began to arrive)
TWICE_S = 0.2  # after a late answer the agent asks again before it trusts one: the second of the two counts
Samples = dict[str, list[tuple[int, Decimal | None]]]  # per point in the order of time: µs, value (None: no answer)


def main(gateway_folder: Path, export: Path, profiles: Path) -> int:
    """Print what differs; 0 when nothing does."""
    served, shown = served_samples(gateway_folder, profiles), exported_samples(export)
    faults = [f"{point}: exported, but not a configured point" for point in shown.keys() - served.keys()]
    late = 0
    for point, truth in served.items():
        late += compare(point, truth, shown.get(point, []), faults)
    exported = sum(value is not None for rows in shown.values() for _, value in rows)
    counts = f"{sum(map(len, served.values()))} samples served, {exported} exported, {late} answered too late"
    sys.stdout.write("\n".join([*faults[:50], f"{counts}, {len(faults)} differences", ""]))
    return 1 if faults else 0


def compare(point: str, served: list, shown: list, faults: list[str]) -> int:
    """Add every difference as a sentence; return how many answers were too late, or asked twice after such a one."""
    once = [
        row
        for row, after in zip(served, [*served[1:], None], strict=False)
        if after is None or after[0] - row[0] > TWICE_S * 1e6
    ]
    at, late = 0, len(served) - len(once)
    for sent_us, sent in once:
        while at < len(shown) and shown[at][1] is None and sent_us - shown[at][0] > APART_S_MAX * 1e6:
            at += 1  # nobody answered that one
        if at == len(shown):
            faults.append(f"{point}: served {sent} at {sent_us}, not exported")
            continue
        time_us, value = shown[at]
        at += 1
        if abs(sent_us - time_us) > APART_S_MAX * 1e6:
            faults.append(f"{point}: served at {sent_us}, exported at {time_us}")
        if value is None:
            late += 1
        elif sent != value:
            faults.append(f"{point} at {time_us}: served {sent}, exported {value}")
    faults += [
        f"{point}: exported {value} at {time_us}, never served" for time_us, value in shown[at:] if value is not None
    ]
    return late


def served_samples(folder: Path, profiles: Path) -> Samples:
    """Return every sample of the configured points in the journal's answers."""
    config = tomllib.loads((folder / "gateway.toml").read_text(encoding="utf-8"))
    devices = {device["id"]: device for device in config["device"]}
    signals = {name: profile_signals(profiles / f"{name}.toml") for name in {d["profile"] for d in devices.values()}}
    wanted = defaultdict(list)
    samples: Samples = {}
    with (folder / "points.csv").open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            device = devices[row["device"]]
            signal = signals[device["profile"]][row["signal"]]
            wanted[device["link"], device["unit"], signal["function"]].append((row["point"], signal))
            samples[row["point"]] = []
    with (folder / "journal.csv").open(encoding="ascii", newline="") as file:
        for row in csv.DictReader(file):
            key = row["link"], int(row["unit"]), int(row["function"])
            first, count, data = int(row["address"]), int(row["count"]), bytes.fromhex(row["payload"])
            for point, signal in wanted.get(key, ()):
                at, size = signal["address"] - first, REGISTERS[signal["type"]]
                if at >= 0 and at + size <= count:
                    samples[point].append((int(row["wall_us"]), decode(signal, data, at, size)))
    return samples


def profile_signals(path: Path) -> dict[str, dict]:
    """Return a profile's signals with wire addresses."""
    table = tomllib.loads(path.read_text(encoding="utf-8"))
    base = table.get("modbus", {}).get("address_base", 0)
    plain = {"type": "u16", "order": "ABCD", "decimals": 0, "divisor": 1}
    return {s["id"]: {**plain, **s, "address": s.get("address", base) - base} for s in table["signal"]}


def decode(signal: dict, data: bytes, at: int, size: int) -> Decimal:
    """Return the value of a signal in an answer's data bytes."""
    if signal["type"] == "bool" and signal["function"] in (1, 2):
        return Decimal(data[at // 8] >> at % 8 & 1)
    words = [data[2 * (at + i) : 2 * (at + i) + 2] for i in range(size)]
    if signal["order"] in ("CDAB", "DCBA"):
        words.reverse()
    if signal["order"] in ("BADC", "DCBA"):
        words = [word[::-1] for word in words]
    raw = struct.unpack(FORMATS[signal["type"]], b"".join(words))[0]
    if isinstance(raw, float):
        return round(Decimal(raw), signal["decimals"])
    return Decimal(raw).scaleb(-signal["decimals"]) / signal["divisor"]


def exported_samples(export: Path) -> Samples:
    """Return every row of the devices' points in an export, in the order of time."""
    samples: Samples = defaultdict(list)
    with export.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if not row["point"].startswith(row["gateway"]):
                value = None if row["quality"] in NOT_ANSWERED else Decimal(row["value"])
                samples[row["point"]].append((int(row["time_us"]), value))
    return {point: sorted(rows, key=lambda row: row[0]) for point, rows in samples.items()}


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4])))
