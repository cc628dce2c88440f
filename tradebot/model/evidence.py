"""A backtest's results besides its books: trials of its strategy, variants of it, and interest rates by date."""

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct


class VariantKind(StrEnum):
    """What was changed to play a backtest again."""

    COSTS = "costs"
    DELAY = "delay"
    REBALANCE_DAY = "rebalance day"
    OTHER = "other"


class Variant(Struct, frozen=True):
    """The result of a backtest that was played again with one thing changed; `name` says what, such as "costs x2".

    `total_return` and `max_drawdown` are fractions, the latter zero or below. `cagr` is a fraction per year and
    `sharpe` per year too; they are None if there are too few sessions.
    """

    kind: VariantKind
    name: str
    sessions: int
    trades: int
    total_return: float
    max_drawdown: float
    cagr: float | None = None
    sharpe: float | None = None


class Trials(Struct, frozen=True):
    """How many different settings and versions of the code of a strategy were played, this one included.

    `sharpes` are their Sharpe ratios per year, as far as they are known.
    """

    count: int
    sharpes: tuple[float, ...] = ()


class DatedRate(Struct, frozen=True):
    """What money costs from a day on, as a fraction per year: 0.05 is five percent."""

    day: date
    yearly: float


class DayPrice(Struct, frozen=True):
    """The open and the close of a session in USD, adjusted for splits and dividends."""

    day: date
    open: float
    close: float


class BacktestRefusals(Struct, frozen=True):
    """How many candidates of a backtest ended for a reason."""

    reason: str
    count: int


class Unrecorded(Struct, frozen=True):
    """What the records of a backtest lack: with a `recorder` of none all candidates, otherwise those not sent.

    `refused` counts the candidates that weren't sent, the most frequent reason first; with none, nobody counted.
    """

    recorder: str
    refused: tuple[BacktestRefusals, ...] = ()


class Evidence(Struct, frozen=True):
    """What is known about a backtest besides its books.

    `cash_rates` are sorted by date. Borrowed cash costs `borrowing_yearly` or, if that is None, `borrowing_spread` more
    than they say; both are fractions per year.
    `benchmark` are the prices of SPY in the market that was played, because nothing serves that market afterwards;
    without any, `no_benchmark` says why in a sentence. Where it isn't SPY, `benchmark_name` says what it is and
    `benchmark_how` how that is held. `last_prices` are those of all symbols at the end, in USD, if somebody asks for
    them later. `unrecorded` is None if every candidate was recorded.
    """

    trials: Trials | None = None
    variants: tuple[Variant, ...] = ()
    cash_rates: tuple[DatedRate, ...] = ()
    borrowing_spread: float = 0.0
    borrowing_yearly: float | None = None
    benchmark: tuple[DayPrice, ...] = ()
    no_benchmark: str = ""
    benchmark_name: str = ""
    benchmark_how: str = ""
    last_prices: Mapping[str, Decimal] = {}
    unrecorded: Unrecorded | None = None


NO_EVIDENCE = Evidence()
