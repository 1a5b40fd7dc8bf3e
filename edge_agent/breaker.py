"""The circuit breaker of one device: when it is asked, when it is left alone, and when it is asked again. Pure.

A refusal that means a wrong configuration does not come here: such a device is well, and is not asked that again.
"""

from collections.abc import Callable

from drivers import Source

FAILURES_MAX = 3  # in a row, then the line's time is no longer spent on it at every scan
PROBE_S_MIN, PROBE_S_MAX = 2.0, 60.0
JITTER_SHARE = 0.1
BUSY_S_MIN, BUSY_S_MAX = 0.2, 10.0  # pauses of a device that said it is busy
BUSY_MAX = 6  # in a row, then it is down as any other that gives no data


class Breaker:
    """Closed: ask at every scan. Open: ask once after a growing pause (half open); one answer closes it."""

    def __init__(self, random: Callable[[], float]) -> None:
        self.failures = 0
        self.open = False
        self.since_us = 0  # wall time of the first failure of the row
        self.probe_s = 0.0  # monotonic time of the next question while open
        self.reason = ""
        self._pause_s = PROBE_S_MIN
        self._busy = 0
        self._random = random

    def resume(self, since_us: int) -> None:
        """Begin open: the device was down when the agent last ran; ask at once."""
        self.open, self.since_us, self.failures = True, since_us, FAILURES_MAX

    def may_ask(self, now_s: float) -> bool:
        """Tell whether the device is asked now."""
        return not self.open or now_s >= self.probe_s

    def answered(self) -> bool:
        """Note an answer; return True if the device was down until now."""
        was_open, self.open, self.failures, self._pause_s, self._busy = self.open, False, 0, PROBE_S_MIN, 0
        return was_open

    def busy(self) -> float | None:
        """Note that the device asks for time; return the pause in s, None once it has asked too often."""
        self._busy += 1
        if self.open or self._busy > BUSY_MAX:
            return None
        return float(min(BUSY_S_MAX, BUSY_S_MIN * 2 ** (self._busy - 1)))

    def failed(self, now_s: float, now_us: int, reason: str) -> bool:
        """Note a failure; return True if the device is down from now on."""
        self.failures += 1
        self.reason = reason
        if self.failures == 1 and not self.open:
            self.since_us = now_us
        if self.failures < FAILURES_MAX:
            return False
        opened, self.open = not self.open, True
        self.probe_s = now_s + self._pause_s * (1 + JITTER_SHARE * self._random())
        self._pause_s = min(self._pause_s * 2, PROBE_S_MAX)
        return opened

    def hurry(self, now_s: float) -> None:
        """Ask at once: something else on the line has answered again."""
        self._pause_s = PROBE_S_MIN
        self.probe_s = min(self.probe_s, now_s)


class Turn:
    """The schedule of one source: due times a period apart from its own phase, missed scans skipped and counted."""

    def __init__(self, source: Source, first_s: float) -> None:
        self.source = source
        self.due_s = first_s
        self.missed = 0
        self._due_after_s = 0.0  # the scan after a repeated one, 0 if the next is none
        self.late_s = 0.0  # the latest start since someone last looked

    @property
    def deadline_s(self) -> float:
        """The end of the period that is due: earliest deadline goes first."""
        return self.due_s + self.source.group.period_s

    def again(self, at_s: float) -> bool:
        """Read once more at `at_s` if the next scan is not due before; return whether that will be."""
        if at_s >= self.due_s:
            return False
        self.due_s, self._due_after_s = at_s, self.due_s
        return True

    def begin(self, now_s: float) -> int:
        """Start the scan that is due; skip those whose whole period has passed, and return how many."""
        if self._due_after_s:
            self.due_s, self._due_after_s = self._due_after_s, 0.0
            return 0
        period_s = self.source.group.period_s
        skipped = max(0, int((now_s - self.due_s) // period_s))
        self.missed += skipped
        self.late_s = max(self.late_s, now_s - self.due_s - skipped * period_s)
        self.due_s += (skipped + 1) * period_s
        return skipped
