"""Keep a budget of requests per minute on our side, so that the service never has to refuse."""

import time
from collections.abc import Callable


class TokenBucket:
    """Lets `burst` requests through at once and `per_minute` in the long run; waits for the rest."""

    def __init__(
        self,
        per_minute: float,
        burst: int,
        *,
        monotonic: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate_s = per_minute / 60
        self._burst = float(burst)
        self._tokens = float(burst)
        self._monotonic = monotonic
        self._sleep = sleep
        self._last = monotonic()

    def take(self) -> None:
        """Take one token, waiting until there is one; the wait is at most one token's interval."""
        now = self._monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._last) * self._rate_s)
        self._last = now
        if self._tokens < 1:
            self._sleep((1 - self._tokens) / self._rate_s)
        self._tokens -= 1
