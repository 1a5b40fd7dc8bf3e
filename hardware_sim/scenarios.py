"""Stories the mine can live through: timelines of actions with ground-truth labels.

Times are seconds of the wire's clock after the scenario begins; the world may run faster meanwhile.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple

from twin_wire.errors import ConfigError

Verb = Literal[
    "fan",  # subject main, a or b; amount is the speed asked for, 0 to 1
    "speed",  # amount is the world's seconds per second
    "outburst",  # amount in m³/s of methane at the face
    "blast",  # subject is an air zone, amount in kg of explosive
    "stop_machine",  # subject is a machine
    "start_machine",
    "sensor",  # subject is a point, detail the fault kind, amount its size
    "repair",  # subject is a point
    "unplug",  # subject is a link
    "plug",
    "dead",  # subject is a device
    "alive",
    "rain",  # amount in mm/h
    "front",  # amount in Pa that the barometer moves by, at 300 Pa/h
    "fire",  # amount in m³/s of carbon monoxide that a belt fire grows to
    "inflow",  # subject is an air zone, amount in m³/s of methane beyond the usual
    "shift",  # amount 0 pauses production, 1 lets it go on
    "pump",  # subject is a pump ("": all), amount 0 breaks, 1 mends
    "water",  # amount in m³/h that flows into the sump
    "diesel",  # subject is a zone of the metal mine, amount in kW at work
    "spray",  # amount 0 turns the water sprays off, 1 on
    "seepage",  # amount in m³/h through the dam beyond the usual
    "creep",  # amount in mm/h that the dam moves
    "drains",  # amount is the share of the drains that works
    "swap",  # subject and detail are the two points whose wires are exchanged; "repair" ends it
    "lose_tag",  # subject is a tag's number, amount 1 silent, 0 heard again
    "hold_person",  # subject is a tag's number, amount 1 stays where it is, 0 goes on
    "mark",  # subject is a point, detail the kind of mark, amount how many seconds: for the record only
    "note",  # for the record only
]
Kind = Literal["", "hazard", "fault", "tamper", "benign"]
ON_DEVICES = ("sensor", "repair", "swap", "unplug", "plug", "dead", "alive")
FOR_THE_RECORD = ("mark", "note")  # nothing in the simulated site changes: a gateway's marks are its operator's


class Action(NamedTuple):
    """One thing that happens; with a `cause` it begins a label, with `ends` it ends the label of that cause."""

    at_s: float
    verb: Verb
    subject: str = ""
    amount: float = 0.0
    detail: str = ""
    cause: str = ""
    points: tuple[str, ...] = ()
    ends: str = ""
    kind: Kind = ""  # of the label that begins


HEADING_A = ("ch4-a-face", "ch4-a-return", "o2-a-face")
FAN_A = ("fan-a-speed", "fan-a-frequency", "fan-a-current", "fan-a-power", "fan-a-torque", "fan-a-on", "wind-a")
ALL_METHANE = (
    *("ch4-a-face", "ch4-a-return", "ch4-b-face", "ch4-b-return"),
    *("ch4-face", "ch4-corner", "ch4-return-gate", "ch4-return"),
)
FACE = ("ch4-face", "ch4-corner", "ch4-return-gate", "ch4-return")
BUS_1 = (*ALL_METHANE, "co-return-gate", "o2-a-face")

SCENARIOS: dict[str, tuple[Action, ...]] = {
    "quiet": (),
    "fan-stop": (
        Action(60.0, "speed", amount=20.0),
        Action(
            60.0, "fan", "a", 0.0, cause="local fan of heading A stopped", kind="hazard", points=(*FAN_A, *HEADING_A)
        ),
        Action(62.0, "stop_machine", "roadheader-a"),
        Action(210.0, "fan", "a", 1.0, ends="local fan of heading A stopped"),
        Action(270.0, "start_machine", "roadheader-a"),
        Action(270.0, "speed", amount=1.0),
    ),
    "main-fan-stop": (
        Action(30.0, "speed", amount=20.0),
        Action(
            30.0,
            "fan",
            "main",
            0.0,
            cause="main fan stopped",
            kind="hazard",
            points=("fan-main-speed", "wind-return", *ALL_METHANE),
        ),
        Action(150.0, "fan", "main", 1.0, ends="main fan stopped"),
        Action(240.0, "speed", amount=1.0),
    ),
    "outburst": (
        Action(30.0, "outburst", amount=1.5, cause="outburst at the 1101 face", kind="hazard", points=FACE),
        Action(40.0, "stop_machine", "shearer"),
        Action(60.0, "speed", amount=20.0),
        Action(240.0, "speed", amount=1.0, ends="outburst at the 1101 face"),
        Action(300.0, "start_machine", "shearer"),
    ),
    "blast": (
        Action(
            30.0, "blast", "heading_a", 60.0, cause="blast in heading A", kind="benign", points=("main-co", "o2-a-face")
        ),
        Action(60.0, "speed", amount=20.0),
        Action(150.0, "speed", amount=1.0, ends="blast in heading A"),
    ),
    "stuck-sensor": (
        Action(30.0, "sensor", "ch4-face", detail="stuck", cause="sensor stuck", kind="fault", points=("ch4-face",)),
        Action(330.0, "repair", "ch4-face", ends="sensor stuck"),
    ),
    "drift": (
        Action(10.0, "speed", amount=20.0),
        Action(
            30.0, "sensor", "ch4-return", 0.15, "drift", cause="sensor drifting", kind="fault", points=("ch4-return",)
        ),
        Action(390.0, "repair", "ch4-return", ends="sensor drifting"),
        Action(390.0, "speed", amount=1.0),
    ),
    "unplug": (
        Action(30.0, "unplug", "bus-1", cause="adapter of bus-1 unplugged", kind="fault", points=BUS_1),
        Action(50.0, "plug", "bus-1", ends="adapter of bus-1 unplugged"),
    ),
    "dead-device": (
        Action(30.0, "dead", "ch4-b-face", cause="device dead", kind="fault", points=("ch4-b-face",)),
        Action(120.0, "alive", "ch4-b-face", ends="device dead"),
    ),
}


class Label(NamedTuple):
    """Ground truth for whoever scores a detector; `stop_us` is 0 while it lasts."""

    cause: str
    points: tuple[str, ...]
    start_us: int
    stop_us: int = 0
    kind: Kind = ""


class Story:
    """A scenario under way: hands out what is due and keeps its labels."""

    def __init__(self, name: str, begun_s: float, table: Mapping[str, tuple[Action, ...]] | None = None) -> None:
        scenarios = SCENARIOS if table is None else table
        if name not in scenarios:
            raise ConfigError(f"no scenario {name!r}", hint=f"use one of {', '.join(scenarios)}")
        self.name, self.begun_s = name, begun_s
        self._ahead = sorted(scenarios[name], key=lambda action: action.at_s)

    @property
    def left(self) -> int:
        """Return how many actions are still to come."""
        return len(self._ahead)

    def due(self, now_s: float) -> list[Action]:
        """Return the actions whose time has come, each once, in order."""
        due = [action for action in self._ahead if action.at_s <= now_s - self.begun_s]
        self._ahead = self._ahead[len(due) :]
        return due


class Labels:
    """The labels of a run, open and closed, in order of their start."""

    def __init__(self) -> None:
        self.all: list[Label] = []

    def take(self, action: Action, now_us: int) -> list[Label]:
        """Begin or end the label an action speaks of; return what changed."""
        changed = []
        if action.ends:
            for place, label in enumerate(self.all):
                if label.cause == action.ends and not label.stop_us:
                    self.all[place] = label._replace(stop_us=now_us)
                    changed.append(self.all[place])
        if action.cause:
            changed.append(Label(action.cause, action.points, now_us, kind=action.kind))
            self.all.append(changed[-1])
        return changed
