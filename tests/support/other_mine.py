"""Another mine than the simulator's, for reporting only, never for tuning: other equations, noise, names, steps, lags.

Delay lines instead of mixed zones, Laplace noise with memory, rows every 5 s, diesel drives and a dam in one site.
`python -m tests.support.other_mine SEED DIR` writes what `edge-agent backtest` and `hardware-sim score` read.
"""

import csv
import json
import sys
from pathlib import Path
from typing import NamedTuple

import numpy as np

STEP_S, DRIVES = 5.0, ("3N", "3S", "5W")
LAG_S = {"3N": 210.0, "3S": 145.0, "5W": 320.0}
T90_S = {"NO2": 55.0, "CO": 22.0, "wind": 8.0, "temperature": 90.0, "current": 0.0}
RESOLUTION = {"NO2": 0.02, "CO": 0.5, "wind": 0.05, "temperature": 0.1, "current": 0.5}
NOISE = {"NO2": 0.02, "CO": 0.25, "wind": 0.03, "temperature": 0.03, "current": 0.6}
DAM = (
    ("PZ-A", "head", "m", 0.002, 0.003), ("PZ-B", "head", "m", 0.002, 0.003), ("PZ-C", "head", "m", 0.002, 0.003),
    ("LVL", "level", "m", 0.001, 0.002), ("WEIR", "flow", "L/s", 0.01, 0.03), ("TURB", "turbidity", "NTU", 0.1, 0.15),
    ("EXT-1", "displacement", "mm", 0.01, 0.02), ("EXT-2", "displacement", "mm", 0.01, 0.02),
    ("GAUGE", "rain", "mm/h", 0.2, 0.0),
)  # fmt: skip
HAZARDS = ("fan", "exhaust", "main", "seep", "creep", "flood")
FAULTS = ("stuck", "drift", "step", "noisy", "spikes", "dropout", "silent")
TAMPERS = ("covered", "replay", "lowered", "swap")
BENIGN = ("blast", "blip", "calibration", "storm")


class Happening(NamedTuple):
    """One thing that happens to a drive or a channel from row `at` to row `to`, at a size."""

    what: str = ""
    where: str = ""
    at: int = 0
    to: int = 0
    size: float = 1.0


def points() -> list[dict[str, object]]:
    """Return the points of site.json."""
    found: list[dict[str, object]] = []

    def add(name: str, quantity: str, unit: str, place: str, group: str, resolution: float, t90: float, role: str = ""):
        limits = {"CO": {"alarm_high": 50.0}, "NO2": {"alarm_high": 5.0}}.get(quantity, {})
        found.append({"id": name, "quantity": quantity, "unit": unit, "place": place, "group": group, "role": role,
                      "range": [-20.0, 2000.0], "resolution": resolution, "t90_s": t90, "limits": limits})  # fmt: skip

    units = {"NO2": "ppm", "CO": "ppm", "wind": "m/s", "temperature": "Cel", "current": "A"}
    for drive in DRIVES:
        for quantity, unit in units.items():
            role = "fan_aux" if quantity == "current" else ""
            add(f"{quantity[:2].upper()}_{drive}", quantity, unit, f"Drive {drive}", f"SS-{drive}",
                RESOLUTION[quantity], T90_S[quantity], role)  # fmt: skip
    for quantity in ("CO", "NO2", "wind"):
        add(
            f"{quantity[:2].upper()}_RAR",
            quantity,
            units[quantity],
            "RAR",
            "SS-R",
            RESOLUTION[quantity],
            T90_S[quantity],
        )
    add("IF_MAIN", "current", "A", "RAR", "SS-R", 0.5, 0.0, "fan_main")
    add("BARO", "pressure", "Pa", "RAR", "SS-R", 10.0, 0.0)
    for name, quantity, unit, resolution, _ in DAM:
        add(name, quantity, unit, "Dam", "SS-D", resolution, 0.0 if quantity != "head" else 20.0)
    return found


def truth(rng: np.random.Generator, rows: int, day: float, h: Happening) -> dict[str, np.ndarray]:
    """Return what is so, by point."""
    t = np.arange(rows) * STEP_S
    on = (np.arange(rows) >= h.at) & (np.arange(rows) < h.to)
    ease = _lag(on.astype(float), 40.0)
    x: dict[str, np.ndarray] = {}
    main = 1.0 - 0.6 * h.size * ease * (h.what == "main")
    hour = (t + day * 86_400.0) / 3600.0
    baro = 97_000 + 220 * np.sin(hour / 24 * 2 * np.pi) + _walk(rng, rows, 1.2)
    total = np.zeros((2, rows))
    for drive in DRIVES:
        mine = h.where == drive
        fan = main * (1.0 - h.size * ease * (h.what == "fan" and mine))
        truck = _lag((rng.random(rows) < 0.003).astype(float) * 60.0, 600.0)
        if h.what == "exhaust" and mine:
            truck = truck + 7.0 * h.size * _lag(on.astype(float), 240.0)
        air = np.maximum(0.06, fan) * (1.0 + 0.02 * _lag(rng.normal(0, 3, rows), 90.0))
        fume = np.zeros(rows)
        if h.what == "blast" and mine:
            fume = 40.0 * h.size * np.exp(-np.maximum(t - h.at * STEP_S, 0) / 500.0) * (np.arange(rows) >= h.at)
        co = 2.5 + _lag((1.0 + 1.6 * truck) / air, 260.0) + fume
        no2 = 0.15 + _lag((0.1 + 0.17 * truck) / air, 260.0) + 0.05 * fume
        x[f"CO_{drive}"], x[f"NO_{drive}"] = co, no2
        x[f"WI_{drive}"] = 1.35 * air
        x[f"TE_{drive}"] = 24.0 + _lag(0.5 * truck / air, 700.0)
        x[f"CU_{drive}"] = 118.0 * (1.0 - (1.0 - fan / np.maximum(main, 0.05)) * 0.93)
        back = round(LAG_S[drive] / STEP_S)
        total += np.stack([np.concatenate([np.full(back, s[0]), s[:-back]]) for s in (co, no2)]) / 3.0
    x["CO_RAR"], x["NO_RAR"] = _lag(total[0], 60.0), _lag(total[1], 60.0)
    x["WI_RAR"] = 6.2 * main * (1.0 + 0.008 * _lag(rng.normal(0, 3, rows), 60.0))
    x["IF_MAIN"], x["BARO"] = 310.0 * main**2 + 5.0, baro
    return x | _dam(rng, t, hour, baro, on, h)


def _dam(rng, t, hour, baro, on, h: Happening) -> dict[str, np.ndarray]:
    rain = 3.0 * on * (h.what == "storm") + 45.0 * h.size * on * (h.what == "flood")
    level = 12.0 + 0.01 * np.sin(hour / 9.0) + np.cumsum(rain) * STEP_S / 3.6e6 * 9.0
    pipe = _lag(on * 1.0, 900.0) * h.size * (h.what == "seep")
    weather = (baro - 97_000) / 9810.0 * 0.7
    moved = np.cumsum(on * (h.what == "creep")) * STEP_S / 3600.0 * 3.0 * h.size
    x = {f"PZ-{k}": base + 0.3 * (level - 12) + weather + rise * pipe + 0.004 * _lag(rain, 4000.0)
         for k, base, rise in (("A", 8.0, 0.2), ("B", 5.5, 0.9), ("C", 3.0, 0.5))}  # fmt: skip
    x |= {"LVL": level, "WEIR": 4.0 + 1.5 * pipe + 0.02 * _lag(rain, 2000.0), "TURB": 6.0 + 9.0 * pipe + 0.2 * rain}
    warm = 0.12 * np.sin(hour / 24 * 2 * np.pi)
    return x | {"EXT-1": 40.0 + warm + moved, "EXT-2": 22.0 + warm + 0.6 * moved, "GAUGE": rain}


def shown(rng: np.random.Generator, x: dict[str, np.ndarray], h: Happening) -> np.ndarray:
    """Return what the instruments show, [T, C]."""
    columns, names = [], [str(p["id"]) for p in points()]
    for p in points():
        name, t90, resolution = str(p["id"]), float(p["t90_s"]), float(p["resolution"])
        noise = NOISE.get(str(p["quantity"])) or {d[0]: d[4] for d in DAM}.get(name, 6.0)
        real = x[name] * (1.0 + 0.02 * _lag(rng.normal(0, 4, len(x[name])), 300.0) * (t90 > 15 and p["place"] != "Dam"))
        quiet = np.ones(len(real))
        span = slice(h.at, h.to)
        mine = h.where == name
        if mine and h.what == "covered":
            quiet[span] = 0.2
            real = real.copy()
            real[span] = real[h.at] + (_lag(real[span] * (1 - 0.8 * h.size), 400.0) - real[h.at])
        if mine and h.what == "calibration":
            half = (h.at + h.to) // 2
            real = real.copy()
            real[h.at : half], real[half : h.to] = 0.0, 40.0 if p["quantity"] == "CO" else 4.0
        value = _lag(real, t90 / 2.3) if t90 else real.copy()
        if mine and h.what == "noisy":
            quiet[span] = 1.0 + 8.0 * h.size
        value = value + quiet * _coloured(rng, len(value), noise)
        width = max(0.5 * float(np.ptp(value[: h.at])), 14 * noise, 8 * resolution) if h.at else 0.0
        columns.append(np.round(_spoilt(rng, value, width, mine, h) / resolution) * resolution)
    values = np.stack(columns, axis=1)
    if h.what == "swap":
        one, other = (names.index(n) for n in h.where.split("+"))
        values[h.at : h.to, [one, other]] = values[h.at : h.to, [other, one]]
    if h.what == "blip":
        off = [c for c, p in enumerate(points()) if p["group"] == h.where]
        values[h.at : h.at + 8, off] = np.nan
    return values.astype(np.float32)


def _spoilt(rng, value: np.ndarray, width: float, mine: bool, h: Happening) -> np.ndarray:
    span, n = slice(h.at, h.to), h.to - h.at
    if not mine:
        return value
    value = value.copy()
    if h.what == "stuck":
        value[span] = value[h.at]
    elif h.what == "drift":
        value[span] += 2.5 * width * h.size * np.linspace(0, 1, n)
    elif h.what in ("step", "lowered"):
        value[span] += width * 1.2 * h.size * (1 if h.what == "step" else -1)
    elif h.what == "spikes":
        value[span] += (rng.random(n) < 0.015) * 2.5 * width * h.size * rng.choice((-1, 1), n)
    elif h.what == "dropout":
        value[span] = np.where(rng.random(n) < 0.35, np.nan, value[span])
    elif h.what == "silent":
        value[span] = np.nan
    elif h.what == "replay":
        tape = value[h.at - 240 : h.at]
        value[span] = np.resize(tape, n)
    return value


def _lag(x: np.ndarray, tau_s: float) -> np.ndarray:
    keep, out, now = np.exp(-STEP_S / max(tau_s, 1e-6)), np.empty(len(x)), float(x[0])
    for i, v in enumerate(x.tolist()):
        now = keep * now + (1 - keep) * v
        out[i] = now
    return out


def _walk(rng, rows: int, size: float) -> np.ndarray:
    return np.cumsum(rng.normal(0, size, rows) * np.sqrt(STEP_S / 60.0))


def _coloured(rng, rows: int, size: float) -> np.ndarray:
    white = rng.laplace(0, size / np.sqrt(2), rows)
    white[1:] += 0.4 * white[:-1]
    return white


def happenings(rng: np.random.Generator) -> list[tuple[str, Happening]]:
    """Return (kind, happening) for every event at full and half size."""
    gas = [f"{g}_{d}" for g in ("CO", "NO") for d in DRIVES]
    broad = [*gas, *(f"{q}_{d}" for q in ("WI", "TE") for d in DRIVES), "PZ-B", "WEIR", "LVL", "EXT-1"]
    found: list[tuple[str, Happening]] = []
    for size in (1.0, 0.5):
        for kind, words in (("hazard", HAZARDS), ("fault", FAULTS), ("tamper", TAMPERS), ("benign", BENIGN)):
            for what in words:
                at = 900 + int(rng.integers(0, 300))
                drive = str(rng.choice(DRIVES))
                where = str(rng.choice(gas if kind == "tamper" or what == "calibration" else broad))
                where = drive if kind == "hazard" or what == "blast" else where
                where = {"swap": f"CO_{drive}+NO_{drive}", "blip": f"SS-{drive}", "replay": f"WI_{drive}"}.get(
                    what, where
                )
                length = {"blip": 8, "calibration": 96, "blast": 300}.get(what, 900)
                found.append((kind, Happening(what, where, at, at + length, size)))
    return found


def write(seed: int, folder: Path, days: float = 2.0) -> None:
    """Write the site, its commissioning and its episodes with their truth."""
    rng = np.random.default_rng(seed)
    for part in ("commission", "episodes"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    edges = [[f"Drive {d}", "RAR"] for d in DRIVES]
    (folder / "site.json").write_text(json.dumps({"points": points(), "edges": edges}), encoding="utf-8")
    rows = int(days * 86_400 / STEP_S)
    _save(folder / "commission" / "a.npz", 0.0, shown(rng, truth(rng, rows, 0.0, Happening()), Happening()), [])
    events, sizes = [], []
    for number, (kind, h) in enumerate([*happenings(rng), ("", Happening("", "", 900, 901))], start=1):
        name, begin = f"m{number:02d}", (days + float(rng.uniform(0, 2))) * 86_400.0
        count = h.to + 400
        values = shown(rng, truth(rng, count, begin / 86_400, h), h)
        mark = {"time_s": begin + h.at * STEP_S, "end_s": begin + h.to * STEP_S + 600.0}
        marks = []
        if h.what == "blast":
            marks = [{**mark, "point": f"CO_{h.where}", "kind": "blasting"}]
        if h.what == "calibration" and h.size == 1.0:
            marks = [{**mark, "point": h.where, "kind": "calibrating"}]
        _save(folder / "episodes" / f"{name}.npz", begin, values, marks)
        sizes.append((name, h.what or "quiet", h.size, seed))
        if kind:
            span = (begin + h.at * STEP_S, begin + h.to * STEP_S)
            own = "" if kind in ("hazard", "benign") else ";".join(h.where.split("+"))
            events.append((name, kind, f"{h.what} {h.where} {h.size:g}", *span, span[0], own))
    for file, header, lines in (
        ("truth.csv", ("episode", "kind", "cause", "begin_s", "end_s", "visible_s", "points"), events),
        ("episodes.csv", ("episode", "scenario", "magnitude", "seed"), sizes),
    ):
        with (folder / file).open("w", encoding="utf-8", newline="") as out:
            writer = csv.writer(out, lineterminator="\n")
            writer.writerow(header)
            writer.writerows(lines)


def _save(path: Path, begin_s: float, values: np.ndarray, marks: list[dict[str, object]]) -> None:
    time_s = begin_s + np.arange(len(values)) * STEP_S
    np.savez_compressed(path, time_s=time_s, values=values, marks=np.array(json.dumps(marks)))


if __name__ == "__main__":
    write(int(sys.argv[1]), Path(sys.argv[2]))
