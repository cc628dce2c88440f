"""The measured rules written for backtrader and backtesting.py, which share no code with this project.

`python -m benchmarks.support.foreign backtrader rotation --bars days.csv --from 2010-01-04 --to 2020-01-03` plays one.
Orders are whole shares. A day's orders are sized and filled at its open; those of a minute are sized at its close and
filled at the next open.
"""

import argparse
import warnings
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from statistics import fmean, pstdev
from typing import Any, NamedTuple

import backtesting
import pandas as pd

with warnings.catch_warnings():
    # Its docstrings contain backslashes of which Python warns when it compiles them.
    warnings.simplefilter("ignore")
    import backtrader as bt

CASH, LOAN = 100_000.0, 100_000.0
"""The starting cash in USD, and the amount that can be borrowed; the other engines don't lend to buyers of shares."""
FAST, SLOW, WINDOW, FAR, LOOKBACK = 20, 100, 12, 2, 126
SHARE, HALF = 0.98, 0.5
"""The fractions of the equity that the rules hold."""
MINUTE = pd.Timedelta(minutes=1)


class Fill(NamedTuple):
    """One fill: the start of its bar, in UTC for minutes, and its quantity, which is negative for a sale."""

    at: datetime
    symbol: str
    quantity: int
    price: Decimal


def _fill(at: datetime, symbol: str, quantity: float, price: float) -> Fill:
    return Fill(at, symbol, int(quantity), round(Decimal(price), 4))


class Played(NamedTuple):
    """A run: each symbol's prices by the start of their bars, its first session, and a rule's settings.

    `refuge` is held if no fund has gained.
    """

    frames: Mapping[str, pd.DataFrame]
    first: date
    top: int = 3
    leverage: float = 1.25
    refuge: str | None = None


def read(path: Path, last: date) -> dict[str, pd.DataFrame]:
    """Return the prices of a CSV file up to a date, rounded to 0.0001 USD, by symbol in the order of the file."""
    rows = pd.read_csv(path)
    stamp = "date" if "date" in rows else "ts"
    rows = rows[rows[stamp] < f"{last}T99"]
    rows.index = pd.to_datetime(rows[stamp]).dt.tz_localize(None)
    prices = rows[["open", "high", "low", "close"]].round(4).assign(volume=rows["volume"])
    return {str(symbol): frame for symbol, frame in prices.groupby(rows["symbol"], sort=False)}


def shares(usd: float, price: float) -> int:
    """Return how many whole shares an amount buys; a negative amount sells short."""
    return int(round(usd / price, 9))


def distance(closes: Sequence[float]) -> float:
    """Return how many standard deviations the last close is above the mean of all."""
    deviation = pstdev(closes)
    return (closes[-1] - fmean(closes)) / deviation if deviation else 0.0


def decision_minutes(index: pd.DatetimeIndex) -> frozenset[datetime]:
    """Return the minutes after which the rule of minutes runs: each fifth of a session, but not its first and last."""
    begun = index.to_series()
    sessions = begun.groupby(index.date)
    since, before_end = begun - sessions.transform("min") + MINUTE, sessions.transform("max") - begun
    return frozenset(index[(since % (5 * MINUTE) == 0 * MINUTE) & (since >= 60 * MINUTE) & (before_end > 30 * MINUTE)])


class _Rule(bt.Strategy):  # type: ignore[misc]
    params = (("played", None),)

    def __init__(self) -> None:
        self.fills: list[Fill] = []

    def notify_order(self, order: Any) -> None:
        assert order.status not in (order.Margin, order.Rejected, order.Canceled), order
        if order.status == order.Completed:
            done = order.executed
            self.fills.append(_fill(bt.num2date(done.dt), order.data._name, done.size, done.price))

    def order_to(self, targets: Mapping[Any, int]) -> None:
        """Order the differences to the target holdings, sales first."""
        changes = {data: size - self.getposition(data).size for data, size in targets.items()}
        for data, change in sorted(changes.items(), key=lambda each: each[1]):
            if change:
                (self.buy if change > 0 else self.sell)(data, size=abs(change))


class _Days(_Rule):
    def next_open(self) -> None:
        if self.data.datetime.date(0) < self.p.played.first:
            return
        value = self.broker.getcash() - LOAN + sum(self.getposition(d).size * d.open[0] for d in self.datas)
        self.order_to({data: shares(part * value, data.open[0]) for data, part in self.parts().items()})

    def parts(self) -> Mapping[Any, float]:
        """Return the fraction of the equity to hold of each symbol; unnamed symbols don't change."""
        raise NotImplementedError


class _Hold(_Days):
    def parts(self) -> Mapping[Any, float]:
        return {} if self.position.size else {self.data: SHARE}


class _Crossing(_Days):
    def __init__(self) -> None:
        super().__init__()
        self.lead = bt.ind.SMA(self.data.close, period=FAST) - bt.ind.SMA(self.data.close, period=SLOW)

    def parts(self) -> Mapping[Any, float]:
        # At an open, prices are the new session's already, but figures computed from them are still the last session's.
        above = round(self.lead[0], 6) > 0
        return {} if above == bool(self.position.size) else {self.data: SHARE if above else 0.0}


class _Rotation(_Days):
    def parts(self) -> Mapping[Any, float]:
        if self.data.datetime.date(0).month == self.data.datetime.date(-1).month:
            return {}
        terms = self.p.played
        # Compared by name: between price series, `==` and therefore `in` compare values.
        gains = {data._name: data.close[-1] / data.close[-1 - LOOKBACK] - 1 for data in self.datas}
        ranked = sorted((name for name in gains if name != terms.refuge), key=lambda name: -gains[name])
        chosen = [name for name in ranked[: terms.top] if gains[name] >= 0] or [terms.refuge]
        return {data: terms.leverage / len(chosen) if data._name in chosen else 0.0 for data in self.datas}


class _Reversion(_Rule):
    def __init__(self) -> None:
        super().__init__()
        self.decision_times = decision_minutes(self.p.played.frames[self.data._name].index)

    def next(self) -> None:
        begun = self.data.datetime.datetime(0)
        if begun.date() < self.p.played.first or begun not in self.decision_times:
            return
        far = distance([self.data.close[-5 * back] for back in range(WINDOW - 1, -1, -1)])
        size = wanted(far, int(self.position.size), self.broker.getvalue() - LOAN, self.data.close[0])
        self.order_to({self.data: size})


def wanted(far: float, size: int, value: float, price: float) -> int:
    """Return the target position of the rule of minutes: against a price far from its mean, until it is back."""
    if size:
        return 0 if far * size >= 0 else size
    return shares(-HALF * value if far > 0 else HALF * value, price) if abs(far) >= FAR else 0


class _Asked(backtesting.Strategy):  # type: ignore[misc]
    played = Played({}, date.max)

    def init(self) -> None:
        """Compute no indicator: the rules read closes."""

    def next(self) -> None:
        if self.data.index[-1].date() >= self.played.first:
            change = self.target_shares() - self.position.size
            if change:
                # `position.close()` waits for the next bar's open, whatever `trade_on_close` says.
                (self.buy if change > 0 else self.sell)(size=abs(change))

    def target_shares(self) -> int:
        """Return the shares to hold."""
        raise NotImplementedError


class _AskedDays(_Asked):
    def target_shares(self) -> int:
        """Return the shares to hold at the open, whose bar precedes that of the close."""
        if len(self.data) % 2 == 0:
            return int(self.position.size)
        part = self.part(self.data.Close[1:-1:2])
        return int(self.position.size) if part is None else shares(part * self.equity, self.data.Close[-1])

    def part(self, closes: Sequence[float]) -> float | None:
        """Return the fraction of the equity to hold, by the closes of all earlier sessions; None for no change."""
        raise NotImplementedError


class _HoldPy(_AskedDays):
    def part(self, closes: Sequence[float]) -> float | None:
        return None if self.position else SHARE


class _CrossingPy(_AskedDays):
    def part(self, closes: Sequence[float]) -> float | None:
        above = round(fmean(closes[-FAST:]) - fmean(closes[-SLOW:]), 6) > 0
        return None if above == bool(self.position) else SHARE if above else 0.0


class _ReversionPy(_Asked):
    def init(self) -> None:
        (frame,) = self.played.frames.values()
        self.decision_times = decision_minutes(frame.index)

    def target_shares(self) -> int:
        if self.data.index[-1] not in self.decision_times:
            return int(self.position.size)
        closes = self.data.Close
        far = distance([closes[-1 - 5 * back] for back in range(WINDOW - 1, -1, -1)])
        return wanted(far, int(self.position.size), self.equity, closes[-1])


BACKTRADER = {"hold": _Hold, "crossing": _Crossing, "rotation": _Rotation, "reversion": _Reversion}
BACKTESTING = {"hold": _HoldPy, "crossing": _CrossingPy, "reversion": _ReversionPy}
RULES: Mapping[str, Mapping[str, Any]] = {"backtrader": BACKTRADER, "backtesting.py": BACKTESTING}
"""The rules by name; backtesting.py has a single symbol, so it has no rotation."""


def by_backtrader(rule: str, played: Played) -> list[Fill]:
    """Play a rule in backtrader; orders of a rule of days see the open at which they fill."""
    engine = bt.Cerebro(stdstats=False, cheat_on_open=issubclass(BACKTRADER[rule], _Days))
    for symbol, frame in played.frames.items():
        engine.adddata(bt.feeds.PandasData(dataname=frame, openinterest=None), name=symbol)
    engine.broker.setcash(CASH + LOAN)
    # It would check orders at their day's close, before it knows that sales come first.
    engine.broker.set_checksubmit(False)
    engine.addstrategy(BACKTRADER[rule], played=played)
    fills: list[Fill] = engine.run()[0].fills
    return fills


def by_backtesting(rule: str, played: Played) -> list[Fill]:
    """Play a rule in backtesting.py; a rule of days has two bars for each session, its open and its close."""
    ((symbol, frame),) = played.frames.items()
    days = issubclass(BACKTESTING[rule], _AskedDays)
    bars = (_halves(frame) if days else frame).rename(columns=str.capitalize)
    engine = backtesting.Backtest(bars, BACKTESTING[rule], cash=CASH, trade_on_close=days)
    with warnings.catch_warnings():
        # Positions are left open, as ours are; and its statistics use functions that pandas 3.1 deprecates.
        warnings.filterwarnings("ignore", "Some trades remain open|DatetimeIndex.dayofweek")
        done = engine.run(played=played)["_strategy"]
    trades = [*done.closed_trades, *done.trades]
    entered = [_fill(each.entry_time.to_pydatetime(), symbol, each.size, each.entry_price) for each in trades]
    exits = [_fill(each.exit_time.to_pydatetime(), symbol, -each.size, each.exit_price) for each in done.closed_trades]
    return sorted(entered + exits)


def _halves(frame: pd.DataFrame) -> pd.DataFrame:
    at_open = frame.assign(high=frame["open"], low=frame["open"], close=frame["open"])
    at_close = frame.set_index(frame.index + pd.Timedelta(hours=1))
    return pd.concat([at_open, at_close]).sort_index()


ENGINES = {"backtrader": by_backtrader, "backtesting.py": by_backtesting}


def main() -> None:
    """Play a rule on the prices of a file, and print its number of fills."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("engine", choices=ENGINES)
    parser.add_argument("rule", choices=BACKTRADER)
    parser.add_argument("--bars", type=Path, required=True)
    parser.add_argument("--from", type=date.fromisoformat, required=True, dest="first")
    parser.add_argument("--to", type=date.fromisoformat, required=True, dest="last")
    parser.add_argument("--top", type=int, default=3)
    parser.add_argument("--leverage", type=float, default=1.25)
    parser.add_argument("--refuge")
    # Options of ours that have no meaning here are ignored.
    options, _ = parser.parse_known_args()
    played = Played(read(options.bars, options.last), options.first, options.top, options.leverage, options.refuge)
    print(f"{len(ENGINES[options.engine](options.rule, played)):,} fills")


if __name__ == "__main__":
    main()
