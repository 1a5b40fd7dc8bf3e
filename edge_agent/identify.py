"""What instrument is this? Asks it who it is, compares its answers with every profile, guesses at unknown registers.

Nothing is proven by a fingerprint: each profile comes with the evidence for and against it, and the person decides.
"""

import asyncio
import contextlib
import math
from collections.abc import Callable, Mapping
from typing import NamedTuple

from drivers import Profile, Signal, load_profile, profile_names
from drivers.modbus.reference import agrees, known_number, text_of, values_of
from drivers.profile import Text, Verify
from edge_agent.claim import Setting, Target
from edge_agent.guess import Guess, guesses
from edge_agent.probe import Probe, Seen
from twin_wire.errors import ConfigError, LinkError
from twin_wire.readings import Quality

WAIT_S = 0.5
SIGNALS_MAX = 8  # of a profile are asked; enough to tell it from others
SILENCES_MAX = 2  # then a profile is given up, at once if nothing spoke for it: a silence costs several waits
LOOK_AGAIN_S = 10.0
SURVEY_REGISTERS = 100
BLOCK = 10
VERIFIED, NAMED, PLAUSIBLE, ANSWERED, ODD, REFUSED, SILENT, CONTRADICTED = 10, 6, 2, 1, -2, -4, -3, -20


class Evidence(NamedTuple):
    """One thing seen, and how much it speaks for (above 0) or against the profile; `frame` is the answer in hex."""

    what: str  # a signal, register or text of the profile
    seen: str
    weight: int
    frame: str


class Match(NamedTuple):
    """A profile with what speaks for and against it; `share` of the weight it could have had, at most 1."""

    profile: Profile
    weight: int
    share: float
    evidence: tuple[Evidence, ...]


class Identified(NamedTuple):
    """What is known of a unit: its own words (object number → text), the profiles, and guesses at its registers."""

    identity: Mapping[int, str]
    matches: tuple[Match, ...]
    registers: Mapping[int, Mapping[int, int]]  # function → address → 0 to 65535, the second look
    guesses: Mapping[int, tuple[Guess, ...]]


class Identifier:
    """Asks one unit; every answer is kept, so that no register is asked twice for two profiles."""

    def __init__(self, probe: Probe, unit: int, tell: Callable[[str], None] = lambda _: None) -> None:
        self._probe, self._unit, self._tell = probe, unit, tell
        self._known: dict[tuple[int, int, int], Seen] = {}

    async def run(self, again_s: float = LOOK_AGAIN_S, first: int = 0, count: int = SURVEY_REGISTERS) -> Identified:
        """Return everything that can be found out; LinkError if the unit says nothing at all."""
        self._tell("who are you (function 43/14)")
        identity, asked = await self._probe.identity(self._unit)
        answered = asked.code is not None
        matches = []
        for profile in usable_profiles():
            self._tell(f"profile {profile.id}")
            matches.append(await self._match(profile, identity))
        if not answered and not any(seen.code is not None for seen in self._known.values()):
            raise LinkError(f"unit {self._unit} does not answer", "run: edge-agent scan")
        matches.sort(key=lambda match: -match.weight * match.share)
        before = await self._survey(first, count)
        self._tell(f"waiting {again_s:g} s to see what moves")
        await asyncio.sleep(again_s)
        after = {function: await self._again(function, sorted(values)) for function, values in before.items()}
        found = {function: tuple(guesses(before[function], values)) for function, values in after.items()}
        return Identified(identity, tuple(matches), after, found)

    async def read(self, function: int, address: int, count: int) -> Seen:
        """Ask once and remember."""
        key = (function, address, count)
        if key not in self._known:
            self._known[key] = await self._probe.read(self._unit, function, address, count)
        return self._known[key]

    async def _match(self, profile: Profile, identity: Mapping[int, str]) -> Match:
        told = " ".join(identity.values()).lower()
        evidence = [
            Evidence("identification", f"names {word}", NAMED, "")
            for word in (profile.vendor, profile.model)
            if len(word) > 2 and word.lower() in told
        ]
        silences = possible = 0
        items: list[Verify | Text | Signal] = [*profile.verify, *profile.texts, *_telling(profile)]
        for item in items:
            spoken = any(each.weight > 0 for each in evidence)
            if silences >= (SILENCES_MAX if spoken else 1) or (evidence and evidence[-1].weight == CONTRADICTED):
                break
            possible += _possible(item)
            if _is_forbidden(profile, item.address, item.count):
                continue
            seen = await self.read(item.function, item.address, item.count)
            silences += seen.code is None
            evidence.append(judge(profile, item, seen))
        weight = sum(each.weight for each in evidence)
        return Match(profile, weight, max(0.0, min(1.0, weight / possible)) if possible else 0.0, tuple(evidence))

    async def _survey(self, first: int, count: int) -> dict[int, dict[int, int]]:
        """Read `count` registers from `first` by functions 3 and 4, in blocks that are halved where one is refused."""
        found: dict[int, dict[int, int]] = {}
        for function in (3, 4):
            values: dict[int, int] = {}
            silences = 0
            for start in range(first, min(first + count, 65_536), BLOCK):
                if silences >= SILENCES_MAX:
                    break
                self._tell(f"function {function} from {start}")
                silences += not await self._block(function, start, min(BLOCK, first + count - start), values)
            if values:
                found[function] = values
        return found

    async def _again(self, function: int, addresses: list[int]) -> dict[int, int]:
        """Read once more what answered, in runs without holes."""
        values: dict[int, int] = {}
        start = 0
        for place, address in enumerate(addresses, 1):
            ends = place == len(addresses) or addresses[place] != address + 1 or place - start == BLOCK
            if ends:
                await self._block(function, addresses[start], place - start, values)
                start = place
        return values

    async def _block(self, function: int, start: int, count: int, values: dict[int, int]) -> bool:
        seen = await self._probe.read(self._unit, function, start, count)
        if seen.code == 0:
            words = [int.from_bytes(seen.data[k : k + 2], "big") for k in range(0, len(seen.data), 2)]
            values.update(zip(range(start, start + count), words, strict=True))
        elif seen.code in (2, 3) and count > 1:
            half = count // 2
            await self._block(function, start, half, values)
            await self._block(function, start + half, count - half, values)
        return seen.code is not None


async def identify(
    target: Target,
    setting: Setting | None,
    unit: int,
    tell: Callable[[str], None],
    *,
    wait_s: float = WAIT_S,
    again_s: float = LOOK_AGAIN_S,
    rtu: bool = False,
    first: int = 0,
    count: int = SURVEY_REGISTERS,
) -> Identified:
    """Identify one unit on a bus nobody polls; LinkError if the bus is in use or the unit silent."""
    async with Probe(target, setting, wait_s, rtu=rtu) as probe:
        return await Identifier(probe, unit, tell).run(again_s, first, count)


def usable_profiles() -> list[Profile]:
    """Return every Modbus profile that can be read; one with a fault is no reason to know none."""
    found = []
    for name in profile_names():
        with contextlib.suppress(ConfigError):
            profile = load_profile(name)
            if profile.protocol == "modbus":
                found.append(profile)
    return found


def _telling(profile: Profile) -> list[Signal]:
    """Return some signals, spread over the profile: companions first, for few other devices have them."""
    helpers = {companion.signal for companion in profile.companions}
    ordered = sorted(profile.signals, key=lambda signal: signal.id not in helpers)
    step = max(1, len(ordered) // SIGNALS_MAX)
    return [signal for signal in ordered[::step] if not signal.scales][:SIGNALS_MAX]


def _is_forbidden(profile: Profile, address: int, count: int) -> bool:
    return any(address <= last and first < address + count for first, last in profile.modbus.forbid)


def _possible(item: Signal | Verify | Text) -> int:
    """Return the most that an item can say for its profile: an integer without a range is any register."""
    if isinstance(item, Verify):
        return VERIFIED
    return ANSWERED if isinstance(item, Signal) and not item.range and item.type[0] != "f" else PLAUSIBLE


def judge(profile: Profile, item: Signal | Verify | Text, seen: Seen) -> Evidence:
    """Return what one answer says for or against a profile."""
    frame = seen.answer.hex(" ")
    name = f"{item.id} ({item.function}:{item.address})" if not isinstance(item, Verify) else f"register {item.address}"
    if seen.code is None:
        return Evidence(name, "silence", SILENT, "")
    if seen.code:
        return Evidence(name, seen.text, REFUSED, frame)
    if isinstance(item, Verify):
        return _judge_known(item, seen, name)
    if isinstance(item, Text):
        text = text_of(item, seen.data)
        return Evidence(name, repr(text), PLAUSIBLE if text and "?" not in text else ODD, frame)
    value, quality = values_of(profile, item.function, item.address, seen.data)[item.id]
    if quality == Quality.SENTINEL:
        return Evidence(name, "its sign for no value", PLAUSIBLE, frame)
    shown = f"{value:g} {item.unit}"
    if not math.isfinite(value) or quality >= Quality.BAD:
        return Evidence(name, f"{shown}, no number", ODD, frame)
    if quality in (Quality.OVER_RANGE, Quality.UNDER_RANGE):
        return Evidence(name, f"{shown}, outside {item.range}", ODD, frame)
    if not any(seen.data) or set(seen.data) == {0xFF}:
        return Evidence(name, f"{shown}, as unused registers", 0, frame)
    if item.type in ("f32", "f64") and value and not 1e-6 <= abs(value) <= 1e9:
        return Evidence(name, f"{shown}, no everyday number", ODD, frame)
    return Evidence(name, shown, _possible(item), frame)


def _judge_known(item: Verify, seen: Seen, name: str) -> Evidence:
    same = agrees(item, seen.data)
    shown = repr(text_of(item, seen.data)) if item.type == "text" else f"{known_number(item, seen.data):g}"
    told = f"{shown}, known to be {item.expect!r}"
    return Evidence(name, told, VERIFIED if same else CONTRADICTED, seen.answer.hex(" "))
