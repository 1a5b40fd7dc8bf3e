"""Lines that a Qorvo DWM1001 prints in its shell: distances to anchors and positions, in the forms of lec, lep and les.

    DIST,2,AN0,022E,7.94,8.03,0.00,3.44,AN1,9280,0.00,8.03,0.00,5.12,POS,6.95,5.37,-1.97,52     lec
    POS,7.10,5.24,-2.03,53      POS,0,0F11,3.12,1.22,0.53,70,x05                lep, of itself and of tags it hears
    022E[7.94,8.03,0.00]=3.38 9280[0.00,8.03,0.00]=5.09 le_us=3082 est[6.97,5.17,-1.77,53]      les

Lines carry no checksum. What replaces it: every token must be one, numbers have two decimals, counts must hold, and an
anchor keeps its place. A digit that turned into another in a distance or a position goes unseen.
"""

import math
import re
from typing import NamedTuple

LINE_BYTES_MAX = 400  # 15 anchors in the form of lec would be 600; the module uses four
ANCHORS_MAX = 8
MOVES = 3  # an anchor that is somewhere else this many times in a row was moved
OWN = -1  # the module on the port is itself the tag
PROMPT = "dwm>"
_NUMBER = re.compile(r"-?\d{1,4}\.\d\d")
_NODE = re.compile(r"[0-9A-Fa-f]{4}")
_LES_ANCHOR = re.compile(r"([0-9A-Fa-f]{4})\[([^\[\]]*)\]=(\S+)")
_LES_REST = re.compile(r"(?:le_us=\d{1,7})?\s*(?:est\[([^\[\]]*)\])?")
_SECTION = re.compile(r"(?=DIST,|POS,)")
_ECHO = re.compile(r"(?:dwm>\s*|le[cps]\s*)*")

Place = tuple[int, int, int]


class Distance(NamedTuple):
    """From a tag to an anchor that says where it stands, in mm."""

    anchor: int
    distance_mm: int
    place: Place


class Frame(NamedTuple):
    """What one line says: distances of the module itself, and positions (tag, x, y, z) in mm, tag -1 for itself."""

    raw: bytes
    distances: tuple[Distance, ...]
    positions: tuple[tuple[int, int, int, int], ...]

    @property
    def rows(self) -> int:
        """Return how many ranges and positions it holds."""
        return len(self.distances) + len(self.positions)


class Stream:
    """Finds lines in bytes as they come; remembers where anchors stand."""

    def __init__(self, _char_s: float = 0.0) -> None:
        self.noise_bytes = 0  # belonged to no line of a report
        self.damaged = 0  # parts of lines that began like a report and were none
        self.due_s = math.inf
        self._buffer = bytearray()
        self._places: dict[int, Place] = {}
        self._moving: dict[int, tuple[Place, int]] = {}

    def reset(self) -> None:
        """Forget what came, a new connection begins; anchors stay where they are."""
        self._buffer.clear()

    def feed(self, data: bytes, _now_s: float) -> list[Frame]:
        """Take bytes; return what the lines they complete say."""
        self._buffer += data
        *lines, rest = self._buffer.split(b"\n")
        if len(rest) > LINE_BYTES_MAX:
            self.noise_bytes += len(rest)
            rest = bytearray()
        self._buffer = bytearray(rest)
        return [frame for line in lines if (frame := self._line(bytes(line) + b"\n")) is not None]

    def _line(self, raw: bytes) -> Frame | None:
        text = raw.decode("ascii", "replace").strip()
        if len(raw) > LINE_BYTES_MAX:
            self.noise_bytes += len(raw)
            return None
        head = _ECHO.match(text)
        text = text[head.end() :] if head else text
        distances: list[Distance] = []
        positions: list[tuple[int, int, int, int]] = []
        if "[" in text:
            sections = [text]
        else:
            lead, *sections = _SECTION.split(text)  # two reports in one line where a line end got lost
            if not sections or lead:
                self.noise_bytes += len(raw) if not sections else len(lead)
        for section in sections:
            found = _les(section) if "[" in section else _csv(section)
            if found is None or not self._known(found[0]):
                self.damaged += 1
                continue
            distances += found[0]
            positions += found[1]
        return Frame(raw, tuple(distances), tuple(positions)) if sections and (distances or positions) else None

    def _known(self, distances: list[Distance]) -> bool:
        """Return whether every anchor stands where it stood; one that moved is believed after a few lines."""
        good = True
        for anchor, _, place in distances:
            held = self._places.get(anchor)
            if held == place:
                self._moving.pop(anchor, None)
            elif held is None and place not in self._places.values():
                self._places[anchor] = place
            else:
                before, times = self._moving.get(anchor, (place, 0))
                times = times + 1 if before == place else 1
                self._moving[anchor] = place, times
                good = good and times >= MOVES
                if times >= MOVES:
                    self._places = {a: p for a, p in self._places.items() if p != place} | {anchor: place}
        return good


Found = tuple[list[Distance], list[tuple[int, int, int, int]]] | None


def _csv(section: str) -> Found:
    """Return what a part of lec or lep says, None if it is none."""
    kind, *tokens = section.rstrip(",").split(",")
    if kind == "POS":
        return _position([token for token in tokens if token.lower() not in ("x", "y", "z", "qf")])
    count = int(tokens[0]) if tokens and tokens[0].isascii() and tokens[0].isdigit() else -1
    if not 0 <= count <= ANCHORS_MAX or len(tokens) != 1 + 6 * count:
        return None
    distances = []
    for place in range(count):
        name, node, *numbers = tokens[1 + 6 * place : 7 + 6 * place]
        one = _distance(node, numbers[:3], numbers[3]) if re.fullmatch(r"AN\d", name) else None
        if one is None:
            return None
        distances.append(one)
    return _apart(distances)


def _position(tokens: list[str]) -> Found:
    """Return a position: four tokens of the module itself, seven of a tag it hears; nan is none, but no fault."""
    tag = OWN
    if len(tokens) == 7:
        if not tokens[0].isdigit() or not _NODE.fullmatch(tokens[1]):
            return None
        tag, tokens = int(tokens[1], 16), tokens[2:6]
    if len(tokens) != 4 or not tokens[3].isascii() or not tokens[3].isdigit() or int(tokens[3]) > 100:
        return None
    if tokens[:3] == ["nan"] * 3:
        return [], []
    numbers = [_mm(token) for token in tokens[:3]]
    x, y, z = numbers
    return None if x is None or y is None or z is None else ([], [(tag, x, y, z)])


def _les(text: str) -> Found:
    """Return what a line of les says, None if it is none."""
    distances, end = [], 0
    for found in _LES_ANCHOR.finditer(text):
        if text[end : found.start()].strip():
            return None
        one = _distance(found[1], found[2].split(","), found[3])
        if one is None:
            return None
        distances.append(one)
        end = found.end()
    rest = _LES_REST.fullmatch(text[end:].strip())
    if rest is None or len(distances) > ANCHORS_MAX:
        return None
    place = _position(rest[1].split(",")) if rest[1] is not None else ([], [])
    apart = _apart(distances)
    return None if place is None or apart is None else (apart[0], place[1])


def _distance(node: str, place: list[str], metres: str) -> Distance | None:
    numbers = [_mm(token) for token in (*place, metres)]
    if len(numbers) != 4 or not _NODE.fullmatch(node):
        return None
    x, y, z, distance_mm = numbers
    if x is None or y is None or z is None or distance_mm is None or distance_mm < 0:
        return None
    return Distance(int(node, 16), distance_mm, (x, y, z))


def _apart(distances: list[Distance]) -> Found:
    """Return distances above 0 if no anchor is there twice."""
    if len({one.anchor for one in distances}) < len(distances):
        return None
    return [one for one in distances if one.distance_mm > 0], []


def _mm(token: str) -> int | None:
    return round(float(token) * 1000) if _NUMBER.fullmatch(token) else None
