"""Learned answer times of one unit: how long to wait for it, and what a request to it costs."""

ALLOWANCE_S_MIN = 0.25  # a busy gateway or a collecting USB adapter can hold an answer this long
DECLARED_FACTOR = 2.0  # a device is never given up before twice the answer time that its profile declares
PEAK_FACTOR = 3.0
PEAK_DECAY = 0.98  # per answer: a single slow one is remembered for about a hundred
MEAN_WEIGHT = 0.1
ANSWERS_TO_TRUST = 3


class Turnaround:
    """Time from the last byte sent to the first byte received, as seen lately."""

    def __init__(self, declared_s: float, timeout_s: float, least_s: float = 0.0) -> None:
        self.mean_s = declared_s  # what the planner reckons with
        self.timeout_s = max(timeout_s, least_s)  # the longest the unit's profile, or the installer, allows
        self._floor_s = max(ALLOWANCE_S_MIN, DECLARED_FACTOR * declared_s, least_s)
        self._peak_s = 0.0
        self._answers = 0
        self._failures = 0

    @property
    def allowance_s(self) -> float:
        """Return how long to wait for a first byte: near the slowest seen, doubled per failure, at most the limit."""
        if self._answers < ANSWERS_TO_TRUST:
            return self.timeout_s
        learned = max(self._floor_s, PEAK_FACTOR * self._peak_s)
        return float(min(self.timeout_s, learned * 2.0 ** min(self._failures, 16)))

    def answered(self, seconds: float) -> None:
        """Learn from an answer."""
        self._peak_s = max(seconds, self._peak_s * PEAK_DECAY)
        self.mean_s = seconds if self._answers == 0 else self.mean_s + MEAN_WEIGHT * (seconds - self.mean_s)
        self._answers += 1
        self._failures = 0

    def failed(self) -> None:
        """Learn from silence."""
        self._failures += 1
