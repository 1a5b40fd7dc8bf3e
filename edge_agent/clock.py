"""The gateway's clock: wall and monotonic time, how far the wall may be off, and every step it makes."""

import ctypes
import time

from twin_wire.readings import Clock, Event

STEP_US = 250_000  # NTP slews away less; more than this within a second of watching is a step
DRIFT_PPM = 600  # the kernel slews by 500 at most
PLAUSIBLE_US = 1_735_689_600_000_000  # 2025-01-01: an earlier wall clock was never set
_STA_PPS = 0x0100  # a pulse per second disciplines the clock, <sys/timex.h>
_STA_UNSYNC = 0x0040
NONE, NTP, GNSS = 0, 1, 2


class SystemClock:
    """What the drivers and the agent tell time by."""

    def time_us(self) -> int:
        """Return the wall time in µs since 1970 UTC."""
        return time.time_ns() // 1_000

    def monotonic_s(self) -> float:
        """Return seconds that never step, in the scale of the event loop's timers."""
        return time.monotonic()

    def monotonic_ms(self) -> int:
        """Return whole ms that never step within a boot of the machine."""
        return time.monotonic_ns() // 1_000_000


class _Timex(ctypes.Structure):
    """`struct timex` as the kernel fills it; only the head is read."""

    _fields_ = (
        ("modes", ctypes.c_uint),
        ("offset", ctypes.c_long),
        ("freq", ctypes.c_long),
        ("maxerror", ctypes.c_long),
        ("esterror", ctypes.c_long),
        ("status", ctypes.c_int),
        ("rest", ctypes.c_long * 40),  # more than any Linux writes
    )


def read_kernel_clock() -> Clock:
    """Return the kernel's own judgement: sync state and error bound in µs; unknown where there is no adjtimex."""
    timex = _Timex()
    try:
        result = ctypes.CDLL(None).adjtimex(ctypes.byref(timex))
    except (OSError, AttributeError):
        return Clock(NONE, -1, 0)
    if result < 0 or timex.status & _STA_UNSYNC:
        return Clock(NONE, -1, 0)
    return Clock(GNSS if timex.status & _STA_PPS else NTP, max(0, int(timex.maxerror)), 0)


class Watch:
    """Compares the wall clock with the monotonic one at every look; says what changed as events for the record."""

    def __init__(self, wall_us: int, mono_us: int, clock: Clock) -> None:
        self._offset_us = wall_us - mono_us
        self._mono_us = mono_us
        self.clock = clock

    def look(self, wall_us: int, mono_us: int, clock: Clock) -> list[Event]:
        """Return a clock_step if the wall jumped since the last look, and a clock_sync if the state changed."""
        events: list[Event] = []
        step_us = wall_us - mono_us - self._offset_us
        if abs(step_us) > STEP_US + (mono_us - self._mono_us) * DRIFT_PPM // 1_000_000:
            text = f"the gateway's clock was set {'ahead' if step_us > 0 else 'back'} by {abs(step_us) / 1e6:.3f} s"
            events.append(_event("clock_step", wall_us, {"step_s": step_us / 1e6}, text))
        if clock.sync != self.clock.sync:
            how = ("not synchronised", "synchronised by NTP", "synchronised by a pulse per second")[clock.sync]
            numbers = {"sync": float(clock.sync), "error_us": float(clock.error_us)}
            events.append(_event("clock_sync", wall_us, numbers, f"the gateway's clock is now {how}"))
        self._offset_us, self._mono_us, self.clock = wall_us - mono_us, mono_us, clock
        return events


def _event(rule: str, time_us: int, numbers: dict[str, float], text: str) -> Event:
    return Event(rule, 0, "", max(time_us, 0), max(time_us, 0) + 1, "clock/1", numbers, text)
