"""A market's specification. Together with the commands that clients send, it determines every byte served.

The commissions and fees of real brokers change often, so no cost is on by default. shares.charges books the costs, and
engine.matching explains the fill models.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, get_args

from msgspec import Struct
from msgspec.structs import asdict

from papervenue.market.venue import ALPACA, Venue, problems

FUNDS: Literal["funds"] = "funds"
"""The effective federal funds rate of each day, from the table of rates."""
Rate = Decimal | Literal["funds"]
Posted = Literal["session", "month"]
_ZERO = Decimal(0)
_HIGHEST_BPS, _HIGHEST_USD, _HIGHEST_RATE = 1_000, 1_000, 1
RATE_LINES = "each line of the file holds a date, such as 2025-03-03, and a rate in percent a year"


class Costs(NamedTuple):
    """An account's costs and earnings in addition to prices.

    An order pays `commission_bps` basis points of the value of its fills plus `commission_per_share_usd`. If any part
    of it fills, the total is at least `commission_min_usd`.

    Rates are annual fractions: 0.06 is six percent. `margin_rate` is paid for borrowed cash, `cash_rate` is earned on
    cash, `borrow_fee_rate` is paid on the value of short positions, and `short_rebate_rate` is earned on it. If a rate
    is `funds`, it is each day's federal funds rate, from the file at `rates_path`, plus the corresponding spread, but
    never below zero. Interest accrues each calendar day and is `posted` before each session, or before the first
    session of each month.
    """

    commission_bps: Decimal = _ZERO
    commission_per_share_usd: Decimal = _ZERO
    commission_min_usd: Decimal = _ZERO
    margin_rate: Rate = _ZERO
    margin_spread: Decimal = _ZERO
    cash_rate: Rate = _ZERO
    cash_spread: Decimal = _ZERO
    borrow_fee_rate: Decimal = _ZERO
    short_rebate_rate: Rate = _ZERO
    short_rebate_spread: Decimal = _ZERO
    rates_path: str | None = None
    posted: Posted = "session"

    @property
    def commissions(self) -> bool:
        return any((self.commission_bps, self.commission_per_share_usd, self.commission_min_usd))

    @property
    def interest(self) -> bool:
        return any((self.margin_rate, self.cash_rate, self.borrow_fee_rate, self.short_rebate_rate))

    @property
    def uses_funds(self) -> bool:
        return FUNDS in (self.margin_rate, self.cash_rate, self.short_rebate_rate)


NO_COSTS = Costs()
_AMOUNTS: Mapping[str, int] = {
    "commission_bps": _HIGHEST_BPS,
    "commission_per_share_usd": _HIGHEST_USD,
    "commission_min_usd": _HIGHEST_USD,
    "borrow_fee_rate": _HIGHEST_RATE,
}
_RATES = ("margin_rate", "cash_rate", "short_rebate_rate")
_SPREADS = ("margin_spread", "cash_spread", "short_rebate_spread")
_TEXTS = ("rates_path", "posted")


def costs_fields(costs: Costs) -> dict[str, Any]:
    others = {name: value for name, value in costs._asdict().items() if value != getattr(NO_COSTS, name)}
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in others.items()}


def read_costs(fields: Mapping[str, Any]) -> Costs:
    """Return the costs written by `costs_fields`; raise TypeError, ValueError or ArithmeticError for other input."""
    texts = (*_TEXTS, *(name for name in _RATES if fields.get(name) == FUNDS))
    values: dict[str, Any] = {name: value if name in texts else Decimal(value) for name, value in fields.items()}
    return Costs(**values)


Model = Literal["next-bar", "next-open", "close", "paper"]
MODELS = get_args(Model)
Quotes = Literal["spread", "last"]


class FillSpec(NamedTuple):
    """How orders fill; engine.matching explains the models.

    `spread_bps` is the full spread between bid and ask in basis points of the price. `volume_share` is the part of a
    bar's volume that all orders of a symbol together may fill, and `depth_share` the part of the newest bar's volume
    that is available at the quote; None means unlimited. `partial_rate` is the probability in [0, 1] that a fill is
    only partial. `latency_s` is the delay until cancels and replacements arrive.

    `slippage_bps` is what an order that takes liquidity pays beyond the quote, in basis points of the price. With
    `quotes` "last", bid and ask both equal the last price; with "spread" each is at least a tick away from it.
    """

    model: Model = "next-bar"
    spread_bps: int = 2
    volume_share: Decimal | None = Decimal("0.1")
    depth_share: Decimal | None = None
    partial_rate: Decimal = Decimal(0)
    latency_s: int = 0
    slippage_bps: Decimal = Decimal(0)
    quotes: Quotes = "spread"


NEXT_BAR = FillSpec()
"""The strict model: an order sees only bars that begin after it, and shares a tenth of their volume."""
NEXT_OPEN = FillSpec(model="next-open")
"""The strict model, but an order that is marketable when a bar opens fills completely there."""
CLOSE = FillSpec(model="close")
"""The strict model, but an order that is marketable on arrival fills at once, at the quote around the last price."""
PAPER = FillSpec(model="paper", volume_share=None, partial_rate=Decimal("0.1"))
"""The model that behaves like Alpaca's paper accounts: fills are immediate and of any size; one in ten is partial."""
SPECS: Mapping[str, FillSpec] = MappingProxyType({spec.model: spec for spec in (NEXT_BAR, NEXT_OPEN, CLOSE, PAPER)})
"""The fill models by name, each with its default settings."""
OPTIMISM: Mapping[str, str] = MappingProxyType(
    {
        "next-bar": "your order doesn't move the price, and its share of a bar's volume trades at one price",
        "next-open": "the whole size trades at one print, the open",
        "close": "the price at the decision is still available, for the whole size",
        "paper": "any size fills at once at the quote, and doesn't move it",
    }
)
"""The ways in which each model is optimistic."""


Source = Literal["generated", "csv", "parquet", "daily"]
Stamp = Literal["start", "end"]
Prices = Literal["raw", "adjusted"]
"""How a file of adjusted daily prices is played: as raw ones rebuilt with dividends and splits, or as they are."""
DayPrices = Literal["open-and-close", "close"]
"""What the minutes of a day show: its open first and the rest at the end, or, with a day of look-ahead, all at once."""
DataPlan = Literal["free", "paid"]
"""What the data subscription includes: on the free plan the consolidated feed is 15 minutes late."""

_DEFAULT_SYMBOLS = (
    *("AAPL", "MSFT", "NVDA", "AMZN", "GOOGL", "META", "TSLA", "AMD", "NFLX", "INTC"),
    *("SPY", "QQQ", "IWM", "JPM", "BAC", "XOM", "CVX", "UNH", "WMT", "COIN"),
    "GOOG",
)
TICKER = re.compile(r"[A-Z]{1,6}(\.[A-Z]{1,2})?")
NEW_EXCHANGE = "create another: papervenue serve --folder NEW"
"""The fallback of each hint, which always works."""
_MAX_SESSIONS = 10_000
_DAILY = ("prices", "day_prices")
_MAX_SYMBOLS = 10_000
_MAX_CASH = Decimal(10) ** 12
_SHARES = ("volume_share", "depth_share", "partial_rate")
_EXACT = (*_SHARES, "slippage_bps")
_WIDEST_SPREAD_BPS = 1_000
_LONGEST_LATENCY_S = 3_600
FIRST_YEAR, LAST_YEAR = 2000, 2100
_FIRST_DAILY_YEAR = 1972
_MADE_BY_HAND = "papervenue writes this file: undo the change, or " + NEW_EXCHANGE


class MarketError(ValueError):
    """A market that can't be created or opened; `hint` says what the user can do."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Reading(NamedTuple):
    """How to read a price file where the file itself is ambiguous or wrong; None means to read it as it is.

    `shape` is the name of a shape in the table of `bar_shapes`. `zone` applies to times without a zone. `decimal` is
    point or comma. `symbol` is for a file without a symbol column.
    """

    shape: str | None = None
    zone: str | None = None
    decimal: str | None = None
    symbol: str | None = None


AS_FOUND = Reading()


def reading_of(texts: Sequence[str]) -> Reading:
    """Parse texts such as zone=UTC that say how to read a file; raise MarketError for an unknown name."""
    pairs = [text.partition("=") for text in texts]
    for name, equals, value in pairs:
        met = name in Reading._fields and bool(equals) and bool(value)
        _need(
            met,
            f"{name[:20]!r} is not an option for reading a file",
            "write shape=, zone=, decimal= or symbol=, such as zone=UTC",
        )
    return Reading(**{name: value.upper() if name == "symbol" else value for name, _, value in pairs})


class MarketSpec(Struct, frozen=True, kw_only=True):
    """Where a market's bars come from, its sessions, and how well the flow predicts prices.

    `edge` is a probability in [0, 1]; `cash` is in USD. Recorded sources need `path` and, for minutes, `bar_stamp`;
    without `symbols`, all symbols of the file are used. `prices` and `day_prices` are for daily bars. With
    `corporate_actions`, a generated market has dividends and splits. Raises MarketError if a value is invalid. A
    `venue` other than Alpaca has instruments instead of shares. In a generated market, minutes that end after
    `other_us`, in microseconds since 1970, come from another seed. Without `trends`, a generated market of instruments
    has neither trends nor shocks, and in 24/7 markets, moves don't predict later moves.
    """

    start: date
    source: Source = "generated"
    symbols: tuple[str, ...] = ()
    sessions: int = 5
    seed: int = 7
    edge: float = 0.0
    path: str | None = None
    bar_stamp: Stamp | None = None
    reading: Reading = AS_FOUND
    uw_folder: str | None = None
    cash: Decimal = Decimal(100_000)
    fill: FillSpec = NEXT_BAR
    costs: Costs = NO_COSTS
    corporate_actions: bool = False
    data_plan: DataPlan = "paid"
    prices: Prices = "raw"
    day_prices: DayPrices = "open-and-close"
    venue: Venue = ALPACA
    other_us: int | None = None
    trends: bool = True

    def __post_init__(self) -> None:
        for message, hint in problems(self):
            raise MarketError(message, hint)
        _check_source(self)
        _check_symbols(self)
        _check_ranges(self)
        _check_fill(self.fill)
        _check_costs(self.costs)

    def to_fields(self) -> dict[str, Any]:
        """Return the fields as JSON-compatible values.

        Costs and fill settings that were added later are left out if they have their defaults, because the numbers of
        accounts and orders are derived from these fields.
        """
        exact = {"start": self.start.isoformat(), "cash": str(self.cash), "fill": _fill_fields(self.fill)}
        left_out = set() if self.costs != NO_COSTS else {"costs"}
        # Other markets keep the identity that they had before there were markets of daily bars.
        left_out |= set() if self.source == "daily" else set(_DAILY)
        left_out |= set() if self.venue != ALPACA else {"venue"}
        left_out |= set() if self.other_us is not None else {"other_us"}
        left_out |= set() if self.reading != AS_FOUND else {"reading"}
        left_out |= {"trends"} if self.trends else set()
        exact |= {"costs": costs_fields(self.costs), "venue": self.venue.to_fields()}
        fields = asdict(self) | exact | {"reading": self.reading._asdict()}
        return {name: value for name, value in fields.items() if name not in left_out}

    def to_json(self) -> str:
        """Return the canonical text of this spec."""
        return json.dumps(self.to_fields(), sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> MarketSpec:
        """Read the output of `to_json`; raise MarketError for anything else."""
        try:
            fields = json.loads(text)
        except ValueError as error:
            raise MarketError(f"the market specification is not JSON: {error}", _MADE_BY_HAND) from error
        if not isinstance(fields, dict):
            raise MarketError("the market specification must be a JSON object", _MADE_BY_HAND)
        return cls(**_parse_fields(fields))


def _parse_fields(fields: dict[str, Any]) -> dict[str, Any]:
    unknown = set(fields) - set(MarketSpec.__struct_fields__)
    if unknown:
        raise MarketError(f"unknown market fields: {', '.join(sorted(unknown))}", _MADE_BY_HAND)
    try:
        start = date.fromisoformat(fields["start"])
        cash = Decimal(fields.get("cash", "100000"))
        symbols = tuple(fields.get("symbols", ()))
        fill = _read_fill(fields.get("fill", {}))
        costs, venue = read_costs(fields.get("costs", {})), Venue.from_fields(fields.get("venue", {}))
        reading = Reading(**fields.get("reading", {}))
    except (KeyError, TypeError, ValueError, InvalidOperation) as error:
        raise MarketError(f"the market specification is incomplete or mistyped: {error!r}", _MADE_BY_HAND) from error
    exact = {"start": start, "cash": cash, "symbols": symbols, "fill": fill, "costs": costs, "venue": venue}
    return fields | exact | {"reading": reading}


def _fill_fields(fill: FillSpec) -> dict[str, Any]:
    newer = {name for name in ("slippage_bps", "quotes") if getattr(fill, name) == getattr(NEXT_BAR, name)}
    values = {name: value for name, value in fill._asdict().items() if name not in newer}
    return {name: str(value) if isinstance(value, Decimal) else value for name, value in values.items()}


def _read_fill(fields: dict[str, Any]) -> FillSpec:
    """Read the fill settings; a market from before they existed uses the original model."""
    exact = {name: Decimal(fields[name]) for name in _EXACT if fields.get(name) is not None}
    return FillSpec(**(fields | exact))


def fill_spec(model: str, **knobs: Any) -> FillSpec:
    """Return a fill model with these settings (None keeps the default); raise MarketError if one is invalid."""
    _need_one_of("fill model", model, MODELS)
    changes = {name: value for name, value in knobs.items() if value is not None}
    return SPECS[model]._replace(**changes)


def _need(met: bool, message: str, hint: str) -> None:
    if not met:
        raise MarketError(message, hint)


def _need_one_of(what: str, value: object, allowed: Sequence[str]) -> None:
    listed = f"{', '.join(allowed[:-1])} or {allowed[-1]}"
    _need(value in allowed, f"unknown {what} {value!r}", f"use {listed}")


def _between(value: Decimal, least: int, most: int) -> bool:
    return value.is_finite() and least <= value <= most


def _check_fill(fill: FillSpec) -> None:
    _need_one_of("fill model", fill.model, MODELS)
    for name in _SHARES:
        share = getattr(fill, name)
        met = share is None or _between(share, 0, 1)
        _need(met, f"fill.{name} must be between 0 and 1, not {share}", "0.1 is a tenth")
    fills = fill.volume_share != 0 and fill.depth_share != 0
    _need(fills, "fill.volume_share and fill.depth_share must be above 0", "with 0, nothing would ever fill")
    _need(
        0 <= fill.spread_bps <= _WIDEST_SPREAD_BPS and 0 <= fill.latency_s <= _LONGEST_LATENCY_S,
        f"fill.spread_bps must be from 0 to {_WIDEST_SPREAD_BPS} and fill.latency_s from 0 to {_LONGEST_LATENCY_S}",
        "2 basis points and 0 seconds are the defaults",
    )
    met = _between(fill.slippage_bps, 0, _WIDEST_SPREAD_BPS)
    _need(met, f"fill.slippage_bps must be from 0 to {_WIDEST_SPREAD_BPS}", "5 is a twentieth of a percent")
    _need_one_of("fill.quotes", fill.quotes, get_args(Quotes))


def _check_costs(costs: Costs) -> None:
    for name, most in (*_AMOUNTS.items(), *((name, _HIGHEST_RATE) for name in _RATES)):
        value = getattr(costs, name)
        met = value == FUNDS or _between(value, 0, most)
        _need(met, f"costs.{name} must be from 0 to {most}, not {value}", "a rate of 0.05 is five percent a year")
    for name in _SPREADS:
        spread = getattr(costs, name)
        met = _between(spread, -_HIGHEST_RATE, _HIGHEST_RATE)
        _need(met, f"costs.{name} must be from -1 to 1, not {spread}", "a spread of 0.015 adds 1.5 percentage points")
    _need_one_of("costs.posted", costs.posted, get_args(Posted))
    met = costs.rates_path is not None or not costs.uses_funds
    _need(met, "a rate is set to funds, but costs.rates_path names no file", f"name one; {RATE_LINES}")


def _check_source(spec: MarketSpec) -> None:
    _need_one_of("market source", spec.source, get_args(Source))
    _need_one_of("data plan", spec.data_plan, get_args(DataPlan))
    _need(isinstance(spec.trends, bool), "trends must be true or false", _MADE_BY_HAND)
    is_generated = spec.source == "generated" and not spec.corporate_actions
    met = spec.other_us is None or is_generated or spec.venue.of_months or spec.venue.of_perpetuals
    _need(met, "only a generated market without corporate actions can have another future", "leave out other_us")
    if spec.source == "generated":
        return
    _need(bool(spec.path), f"a {spec.source} market needs the path of a file", "pass --bars FILE")
    if spec.source == "daily":
        met = spec.bar_stamp is None
        _need(met, f"{spec.path} holds daily bars, which have no stamp of a minute", "leave out --bar-stamp")
        _need_one_of("prices", spec.prices, get_args(Prices))
        _need_one_of("day prices", spec.day_prices, get_args(DayPrices))
        return
    _need(
        spec.bar_stamp in get_args(Stamp),
        f"{spec.path}: it isn't clear whether bars are stamped at their start or end",
        "pass --bar-stamp start or --bar-stamp end; a guess would shift every price by a minute",
    )


def _check_symbols(spec: MarketSpec) -> None:
    symbols, named = spec.symbols, bool(spec.symbols) or spec.source != "generated"
    _need(named, "a generated market needs at least one symbol", "name some, such as --symbols AAPL,MSFT")
    few = len(symbols) <= _MAX_SYMBOLS
    _need(few, f"{len(symbols)} symbols; at most {_MAX_SYMBOLS} are allowed", "name fewer --symbols")
    for symbol in symbols:
        met = isinstance(symbol, str) and (symbol in spec.venue.names or TICKER.fullmatch(symbol) is not None)
        _need(met, f"not a ticker: {symbol!r}", "tickers are capital letters, such as AAPL or BRK.B")
    for symbol, times in Counter(symbols).items():
        _need(times == 1, f"the symbol {symbol} is listed twice", "name each of the --symbols once")


def _check_ranges(spec: MarketSpec) -> None:
    met = type(spec.sessions) is int and 1 <= spec.sessions <= _MAX_SESSIONS
    _need(met, f"sessions must be 1 to {_MAX_SESSIONS}, not {spec.sessions!r}", "pass --sessions 5")
    met = type(spec.seed) is int and 0 <= spec.seed < 2**63
    _need(met, f"seed must be a non-negative whole number, not {spec.seed!r}", "pass --seed 7")
    met = isinstance(spec.edge, (int, float)) and 0 <= spec.edge <= 1
    _need(met, f"edge must be between 0 and 1, not {spec.edge!r}", "pass --edge 0 for flow without predictive value")
    met = spec.cash.is_finite() and 0 < spec.cash <= _MAX_CASH
    _need(met, f"cash must be above 0 and at most {_MAX_CASH}, not {spec.cash}", "set sandbox.cash_usd, such as 100000")
    first_year = _FIRST_DAILY_YEAR if spec.source == "daily" else FIRST_YEAR
    _need(
        first_year <= spec.start.year <= LAST_YEAR,
        f"start must be from {first_year} to {LAST_YEAR}, not {spec.start}",
        "pass --start with the date of the first session, such as --start 2025-03-03",
    )


def default_symbols(n: int) -> tuple[str, ...]:
    """Return n tickers: well-known names first, then invented ones (ZAAA, ZAAB, …)."""
    made_up = (_invented_symbol(i) for i in range(max(0, n - len(_DEFAULT_SYMBOLS))))
    return (*_DEFAULT_SYMBOLS[:n], *made_up)


def _invented_symbol(index: int) -> str:
    high, low = divmod(index, 26)
    highest, high = divmod(high, 26)
    return "Z" + "".join(chr(ord("A") + letter) for letter in (highest, high, low))
