"""Decoders of positioning devices on bytes by chance and bytes that nearly are frames: no stray error, no wrong row."""

import math
import random
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers import ble_frames, dwm1001_frames, linktrack_frames, nmea_frames, rfid_frames
from tests.support.pushed_stand_ins import EPC, LEC, gnss, ibeacon, node2_frame, r2000_report, ur_report
from twin_wire.ids import is_id

STREAMS: dict[str, tuple[Callable[[], Any], Callable[[], bytes], Callable[[Any], bool]]] = {
    "linktrack": (linktrack_frames.Stream, node2_frame, lambda f: f.ranges.tolist() in ([], [[11, 3, 40_000]])),
    "r2000": (rfid_frames.Stream, r2000_report, lambda f: f.epc in (b"", EPC)),
    "ur": (lambda: rfid_frames.Stream(0.0, "ur"), ur_report, lambda f: f.epc in (b"", EPC)),
    "nmea": (nmea_frames.Stream, gnss, lambda f: not f.rows or f.latitude_deg == 36 + 4.111 / 60),
    "ble-hci": (ble_frames.Stream, ibeacon, lambda f: all(is_id(ble_frames.tag_of(b, {})) for b in f.beacons)),
    "dwm1001": (dwm1001_frames.Stream, lambda: LEC, lambda f: all(abs(d.distance_mm) < 10**8 for d in f.distances)),
}
CHECKED = ("linktrack", "r2000", "ur", "nmea")  # a damaged frame is never another frame; the others have no checksum
BUFFER_BYTES_MAX = 4000


@pytest.mark.parametrize("name", STREAMS)
@given(chunks=st.lists(st.binary(max_size=600), max_size=12))
def test_any_bytes_in_any_pieces_are_taken(name: str, chunks: list[bytes]) -> None:
    make, _, _ = STREAMS[name]
    stream = make()
    for number, chunk in enumerate(chunks):
        for frame in stream.feed(chunk, number * 0.3):
            assert frame.rows >= 0
        assert len(stream._buffer) <= BUFFER_BYTES_MAX + len(chunk)


@pytest.mark.parametrize("name", STREAMS)
def test_frames_bent_by_chance_give_their_own_rows_or_none(name: str) -> None:
    make, good, right = STREAMS[name]
    rng, stream, wrong = random.Random(name), make(), 0
    for number in range(3000):
        frame = bytearray(good())
        for _ in range(rng.choice((0, 1, 1, 2))):
            place = rng.randrange(len(frame))
            match rng.randrange(4):
                case 0:
                    frame[place] ^= 1 << rng.randrange(8)
                case 1:
                    del frame[place]
                case 2:
                    frame.insert(place, rng.randrange(256))
                case _:
                    frame = frame[:place] + frame[rng.randrange(len(frame)) :]
            if not frame:
                break
        wrong += sum(not right(found) for found in stream.feed(bytes(frame), number * 0.05))
        assert len(stream._buffer) <= BUFFER_BYTES_MAX
    # Two faults in one frame can hide from a sum of eight bits; one fault never does.
    assert wrong <= (3000 // 256 if name in CHECKED else 0)


def test_numbers_of_sentences_are_finite_or_nothing() -> None:
    for text in ("1e5", "inf", "nan", "0x1", "1_0", "--1", "1.", ".5", "", " 1", "9" * 10, "٣"):
        assert math.isnan(nmea_frames.number_of(text)), text
