"""How often something may be tried: sliding windows for sign-in, token buckets for posts; bounded in memory."""

from collections import OrderedDict, deque
from collections.abc import Hashable

KEYS_MAX = 10_000


class Attempts:
    """Counts failures per key within a window; the oldest key is forgotten beyond KEYS_MAX."""

    def __init__(self, most: int, window_us: int) -> None:
        self._most = most
        self._window_us = window_us
        self._times: OrderedDict[Hashable, deque[int]] = OrderedDict()

    def wait_us(self, key: Hashable, now_us: int) -> int:
        """Return how long the key has to wait before the next attempt, 0 for not at all."""
        times = self._times.get(key)
        if times is None:
            return 0
        while times and times[0] <= now_us - self._window_us:
            times.popleft()
        return times[0] + self._window_us - now_us if len(times) >= self._most else 0

    def failed(self, key: Hashable, now_us: int) -> None:
        """Count one failure."""
        self._times.setdefault(key, deque(maxlen=self._most)).append(now_us)
        self._times.move_to_end(key)
        while len(self._times) > KEYS_MAX:
            self._times.popitem(last=False)

    def succeeded(self, key: Hashable) -> None:
        """Forget the failures of a key."""
        self._times.pop(key, None)


class Pace:
    """A token bucket per key: `rate_per_s` in the long run, `burst` at once."""

    def __init__(self, rate_per_s: float, burst: float) -> None:
        self._rate_per_s = rate_per_s
        self._burst = burst
        self._buckets: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()  # tokens, when counted

    def take(self, key: Hashable, now_us: int) -> float:
        """Take one token; return 0, or the seconds until there is one."""
        tokens, then_us = self._buckets.get(key, (self._burst, now_us))
        tokens = min(self._burst, tokens + max(0, now_us - then_us) * 1e-6 * self._rate_per_s)
        wait_s = 0.0 if tokens >= 1 else (1 - tokens) / self._rate_per_s
        self._buckets[key] = (tokens - 1 if tokens >= 1 else tokens, now_us)
        self._buckets.move_to_end(key)
        while len(self._buckets) > KEYS_MAX:
            self._buckets.popitem(last=False)
        return wait_s
