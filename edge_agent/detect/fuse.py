"""From evidence to verdicts: hazard, fault, tamper or benign per point, once per cause, marks being evidence only.

Statutory limits are not here and nothing here delays them. A fault never clears a hazard: both may stand on a point.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

import edge_agent.detect.symptoms as sy
from edge_agent.detect.model import Model
from edge_agent.detect.place import Places
from edge_agent.detect.rules import INSTRUMENT, RULES, TWO_MEAN, Finding, Scene

Array = NDArray[Any]
CLEAR_S = 900.0  # a verdict ends after so long without evidence
AGAIN_S = 1800.0  # and may not begin again so soon after
SETTLE_S = 300.0  # after the first row, and after a power blip


class Mark(NamedTuple):
    """What an operator wrote down: calibrating, blasting, bypass."""

    time_s: float
    end_s: float
    point: str
    kind: str


class Evidence(NamedTuple):
    """How long each piece of evidence has held, in s (0: it does not), for C channels."""

    now: float
    held: Array  # [C, sy.N_BITS]
    up: Array  # most partners say it reads too high
    down: Array
    replayed: Array
    mean: Array  # mean residual in usual sizes
    residual: Array  # [C, P]
    state: Array


class Verdict(NamedTuple):
    """One verdict that begins, or has ended (`end_s`)."""

    time_s: float
    point: int
    kind: str
    score: float
    rule: str
    begin_s: float  # since when the evidence holds
    numbers: dict[str, float]
    others: tuple[int, ...] = ()
    end_s: float = 0.0


class Fuse:
    """The verdicts that stand on the points of one site."""

    def __init__(self, model: Model) -> None:
        count = len(model.site.channels)
        self.model = model
        self.scene = Scene(model, Places(model.site))
        self.unwell = np.zeros(count, np.uint8)
        self.active: dict[tuple[int, str], Verdict] = {}
        self.seen_s: dict[tuple[int, str], float] = {}
        self.ended: list[Verdict] = []
        self._last_end: dict[tuple[int, str], float] = {}
        self._number = {channel.id: c for c, channel in enumerate(model.site.channels)}
        self._first_s = 0.0

    @property
    def waiting(self) -> bool:
        """Return whether every slot has to be judged although there may be no evidence."""
        return bool(self.active) or self.scene.busy

    def note(self, marks: Iterable[Mark]) -> None:
        """Take marks, of now or of later; they count from their time on."""
        for mark in marks:
            self.scene.marks.append((mark.time_s, mark.end_s, self._number.get(mark.point, -1), mark.kind))

    def adopt(self, verdict: Verdict) -> None:
        """Take over a verdict that stood before a restart; without evidence it ends like any other."""
        key = verdict.point, verdict.kind
        self.active[key], self.seen_s[key] = verdict, np.inf  # until the first row says what time it is
        if verdict.kind in INSTRUMENT:
            self.unwell[verdict.point] = 1

    def take_ended(self) -> list[Verdict]:
        """Return the verdicts that have ended since the last call."""
        ended, self.ended = self.ended, []
        return ended

    def judge(self, evidence: Evidence) -> list[Verdict]:
        """Return the verdicts that begin now; those that end are put into `ended`."""
        now = evidence.now
        if not self._first_s:
            begun = evidence.state[:, sy.FIRST_S]
            self._first_s = float(begun[begun > 0].min()) if (begun > 0).any() else now
        for key, at in self.seen_s.items():
            self.seen_s[key] = min(at, now)
        scene = self.scene
        scene.look(evidence, self.active)
        if now - self._first_s < SETTLE_S and not evidence.held[:, [sy.OFF, sy.SILENT]].any():
            return []
        found: list[Verdict] = []
        for rule in RULES:
            for finding in rule(scene):
                verdict = self._admit(finding, now)
                if verdict is not None:
                    found.append(verdict)
        self._end(now)
        return found

    def _admit(self, finding: Finding, now: float) -> Verdict | None:
        key = finding.point, finding.kind
        if key in self.active:
            self.seen_s[key] = now
            return None
        if finding.kind in INSTRUMENT:  # one cause, one word
            other = finding.point, TWO_MEAN[finding.kind]
            if other in self.active and finding.rule not in ("replay", "swap", "mark"):
                self.seen_s[other] = now
                return None
        if now - self._last_end.get(key, -1e18) < AGAIN_S and finding.kind != "hazard":
            return None
        verdict = Verdict(now, *finding[:4], finding.begin_s or now, finding.numbers, finding.others)
        self.active[key], self.seen_s[key] = verdict, now
        if finding.kind in INSTRUMENT or finding.rule == "calibration":
            self.unwell[finding.point] = 1
        return verdict

    def _end(self, now: float) -> None:
        for key in [key for key, at in self.seen_s.items() if now - at > CLEAR_S]:
            if key[1] in INSTRUMENT and self.scene.disturbed(key[0]):
                self.seen_s[key] = now
                continue
            self.ended.append(self.active.pop(key)._replace(end_s=now))
            del self.seen_s[key]
            self._last_end[key] = now
            if not any(point == key[0] and kind != "hazard" for point, kind in self.active):
                self.unwell[key[0]] = 0
