"""What befalls the demo mine itself: gas, fans, fire, water, blasting, shifts, people; and the points that suffer."""

from collections.abc import Mapping

from hardware_sim.instruments import devices
from hardware_sim.labelled import ANY_SITE, GAS_SITE, Pick, Recipe, Target, Targets, lasting
from hardware_sim.scenarios import ALL_METHANE, FACE, FAN_A, HEADING_A, SCENARIOS, Action

FAN_B = ("fan-b-speed", "fan-b-frequency", "fan-b-current", "fan-b-power", "fan-b-torque", "wind-b")
HEADING_B = ("ch4-b-face", "ch4-b-return")
BELT = ("belt-co", "belt-smoke", "co-return-gate", "main-co")
SUMP = ("sump-level", "pump-1-current", "pump-2-current", "pump-3-current", "pump-flow")
COARSE = ("ch4-b-return", "ch4-return")  # they show tenths: what is done to them cannot be seen in most cases
STAY_S = 3 * 3600.0


def targets() -> Targets:
    """Return the demo mine's points by what can befall them."""
    methane = tuple(Target(point, 0.5, 2.0) for point in ALL_METHANE)
    fine = tuple(target for target in methane if target.point not in COARSE)
    winds = tuple(Target(f"wind-{way}", 0.9) for way in ("main", "face", "return-gate", "return", "intake-gate"))
    warm = tuple(Target(f"temperature-{zone}", 5.0) for zone in ("face", "a", "return", "intake"))
    others = (
        Target("co-return-gate", 18.0, 50.0),
        Target("o2-a-face", 1.2),
        Target("humidity-face", 12.0),
        Target("fan-pressure", 400.0),
        Target("barometer", 1.5),
        Target("fan-main-current", 60.0),
    )
    by_zone: dict[str, list[str]] = {}
    for device in devices():
        if device.link in ("bus-1", "plc") and device.id != "plc-machines":
            for point in device.points:
                by_zone.setdefault(point.zone, []).append(point.id)
    groups = tuple(tuple(by_zone[zone]) for zone in ("z-heading-a", "z-face", "z-return-gate", "z-pit"))
    lively = (*winds, Target("co-return-gate", 18.0), Target("fan-pressure", 400.0))
    pairs = (
        ("ch4-face", "wind-face"),
        ("ch4-corner", "ch4-return-gate"),
        ("ch4-a-face", "o2-a-face"),
        ("temperature-face", "humidity-face"),
        ("wind-main", "wind-return"),
    )
    return Targets(fine, (*methane, *winds, *warm, *others), lively, pairs, groups, (others[0],))


def _outburst(pick: Pick) -> list[Action]:
    rate = 1.5 * pick.magnitude
    actions = [Action(0.0, "outburst", amount=rate), Action(20.0, "stop_machine", "shearer")]
    return lasting("hazard", "outburst at the 1101 face", FACE, actions, 1800.0)


def _fan_stop(pick: Pick) -> list[Action]:
    fan, machine, points = pick.random.choice(
        (("a", "roadheader-a", (*FAN_A, *HEADING_A)), ("b", "roadheader-b", (*FAN_B, *HEADING_B)))
    )
    speed = 1.0 - pick.magnitude
    actions = [Action(0.0, "fan", fan, speed), Action(30.0, "stop_machine", machine), Action(1500.0, "fan", fan, 1.0)]
    return lasting("hazard", f"local fan of heading {fan.upper()} fails", points, actions, 1500.0)


def _main_fan_stop(pick: Pick) -> list[Action]:
    actions = [Action(0.0, "fan", "main", 1.0 - pick.magnitude), Action(1200.0, "fan", "main", 1.0)]
    return lasting("hazard", "main fan fails", ("fan-main-speed", "wind-return", *ALL_METHANE), actions, 1200.0)


def _belt_fire(pick: Pick) -> list[Action]:
    actions = [Action(0.0, "fire", amount=3.0e-3 * pick.magnitude), Action(2400.0, "fire", amount=0.0)]
    return lasting("hazard", "belt fire on the second belt roadway", BELT, actions, 2400.0)


def _inflow(pick: Pick) -> list[Action]:
    zone, amount, points = pick.random.choice(
        (("heading_a", 0.05, HEADING_A), ("heading_b", 0.04, HEADING_B), ("face", 0.32, FACE))
    )
    actions = [Action(0.0, "inflow", zone, amount * pick.magnitude), Action(3600.0, "inflow", zone, 0.0)]
    return lasting("hazard", f"more methane flows into {zone}", points, actions, 3600.0)


def _flood(pick: Pick) -> list[Action]:
    actions = [
        Action(0.0, "pump", amount=0.0),
        Action(0.0, "water", amount=55.0 + 500.0 * pick.magnitude),
        Action(5400.0, "pump", amount=1.0),
        Action(5400.0, "water", amount=55.0),
    ]
    return lasting("hazard", "pumps fail, the sump fills", SUMP, actions, 5400.0)


def _blasting(pick: Pick) -> list[Action]:
    zone, point = pick.random.choice((("heading_a", "ch4-a-face"), ("heading_b", "ch4-b-face")))
    mark = Action(0.0, "mark", point, 1800.0, "blasting")
    actions = [Action(0.0, "blast", zone, 30.0 * pick.magnitude), mark]
    return lasting("benign", f"blast in {zone}", ("main-co", "barometer"), actions, 1200.0)


def _shift(pick: Pick) -> list[Action]:
    del pick
    actions = [Action(0.0, "shift", amount=0.0), Action(3600.0, "shift", amount=1.0)]
    return lasting("benign", "shift change", (), actions, 3600.0)


def _false_calibration(pick: Pick) -> list[Action]:
    gas = lasting(
        "hazard", "more methane flows into heading_a", HEADING_A,
        [Action(0.0, "inflow", "heading_a", 0.06 * pick.magnitude), Action(2700.0, "inflow", "heading_a", 0.0)], 2700.0,
    )  # fmt: skip
    mark = [Action(300.0, "mark", "ch4-a-face", 1800.0, "calibrating")]
    return [*gas, *lasting("tamper", "calibration marked while gas rises", ("ch4-a-face",), mark, 2100.0)]


def _lost_beacon(pick: Pick) -> list[Action]:
    del pick
    actions = [Action(0.0, "lose_tag", "3", 1.0), Action(900.0, "lose_tag", "3", 0.0)]
    return lasting("fault", "tag 3 is not heard any more", (), actions, 900.0)


def _overstay(pick: Pick) -> list[Action]:
    del pick
    actions = [Action(0.0, "hold_person", "15", 1.0), Action(STAY_S, "hold_person", "15", 0.0)]
    return lasting("hazard", "tag 15 stays beyond its time", (), actions, STAY_S)


def _sos(pick: Pick) -> list[Action]:
    del pick
    return lasting("hazard", "tag 7 calls for help (label only: no frame carries it)", (), [Action(0.0, "note")], 300.0)


RECIPES: Mapping[str, Recipe] = {
    "outburst": Recipe("hazard", _outburst),
    "fan-stop": Recipe("hazard", _fan_stop),
    "main-fan-stop": Recipe("hazard", _main_fan_stop),
    "belt-fire": Recipe("hazard", _belt_fire),
    "gas-inflow": Recipe("hazard", _inflow),
    "sump-flood": Recipe("hazard", _flood),
    "blasting": Recipe("benign", _blasting),
    "shift-change": Recipe("benign", _shift),
    "false-calibration": Recipe("tamper", _false_calibration),
    **ANY_SITE,
    **GAS_SITE,
    "lost-beacon": Recipe("fault", _lost_beacon, people=True),
    "overstay": Recipe("hazard", _overstay, people=True),
    "sos": Recipe("hazard", _sos, people=True),
}
STORIES = SCENARIOS  # with a speed of their own; of one name with a recipe the story is told live
