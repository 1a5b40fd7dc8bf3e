"""Tiles lie where C2SP tlog-tiles says, and proofs come out of them."""

import pytest

from tests.support.evidence import Log, vector
from twin_wire.errors import FormatError
from twin_wire.tiles import decode_entries, encode_entries, fetch_from, parse_tile_path, partial_width, tile_path

PATHS = [
    (0, 0, 256, "tile/0/000"),
    (0, 1234067, 256, "tile/0/x001/x234/067"),
    ("entries", 273, 112, "tile/entries/273.p/112"),
    (63, 1000, 1, "tile/63/x001/000.p/1"),
    (1, 2**53 - 1, 255, "tile/1/x009/x007/x199/x254/x740/991.p/255"),
]


@pytest.mark.parametrize(("level", "n", "width", "text"), PATHS)
def test_paths_go_both_ways(level: int, n: int, width: int, text: str) -> None:
    assert tile_path(level, n, width) == text
    assert parse_tile_path(text) == (level, n, width)


NO_PATHS = [
    "/tile/0/000",
    "tile/0/000/",
    "tile/0/0",
    "tile/0/1000",
    "tile/0/001/000",
    "tile/0/x001",
    "tile/0/x000/001",
    "tile/0/０00",
    "tile/0/../000",
    "tile/00/000",
    "tile/64/000",
    "tile/-1/000",
    "tile/x/000",
    "tile/0/x001/x001/x001/x001/x001/x001/001",
    "tile/0/x999/x999/x999/x999/x999/999",
    "tile/0/000.p/0",
    "tile/0/000.p/01",
    "tile/0/000.p/256",
    "tile/entries/000.p/",
    "checkpoint",
]


@pytest.mark.parametrize("text", ["", "tile/0/000\n", *NO_PATHS])
def test_other_paths_are_refused(text: str) -> None:
    with pytest.raises(FormatError):
        parse_tile_path(text)


def test_places_that_no_tile_has_are_refused() -> None:
    for level, n, width in ((64, 0, 1), (-1, 0, 1), (0, -1, 1), (0, 2**53, 1), (0, 0, 0), (0, 0, 257)):
        with pytest.raises(FormatError):
            tile_path(level, n, width)


def test_widths_are_those_of_the_specifications_example() -> None:
    assert [partial_width(level, 70_000) for level in range(4)] == [112, 17, 1, 0]


def test_entries_are_bundled_with_their_lengths() -> None:
    entries = [b"genesis", vector("statement"), b"two", b"three", b"four"]
    assert encode_entries(entries) == vector("entry_bundle_5")
    assert decode_entries(vector("entry_bundle_5")) == entries
    assert decode_entries(b"") == []
    assert decode_entries(encode_entries([b"", b""])) == [b"", b""]
    assert decode_entries(encode_entries([b"x" * 65_535])) == [b"x" * 65_535]


def test_bundles_beyond_their_limits_are_refused() -> None:
    for entries in ([b"x" * 65_536], [b""] * 257):
        with pytest.raises(FormatError):
            encode_entries(entries)
    for data in (b"\0", b"\0\1", b"\0\0\0", b"\0\0" * 257):
        with pytest.raises(FormatError):
            decode_entries(data)


def test_proofs_come_out_of_tiles() -> None:
    size = 700
    log = Log([b"%d" % i for i in range(size)])
    read: list[str] = []

    def tile(level: int, n: int, width: int) -> bytes:
        read.append(tile_path(level, n, width))
        return b"".join(log.nodes[8 * level, n * 256 + i] for i in range(width))

    fetch = fetch_from(tile, size)
    for level, index in log.nodes:
        if index % 37 == 0:
            assert fetch(level, index) == log.nodes[level, index]
    assert {"tile/0/000", "tile/0/002.p/188", "tile/1/000.p/2"} <= set(read)
    for level, index in ((0, 700), (9, 1), (10, 0), (16, 0)):
        with pytest.raises(FormatError):
            fetch(level, index)
    with pytest.raises(FormatError, match="bytes"):
        fetch_from(lambda level, n, width: bytes(32), size)(0, 0)
