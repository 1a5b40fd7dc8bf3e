"""Tiles of C2SP tlog-tiles: how the tree and its entries are cut into files of 256 that never change."""

import re
from collections.abc import Callable, Iterable
from typing import Literal

from twin_wire.errors import FormatError
from twin_wire.merkle import HASH_BYTES, SIZE_MAX, Fetch, node_hash

TILE_WIDTH = 256
TILE_HEIGHT = 8  # levels of the tree in one level of tiles
LEVEL_MAX = 63
ENTRY_BYTES_MAX = 65_535

Level = int | Literal["entries"]
ReadTile = Callable[[int, int, int], bytes]  # (level, n, width) -> the tile's width * 32 bytes

_PATH = re.compile(r"tile/(entries|0|[1-9][0-9]?)/((?:x[0-9]{3}/){0,5}[0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?", re.ASCII)


def tile_path(level: Level, n: int, width: int = TILE_WIDTH) -> str:
    """Return the path of tile `n` of a level, or of entry bundle `n`, with `width` of its 256 places filled."""
    sound = level == "entries" or 0 <= level <= LEVEL_MAX
    if not sound or not 0 <= n <= SIZE_MAX or not 0 < width <= TILE_WIDTH:
        raise FormatError(f"no tile {n} of level {level} and width {width}")
    groups = [f"{n % 1000:03d}"]
    while n := n // 1000:
        groups.append(f"x{n % 1000:03d}")
    return f"tile/{level}/{'/'.join(reversed(groups))}" + (f".p/{width}" if width < TILE_WIDTH else "")


def parse_tile_path(text: str) -> tuple[Level, int, int]:
    """Return (level, n, width) of a tile's path; FormatError unless `tile_path` would write it so."""
    match = _PATH.fullmatch(text)
    if match is None:
        raise FormatError("not the path of a tile")
    level: Level = "entries" if match[1] == "entries" else int(match[1])
    n = int(match[2].replace("x", "").replace("/", ""))
    width = int(match[3]) if match[3] else TILE_WIDTH
    if tile_path(level, n, width) != text:
        raise FormatError("path of a tile in a second form")
    return level, n, width


def partial_width(level: int, size: int) -> int:
    """Return how many places of the last tile of a level a tree of `size` fills; 0 when it has no partial tile."""
    return (size >> TILE_HEIGHT * level) % TILE_WIDTH


def encode_entries(entries: Iterable[bytes]) -> bytes:
    """Join up to 256 entries to a bundle: each after its length in two bytes; FormatError beyond the limits."""
    items = list(entries)
    if len(items) > TILE_WIDTH or any(len(item) > ENTRY_BYTES_MAX for item in items):
        raise FormatError("too many or too long entries for one bundle")
    return b"".join(len(item).to_bytes(2, "big") + item for item in items)


def decode_entries(data: bytes) -> list[bytes]:
    """Split a bundle into its entries; FormatError if it ends early or holds more than 256."""
    entries: list[bytes] = []
    at = 0
    while at < len(data):
        end = at + 2 + int.from_bytes(data[at : at + 2], "big")
        if end > len(data):
            raise FormatError("entry bundle ends early")
        if len(entries) == TILE_WIDTH:
            raise FormatError(f"entry bundle with more than {TILE_WIDTH} entries")
        entries.append(data[at + 2 : end])
        at = end
    return entries


def fetch_from(read_tile: ReadTile, size: int) -> Fetch:
    """Return the `fetch` that proofs need, from the tiles of a log of `size`; it raises FormatError for a bad tile."""

    def fetch(level: int, index: int) -> bytes:
        tile_level, up = divmod(level, TILE_HEIGHT)
        first = index << up
        n, place = divmod(first, TILE_WIDTH)
        width = min(TILE_WIDTH, (size >> TILE_HEIGHT * tile_level) - n * TILE_WIDTH)
        if place + (1 << up) > width:
            raise FormatError(f"node {index} of level {level} is not in a log of {size}")
        tile = read_tile(tile_level, n, width)
        if len(tile) != width * HASH_BYTES:
            raise FormatError(f"tile {tile_path(tile_level, n, width)} has {len(tile)} bytes")
        row = [tile[at * HASH_BYTES : (at + 1) * HASH_BYTES] for at in range(place, place + (1 << up))]
        while len(row) > 1:
            row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
        return row[0]

    return fetch
