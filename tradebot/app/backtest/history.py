"""What happened to one account of an engine, translated once as it grows."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from operator import attrgetter
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from tradebot.app.backtest.translating import activity_of, fill_of
from tradebot.exchange.engine.account import Activity as EngineActivity
from tradebot.exchange.engine.orders import Fill as EngineFill
from tradebot.exchange.times import from_datetime

if TYPE_CHECKING:
    from datetime import datetime

    from tradebot.exchange.engine.account import Account
    from tradebot.model.activity import Activity
    from tradebot.model.order import Fill

T = TypeVar("T")


class Traded(NamedTuple):
    """The price of a symbol's last fill in units, and when it happened."""

    price: int
    at_us: int


class History:
    """The executions and other activities of an account, each list in order of time and then of id."""

    def __init__(self, account: Account) -> None:
        self._account = account
        self._read = 0
        self._fills: list[Fill] = []
        self._fills_us: list[int] = []
        self._others: list[Activity] = []
        self._others_us: list[int] = []
        self.traded: dict[str, Traded] = {}

    def fills(self, after: datetime | None) -> Sequence[Fill]:
        """Return executions later than `after` (all of them if None), oldest first; busts and corrections are none."""
        self.catch_up()
        return self._fills[_after(self._fills_us, after) :]

    def activities(self, after: datetime) -> Sequence[Activity]:
        """Return activities other than executions later than `after`, oldest first."""
        self.catch_up()
        return self._others[_after(self._others_us, after) :]

    def catch_up(self) -> None:
        activities = self._account.activities
        if len(activities) == self._read:
            return
        fills, others = len(self._fills), len(self._others)
        for activity in activities[self._read :]:
            if isinstance(activity, EngineFill):
                self.traded[activity.order.symbol] = Traded(activity.price, activity.at_us)
                self._fills.append(fill_of(activity))
                self._fills_us.append(activity.at_us)
            elif isinstance(activity, EngineActivity):
                self._others.append(activity_of(activity))
                self._others_us.append(activity.at_us)
        self._read = len(activities)
        _sort_from(self._fills, self._fills_us, fills, "activity_id")
        _sort_from(self._others, self._others_us, others, "id")


def _after(times_us: Sequence[int], after: datetime | None) -> int:
    return 0 if after is None else bisect_right(times_us, from_datetime(after))


def _sort_from(rows: list[T], times_us: Sequence[int], new: int, name: str) -> None:
    """Sort the new rows, with the earlier ones of the same moment, by time and then by id."""
    while 0 < new < len(rows) and times_us[new - 1] == times_us[new]:
        new -= 1
    rows[new:] = sorted(rows[new:], key=attrgetter("at", name))
