"""Read a policy's sessions into arrays: its decision times, its observations, and each minute's prices.

Prices are whole ticks and money whole cents, so that nothing is rounded. If the vectorized engine doesn't support a
market, limit or rule, the error names it, and episodes are event-driven instead.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from tradebot.desk.listing_lookup import read_listings
from tradebot.lab.backtest.run import BacktestRun, create_run
from tradebot.lab.learning.environment import TIMETABLE, EpisodeTerms
from tradebot.learning.inference import HIGHEST
from tradebot.model.limits import OF_SHOCKS
from tradebot.model.order import Style
from tradebot.model.struct_tools import replace
from tradebot.venues.ibkr.contracts import root_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from tradebot.lab.learning.training.training_rows import FittedScaling, TrainingRow
    from tradebot.model.bar import Session

OFF = (
    *("max_slippage_fraction", "max_theme_fraction", "max_net_fraction", "max_beta_fraction", "max_concentration"),
    *("max_risk_fraction", "max_stop_loss_usd", "max_open_risk_fraction", "max_basis_fraction", *OF_SHOCKS),
    *("max_cost_fraction", "max_cost_of_stop_fraction", "max_funding_fraction", "min_reward_ratio", "min_edge_ratio"),
    *("max_drawdown_fraction", "min_equity_usd", "max_loss_streak", "loss_cooldown_s", "wash_sale_days"),
    *("max_margin_fraction", "min_free_margin_fraction", "min_liquidation_fraction"),
)

"""Limits that the vectorized engine doesn't support and that must be off."""

HALTS_OFF = ("min_equity_usd", "margin_fraction", "maintenance_fraction", "positions", "symbol_fraction")

MINUTE_S, CENTS = 60, 100

MARGIN_SPARE = Decimal("0.9")

"""The largest margin, as a share of equity, at which margin never refuses an order that other limits allow."""


class EpisodeRules(NamedTuple):
    """The limits that the vectorized engine supports.

    Fractions are of equity, and money is in cents. `entry_offset` is how far an entry's limit price is from the quote,
    as a fraction of the price; `offset` is that or an exit's, whichever is smaller.
    """

    order_fraction: Decimal
    most_cents: int
    least_cents: int
    symbol_fraction: Decimal
    sector_fraction: Decimal
    gross_fraction: Decimal
    contracts: int | None
    order_contracts: int | None
    session_entries: int
    symbol_entries: int
    day_loss: Decimal
    cooldown_s: int
    duplicate_window_s: int
    halt_day_loss: Decimal
    halt_drawdown: Decimal
    entry_offset: Decimal
    offset: Decimal
    collar: Decimal


def rules_of(run: BacktestRun) -> EpisodeRules:
    """Return the limits that apply to a contract."""
    rules = run.made.world.rules
    limits, halts = rules.limits, rules.halts
    return EpisodeRules(
        limits.max_order_fraction,
        int(limits.max_order_notional_usd * CENTS),
        int(limits.min_order_notional_usd * CENTS),
        limits.max_symbol_fraction,
        limits.max_sector_fraction,
        limits.max_gross_fraction,
        limits.max_contracts,
        limits.max_order_contracts,
        limits.max_session_entries,
        limits.max_symbol_entries,
        limits.max_daily_loss_fraction,
        limits.cooldown_s,
        limits.duplicate_window_s,
        halts.daily_loss_fraction,
        halts.drawdown_fraction,
        limits.limit_offset_fraction,
        min(limits.limit_offset_fraction, rules.exits.limit_offset_fraction),
        limits.price_collar_fraction,
    )


def margin_may_bind(run: BacktestRun, symbol: str, rules: EpisodeRules) -> bool:
    """Return True if margin could limit an entry that the limits on a contract's notional allow."""
    levels = read_listings(run.made.world, [symbol])[symbol].margin_levels
    return not levels or max(level.initial for level in levels) * rules.symbol_fraction > MARGIN_SPARE


def unsupported_feature(run: BacktestRun, name: str) -> str | None:
    """Name a feature of a bot with the policy `name` that the vectorized engine doesn't support; None if there is
    none.
    """
    return next(_unknown(run, name), None)


def _unknown(run: BacktestRun, name: str) -> Iterator[str]:
    plan, rules = run.plan, run.made.world.rules
    settings, limits, own = plan.settings, rules.limits, rules.of(name)
    if rules.exits_of(name):
        yield f"strategies.{name} has exits of its own; the vectorized engine supports only exits: []"
    fill = plan.spec.fill
    others = fill.spread_bps, fill.slippage_bps, fill.latency_s, fill.partial_rate, fill.depth_share
    # Marketable orders at a bar's open fill completely, whatever the share of its volume.
    if (fill.model, fill.quotes) != ("next-open", "spread") or any(others):
        yield "orders don't fill at the next minute's open, one tick worse"
    if changed := [job for job, times in TIMETABLE.items() if str(settings.timetable[job]) != times]:
        yield f"timetable.{changed[0]} isn't {TIMETABLE[changed[0]]!r}"
    if set_limits := [each for each in OFF if getattr(limits, each) is not None]:
        yield f"limits.{set_limits[0]} is set"
    if set_halts := [each for each in HALTS_OFF if getattr(rules.halts, each) is not None]:
        yield f"halts.{set_halts[0]} is set"
    if limits.liquid_hours_only:
        yield "limits.liquid_hours_only is true"
    if own.limits != limits or own.allotment_fraction != 1:
        yield f"strategies.{name} has limits or an allotment of its own"
    if any((own.displacement, own.wants, own.approval, own.auction)) or own.execution.style is not Style.MARKETABLE:
        yield f"strategies.{name} needs approval, or doesn't enter by plain marketable limit orders"
    if own.execution.max_quote_share is not None or own.execution.fit_to_room:
        yield "execution.max_quote_share or execution.fit_to_room is set"
    if settings.backtest.unhalt_after_sessions is not None:
        yield "backtest.unhalt_after_sessions is set"
    if limits.max_quote_age_s < MINUTE_S:
        yield "limits.max_quote_age_s is less than a minute"


LOOKS_EVERY, MINUTE_US = 5, 60_000_000

"""Exits are evaluated a minute after each of this many minutes of a session."""


class UnsupportedEpisodeError(Exception):
    """Raised with the reason if the vectorized engine can't run an episode."""


class PolicyMoment(NamedTuple):
    """A time at which the policy decides: the index of its minute, and how much of the session has passed, as a
    fraction.
    """

    at: datetime
    place: int
    gone: float


class EpisodeData(NamedTuple):
    """The data of consecutive sessions in which a root stands for the same contract.

    Indices count minutes of sessions, and each session's last index is its close. `opens` has the first price of each
    minute, and `marks` the last price before it, in ticks; `minutes` are minutes since 1970. `looks` has the indices of
    exit checks. `closes` has the index of each close, and whether the trade date ends there too. `tick` and `fee` are a
    tick's value and the fee per side and contract, and `cash` the initial cash, in cents.
    """

    terms: EpisodeTerms
    symbol: str
    rules: EpisodeRules
    asks: tuple[PolicyMoment, ...]
    shown: NDArray[np.float32]
    opens: tuple[int, ...]
    marks: tuple[int, ...]
    minutes: tuple[int, ...]
    looks: frozenset[int]
    closes: Mapping[int, bool]
    tick: int
    fee: int
    cash: int

    @property
    def ends(self) -> datetime:
        """Return when the last session closes."""
        return datetime.fromtimestamp(self.minutes[-1] * MINUTE_S, UTC)


class _Minutes(NamedTuple):
    """The minutes of some sessions in a row, as in an episode's data."""

    opens: list[int]
    marks: list[int]
    minutes: list[int]
    begins: list[int]
    closes: list[int]


def tapes_of(terms: EpisodeTerms, scaling: FittedScaling, rows: Sequence[TrainingRow]) -> tuple[EpisodeData, ...]:
    """Build the policy's data from these rows: one object for each series of consecutive sessions with the same
    contract.

    Raise UnsupportedEpisodeError if the vectorized engine doesn't support it.
    """
    if terms.flat_overnight:
        raise UnsupportedEpisodeError("episodes that end with their session (flat_overnight) aren't supported")
    run = create_run(terms.plan, [])
    try:
        if why := unsupported_feature(run, terms.name):
            raise UnsupportedEpisodeError(why)
        return tuple(_tape(terms, scaling, run, part) for part in _stretches(run, rows))
    finally:
        run.made.close()


def _stretches(run: BacktestRun, rows: Sequence[TrainingRow]) -> Iterator[Sequence[TrainingRow]]:
    """Yield consecutive rows without a change of contract or a session without rows."""
    opens = [session.open for session in run.made.sessions]
    part: list[TrainingRow] = []
    for row in rows:
        if part and part[-1].symbol != row.symbol:
            yield part
            part = []
        elif part and bisect_right(opens, row.at) - bisect_right(opens, part[-1].at) > 1:
            raise UnsupportedEpisodeError("a session has no bar with every feature")
        part.append(row)
    yield part


def _tape(terms: EpisodeTerms, scaling: FittedScaling, run: BacktestRun, rows: Sequence[TrainingRow]) -> EpisodeData:
    sessions = [session for session in run.made.sessions if session.close > rows[0].at and session.open <= rows[-1].at]
    symbol = rows[0].symbol
    minutes, root = _minutes(run, symbol, sessions), root_of(symbol)
    fee = run.made.engine.market.grids[symbol].instrument.contract_fee
    assert fee is not None, "a contract has a commission"
    rules = rules_of(run)
    _require_fillable(minutes, rules)
    if margin_may_bind(run, symbol, rules):
        raise UnsupportedEpisodeError("margin may run short before limits.max_symbol_fraction is reached")
    tick, of = root.tick * root.multiplier, replace(terms, first=sessions[0].date, last=sessions[-1].date)
    looks = frozenset(_places(minutes))
    return EpisodeData(
        of,
        symbol,
        rules,
        tuple(_asks(rows, sessions, minutes.begins)),
        _scaled_features(scaling, rows),
        tuple(minutes.opens),
        tuple(minutes.marks),
        tuple(minutes.minutes),
        looks,
        dict(zip(minutes.closes, _ends_of_days(run, sessions), strict=True)),
        _cents(tick),
        _cents(fee),
        _cents(run.made.ledger.opening_cash()),
    )


def _places(minutes: _Minutes) -> Iterator[int]:
    """Yield the indices of exit checks."""
    for begins, close in zip(minutes.begins, minutes.closes, strict=True):
        yield from range(begins + 1, close, LOOKS_EVERY)


def _ends_of_days(run: BacktestRun, sessions: Sequence[Session]) -> list[bool]:
    day = run.plan.settings.day.knowing(run.made.sessions)
    days = [day.trade_date(session.date) for session in sessions]
    return [day != after for day, after in zip(days, [*days[1:], None], strict=True)]


def _cents(usd: Decimal) -> int:
    if usd * CENTS % 1:
        raise UnsupportedEpisodeError(f"{usd:f} USD are not whole cents")
    return int(usd * CENTS)


def _minutes(run: BacktestRun, symbol: str, sessions: Sequence[Session]) -> _Minutes:
    """Return the prices of each minute; raise UnsupportedEpisodeError if a minute has no bar, or a price is between
    ticks.
    """
    market, tick = run.made.engine.market, root_of(symbol).tick
    grid, places = market.grids[symbol], {session.open: index for index, session in enumerate(run.made.sessions)}
    minutes = _Minutes([], [], [], [], [])

    def ticks(units: int) -> int:
        count = grid.usd(units) / tick
        if count % 1:
            raise UnsupportedEpisodeError(f"{grid.usd(units)} is between two ticks of {tick}")
        return int(count)

    for session in sessions:
        bars = market.day(symbol, places[session.open]).bars
        first, last = (int(at.timestamp()) // MINUTE_S for at in (session.open, session.close))
        if [bar.start_us for bar in bars] != [minute * MINUTE_US for minute in range(first, last)]:
            raise UnsupportedEpisodeError(f"{symbol} has minutes without a bar on {session.date}")
        minutes.begins.append(len(minutes.opens))
        opens, ends = [ticks(bar.open) for bar in bars], [ticks(bar.close) for bar in bars]
        # Nothing happens before the first bar has closed, so the previous session's last price doesn't matter.
        minutes.opens.extend([*opens, ends[-1]])
        minutes.marks.extend([opens[0], *ends])
        minutes.minutes.extend(range(first, last + 1))
        minutes.closes.append(len(minutes.opens) - 1)
    return minutes


def _require_fillable(minutes: _Minutes, rules: EpisodeRules) -> None:
    """Raise UnsupportedEpisodeError if a minute opens beyond the limit of an order sent just before it."""
    edges, lowest = {*minutes.closes, *minutes.begins}, min(minutes.marks)
    for index, (opened, mark) in enumerate(zip(minutes.opens, minutes.marks, strict=True)):
        if index not in edges and abs(opened - mark) > int(rules.offset * lowest) - 1:
            raise UnsupportedEpisodeError("a minute opens farther from the one before than an order's limit allows")
    for before, begins, close in zip([None, *minutes.closes], minutes.begins, minutes.closes, strict=False):
        marks = minutes.marks[begins + 1 : close + 1]
        base = minutes.marks[begins if before is None else before]
        if max(abs(Decimal(mark) / base - 1) for mark in marks) + rules.offset >= rules.collar:
            raise UnsupportedEpisodeError("a price moves as far as limits.price_collar_fraction allows")


def _asks(rows: Sequence[TrainingRow], sessions: Sequence[Session], begins: Sequence[int]) -> Iterator[PolicyMoment]:
    opens = [session.open for session in sessions]
    for row in rows:
        index = bisect_right(opens, row.at) - 1
        session = sessions[index]
        since = row.at - session.open
        if since % timedelta(minutes=LOOKS_EVERY):
            raise UnsupportedEpisodeError(f"the policy decides at {row.at:%H:%M}, which is not the end of a bar")
        minutes, length = since // timedelta(minutes=1), session.close - session.open
        yield PolicyMoment(row.at, begins[index] + minutes, max(since / length, 0.0))


def _scaled_features(scaling: FittedScaling, rows: Sequence[TrainingRow]) -> NDArray[np.float32]:
    """Return the features of each row, scaled as an observation has them."""
    raw = np.array([[row.values[name] for name in scaling.names] for row in rows], dtype=np.float64)
    scaled: NDArray[np.float32] = np.clip((raw - scaling.means) / scaling.deviations, -HIGHEST, HIGHEST).astype(
        np.float32
    )
    return scaled
