"""Episodes without a wire: the same site and instruments as arrays, far faster than life, with what is true of them.

Truth is by counterfactual: each episode is lived twice with the same chances, once without what happens in it. It is
visible from the first second from which on the two differ by more than an instrument's noise, its resolution and the
usual wandering of the air at its spot.
"""

import random
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardware_sim.channels import Channel, channels, edges
from hardware_sim.labelled import Pick
from hardware_sim.scenarios import Action, Kind
from hardware_sim.sensor_bank import SensorBank
from hardware_sim.sensors import FAULTS
from hardware_sim.site import Site
from twin_wire.errors import ConfigError

SETTLE_S = 1200
QUIET = "quiet"
QUIET_S = 4 * 3600
LEAD_S, TAIL_S = (1800.0, 4800.0), 1800.0
NOISES, STEPS = 3.0, 1.5  # a difference counts beyond so many noises and resolutions
HOLD_S, HOLD_SHARE = 60, 0.5  # and if it does so for most of the following minute
ERRATIC = ("spikes", "noisy", "dropout", "dead", "replay")  # faults that are not steady differences
Bools = NDArray[np.bool_]


class Mark(NamedTuple):
    """What the operator wrote down at the time."""

    time_s: float
    end_s: float
    point: str
    kind: str


class Lived(NamedTuple):
    """T seconds of C channels as the instruments showed them, in the channels' units; NaN where one showed nothing."""

    time_s: NDArray[np.float64]  # [T]
    values: NDArray[np.float32]  # [T, C]
    marks: tuple[Mark, ...]


class Truth(NamedTuple):
    """What was so in an episode; `visible_s` None: no instrument could show it."""

    kind: Kind
    cause: str
    begin_s: float
    end_s: float
    visible_s: float | None
    points: tuple[str, ...]  # those that show it, the first to show it first


class Order(NamedTuple):
    """One episode to be lived."""

    name: str
    scenario: str
    magnitude: float
    begin_s: float  # the site's own time
    rows: int
    actions: tuple[Action, ...]  # at_s from the episode's begin


class Studio:
    """One site with its instruments; the same seed is the same site, an episode's name its chances."""

    def __init__(self, site: Site, seed: int) -> None:
        self.site, self.seed = site, seed
        self.channels = channels(site, seed)
        self._number = {channel.point.id: place for place, channel in enumerate(self.channels)}

    def document(self) -> dict[str, object]:
        """Return site.json."""
        points = [channel.document() for channel in self.channels]
        return {"points": points, "edges": edges(self.site, {channel.place for channel in self.channels})}

    def order(self, scenario: str, magnitude: float, name: str, after_s: float) -> Order:
        """Return an episode of a scenario some time within two days after `after_s`; ConfigError if there is none."""
        chance = random.Random(f"{self.seed}/{name}")  # noqa: S311
        begin_s = after_s + 10.0 * chance.randrange(17_280)
        if scenario == QUIET:
            return Order(name, scenario, magnitude, begin_s, QUIET_S, ())
        usable = {key: recipe for key, recipe in self.site.plan.recipes.items() if not recipe.people}
        if scenario not in usable:
            raise ConfigError(f"no scenario {scenario!r}", hint=f"use {QUIET} or one of {', '.join(usable)}")
        lead_s = float(round(chance.uniform(*LEAD_S)))
        made = usable[scenario].make(Pick(f"{self.seed}/{name}", magnitude, self.site.plan.targets()))
        actions = tuple(sorted((a._replace(at_s=a.at_s + lead_s) for a in made), key=lambda a: a.at_s))
        return Order(name, scenario, magnitude, begin_s, int(actions[-1].at_s + TAIL_S), actions)

    def live(self, order: Order, happens: bool = True) -> Lived:
        """Live an episode, or the same time without what happens in it."""
        text = f"{self.seed}/{order.name}"
        model = self.site.plan.working(self.seed)
        model.reseed(text, order.begin_s - SETTLE_S)
        for _ in range(SETTLE_S):
            model.step_things()
        bank = SensorBank([channel.head for channel in self.channels], text)
        look = model.lookers(channel.point.source for channel in self.channels)
        values = np.empty((order.rows, len(look)))
        waiting, marks = list(order.actions) if happens else [], []
        for row in range(order.rows):
            while waiting and waiting[0].at_s <= row:
                action = waiting.pop(0)
                if action.verb == "mark":
                    at_s = order.begin_s + row
                    marks.append(Mark(at_s, at_s + action.amount, action.subject, action.detail))
                elif not self._on_instruments(bank, action, values[:row]) and action.verb != "note":
                    model.act(action.verb, action.subject, action.amount)
            model.step_things()
            values[row] = bank.read(np.array([looker() for looker in look]))
        for place, channel in enumerate(self.channels):
            values[:, place] = channel.convert(values[:, place])
        time_s = order.begin_s + np.arange(order.rows, dtype=np.float64)
        return Lived(time_s, values.astype(np.float32), tuple(marks))

    def episode(self, order: Order) -> tuple[Lived, list[Truth]]:
        """Live an episode and say what was true of it."""
        lived = self.live(order)
        if not order.actions:
            return lived, []
        return lived, self.truth(order, lived, self.live(order, happens=False))

    def truth(self, order: Order, lived: Lived, without: Lived) -> list[Truth]:
        """Return the truths of an episode lived with and without what happens in it."""
        beyond = exceeds(lived.values, without.values, self.channels)
        found = []
        for place, action in enumerate(order.actions):
            if not action.cause:
                continue
            stop_s = next(later.at_s for later in order.actions[place:] if later.ends == action.cause)
            found.append(self._label(order, action, int(stop_s), beyond))
        return found

    def _label(self, order: Order, action: Action, stop: int, beyond: Bools) -> Truth:
        """Return one truth; what instruments suffer is looked for at them only, what the site suffers everywhere."""
        begin = int(action.at_s)
        own = {self._number[point] for point in action.points if point in self._number}
        on_instruments = action.verb in ("sensor", "swap", "mark") and own
        places = sorted(own) if on_instruments else range(len(self.channels))
        erratic = action.verb == "sensor" and action.detail in ERRATIC
        rows = {place: first_visible(beyond[begin:, place], erratic) for place in places}
        seen = sorted((row, place) for place, row in rows.items() if row is not None)
        end = stop
        if not on_instruments and seen:
            last = np.flatnonzero(beyond[begin:, [place for _, place in seen]].any(axis=1))
            end = max(stop, begin + int(last[-1]))
        visible_s = order.begin_s + begin + seen[0][0] if seen else None
        if action.verb == "mark":  # the mark itself is what can be seen
            visible_s = order.begin_s + begin
        points = tuple(self.channels[place].point.id for _, place in seen) or tuple(
            self.channels[place].point.id for place in sorted(own)
        )
        return Truth(action.kind, action.cause, order.begin_s + begin, order.begin_s + end, visible_s, points)

    def _on_instruments(self, bank: SensorBank, action: Action, past: NDArray[np.float64]) -> bool:
        """Do to an instrument what an action says; False if it is none for instruments."""
        if action.verb not in ("sensor", "repair", "swap"):
            return False
        place = self._number.get(action.subject)
        if place is None:
            return True  # a switch or a counter: no column here
        if action.verb == "repair":
            bank.repair(place)
        elif action.verb == "swap":
            bank.swap(place, self._number[action.detail])
        else:
            kind = next(kind for kind in FAULTS if kind == action.detail)
            bank.fail(place, kind, action.amount, past[:, place])
        return True


def exceeds(values: NDArray[np.float32], without: NDArray[np.float32], channels: Sequence[Channel]) -> Bools:
    """Return where [T, C] two lives differ by more than the air's own wandering, or one of them shows nothing."""
    own = np.array([max(NOISES * c.noise, STEPS * c.resolution) for c in channels], np.float32)
    stirred = np.array([c.head.sensor.mixing for c in channels], np.float32)
    limit = np.maximum(own, stirred * np.abs(_middle(without)))
    missing = np.isnan(values) != np.isnan(without)
    return np.asarray((np.abs(values - without) > limit) | missing)


def _middle(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return the median of each column, from a reading a minute."""
    return np.asarray(np.nanmedian(values[::60], axis=0), np.float32)


def first_visible(beyond: Bools, erratic: bool) -> int | None:
    """Return the first second of [T] that differs for good (erratic: at all), None if there is none."""
    there = np.flatnonzero(beyond)
    if erratic or not len(there):
        return int(there[0]) if len(there) else None
    total = np.concatenate(([0], np.cumsum(beyond)))
    for row in there:
        until = min(int(row) + HOLD_S, len(beyond))
        if total[until] - total[row] >= HOLD_SHARE * (until - row):
            return int(row)
    return None
