"""Any bytes at all reach the parsers: no stray exception, bounded memory, and no answer that was not asked for."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from drivers.linktrack_frames import FRAME_BYTES_MAX, Stream
from drivers.modbus.pdu import Function, Identify, Read, Reply, answer_bytes, identification
from drivers.modbus.rtu import RtuFraming, is_whole
from drivers.modbus.tcp import TcpFraming
from drivers.profile import read_profile
from twin_wire.errors import ConfigError

CHUNKS = st.lists(st.binary(max_size=300), max_size=12)
READS = st.builds(
    Read,
    unit=st.integers(1, 247),
    function=st.sampled_from(list(Function)),
    address=st.integers(0, 60_000),
    length=st.integers(1, 125),
)
REQUESTS = READS | st.builds(Identify, unit=st.integers(1, 247), level=st.integers(1, 4), object_id=st.integers(0, 255))


def check_reply(request: Read | Identify, reply: Reply) -> None:
    if reply.code:
        assert not reply.data
        return
    if isinstance(request, Identify):
        assert all(len(text) <= 255 for text in identification(reply.data).values())
    elif request.function in (Function.READ_COILS, Function.READ_DISCRETE_INPUTS):
        assert len(reply.data) == (request.length + 7) // 8
    else:
        assert len(reply.data) == 2 * request.length


@given(REQUESTS, CHUNKS, st.booleans())
def test_rtu_takes_any_bytes(request: Read | Identify, chunks: list[bytes], echo: bool) -> None:
    framing = RtuFraming(echo)
    framing.begin(request)
    for chunk in chunks:
        reply = framing.feed(chunk)
        if reply is not None:
            assert is_whole(reply.frame)
            assert reply.frame[0] == request.unit
            check_reply(request, reply)
        framing.complete()
        assert framing.verdict().text
    framing.stale(b"".join(chunks))
    assert len(framing._buffer) <= 1024


@given(REQUESTS, CHUNKS)
def test_tcp_takes_any_bytes(request: Read | Identify, chunks: list[bytes]) -> None:
    framing = TcpFraming()
    sent = framing.begin(request)
    for chunk in chunks:
        reply = framing.feed(chunk)
        if reply is not None:
            assert reply.frame[:4] == sent[:4]
            assert reply.frame[6] == request.unit
            check_reply(request, reply)
        assert framing.verdict().text
        assert len(framing._buffer) <= 260
    framing.stale(b"".join(chunks))


@given(READS, st.binary(max_size=260), st.data())
def test_a_bent_answer_is_none_or_has_a_whole_crc(request: Read, tail: bytes, data: st.DataObject) -> None:
    framing = RtuFraming()
    sent = framing.begin(request)
    bent = bytearray(sent + tail)
    for _ in range(data.draw(st.integers(0, 5))):
        bent[data.draw(st.integers(0, len(bent) - 1))] = data.draw(st.integers(0, 255))
    reply = framing.feed(bytes(bent))
    assert reply is None or is_whole(reply.frame)


@given(REQUESTS, st.binary(min_size=1, max_size=260))
def test_the_length_of_an_answer_is_never_beyond_the_largest_pdu(request: Read | Identify, pdu: bytes) -> None:
    size = answer_bytes(request, pdu)
    assert size is None or 0 <= size <= 253


@given(st.lists(st.binary(max_size=1500), max_size=10))
def test_linktrack_takes_any_bytes(chunks: list[bytes]) -> None:
    stream = Stream()
    for number, chunk in enumerate(chunks):
        for frame in stream.feed(chunk, number * 0.3):
            assert (frame.ranges[:, 2] > 0).all()
        assert len(stream._buffer) <= FRAME_BYTES_MAX + len(chunk)


def test_linktrack_takes_bytes_that_look_like_frames() -> None:
    rng = random.Random(5)
    stream = Stream()
    for number in range(400):
        head = bytes((0x55, rng.choice((0, 1, 2, 3, 4, 5, 6, 7)), rng.randrange(256), rng.choice((0, 0, 1, 12))))
        stream.feed(head + rng.randbytes(rng.randrange(900)) + rng.choice((b"", b"\xee")), number * 0.05)
        assert len(stream._buffer) <= FRAME_BYTES_MAX + 1000


TOML_PIECES = st.lists(
    st.sampled_from(
        [
            "[profile]",
            'id = "x"',
            "[[signal]]",
            "[modbus]",
            "[[golden]]",
            "address = 70000",
            "address = -1",
            "range = [nan, 1.0]",
            "range = [inf]",
            "sentinels = [99999999999999999999]",
            'function = "3"',
            "decimals = 400",
            "divisor = 0",
            "forbid = [[1, 2], [3]]",
            'unit = "<script>"',
            "signal = 5",
            "= =",
            'type = "f32"',
        ]
    ),
    max_size=14,
)


@settings(max_examples=200)
@given(TOML_PIECES)
def test_a_strange_profile_is_a_configuration_error_with_paths(lines: list[str]) -> None:
    with pytest.raises(ConfigError) as caught:
        read_profile("\n".join(lines).encode(), "x")
    assert caught.value.faults
    assert all(isinstance(path, str) and message for path, message in caught.value.faults)


@given(st.binary(max_size=400))
def test_a_profile_of_any_bytes_is_a_configuration_error(data: bytes) -> None:
    with pytest.raises(ConfigError) as caught:
        read_profile(data, "x")
    assert caught.value.faults
