"""The mirror: latest by event time, people by tag, gateways, layout and frame."""

import time

import numpy as np
import pytest

from tests.support.small_mine import SECOND_US, START_US, arrival, batch, block, fixes, manifest, site
from twin_server import alarms, picture, twin
from twin_server.twin import Twin
from twin_wire.frame import AGE_S_MAX, decode_frame, encode_frame
from twin_wire.readings import Quality

M = manifest()
S = site(M)


def heard(*batches: tuple[int, float, float]) -> Twin:
    """Apply batches given as (seq, event second, value of p0)."""
    state = twin.put_site(twin.empty(), arrival("gw-1", 0, START_US), S)
    for seq, second, value in batches:
        at_us = START_US + int(second * SECOND_US)
        state, _ = twin.apply(state, arrival("gw-1", seq, at_us), batch(M, [block(M, [at_us], [[value, 2, 3]])]), S)
    return state


def value(state: Twin, point: str = "p0", gateway: str = "gw-1") -> float:
    return float(state.points.value[state.point_row[gateway, point]])


def test_latest_is_the_greatest_event_time_not_the_last_arrival() -> None:
    assert value(heard((1, 1, 0.1), (2, 2, 0.2), (3, 3, 0.3))) == 0.3
    assert value(heard((3, 3, 0.3), (1, 1, 0.1), (2, 2, 0.2))) == 0.3


def test_equal_times_go_to_the_greater_epoch_and_sequence() -> None:
    assert value(heard((5, 1, 0.5), (4, 1, 0.4))) == 0.5


def test_a_batch_twice_changes_nothing() -> None:
    once, twice = heard((1, 1, 0.1), (2, 2, 0.2)), heard((1, 1, 0.1), (2, 2, 0.2), (2, 2, 0.2))
    assert twin.state_hash(once) == twin.state_hash(twice)


def test_the_twin_given_is_never_changed() -> None:
    before = heard((1, 1, 0.1))
    was = twin.state_hash(before)
    at_us = START_US + 9 * SECOND_US
    moved = batch(M, [block(M, [at_us], [[9, 9, 9]])], fixes([(at_us, "t1", 0, 5.0, 1)]))
    twin.apply(before, arrival("gw-1", 9, at_us), moved, S)
    assert twin.state_hash(before) == was


def test_a_bad_sample_is_the_latest_too() -> None:
    state = heard((1, 1, 0.1))
    at_us = START_US + 2 * SECOND_US
    bad = block(M, [at_us], [[np.nan] * 3], Quality.NO_ANSWER)
    state, changes = twin.apply(state, arrival("gw-1", 2, at_us), batch(M, [bad]), S)
    assert np.isnan(value(state))
    assert changes.samples == 3
    assert state.points.quality[state.point_row["gw-1", "p0"]] == Quality.NO_ANSWER


def test_a_clock_ahead_of_ours_does_not_pin_its_values() -> None:
    ahead_us = START_US + 86_400 * SECOND_US
    early = twin.Arrival("gw-1", 1, 1, ahead_us, START_US)
    later = twin.Arrival("gw-1", 1, 2, START_US + SECOND_US, START_US + 2 * SECOND_US)
    state = twin.put_site(twin.empty(), early, S)
    state, _ = twin.apply(state, early, batch(M, [block(M, [ahead_us], [[9, 9, 9]])]), S)
    state, _ = twin.apply(state, later, batch(M, [block(M, [START_US + SECOND_US], [[1, 1, 1]])]), S)
    assert value(state) == 1
    assert twin.as_of_us(state) == START_US + SECOND_US


def test_rows_after_the_asked_time_stay_out() -> None:
    times = [START_US + n * SECOND_US for n in range(4)]
    data = batch(M, [block(M, times, [[n, n, n] for n in range(4)])], fixes([(t, "t1", 0, 1.0, 1) for t in times]))
    state, _ = twin.apply(twin.empty(), arrival("gw-1", 1, times[-1]), data, S, until_us=times[1])
    assert value(state) == 1
    assert int(state.people.time_us[0]) == times[1]


def test_people_are_where_they_were_last_seen_and_counted_up_the_zones() -> None:
    rows = [(START_US, "t1", 0, 10.0, 1), (START_US + 1, "t2", 0, 20.0, 1), (START_US + 2, "t1", 1, 5.0, 2)]
    state, _ = twin.apply(
        twin.put_site(twin.empty(), arrival("gw-1", 0, START_US), S),
        arrival("gw-1", 1, START_US + 2),
        batch(M, where=fixes(rows)),
        S,
    )
    layout = picture.layout_of(state)
    counted = {zone.id: zone.headcount for zone in picture.headcounts(state, layout, START_US + 2)}
    assert counted == {"z-all": 2, "z-main": 1, "z-head": 1}
    frame = picture.frame_of(state, layout, picture.alarm_column(layout, alarms.empty()), START_US + 2)
    seen = {layout.tags[tag]: layout.roadways[roadway] for tag, roadway in zip(frame.tag, frame.roadway, strict=True)}
    assert seen == {"t1": "r-head", "t2": "r-main"}


def test_a_person_unheard_is_shown_with_age_but_not_counted_and_later_not_shown() -> None:
    state, _ = twin.apply(
        twin.put_site(twin.empty(), arrival("gw-1", 0, START_US), S),
        arrival("gw-1", 1, START_US),
        batch(M, where=fixes([(START_US, "t1", 0, 10.0, 1)])),
        S,
    )
    layout = picture.layout_of(state)
    later_us = START_US + 1200 * SECOND_US
    assert sum(zone.headcount for zone in picture.headcounts(state, layout, later_us)) == 0
    assert list(
        picture.frame_of(state, layout, picture.alarm_column(layout, alarms.empty()), later_us).person_age_s
    ) == [1200]
    tomorrow_us = START_US + 86_400 * SECOND_US
    assert not len(picture.frame_of(state, layout, picture.alarm_column(layout, alarms.empty()), tomorrow_us).tag)


def test_a_place_beyond_the_structure_is_no_place() -> None:
    for beyond in (2, 7, -1, -5, 2**31 - 1, -(2**31)):
        far = fixes([(START_US, "t1", beyond, 10.0, beyond + 1 if 1 < beyond < 9 else beyond)])
        state, _ = twin.apply(twin.empty(), arrival("gw-1", 1, START_US), batch(M, where=far), S)
        assert state.people.roadway[0] == state.people.zone[0] == -1


def test_names_beyond_the_limit_are_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(twin, "ROWS_MAX", 4)
    state = heard((1, 1, 0.1))
    other = manifest("gw-2")
    more = batch(
        other, [block(other, [START_US], [[7, 8, 9]])], fixes([(START_US, f"t{n}", 0, 1, 1) for n in range(5)])
    )
    state, _ = twin.apply(state, arrival("gw-2", 1, START_US), more, site(other))
    assert (len(state.point_row), len(state.tag_row)) == (3, 0)
    state, _ = twin.apply(
        state, arrival("gw-1", 2, START_US + 9), batch(M, [block(M, [START_US + 9**9], [[5, 5, 5]])]), S
    )
    assert value(state) == 5


def test_a_point_never_heard_is_empty_in_the_frame() -> None:
    state = twin.put_site(twin.empty(), arrival("gw-1", 0, START_US), S)
    layout = picture.layout_of(state)
    frame = decode_frame(
        encode_frame(picture.frame_of(state, layout, picture.alarm_column(layout, alarms.empty()), START_US))
    )
    assert layout.points == ("p0", "p1", "p2")
    assert np.isnan(frame.value).all()
    assert (frame.point_age_s == AGE_S_MAX).all()
    assert (frame.quality == Quality.NO_ANSWER).all()


def test_points_of_two_gateways_with_one_id_keep_apart() -> None:
    other = manifest("gw-2")
    state = heard((1, 1, 0.1))
    state = twin.put_site(state, arrival("gw-2", 0, START_US), site(other))
    state, _ = twin.apply(
        state, arrival("gw-2", 1, START_US), batch(other, [block(other, [START_US], [[7, 8, 9]])]), site(other)
    )
    layout = picture.layout_of(state)
    frame = picture.frame_of(state, layout, picture.alarm_column(layout, alarms.empty()), START_US + SECOND_US)
    seen = dict(zip(layout.points, frame.value, strict=True))
    assert (seen["gw-1:p0"], seen["gw-2:p0"]) == (0.1, 7)


def test_the_manifest_in_force_is_the_greatest_not_the_last_to_arrive() -> None:
    old, new = site(manifest(limit=1.0)), site(manifest(limit=2.0))
    state = twin.put_site(twin.empty(), arrival("gw-1", 5, START_US), new)
    state = twin.put_site(state, arrival("gw-1", 2, START_US), old)
    assert state.gateways["gw-1"].site == new


def test_a_thousand_points_are_applied_well_within_a_millisecond() -> None:
    wide = manifest(points=1000)
    where = site(wide)
    times = [START_US + n * SECOND_US for n in range(10)]
    data = batch(wide, [block(wide, times, np.ones((10, 1000)).tolist())])
    state, _ = twin.apply(twin.empty(), arrival("gw-1", 1, times[-1]), data, where)
    spent = []
    for seq in range(2, 30):
        begun = time.perf_counter()
        state, _ = twin.apply(state, arrival("gw-1", seq, times[-1] + seq), data, where)
        spent.append(time.perf_counter() - begun)
    assert min(spent) < 0.005  # a bound for the worst machine; about 0.1 ms here
