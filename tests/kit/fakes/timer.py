"""A clock for what waits: nobody has to."""


class Timer:
    """Time that passes when somebody sleeps or a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
