"""What a map taught: refused registers are left out, asked for more and more seldom, and kept as plain numbers."""

import json

from drivers.modbus.learned import CUT_RETRY_S, RETRY_S, Learned


def test_a_refused_register_is_asked_for_more_and_more_seldom() -> None:
    learned, now_s, pauses = Learned(), 0.0, []
    for _ in range(8):
        learned.refuse(3, (117, 1), 2, now_s)
        retry_s = learned.next_retry_s(now_s)
        assert learned.withheld(3, (117, 1), retry_s - 0.01) == 2
        assert learned.withheld(3, (117, 1), retry_s) == 0
        pauses.append(retry_s - now_s)
        now_s = retry_s
    assert pauses[0] == RETRY_S[0]
    assert pauses == sorted(pauses)
    assert pauses[-1] == RETRY_S[1]


def test_nothing_is_read_across_it_and_its_answer_clears_it() -> None:
    learned = Learned()
    learned.refuse(3, (117, 2), 2, 0.0)
    assert learned.cuts(3, 0.0) == {117, 119}
    assert learned.cuts(4, 0.0) == frozenset()
    before = learned.version
    learned.accept(3, [(100, 1), (117, 2)])
    assert learned.withheld(3, (117, 2), 1.0) == 0
    assert learned.cuts(3, 1.0) == frozenset()
    assert learned.version > before


def test_a_place_that_was_refused_once_is_crossed_again_and_kept_longer_if_it_is_refused_again() -> None:
    learned, now_s, pauses = Learned(), 0.0, []
    for _ in range(5):
        learned.cut(3, 20, now_s)
        retry_s = learned.next_retry_s(now_s)
        assert learned.cuts(3, retry_s - 0.01) == {20}
        assert learned.cuts(3, retry_s) == frozenset()
        assert learned.document(retry_s)["cuts"] == []
        pauses.append(retry_s - now_s)
        now_s = retry_s
    assert (pauses[0], pauses[-1]) == CUT_RETRY_S
    assert pauses == sorted(pauses)


def test_it_survives_a_restart_as_json_and_ignores_what_is_not_its_own() -> None:
    learned = Learned()
    learned.refuse(3, (117, 1), 3, 0.0)
    learned.cut(4, 20, 0.0)
    again = Learned()
    again.recall(json.loads(json.dumps(learned.document(0.0))), 500.0)
    assert again.document(500.0) == learned.document(0.0)
    assert again.withheld(3, (117, 1), 500.0 + RETRY_S[0] - 1) == 3
    hostile = {"cuts": [[3, "x"], [3], None, [True, 2], [3, -1]], "refused": [[3, 1, 1, 99], [3, 1, 1], 7]}
    clean = Learned()
    for document in (hostile, {"cuts": 5}, {"refused": {"a": 1}}, {}):
        clean.recall(document, 0.0)
    assert clean.document(0.0) == {"cuts": [], "refused": []}
