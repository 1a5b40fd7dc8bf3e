"""Scores the lines of a backtest against the truth of its episodes: what was found, how late, and what was invented.

An event counts as named if a line of its kind stands at one of its points (or, for a hazard, within the event at any
of the points that show it) between its begin and its end plus a grace; a line outside any event is a false alarm.
"""

import argparse
import csv
import json
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from twin_wire.errors import ConfigError

KINDS = ("hazard", "fault", "tamper", "benign")
GRACE_S = 300.0  # after an event's end its traces may still be told
AFTER_S = 3600.0  # and lines within so long at its points are its aftermath, no false alarms
INCIDENT_S = 900.0
DAY_S = 86_400.0
GROUPS = ("all", "full", "half")


class Event(NamedTuple):
    """One line of truth.csv."""

    episode: str
    kind: str
    cause: str
    begin_s: float
    end_s: float
    visible_s: float | None
    points: frozenset[str]


class Alarm(NamedTuple):
    """One line of alarms.csv."""

    episode: str
    time_s: float
    point: str
    kind: str


class Outcome(NamedTuple):
    """What became of one event."""

    event: Event
    said: frozenset[str]  # kinds of the lines at its points while it lasted
    delay_s: float | None  # of the first line of its kind, from the moment it was visible


class Score(NamedTuple):
    """What the lines were worth."""

    outcomes: tuple[Outcome, ...]
    false_alarms: tuple[Alarm, ...]
    channel_days: float
    site_days: float

    def recall(self, kind: str) -> tuple[int, int]:
        """Return how many visible events of a kind were named, and how many there were."""
        mine = [o for o in self.outcomes if o.event.kind == kind and o.event.visible_s is not None]
        return sum(o.delay_s is not None for o in mine), len(mine)

    def dismissed(self) -> int:
        """Return the hazards that were only called something else."""
        mine = [o for o in self.outcomes if o.event.kind == "hazard" and o.delay_s is None]
        return sum(bool(o.said & {"fault", "tamper", "benign"}) for o in mine)

    def cried(self) -> tuple[int, int]:
        """Return how many benign events were called hazard, and how many there were."""
        mine = [o for o in self.outcomes if o.event.kind == "benign"]
        return sum("hazard" in o.said for o in mine), len(mine)

    def incidents(self) -> int:
        """Return the false incidents: false alarms of one episode within a quarter of an hour are one."""
        count, last = 0, ("", 0.0)
        for alarm in sorted(self.false_alarms, key=lambda a: (a.episode, a.time_s)):
            if alarm.episode != last[0] or alarm.time_s - last[1] > INCIDENT_S:
                count += 1
            last = alarm.episode, alarm.time_s
        return count


def score(events: Sequence[Event], alarms: Sequence[Alarm], channel_days: float, site_days: float) -> Score:
    """Compare lines with truths; what benign lines say is no alarm."""
    by_episode: dict[str, list[Alarm]] = {}
    for alarm in alarms:
        if alarm.kind in KINDS:
            by_episode.setdefault(alarm.episode, []).append(alarm)
    outcomes = [_outcome(event, by_episode.get(event.episode, []), events) for event in events]
    false = [
        alarm
        for mine in by_episode.values()
        for alarm in mine
        if alarm.kind != "benign" and not any(_explains(event, alarm) for event in events)
    ]
    return Score(tuple(outcomes), tuple(false), channel_days, site_days)


def _outcome(event: Event, alarms: Iterable[Alarm], events: Sequence[Event]) -> Outcome:
    during = [a for a in alarms if event.begin_s <= a.time_s <= event.end_s + GRACE_S]
    mine = [a for a in during if not event.points or a.point in event.points]
    if event.kind == "benign":
        others = [e for e in events if e.episode == event.episode and e.kind != "benign"]
        mine = [a for a in during if not any(_explains(other, a) for other in others)]
    named = [a.time_s for a in mine if a.kind == event.kind]
    begin_s = event.begin_s if event.visible_s is None else event.visible_s
    delay_s = max(min(named) - begin_s, 0.0) if named else None
    return Outcome(event, frozenset(a.kind for a in mine), delay_s)


def _explains(event: Event, alarm: Alarm) -> bool:
    """Return whether an event is what a line is about: in its time, and at its points unless it is one of the air."""
    if event.episode != alarm.episode or not event.begin_s <= alarm.time_s <= event.end_s + AFTER_S:
        return False
    return event.kind in ("hazard", "benign") or alarm.point in event.points


def read_events(path: Path) -> list[Event]:
    """Read truth.csv."""
    rows = _rows(path, ("episode", "kind", "begin_s", "end_s", "visible_s", "points"))
    return [
        Event(
            *(row["episode"], row["kind"], row.get("cause", ""), float(row["begin_s"]), float(row["end_s"])),
            float(row["visible_s"]) if row["visible_s"] else None,
            frozenset(filter(None, row["points"].split(";"))),
        )
        for row in rows
    ]


def read_alarms(path: Path) -> list[Alarm]:
    """Read alarms.csv."""
    rows = _rows(path, ("episode", "time_s", "point", "kind"))
    return [Alarm(row["episode"], float(row["time_s"]), row["point"], row["kind"]) for row in rows]


def _rows(path: Path, needed: Sequence[str]) -> list[dict[str, str]]:
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}") from error
    if rows and (missing := [name for name in needed if name not in rows[0]]):
        raise ConfigError(f"{path}: no column {', '.join(missing)}")
    return rows


def magnitudes(folder: Path) -> dict[str, float]:
    """Return the size of each episode of a folder, where episodes.csv says it."""
    path = folder / "episodes.csv"
    return {row["episode"]: float(row["magnitude"]) for row in _rows(path, ("episode",))} if path.exists() else {}


def spans(folder: Path) -> tuple[dict[str, float], int]:
    """Return the length of each episode in s, and the number of points."""
    import numpy as np

    lengths = {}
    for file in sorted((folder / "episodes").glob("*.npz")):
        with np.load(file) as archive:
            time_s = archive["time_s"]
        lengths[file.stem] = float(time_s[-1] - time_s[0]) if len(time_s) else 0.0
    site = json.loads((folder / "site.json").read_text(encoding="utf-8"))
    return lengths, len(site["points"])


def tell(result: Score) -> list[str]:
    """Return the lines of a report."""
    lines = []
    for kind in KINDS[:3]:
        found, count = result.recall(kind)
        delays = [o.delay_s for o in result.outcomes if o.event.kind == kind and o.delay_s is not None]
        late = f", delay median {median(delays):.0f} s, most {max(delays):.0f} s" if delays else ""
        lines.append(f"{kind:7} named {found}/{count} ({found / max(count, 1):.1%}){late}")
    cried, benign = result.cried()
    lines.append(f"hazards dismissed {result.dismissed()}; benign called hazard {cried}/{benign}")
    per_channel = len(result.false_alarms) / max(result.channel_days, 1e-9)
    per_site = result.incidents() / max(result.site_days, 1e-9)
    lines.append(f"false alarms {per_channel:.4f} per channel-day ({len(result.false_alarms)}), "
                 f"false incidents {per_site:.2f} per site-day")  # fmt: skip
    for kind in KINDS:
        said = Counter(word for o in result.outcomes if o.event.kind == kind for word in (o.said or {"nothing"}))
        lines.append(f"  {kind:7} was called: " + ", ".join(f"{word} {n}" for word, n in said.most_common()))
    return lines


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")


def add_score(commands: Any) -> None:
    """Add the command to the table of a parser's commands."""
    parser = commands.add_parser("score", help="what the lines of edge-agent backtest are worth against truth.csv")
    parser.add_argument("truth", type=Path, help="truth.csv of the episodes' folder")
    parser.add_argument("alarms", type=Path, help="what edge-agent backtest wrote")
    parser.add_argument("--each", action="store_true", help="a line for each event, and each false alarm")
    parser.set_defaults(command=run)


def run(options: argparse.Namespace) -> int:
    """Print the score, for all episodes and by size where known."""
    folder = options.truth.parent
    events, alarms, sizes = read_events(options.truth), read_alarms(options.alarms), magnitudes(folder)
    lengths, points = spans(folder)
    for group in GROUPS if sizes else GROUPS[:1]:
        mine = {e for e in lengths if group == "all" or (sizes.get(e, 1.0) >= 1.0) == (group == "full")}
        days = sum(lengths[e] for e in mine) / DAY_S
        result = score([e for e in events if e.episode in mine], [a for a in alarms if a.episode in mine],
                       days * points, days)  # fmt: skip
        _say(f"{group}: {len(mine)} episodes, {days * points:.0f} channel-days")
        for line in tell(result):
            _say(f"  {line}")
        if options.each and group == "all":
            _each(result)
    return 0


def _each(result: Score) -> None:
    for outcome in result.outcomes:
        event = outcome.event
        late = "missed" if outcome.delay_s is None else f"{outcome.delay_s:.0f} s"
        told = ",".join(sorted(outcome.said)) or "nothing"
        points = ";".join(sorted(event.points)[:4])
        _say(f"    {event.episode} {event.kind:7} {late:>8} {told:22} {event.cause}: {points}")
    for alarm in result.false_alarms:
        _say(f"    false: {alarm.episode} {alarm.time_s:.0f} {alarm.kind} {alarm.point}")
