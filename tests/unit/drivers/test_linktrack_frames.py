"""LinkTrack frames are found in any stream, and nothing that is not one becomes a distance."""

import random
import struct

import numpy as np

from drivers.linktrack_frames import FRAME_BYTES_MAX, Stream

NODE_FRAME_1 = bytes.fromhex(  # the maker's own example (nlink_unpack/example.c): a kind we only skip
    "550344000300e88000000086000001510 1e801f20202920948130202005f0b008609009bffffc9378a3406ee"
    "373faa0202930900450900c4fcff8d0900660900c4fcff8e".replace(" ", "")
)


def i24(number: int) -> bytes:
    return (number & 0xFFFFFF).to_bytes(3, "little")


def summed(data: bytes) -> bytes:
    return data + bytes((sum(data) & 0xFF,))


def anchor0(tags: list[tuple[int, tuple[int, int, int], list[int]]], role: int = 2) -> bytes:
    slots = b"".join(
        struct.pack("<BB9s8H", tag, role, b"".join(map(i24, position)), *distances) for tag, position, distances in tags
    )
    slots += b"\xff" * (27 * (30 - len(tags)))
    return b"\x55\x00" + slots + bytes(67) + struct.pack("<I4xHIBBB", 5, 11_950, 6, 1, 1, 0xEE)


def tag0(tag: int, position: tuple[int, int, int], distances: list[int]) -> bytes:
    head = bytes((0x55, 1, tag, 2)) + b"".join(map(i24, position)) + bytes(9) + b"".join(map(i24, distances))
    return summed(head.ljust(120, b"\0") + struct.pack("<H", 3300) + bytes(5))


def node2(own: int, role: int, nodes: list[tuple[int, int, int]], position: tuple[int, int, int] = (0, 0, 0)) -> bytes:
    size = 119 + 13 * len(nodes) + 1
    head = struct.pack("<BBHBBI3x", 0x55, 4, size, role, own, 9) + b"".join(map(i24, position))
    head = head.ljust(116, b"\0") + struct.pack("<HB", 4800, len(nodes))
    return summed(
        head + b"".join(struct.pack("<BB3s2BI2x", r, n, i24(distance), 100, 90, 1) for r, n, distance in nodes)
    )


ANCHOR = anchor0([(7, (1500, -20, 3), [1234, 0, 65535, 0, 0, 0, 0, 1]), (200, (0, 0, 0), [0] * 8)])
TAG = tag0(9, (-1, 0, 8_000_000), [0, 250_123, -4, 0, 0, 0, 0, 1])
NODE = node2(3, 1, [(2, 11, 40_000), (2, 12, 0), (1, 13, 900)])


def frames_of(data: bytes, pieces: int = 1) -> tuple[list[list[int]], list[list[int]], Stream]:
    stream, ranges, positions = Stream(), [], []
    step = max(1, len(data) // pieces)
    for number, place in enumerate(range(0, len(data), step)):
        for frame in stream.feed(data[place : place + step], number * 0.0001):
            ranges += frame.ranges.tolist()
            positions += frame.positions.tolist()
    return ranges, positions, stream


def test_an_anchor_frame_gives_a_distance_per_tag_and_anchor() -> None:
    ranges, positions, _ = frames_of(ANCHOR)
    assert ranges == [[7, 0, 12_340], [7, 2, 655_350], [7, 7, 10]]
    assert positions == [[7, 1500, -20, 3]]


def test_a_tag_frame_gives_its_distances_and_position() -> None:
    ranges, positions, _ = frames_of(TAG)
    assert ranges == [[9, 1, 250_123], [9, 7, 1]]
    assert positions == [[9, -1, 0, 8_000_000]]


def test_a_node_frame_gives_anchor_or_tag_distances_by_its_role() -> None:
    assert frames_of(NODE)[0] == [[11, 3, 40_000]]
    ranges, positions, _ = frames_of(node2(11, 2, [(1, 3, 40_000), (2, 12, 5)], (5, 6, 7)))
    assert ranges == [[11, 3, 40_000]]
    assert positions == [[11, 5, 6, 7]]
    assert frames_of(node2(1, 3, [(1, 3, 40_000)]))[0] == [], "a console is neither"


def aoa(own: int, role: int, nodes: list[tuple[int, int, int]]) -> bytes:
    size = 21 + 11 * len(nodes) + 1
    head = struct.pack("<BBHBBII4xHB", 0x55, 7, size, role, own, 1, 2, 5000, len(nodes))
    return summed(head + b"".join(struct.pack("<BB3sh2B2x", r, n, i24(d), -1234, 90, 80) for r, n, d in nodes))


def test_an_angle_frame_gives_its_distances() -> None:
    frame = aoa(3, 1, [(2, 11, 40_000), (1, 4, 900), (2, 12, 7)])
    ranges, positions, stream = frames_of(frame + aoa(3, 1, [])[:-1] + b"\0" + TAG)
    assert ranges == [[11, 3, 40_000], [12, 3, 7], [9, 1, 250_123], [9, 7, 1]]
    assert positions == [[9, -1, 0, 8_000_000]]
    assert stream.damaged == 1


def test_supply_and_tags_are_read() -> None:
    [frame] = Stream().feed(ANCHOR, 0.0)
    assert (frame.voltage_mv, frame.tags) == (11_950, 2)
    [frame] = Stream().feed(NODE, 0.0)
    assert (frame.voltage_mv, frame.tags) == (4800, 2)


def test_frames_are_found_however_they_are_cut_and_whatever_lies_between() -> None:
    noise = random.Random(3).randbytes(50).replace(b"\x55", b"\x00")
    stream = ANCHOR + TAG + noise + NODE_FRAME_1 + NODE + b"\x55" + TAG
    whole = frames_of(stream)[:2]
    assert len(whole[0]) == 3 + 2 + 1 + 2
    for pieces in (2, 7, 100, len(stream)):
        assert frames_of(stream, pieces)[:2] == whole
    assert frames_of(stream)[2].skipped == 1


def test_a_flipped_bit_in_a_summed_frame_loses_the_frame_and_only_it() -> None:
    for frame in (TAG, NODE):
        for place in range(32, 8 * len(frame), 5):
            damaged = bytearray(frame)
            damaged[place // 8] ^= 1 << place % 8
            ranges, _, stream = frames_of(bytes(damaged) + ANCHOR)
            assert ranges == [[7, 0, 12_340], [7, 2, 655_350], [7, 7, 10]], place
            assert stream.noise_bytes == len(frame)


def test_an_anchor_frame_with_a_byte_lost_is_not_taken_for_one() -> None:
    many = anchor0([(tag, (0, 0, 0), [100 + tag] * 8) for tag in range(30)])
    for place in (1, 2, 30, 500, 894):
        ranges, _, _ = frames_of(many[:place] + many[place + 1 :] + NODE)
        assert ranges == [[11, 3, 40_000]], place


def test_one_tag_twice_or_a_role_that_is_no_tag_is_no_anchor_frame() -> None:
    assert frames_of(anchor0([(7, (0, 0, 0), [1] * 8)] * 2))[0] == []
    assert frames_of(anchor0([(7, (0, 0, 0), [1] * 8)], role=1))[0] == []


def test_a_false_beginning_holds_the_stream_up_for_half_a_second_at_most() -> None:
    stream = Stream()
    assert stream.feed(b"\x55\x04\xff\x0c" + TAG, 0.0) == []
    assert len(stream.feed(TAG, 0.6)) == 2


def test_the_buffer_stays_bounded_on_garbage() -> None:
    stream, rng = Stream(), random.Random(1)
    for number in range(300):
        stream.feed(rng.randbytes(1000), number * 0.01)
        assert len(stream._buffer) <= FRAME_BYTES_MAX + 1000


def test_columns_are_integers_of_the_width_they_promise() -> None:
    [frame] = Stream().feed(ANCHOR, 0.0)
    assert frame.ranges.dtype == frame.positions.dtype == np.int32
