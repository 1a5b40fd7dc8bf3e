"""When a line may be used again after a failure, so that an answer given up never passes for another request's.

An RTU answer names its unit, function and length, not its request. After a failure of a unit:
1. the whole line rests for as long as the answer was waited for, so that a slightly late one meets nobody; briefly
   only once a unit has failed three times and nothing of it ever came late, for it is probably dead;
2. the unit rests for twice its declared time-out;
3. for WINDOW time-outs its requests are in doubt. The first is preceded by a token: a read whose length no request
   given up has. A device answers in order, so the token's answer proves that nothing older is still to come;
4. until the window ends every answer of the unit is followed by listening for a second one, which would show that the
   first came from elsewhere (a converter that holds frames back). Two answers are as good as none.
Pure: times are handed in (monotonic seconds).
"""

from collections.abc import Callable

from drivers.modbus.pdu import Function, Identify, Read, Request, data_bytes
from twin_wire.errors import LinkError

WINDOW_TIMEOUTS = 10  # an answer later than this many time-outs is out of any contract
WINDOW_S_MIN = 3.0
FAILURES_TO_REST_BRIEFLY, BRIEF_REST_S = 3, 0.02
TOKEN_LENGTHS = {True: (1, 9, 17, 25), False: (1, 2, 3, 4)}  # bits, registers: four lengths of answer each

Shape = tuple[int, int]  # function, bytes of data


def shape_of(request: Request) -> Shape:
    """Return what an answer shows of its request: requests of one shape cannot be told apart by their answers."""
    return (0x2B, request.level) if isinstance(request, Identify) else (request.function, data_bytes(request))


class _Doubt:
    """What is still open with one unit."""

    def __init__(self) -> None:
        self.quiet_until_s = 0.0
        self.until_s = 0.0
        self.open: dict[Shape, float] = {}  # shapes of requests given up → when each stops to matter
        self.failures = 0  # in a row
        self.ever_late = False


class Fence:
    """The memory of one line's failures."""

    def __init__(self) -> None:
        self._line_quiet_s = 0.0
        self._doubts: dict[int, _Doubt] = {}

    def quiet_until_s(self, unit: int) -> float:
        """Return when `unit` may be asked again."""
        doubt = self._doubts.get(unit)
        return self._line_quiet_s if doubt is None else max(self._line_quiet_s, doubt.quiet_until_s)

    def failed(self, request: Request, sent_s: float, now_s: float, timeout_s: float) -> None:
        """Note that `request`, sent at `sent_s`, is given up now; its unit declares to answer within `timeout_s`."""
        doubt = self._doubts.setdefault(request.unit, _Doubt())
        doubt.failures += 1
        rest_s = min(max(0.0, now_s - sent_s), timeout_s)
        if doubt.failures >= FAILURES_TO_REST_BRIEFLY and not doubt.ever_late:
            rest_s = min(rest_s, BRIEF_REST_S)
        self._line_quiet_s = max(self._line_quiet_s, now_s + rest_s)
        doubt.quiet_until_s = max(doubt.quiet_until_s, sent_s + 2 * timeout_s)
        doubt.until_s = max(doubt.until_s, sent_s + max(WINDOW_TIMEOUTS * timeout_s, WINDOW_S_MIN))
        doubt.open[shape_of(request)] = doubt.until_s

    def in_doubt(self, unit: int, now_s: float) -> bool:
        """Tell whether an answer of `unit` has to be followed by listening."""
        doubt = self._doubts.get(unit)
        return doubt is not None and now_s < doubt.until_s

    def first_read(self, request: Read, allowed: Callable[[int, int], bool], now_s: float) -> Read:
        """Return what to send first: `request` if its answer cannot be mistaken, else a token at the same address.

        `allowed(address, length)` tells which reads the device may see. LinkError when no token is left: the unit rests
        until its window ends.
        """
        doubt = self._doubts.get(request.unit)
        if doubt is None:
            return request
        doubt.open = {shape: until_s for shape, until_s in doubt.open.items() if until_s > now_s}
        if shape_of(request) not in doubt.open:
            return request
        bits = request.function in (Function.READ_COILS, Function.READ_DISCRETE_INPUTS)
        for length in TOKEN_LENGTHS[bits]:
            token = request._replace(length=length)
            if shape_of(token) not in doubt.open and allowed(request.address, length):
                return token
        doubt.quiet_until_s = max(doubt.quiet_until_s, *doubt.open.values())
        raise LinkError(f"unit {request.unit}: rests until no answer given up can still come")

    def answered(self, request: Request) -> None:
        """Note that `request`, sent because its answer cannot be mistaken, was answered: nothing older will come."""
        doubt = self._doubts.get(request.unit)
        if doubt is not None:
            doubt.open.clear()
            doubt.failures = 0

    def came_late(self, unit: int) -> None:
        """Note that an answer of `unit` came with nothing in flight."""
        self._doubts.setdefault(unit, _Doubt()).ever_late = True
