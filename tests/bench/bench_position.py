"""Positions on an hour of simulated walking, 100 tags: median and 95th percentile per source against the bars."""

from tests.support import walks
from tests.support.positions import SOURCES, Score, measure

SECONDS, TAGS = 3_600, 100
BARS_M = {"uwb": 0.80, "ble": 9.4}  # 95th percentile
ZONE_BAR = 0.99
NAMES = {
    "uwb": "UWB, anchors 300 m apart, 15 % too long, 10 % lost",
    "ble": "BLE, readers 30 m apart, 5 dB scatter",
    "rfid": "RFID, antennas at zone mouths",
    "gnss": "GNSS autonomous, 2.5 m wandering",
    "rtk": "GNSS RTK, 1.5 cm, 2 % float",
}


def run() -> list[tuple[str, str, str, float]]:
    """Return rows of (what, figure, bar, figure / bar)."""
    people, vehicles = walks.walk(SECONDS, TAGS), walks.walk(SECONDS, TAGS // 5, vehicle=True)
    rows: list[tuple[str, str, str, float]] = []
    for source in SOURCES:
        rows += _rows(source, NAMES[source], measure(source, people))
    for source in ("uwb", "ble"):
        rows += _rows(source, f"{NAMES[source].split(',')[0]}, vehicles at 25 km/h", measure(source, vehicles))[:1]
    return rows


def _rows(source: str, name: str, score: Score) -> list[tuple[str, str, str, float]]:
    spread = f"{score.median_m:.2f} / {score.p95_m:.2f} m"
    bar_m = BARS_M.get(source)
    found = [(name, spread, f"p95 of {bar_m} m" if bar_m else "its own p95", score.p95_m / (bar_m or score.p95_m))]
    found.append(
        ("  errors within 1 and 1.96 sigma", "{:.3f} / {:.3f}".format(*score.cover), "0.95", score.cover[1] / 0.95)
    )
    found.append(("  zone right", f"{score.zone_right:.4f}", f"{ZONE_BAR}", score.zone_right / ZONE_BAR))
    found.append(("  one core at 500 tags", f"{100 * score.cpu_share:.1f} %", "10 %", score.cpu_share / 0.10))
    return found
