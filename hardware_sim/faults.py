"""What a bad line does to a frame: seeded rules that lose, delay, bend or precede answers."""

import random
from typing import Literal, NamedTuple

from hardware_sim.modbus import Framer
from twin_wire.errors import ConfigError

Kind = Literal[
    "silence",  # the device does not answer
    "late",  # the whole answer, `amount` s late
    "drop",  # one byte of the answer gets lost
    "flip",  # one bit of the answer turns
    "truncate",  # the answer ends early
    "noise",  # up to four bytes of noise before the answer
    "echo",  # the request comes back before the answer (RS-485 without echo suppression)
    "wrong_unit",  # another unit's number in a frame that is otherwise right
    "wrong_function",  # another function in a frame that is otherwise right
    "hang",  # no answer for `amount` s, whatever is asked
]
KINDS: tuple[Kind, ...] = (
    "silence",
    "late",
    "drop",
    "flip",
    "truncate",
    "noise",
    "echo",
    "wrong_unit",
    "wrong_function",
    "hang",
)
RULES_MAX = 64


class Rule(NamedTuple):
    """One fault: which unit (None: all), how often, how many times (None: until cleared) and how much."""

    kind: Kind
    unit: int | None = None
    probability: float = 1.0
    times: int | None = None
    amount: float = 0.5


class Sent(NamedTuple):
    """What the line carries instead of the bare answer; `fault` is "" for an undisturbed one."""

    delay_s: float
    data: bytes
    fault: str


class FaultPlan:
    """The faults of one line; the same seed and the same requests give the same faults."""

    def __init__(self, seed: str) -> None:
        self.random = random.Random(seed)  # noqa: S311
        self._rules: list[Rule] = []
        self._hung: dict[int, float] = {}  # unit: monotonic end

    def add(self, rule: Rule) -> None:
        """Add a rule; ConfigError if it is not one."""
        if rule.kind not in KINDS:
            raise ConfigError(f"fault {rule.kind!r} is not known", hint=f"use one of {', '.join(KINDS)}")
        if not 0.0 <= rule.probability <= 1.0 or not 0.0 <= rule.amount <= 3600.0:
            raise ConfigError("a fault needs a probability within 0 to 1 and an amount within 0 to 3600")
        if len(self._rules) >= RULES_MAX:
            raise ConfigError(f"more than {RULES_MAX} faults on one line")
        self._rules.append(rule)

    def clear(self) -> None:
        """Forget all rules; a hanging unit answers again."""
        self._rules.clear()
        self._hung.clear()

    def disturb(self, frame: Framer, request: bytes, unit: int, pdu: bytes, transaction: int, now_s: float) -> Sent:
        """Return what becomes of an answer PDU; `frame` builds a frame in the line's own framing."""
        whole = frame(unit, pdu, transaction)
        if now_s < self._hung.get(unit, 0.0):
            return Sent(0.0, b"", "hang")
        rule = self._draw(unit)
        if rule is None:
            return Sent(0.0, whole, "")
        kind, chance = rule.kind, self.random
        data, delay_s = whole, 0.0
        if kind == "silence":
            data = b""
        elif kind == "hang":
            self._hung[unit] = now_s + rule.amount
            data = b""
        elif kind == "late":
            delay_s = rule.amount
        elif kind == "drop":
            place = chance.randrange(len(whole))
            data = whole[:place] + whole[place + 1 :]
        elif kind == "flip":
            place = chance.randrange(len(whole) * 8)
            data = (int.from_bytes(whole) ^ 1 << place).to_bytes(len(whole))
        elif kind == "truncate":
            data = whole[: chance.randrange(1, len(whole))]
        elif kind == "noise":
            data = chance.randbytes(chance.randrange(1, 5)) + whole
        elif kind == "echo":
            data = request + whole
        elif kind == "wrong_unit":
            data = frame(unit % 247 + 1, pdu, transaction)
        else:
            data = frame(unit, bytes((pdu[0] ^ 0x07,)) + pdu[1:], transaction)
        return Sent(delay_s, data, kind)

    def _draw(self, unit: int) -> Rule | None:
        for place, rule in enumerate(self._rules):
            if rule.unit not in (None, unit) or self.random.random() >= rule.probability:
                continue
            if rule.times is not None:
                if rule.times <= 1:
                    del self._rules[place]
                else:
                    self._rules[place] = rule._replace(times=rule.times - 1)
            return rule
        return None
