"""Labelled happenings of any site: what is done to its sensors, at which size, and what it is: fault, tamper or benign.

A recipe gives actions in world seconds from its own begin; its label lasts until the action that `ends` it. Hazards of
one kind of site stand in a file of that site (`coal_hazards.py`, `metal.py`, `tailings.py`).
"""

import random
from collections.abc import Callable, Mapping
from typing import NamedTuple

from hardware_sim.scenarios import Action, Kind

CALIBRATION_STEP_S = 240.0
BLIP_S = 40.0


class Target(NamedTuple):
    """A point that something may be done to; `size` in its unit is what nobody overlooks, `gas` of a test cylinder."""

    point: str
    size: float
    gas: float = 0.0


class Targets(NamedTuple):
    """The points of a site by what can befall them."""

    gas: tuple[Target, ...]  # heads that always show something: covered, pulled down, calibrated
    any: tuple[Target, ...]  # what can break
    lively: tuple[Target, ...]  # what always moves, so that a replay is one
    pairs: tuple[tuple[str, str], ...]  # neighbours on one terminal strip
    groups: tuple[tuple[str, ...], ...]  # points on one power supply
    cups: tuple[Target, ...] = ()  # further heads that are calibrated, but show too little to be made to show less


class Pick:
    """Seeded choices of one happening; `magnitude` 1 is full size."""

    def __init__(self, seed: str, magnitude: float, targets: Targets) -> None:
        self.random = random.Random(f"pick/{seed}")  # noqa: S311
        self.magnitude, self.targets = magnitude, targets

    def target(self, among: tuple[Target, ...]) -> Target:
        """Return one of some targets."""
        return self.random.choice(among)

    def sign(self) -> int:
        """Return 1 or -1."""
        return self.random.choice((-1, 1))


class Recipe(NamedTuple):
    """One happening; `people` ones leave no trace in the columns of an episode."""

    kind: Kind
    make: Callable[[Pick], list[Action]]
    people: bool = False


def lasting(kind: Kind, cause: str, points: tuple[str, ...], actions: list[Action], stop_s: float) -> list[Action]:
    """Return the actions with the label begun by the first and ended at `stop_s` by the last at that time."""
    first = actions[0]._replace(kind=kind, cause=cause, points=points)
    rest = list(actions[1:])
    if rest and rest[-1].at_s == stop_s:
        rest[-1] = rest[-1]._replace(ends=cause)
    else:
        rest.append(Action(stop_s, "note", ends=cause))
    return [first, *rest]


def _broken(kind: Kind, cause: str, detail: str, amount: float, target: Target, lasts_s: float) -> list[Action]:
    actions = [Action(0.0, "sensor", target.point, amount, detail), Action(lasts_s, "repair", target.point)]
    return lasting(kind, cause, (target.point,), actions, lasts_s)


def _stuck(pick: Pick) -> list[Action]:
    return _broken("fault", "sensor stuck", "stuck", 0.0, pick.target(pick.targets.any), 5400.0)


def _drift(pick: Pick) -> list[Action]:
    target = pick.target(pick.targets.any)
    return _broken("fault", "sensor drifting", "drift", 1.3 * target.size * pick.magnitude, target, 5400.0)


def _step(pick: Pick) -> list[Action]:
    target = pick.target(pick.targets.any)
    return _broken("fault", "reading stepped", "offset", pick.sign() * target.size * pick.magnitude, target, 3600.0)


def _scaled_up(pick: Pick) -> list[Action]:
    return _broken(
        "fault", "span too high", "scaled", 1.0 + 0.6 * pick.magnitude, pick.target(pick.targets.any), 3600.0
    )


def _noisy(pick: Pick) -> list[Action]:
    return _broken("fault", "sensor noisy", "noisy", 1.0 + 9.0 * pick.magnitude, pick.target(pick.targets.any), 2400.0)


def _spikes(pick: Pick) -> list[Action]:
    target = pick.target(pick.targets.any)
    return _broken("fault", "spikes", "spikes", 2.0 * target.size * pick.magnitude, target, 2400.0)


def _dropout(pick: Pick) -> list[Action]:
    return _broken("fault", "readings missing", "dropout", 0.0, pick.target(pick.targets.any), 1800.0)


def _silent(pick: Pick) -> list[Action]:
    return _broken("fault", "sensor silent", "dead", 0.0, pick.target(pick.targets.any), 1800.0)


def _covered(pick: Pick) -> list[Action]:
    share = 1.0 - 0.8 * pick.magnitude
    return _broken("tamper", "sensor covered", "covered", share, pick.target(pick.targets.gas), 5400.0)


def _replay(pick: Pick) -> list[Action]:
    return _broken(
        "tamper", "readings replayed", "replay", 600.0 * pick.magnitude, pick.target(pick.targets.lively), 3600.0
    )


def _pulled_down(pick: Pick) -> list[Action]:
    target = pick.target(pick.targets.gas)
    return _broken("tamper", "reading pulled down", "offset", -0.6 * target.size * pick.magnitude, target, 3600.0)


def _scaled_down(pick: Pick) -> list[Action]:
    target = pick.target(pick.targets.gas)
    return _broken("tamper", "reading scaled down", "scaled", 1.0 - 0.6 * pick.magnitude, target, 3600.0)


def _swapped(pick: Pick) -> list[Action]:
    one, other = pick.random.choice(pick.targets.pairs)
    actions = [Action(0.0, "swap", one, detail=other), Action(3600.0, "repair", one)]
    return lasting("tamper", "channels swapped", (one, other), actions, 3600.0)


def calibration(target: Target, marked: bool) -> list[Action]:
    """Return zero air, then test gas over a head, with the operator's mark or without."""
    stop_s = 2 * CALIBRATION_STEP_S
    actions = [
        Action(0.0, "sensor", target.point, 0.0, "gas"),
        Action(CALIBRATION_STEP_S, "sensor", target.point, target.gas, "gas"),
    ]
    if marked:
        actions.insert(1, Action(0.0, "mark", target.point, stop_s + 120.0, "calibrating"))
    actions.append(Action(stop_s, "repair", target.point))
    return lasting("benign", "calibration with test gas", (target.point,), actions, stop_s)


def _calibration(pick: Pick) -> list[Action]:
    return calibration(pick.target((*pick.targets.gas, *pick.targets.cups)), marked=True)


def _unmarked(pick: Pick) -> list[Action]:
    return calibration(pick.target((*pick.targets.gas, *pick.targets.cups)), marked=False)


def _blip(pick: Pick) -> list[Action]:
    group = pick.random.choice(pick.targets.groups)
    off = [Action(0.0, "sensor", point, detail="dead") for point in group]
    on = [Action(BLIP_S, "repair", point) for point in group]
    return lasting("benign", "power blip", group, [*off, *on], BLIP_S)


def _front(pick: Pick) -> list[Action]:
    depth = pick.random.choice((-1500.0, 1200.0)) * pick.magnitude
    back_s = abs(depth) * 12.0
    return lasting("benign", "weather front", (), [Action(0.0, "front", amount=depth)], back_s)


ANY_SITE: Mapping[str, Recipe] = {
    "stuck": Recipe("fault", _stuck),
    "sensor-drift": Recipe("fault", _drift),
    "step": Recipe("fault", _step),
    "scaled": Recipe("fault", _scaled_up),
    "noisy": Recipe("fault", _noisy),
    "spikes": Recipe("fault", _spikes),
    "dropout": Recipe("fault", _dropout),
    "silent": Recipe("fault", _silent),
    "replayed": Recipe("tamper", _replay),
    "swapped": Recipe("tamper", _swapped),
    "power-blip": Recipe("benign", _blip),
    "weather-front": Recipe("benign", _front),
}
GAS_SITE: Mapping[str, Recipe] = {
    "covered": Recipe("tamper", _covered),
    "pulled-down": Recipe("tamper", _pulled_down),
    "scaled-down": Recipe("tamper", _scaled_down),
    "calibration-gas": Recipe("benign", _calibration),
    "calibration-unmarked": Recipe("benign", _unmarked),
}


def live(recipes: Mapping[str, Recipe], targets: Targets, begin_s: float = 30.0) -> dict[str, tuple[Action, ...]]:
    """Return the happenings as stories that begin after `begin_s`, with the choices of one fixed seed."""
    found = {}
    for name, recipe in recipes.items():
        actions = recipe.make(Pick("live", 1.0, targets))
        found[name] = tuple(action._replace(at_s=action.at_s + begin_s) for action in actions)
    return found
