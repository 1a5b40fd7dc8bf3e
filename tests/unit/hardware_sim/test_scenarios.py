"""Stories happen when they say, are labelled with the truth, and the demo's alarm comes when it should."""

from pathlib import Path

import pytest

from hardware_sim.instruments import LINKS, devices
from hardware_sim.people import People
from hardware_sim.plant import MACHINES
from hardware_sim.scenarios import SCENARIOS, Action, Labels, Story
from hardware_sim.sensors import SensorState
from hardware_sim.simulator import warmed
from twin_wire.errors import ConfigError

POINTS = {point.id: point for device in devices() for point in device.points}
SUBJECTS = {
    "fan": {"main", "a", "b"},
    "blast": {"heading_a", "heading_b", "face", "return"},
    "stop_machine": {m.id for m in MACHINES},
    "start_machine": {m.id for m in MACHINES},
    "sensor": set(POINTS),
    "repair": set(POINTS),
    "unplug": {link.id for link in LINKS},
    "plug": {link.id for link in LINKS},
    "dead": {d.id for d in devices()},
    "alive": {d.id for d in devices()},
}


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_scenario_speaks_of_things_that_exist(name: str) -> None:
    for action in SCENARIOS[name]:
        assert action.subject in SUBJECTS.get(action.verb, {""}), action
        assert set(action.points) <= set(POINTS), action


@pytest.mark.parametrize("name", SCENARIOS)
def test_every_label_that_begins_also_ends(name: str) -> None:
    causes = [a.cause for a in SCENARIOS[name] if a.cause]
    assert sorted(causes) == sorted(a.ends for a in SCENARIOS[name] if a.ends)


def test_actions_come_once_and_in_order() -> None:
    story = Story("unplug", begun_s=1000.0)
    assert story.due(1029.9) == []
    assert [a.verb for a in story.due(1030.0)] == ["unplug"]
    assert story.due(1031.0) == []
    assert [a.verb for a in story.due(2000.0)] == ["plug"]


def test_an_unknown_scenario_is_refused_with_the_known_ones() -> None:
    with pytest.raises(ConfigError) as caught:
        Story("earthquake", 0.0)
    assert "fan-stop" in caught.value.hint


def test_a_label_holds_cause_points_begin_and_end() -> None:
    labels = Labels()
    labels.take(Action(0.0, "unplug", "bus-1", cause="unplugged", points=("ch4-face",)), 5)
    changed = labels.take(Action(0.0, "plug", "bus-1", ends="unplugged"), 9)
    assert labels.all == changed
    assert changed[0]._asdict() == {
        "cause": "unplugged",
        "points": ("ch4-face",),
        "start_us": 5,
        "stop_us": 9,
        "kind": "",
    }
    assert labels.take(Action(0.0, "plug", "bus-1", ends="unplugged"), 10) == []


def crossings(seed: int) -> dict[float, float]:
    """Return the seconds after the fan stop at which the sensor at heading A first shows 0.8 and 1.0 %, at ×20."""
    mine, sensor = warmed(seed), SensorState(POINTS["ch4-a-face"].sensor, f"{seed}/ch4-a-face")
    mine.world.fans["a"].asked = 0.0
    found: dict[float, float] = {}
    for tick in range(1, 4 * 80):
        for _ in range(5):
            mine.step()
        shown = sensor.read(mine.truth("ch4.heading_a"), 5.0)
        for limit in (0.8, 1.0):
            if shown >= limit:
                found.setdefault(limit, tick / 4)
    return found


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_after_the_fan_stop_the_warning_comes_within_35_s_and_the_alarm_soon_after(seed: int) -> None:
    found = crossings(seed)
    assert 22.0 <= found[0.8] <= 35.0
    assert found[0.8] < found[1.0] <= 46.0


def test_the_same_seed_gives_the_same_mine() -> None:
    one, other = warmed(4), warmed(4)
    for mine in (one, other):
        for _ in range(300):
            mine.step()
    assert [one.truth(s) for s in one.sources()] == [other.truth(s) for s in other.sources()]
    assert [p.place for p in one.people.persons] == [p.place for p in other.people.persons]
    assert [p.place for p in People(5).persons] != [p.place for p in People(4).persons]


def test_profiles_are_where_the_command_looks_for_them() -> None:
    assert (Path(__file__).parents[3] / "drivers" / "profiles" / "demo-mine-plc.toml").is_file()
