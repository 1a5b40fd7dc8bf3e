"""A DWM1001 module with its shell: prints distances and positions once somebody has typed the right thing, slowly.

It loses bytes that come within 8 ms of each other, opens its shell at two carriage returns within a second, repeats the
last command at a carriage return alone, and a report asked for twice is off again.
"""

import random
from collections.abc import Callable, Iterable
from typing import Literal

from hardware_sim.linktrack import Ranging
from hardware_sim.plan import Anchor, place_of
from hardware_sim.pusher import Said
from hardware_sim.sight import Sight, Worn

BYTE_S = 0.008
TWICE_S = 1.0
ANCHORS_MAX = 4  # in one report
NOISE_M = 0.10
LISTENER_SIGHT_M, LISTENER_CORNER_M = 60.0, 10.0
REPORTS = ("lec", "lep", "les")
BANNER = b"\r\n\r\n DWM1001 TWR Real Time Location System\r\n\r\n"
PROMPT = b"dwm> "
Printing = Literal["", "lec", "lep", "les"]


class Module:
    """A module that is the tag `tag`, or, with tag 0, one that hears all tags near its anchors."""

    def __init__(
        self, anchors: Iterable[Anchor], worn: Callable[[], Iterable[Worn]], seed: str, tag: int = 0, printing: str = ""
    ) -> None:
        self.printing = printing  # which report, "" for none
        self.shell = bool(printing)
        self._anchors = {anchor.id: anchor for anchor in anchors}
        self._ranging = Ranging(self._anchors.values(), seed)
        self._near = Sight(self._anchors.values(), LISTENER_SIGHT_M, LISTENER_CORNER_M)
        self._worn, self._tag, self._last, self._typed = worn, tag, printing, b""
        self._random = random.Random(f"{seed}/place")  # noqa: S311
        self._byte_s = self._return_s = -1e9

    def due(self, _now_s: float) -> list[Said]:
        """Return the lines of the report that is on."""
        if not self.printing:
            return []
        persons = list(self._worn())
        if self._tag:
            return [self._own(person) for person in persons if person.tag == self._tag]
        heard = [person for person in persons if next(self._near.paths(person), None) is not None]
        return [Said(self._other(number, person), 1) for number, person in enumerate(heard)]

    def hear(self, data: bytes, now_s: float) -> list[Said]:
        """Take what is typed; return echo, prompt and what a command prints."""
        lost = now_s - self._byte_s < BYTE_S
        self._byte_s = now_s
        if lost or not data:
            return []
        byte = data[:1]  # the others came too fast
        if not self.shell:
            twice = byte == b"\r" and now_s - self._return_s < TWICE_S
            self._return_s = now_s if byte == b"\r" else -1e9
            if not twice:
                return []
            self.shell = True
            return [Said(BANNER + PROMPT, 0)]
        if byte != b"\r":
            self._typed += byte
            return [Said(byte, 0)]
        command, self._typed = self._typed.decode("ascii", "replace").strip() or self._last, b""
        self._last = command
        if command in REPORTS:
            self.printing = "" if self.printing == command else command
        return [Said(b"\r\n" + PROMPT, 0)]

    def _own(self, person: Worn) -> Said:
        ranges = sorted(self._ranging.measure(person).items(), key=lambda item: item[1])[:ANCHORS_MAX]
        place = self._place(person) if len(ranges) >= 2 else None
        quality = 20 * len(ranges)
        where = ",".join(f"{metres:.2f}" for metres in place) + f",{quality}" if place else "nan,nan,nan,0"
        stands = [(number, self._stand(number), metres) for number, metres in ranges]
        if self.printing == "lep":
            return Said(f"POS,{where}\r\n".encode(), 1)
        if self.printing == "les":
            parts = [f"{n:04X}[{','.join(xyz)}]={metres:.2f}" for n, xyz, metres in stands]
            return Said((" ".join([*parts, "le_us=3082", *([f"est[{where}]"] if place else [])]) + "\r\n").encode(), 1)
        parts = [f",AN{k},{n:04X},{','.join(xyz)},{metres:.2f}" for k, (n, xyz, metres) in enumerate(stands)]
        return Said(f"DIST,{len(stands)}{''.join(parts)}{f',POS,{where}' if place else ''}\r\n".encode(), 1)

    def _other(self, number: int, person: Worn) -> bytes:
        x, y, z = self._place(person)
        return f"POS,{number},{person.tag:04X},{x:.2f},{y:.2f},{z:.2f},70,x05\r\n".encode()

    def _place(self, person: Worn) -> tuple[float, float, float]:
        x, y, z = place_of(person.roadway, person.chainage_m)
        return x + self._random.gauss(0, NOISE_M), y + self._random.gauss(0, NOISE_M), z + self._random.gauss(0, 0.3)

    def _stand(self, number: int) -> list[str]:
        anchor = self._anchors[number]
        return [f"{metres:.2f}" for metres in place_of(anchor.roadway, anchor.chainage_m)]
