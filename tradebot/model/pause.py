"""A time in which nothing looked for due slots although time went on."""

from datetime import datetime

from msgspec import Struct

from tradebot.model.text import counted

MINUTE_S = 60


class Pause(Struct, frozen=True):
    """When it began and ended, and how many seconds of it the machine slept, by two clocks: one of them slept too."""

    began: datetime
    ended: datetime
    slept_s: float

    def __str__(self) -> str:
        seconds = (self.ended - self.began).total_seconds()
        what = "the machine slept" if self.slept_s > seconds / 2 else "this process was stopped"
        span = f"from {self.began:%Y-%m-%d %H:%M:%S} to {self.ended:%Y-%m-%d %H:%M:%S} UTC"
        return f"{what} for {counted(round(seconds / MINUTE_S), 'minute')}, {span}: comparing books and broker first"
