"""The order of arrival never shows: any permutation of batches, duplicates included, gives one state."""

from typing import NamedTuple

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.small_mine import SECOND_US, START_US, batch, block, entry, event, fixes, manifest, site
from twin_server import alarms, picture, twin
from twin_server.alarms import Book
from twin_server.store.rows import Acknowledgement
from twin_server.twin import Arrival, Twin
from twin_wire.frame import encode_frame
from twin_wire.readings import Batch

SITES = {name: [site(manifest(name, limit=limit)) for limit in (1.0, 2.0)] for name in ("gw-1", "gw-2")}


class Step(NamedTuple):
    arrival: Arrival
    manifest: int | None  # which version this statement announces, None for data
    batch: Batch | None


seconds = st.integers(0, 6)


@st.composite
def steps(draw: st.DrawFn) -> list[Step]:
    """Statements of two gateways with colliding times, both clocks within and far ahead of ours, events and fixes."""
    made = []
    for number in range(draw(st.integers(1, 8))):
        gateway = draw(st.sampled_from(["gw-1", "gw-2"]))
        of = SITES[gateway][draw(st.integers(0, 1))].manifest
        at_us = START_US + draw(seconds) * SECOND_US + draw(st.sampled_from([0, 0, 0, 3600 * SECOND_US]))
        received_us = START_US + draw(seconds) * 20 * SECOND_US
        arrival = Arrival(gateway, draw(st.integers(1, 2)), number, at_us, received_us)
        if draw(st.booleans()) and draw(st.booleans()):
            made.append(Step(arrival, draw(st.integers(0, 1)), None))
            continue
        blocks = [
            block(of, [at_us - SECOND_US, at_us], [[draw(seconds), 1, number], [draw(seconds), 2, number]])
            for _ in range(draw(st.integers(0, 2)))
        ]
        where = fixes([(at_us, draw(st.sampled_from(["t1", "t2"])), draw(st.integers(-1, 2)), number, 1)])
        begin_us = START_US + draw(seconds) * SECOND_US
        said = event(begin_us, draw(st.sampled_from([0, begin_us + SECOND_US])), severity=draw(st.integers(0, 4)))
        made.append(Step(arrival, None, batch(of, blocks, where, [said])))
    return made


def run(made: list[Step], acks: list[Acknowledgement]) -> tuple[Twin, Book]:
    state, book = twin.empty(), alarms.empty()
    for step in made:
        sites = SITES[step.arrival.gateway]
        if step.batch is None:
            state = twin.put_site(state, step.arrival, sites[step.manifest or 0])
            continue
        where = next(each for each in sites if each.key == step.batch.manifest)
        state, changes = twin.apply(state, step.arrival, step.batch, where)
        a = step.arrival
        of = entry(a.seq, a.received_us, a.gateway, a.epoch)
        book, _ = alarms.put(book, [alarms.word(each, of) for each in changes.events])
    for ack in acks:
        book, _ = alarms.acknowledge(book, ack)
    return state, book


@settings(max_examples=200, deadline=None)
@given(steps(), st.data())
def test_any_order_of_arrival_gives_one_state(made: list[Step], data: st.DataObject) -> None:
    acks = [Acknowledgement("gw-1", "p0", "limit_high_1", START_US + n * SECOND_US, "u", n, "", n) for n in (1, 2, 1)]
    again = data.draw(st.permutations(made + made[: len(made) // 2]))
    first, second = run(made, acks), run(again, data.draw(st.permutations(acks)))
    assert twin.state_hash(first[0]) == twin.state_hash(second[0])
    assert alarms.alarms(first[1]) == alarms.alarms(second[1])
    for state, book in (first, second):
        assert picture.layout_of(state).number == picture.layout_of(first[0]).number
        assert drawn(state, book) == drawn(*first)


def drawn(state: Twin, book: Book) -> bytes:
    layout = picture.layout_of(state)
    alarm = picture.alarm_column(layout, book)
    return encode_frame(picture.frame_of(state, layout, alarm, twin.as_of_us(state)))
