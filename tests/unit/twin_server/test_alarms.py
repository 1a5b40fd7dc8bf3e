"""The alarm's life cycle by ISA-18.2, from words in any order."""

from itertools import permutations

from tests.support.small_mine import SECOND_US, START_US, entry, event
from twin_server import alarms
from twin_server.alarms import Alarm, Book
from twin_server.store.rows import Acknowledgement, StoredEvent
from twin_wire.frame import RETURNED_UNACKNOWLEDGED, UNACKNOWLEDGED

BEGIN = START_US


def word(
    seq: int,
    begin_s: float = 0,
    end_s: float = 0,
    received_s: float = 2,
    severity: int = 1,
    epoch: int = 1,
    rule: str = "limit_high_1",
    point: str = "p0",
) -> StoredEvent:
    of = entry(seq, START_US + int(received_s * SECOND_US), epoch=epoch)
    end_us = START_US + int(end_s * SECOND_US) if end_s else 0
    return alarms.word(event(START_US + int(begin_s * SECOND_US), end_us, point, rule, severity), of)


def ack(begin_s: float = 0, at_s: float = 5, severity: int = 1, rule: str = "limit_high_1") -> Acknowledgement:
    begin_us, at_us = START_US + int(begin_s * SECOND_US), START_US + int(at_s * SECOND_US)
    return Acknowledgement("gw-1", "p0", rule, begin_us, "u-1", at_us, "seen", severity)


def book_of(*words: StoredEvent, acks: tuple[Acknowledgement, ...] = ()) -> Book:
    book, _ = alarms.put(alarms.empty(), words)
    for each in acks:
        book, _ = alarms.acknowledge(book, each)
    return book


def only(book: Book) -> Alarm:
    (found,) = alarms.alarms(book)
    return found


def test_the_four_states() -> None:
    assert only(book_of(word(1))).state == "unacked"
    assert only(book_of(word(1), acks=(ack(),))).state == "acked"
    assert only(book_of(word(1), word(2, end_s=9, received_s=10))).state == "rtn_unacked"
    assert only(book_of(word(1), word(2, end_s=9, received_s=10), acks=(ack(),))).state == "normal"


def test_begin_update_and_end_in_any_order_give_one_alarm() -> None:
    words = (word(1, severity=3), word(2, received_s=4, severity=1), word(3, end_s=9, received_s=10, severity=1))
    found = [only(book_of(*order)) for order in permutations(words)]
    assert all(each == found[0] for each in found)
    assert (found[0].state, found[0].severity, found[0].received_us) == ("rtn_unacked", 1, START_US + 2 * SECOND_US)


def test_an_end_that_overtakes_its_begin_is_not_undone_by_it() -> None:
    book = book_of(word(2, end_s=9, received_s=10))
    book, changed = alarms.put(book, [word(1, received_s=11)])
    assert only(book).end_us == START_US + 9 * SECOND_US
    assert changed == []


def test_an_update_more_urgent_than_the_acknowledgement_asks_again() -> None:
    book = book_of(word(1, severity=3), acks=(ack(severity=3),))
    assert only(book).state == "acked"
    book, changed = alarms.put(book, [word(2, severity=1)])
    assert [each.state for each in changed] == ["unacked"]
    book, _ = alarms.acknowledge(book, ack(at_s=8, severity=1))
    assert only(book).state == "acked"


def test_told_late_and_over_by_then_raises_nothing_and_carries_both_times() -> None:
    old = only(book_of(word(1, begin_s=0, end_s=30, received_s=3600)))
    assert (old.state, old.late) == ("normal", True)
    assert (old.begin_us, old.received_us) == (START_US, START_US + 3600 * SECOND_US)


def test_told_late_but_still_there_is_raised() -> None:
    found = only(book_of(word(1, received_s=3600)))
    assert (found.state, found.late) == ("unacked", True)


def test_told_late_and_ended_only_after_we_knew_still_asks_for_an_acknowledgement() -> None:
    found = only(book_of(word(1, received_s=3600), word(2, end_s=3700, received_s=3701)))
    assert (found.state, found.late) == ("rtn_unacked", True)


def test_the_rule_s_own_delay_is_not_lateness() -> None:
    slow = word(1, received_s=300)._replace(numbers={"delay_s": 280.0})
    assert not only(book_of(slow)).late


def test_a_begin_inside_an_active_condition_updates_it() -> None:
    book = book_of(word(1), word(2, begin_s=5, severity=2))
    found = only(book)
    assert (found.begin_us, found.severity) == (START_US, 2)


def test_what_is_open_in_one_epoch_stays_open_when_an_inner_condition_ends() -> None:
    assert only(book_of(word(1), word(2, begin_s=5, end_s=6))).end_us == 0


def test_a_new_epoch_closes_what_the_old_one_left_open() -> None:
    found = only(book_of(word(7), word(1, begin_s=5, end_s=9, epoch=2, received_s=10)))
    assert (found.begin_us, found.end_us) == (START_US, START_US + 9 * SECOND_US)


def test_two_that_do_not_overlap_are_two() -> None:
    book = book_of(word(1), word(2, end_s=9), word(3, begin_s=20))
    assert [each.begin_us for each in alarms.alarms(book)] == [START_US + 20 * SECOND_US, START_US]


def test_severity_zero_is_no_alarm() -> None:
    assert alarms.alarms(book_of(word(1, severity=0))) == []


def test_the_frame_s_byte_names_the_most_urgent_and_what_waits_for_a_person() -> None:
    book = book_of(
        word(1, severity=3, rule="limit_high_3"),
        word(2, severity=1),
        word(3, point="p1", end_s=4, received_s=3),
        acks=(ack(rule="limit_high_3", severity=3),),
    )
    row_of = {("gw-1", "p0"): 0, ("gw-1", "p1"): 1, ("gw-1", "p2"): 2}
    assert list(alarms.codes(book, row_of, 3)) == [1 | UNACKNOWLEDGED, 1 | RETURNED_UNACKNOWLEDGED, 0]


def test_replay_shows_the_state_that_was_true_then() -> None:
    book = book_of(word(1), word(2, end_s=9, received_s=10), acks=(ack(at_s=5),))
    row_of = {("gw-1", "p0"): 0}

    def code(second: float) -> int:
        return int(alarms.codes(book, row_of, 1, START_US + int(second * SECOND_US))[0])

    assert [code(s) for s in (-1, 1, 6, 10)] == [0, 1 | UNACKNOWLEDGED, 1, 0]


def test_counts_by_severity_leave_out_what_is_normal() -> None:
    book = book_of(word(1), word(2, severity=3, rule="limit_high_3"), word(3, end_s=1, received_s=900, point="p1"))
    assert alarms.counts(book) == {"1": 1, "2": 0, "3": 1, "4": 0}


def test_pruning_forgets_only_what_is_normal_and_old() -> None:
    book = book_of(word(1), word(2, end_s=4), word(3, begin_s=50), word(4, point="p1", end_s=1, received_s=900))
    book = alarms.prune(book, START_US + 40 * SECOND_US)
    assert {(each.point, each.begin_us) for each in alarms.alarms(book)} == {
        ("p0", START_US),
        ("p0", START_US + 50 * SECOND_US),
    }


def test_the_identity_is_found_again() -> None:
    book = book_of(word(1))
    found = only(book)
    assert alarms.find(book, found.id) == found
    assert alarms.find(book, "no") is None


def test_numbers_that_are_none_harm_nothing() -> None:
    for wild in (float("nan"), float("inf"), -float("inf"), -1.0, 1e300):
        book = book_of(word(1, received_s=300)._replace(numbers={"delay_s": wild}))
        assert only(book).late
        assert list(alarms.codes(book, {("gw-1", "p0"): 0}, 1)) == [1 | UNACKNOWLEDGED]


def test_a_flood_of_invented_rules_stops_at_the_limit_but_the_server_s_own_words_do_not() -> None:
    flood = [word(1)._replace(rule=f"r{n}") for n in range(alarms.SERIES_MAX + 5)]
    book, _ = alarms.put(alarms.empty(), flood)
    book, _ = alarms.put(book, [word(1)._replace(rule="silent", detector=alarms.SERVER)])
    assert len(book.words) == alarms.SERIES_MAX + 1
