"""Lines of a DWM1001 in every form are read token by token; what has a token too many or too few is none."""

import random
from itertools import pairwise

import pytest

from drivers.dwm1001 import BYTE_S, LISTEN_S, RETRY_S, SHELL_S, SILENT_S, ShellStarter
from drivers.dwm1001_frames import LINE_BYTES_MAX, Frame, Stream

LEC = (
    b"DIST,4,AN0,022E,7.94,8.03,0.00,3.44,AN1,9280,0.00,8.03,0.00,5.12,AN2,4A1B,0.00,0.00,0.00,7.01,"
    b"AN3,0C05,7.94,0.00,0.00,6.20,POS,6.95,5.37,-1.97,52\r\n"
)
LES = b"022E[7.94,8.03,0.00]=3.38 9280[0.00,8.03,0.00]=5.09 le_us=3082 est[6.97,5.17,-1.77,53]\r\n"


def frames_of(data: bytes, step: int = 10_000) -> tuple[list[Frame], Stream]:
    stream = Stream()
    return [f for n in range(0, len(data), step) for f in stream.feed(data[n : n + step], 0.0)], stream


def test_lec_gives_distances_and_the_position() -> None:
    for step in (10_000, 1, 17):
        [frame], _ = frames_of(LEC, step)
        assert [one[:2] for one in frame.distances] == [(0x22E, 3440), (0x9280, 5120), (0x4A1B, 7010), (0xC05, 6200)]
        assert frame.distances[0].place == (7940, 8030, 0)
        assert frame.positions == ((-1, 6950, 5370, -1970),)
        assert frame.rows == 5


def test_les_gives_the_same_and_its_parts_may_be_missing() -> None:
    for line in (LES, LES.replace(b" le_us=3082", b"")):
        [frame], _ = frames_of(line)
        assert [one[:2] for one in frame.distances] == [(0x22E, 3380), (0x9280, 5090)]
        assert frame.positions == ((-1, 6970, 5170, -1770),)
    [frame], _ = frames_of(LES.split(b" est")[0] + b"\r\n")
    assert (len(frame.distances), frame.positions) == (2, ())


@pytest.mark.parametrize(
    ("line", "place"),
    [
        (b"POS,7.10,5.24,-2.03,53", (-1, 7100, 5240, -2030)),
        (b"POS,x,7.10,y,5.24,z,-2.03,qf,53", (-1, 7100, 5240, -2030)),
        (b"POS,0,0F11,3.12,1.22,0.53,70,x05", (0x0F11, 3120, 1220, 530)),
        (b"POS,12,AB01,-3.12,1.22,0.53,0,86", (0xAB01, -3120, 1220, 530)),
        (b"dwm> POS,7.10,5.24,-2.03,53", (-1, 7100, 5240, -2030)),
        (b"dwm> lep\rPOS,7.10,5.24,-2.03,53", (-1, 7100, 5240, -2030)),
    ],
)
def test_positions_of_itself_and_of_others_in_every_form_seen(line: bytes, place: tuple[int, ...]) -> None:
    [frame], stream = frames_of(line + b"\r\n")
    assert frame.positions == (place,)
    assert stream.damaged == 0


def test_two_reports_in_one_line_are_taken_apart_and_the_torn_one_is_lost() -> None:
    [frame], stream = frames_of(b"POS,6.95,5.3" + LEC)
    assert (len(frame.distances), frame.positions) == (4, ((-1, 6950, 5370, -1970),))
    assert stream.damaged == 1
    [frame], stream = frames_of(LEC[:60] + b"POS,1.00,2.00,3.00,50\r\n")
    assert (frame.distances, frame.positions) == ((), ((-1, 1000, 2000, 3000),))


@pytest.mark.parametrize(
    "line",
    [
        b"POS,7.10,5.24,-2.03",
        b"POS,7.10,5.24,-2.0,53",
        b"POS,7.10,5.24,-2.033,53",
        b"POS,7.10,5.24,-2.03,101",
        b"POS,7.10,5.24,-2.03,53,1",
        b"POS,7.10,,-2.03,53",
        b"POS,inf,5.24,-2.03,53",
        b"POS,1e1,5.24,-2.03,53",
        b"POS,0,TEST1,1.23,4.56,7.89,20,86",
        b"DIST,2,AN0,022E,7.94,8.03,0.00,3.44",
        b"DIST,1,AN0,022E,7.94,8.03,0.00,3.44,AN1,9280,0.00,8.03,0.00,5.12",
        b"DIST,1,AN0,022,7.94,8.03,0.00,3.44",
        b"DIST,1,AN0,022E,7.94,8.03,0.00,-3.44",
        b"DIST,2,AN0,022E,7.94,8.03,0.00,3.44,AN1,022E,7.94,8.03,0.00,5.12",
        b"DIST,9,AN0,022E,7.94,8.03,0.00,3.44",
        b"022E[7.94,8.03]=3.38 est[6.97,5.17,-1.77,53]",
        b"022E[7.94,8.03,0.00]=3.3 est[6.97,5.17,-1.77,53]",
        b"022E[7.94,8.03,0.00]=3.38 est[6.97,5.17,-1.77]",
        b"022E[7.94,8.03,0.00]=3.38 x est[6.97,5.17,-1.77,53]",
    ],
)
def test_a_token_that_is_none_loses_the_line(line: bytes) -> None:
    frames, stream = frames_of(line + b"\r\n")
    assert frames == []
    assert stream.damaged == 1


def test_no_position_is_no_fault() -> None:
    frames, stream = frames_of(b"POS,nan,nan,nan,0\r\nDIST,0\r\n dwm> lec\r\n\r\n")
    assert (frames, stream.damaged) == ([], 0)


def test_an_anchor_keeps_its_place_and_a_moved_one_is_believed_the_third_time() -> None:
    stream = Stream()
    assert stream.feed(LES, 0.0)
    turned = LES.replace(b"022E[7.94", b"022E[3.94")
    other = LES.replace(b"022E[", b"022C[")
    for line in (turned, other, turned, LES):
        assert bool(stream.feed(line, 0.0)) == (line == LES)
    assert [len(stream.feed(turned, 0.0)) for _ in range(4)] == [0, 0, 1, 1]


def test_a_turned_bit_that_makes_no_digit_loses_the_line() -> None:
    known, line = b"0123456789", b"POS,7.10,5.24,-2.03,53\r\n"
    for place in range(8 * (len(line) - 2)):
        damaged = bytearray(line)
        damaged[place // 8] ^= 1 << place % 8
        frames, _ = frames_of(bytes(damaged) + line)
        if line[place // 8] not in known or damaged[place // 8] not in known:
            assert {frame.positions for frame in frames} <= {((-1, 7100, 5240, -2030),)}, damaged


def test_the_buffer_stays_bounded_on_garbage() -> None:
    stream, rng = Stream(), random.Random(6)
    for _ in range(300):
        assert stream.feed(rng.randbytes(400), 0.0) == []
        assert len(stream._buffer) <= LINE_BYTES_MAX


def typed(starter: ShellStarter, begin_s: float, end_s: float) -> list[tuple[float, bytes]]:
    """Return what is sent between two times, with when."""
    sent, now_s = [], begin_s
    while now_s < end_s:
        data, again_s = starter.due(now_s)
        sent += [(now_s, data)] if data else []
        now_s = max(again_s, now_s + 1e-6)
    return sent


def test_the_shell_is_opened_and_told_slowly_and_only_into_silence() -> None:
    starter = ShellStarter("lec")
    starter.opened(10.0)
    sent = typed(starter, 10.0, 20.0)
    assert b"".join(data for _, data in sent) == b"\r\rlec\r"
    assert sent[0][0] == pytest.approx(10 + LISTEN_S)
    assert sent[2][0] - sent[1][0] == pytest.approx(SHELL_S)
    assert all(later - before > 0.99 * BYTE_S for (before, _), (later, _) in pairwise(sent))
    assert typed(starter, 20.0, 20.0 + RETRY_S)[0][1] == b"\r"


def test_a_module_that_prints_is_never_told_to_for_that_would_silence_it() -> None:
    starter = ShellStarter("lec")
    frames = frames_of(LEC)[0]
    starter.opened(0.0)
    starter.heard(LEC, frames, 1.0)
    assert typed(starter, 1.0, 1.0 + SILENT_S) == []
    starter.opened(0.0)
    typed(starter, 0.0, LISTEN_S + 0.03)
    starter.heard(LEC, frames, LISTEN_S + 0.05)
    assert typed(starter, LISTEN_S + 0.05, 50.0) == [], "the carriage returns brought an old report back"
    assert typed(starter, LISTEN_S + 0.05, 200.0) != []
