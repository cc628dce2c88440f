"""Compute a backtest's results from its books and passes: figures, halts, and how well targets were reached."""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import date, datetime
from decimal import ROUND_CEILING, Decimal
from itertools import chain, pairwise, zip_longest

from msgspec import Struct

from tradebot.lab.performance.returns import SESSIONS_PER_YEAR
from tradebot.lab.performance.statistics import drawdowns_deepest_first, sharpe
from tradebot.model.account import CashKind, CashMovement
from tradebot.model.candidate import WantKind
from tradebot.model.position import Key, OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.record import CandidateRecord, CycleRecord, SessionEnd
from tradebot.model.sentences import pluralize
from tradebot.model.trading import TradingState, TradingStateRecord
from tradebot.ports.world import Rules
from tradebot.views.trades.fees import cash_kind
from tradebot.views.trades.lots import trades

SHOWN = 3
PERCENT = Decimal("0.01")
ZERO = Decimal(0)
Rebalance = tuple[str, date, str]
"""A strategy, and the session and name of its slot; without a clock of its own, each session is one rebalance."""
Wanted = Mapping[str, Decimal]
"""By symbol, the largest position that a strategy proposed, as an unsigned share of equity."""


class Targets(Struct, frozen=True):
    """How many rebalances reached or fully ordered their targets, and what stopped the others.

    `stopped` counts the other rebalances by what refused a symbol in their last pass. `fitting` has the limits that
    were too low there, with values that would have been enough. `said` describes all of this in sentences.
    """

    reached: int
    rebalances: int
    stopped: dict[str, int]
    fitting: dict[str, Decimal]
    without_sector: tuple[str, ...]
    said: tuple[str, ...]


def targets(cycles: Iterable[CycleRecord], filled: Mapping[str, Decimal], rules: Rules) -> Targets | None:
    """Return how well passes reached their targets; None without targets.

    The passes are in order, oldest first. `filled` has the filled shares by client order id.
    """
    wanted_by_slot, stopped, fitting = dict[str, Wanted](), Counter[str](), dict[str, Decimal]()
    by_rebalance, without, reached = _last_passes(cycles), dict[str, None](), 0
    for (strategy, *_), records in by_rebalance.items():
        wanted_by_slot[strategy] = {name: _largest_share(record, rules) for name, record in records.items()}
        ends = [(name, record.terminal) for name, record in records.items() if not _is_reached(record, filled)]
        reached += not ends
        stopped.update({str(end.reason) if end else "NOT_FILLED" for _, end in ends})
        without |= dict.fromkeys(name for name, end in ends if end and end.reason is Reason.SECTOR_UNKNOWN)
        if ends:
            for name, value in _lacking(strategy, wanted_by_slot, rules):
                fitting[name] = max(value, fitting.get(name, ZERO))
    if not by_rebalance:
        return None
    counts, names = dict(stopped.most_common()), tuple(sorted(without))
    sentences = tuple(_reach_notes(reached, len(by_rebalance), counts, fitting, names))
    return Targets(reached, len(by_rebalance), counts, fitting, names, sentences)


def _last_passes(cycles: Iterable[CycleRecord]) -> Mapping[Rebalance, Mapping[str, CandidateRecord]]:
    by_rebalance = defaultdict[Rebalance, dict[str, CandidateRecord]](dict)
    for cycle in cycles:
        for record in cycle.candidates:
            rated = record.candidate
            if rated.want is WantKind.TARGET:
                by_rebalance[rated.strategy, rated.slot_session or cycle.session, rated.slot][rated.symbol] = record
    return by_rebalance


def _is_reached(record: CandidateRecord, filled: Mapping[str, Decimal]) -> bool:
    if record.client_order_id is not None:
        return filled.get(record.client_order_id) == record.candidate.quantity
    return record.terminal is not None and record.terminal.reason in (Reason.TARGET_REACHED, Reason.SHADOW)


def _largest_share(record: CandidateRecord, rules: Rules) -> Decimal:
    """Return the largest share of equity that a target may take; a target in shares isn't compared with limits."""
    own, weight = rules.of(record.candidate.strategy), abs(record.candidate.weight or ZERO)
    # An excess within the tolerance isn't sold.
    return (weight + own.limits.target_tolerance_fraction) * own.allotment_fraction if weight else ZERO


def _lacking(strategy: str, wanted_by_slot: Mapping[str, Wanted], rules: Rules) -> Iterator[tuple[str, Decimal]]:
    """Yield limits of the account or the strategy that are below its targets, and the values that would fit."""
    own, walls = rules.of(strategy), rules.limits
    # An order's limit price is above the price from which the shares were computed.
    room = 1 + walls.limit_offset_fraction + walls.max_spread_fraction
    for name, size in _sizes(wanted_by_slot.values(), rules.sectors).items():
        if size * room > getattr(walls, name):
            yield f"limits.{name}", (size * room).quantize(PERCENT, ROUND_CEILING)
    for name, size in _sizes([wanted_by_slot[strategy]], rules.sectors).items():
        limit = getattr(own.limits, name) * own.allotment_fraction
        if limit < getattr(walls, name) and size * room > limit:
            fitting = size * room / own.allotment_fraction
            yield f"strategies.{strategy}.limits.{name}", fitting.quantize(PERCENT, ROUND_CEILING)


def _sizes(wants: Iterable[Wanted], sectors: Mapping[str, str]) -> Mapping[str, Decimal]:
    """Return the largest share in one symbol, in one sector, and in total, by the limit on each."""
    of_symbol, of_sector = defaultdict[str, Decimal](Decimal), defaultdict[str, Decimal](Decimal)
    for symbol, share in chain.from_iterable(each.items() for each in wants):
        of_symbol[symbol] += share
        of_sector[sectors.get(symbol, symbol)] += share
    return {
        "max_symbol_fraction": max(of_symbol.values(), default=ZERO),
        "max_sector_fraction": max(of_sector.values(), default=ZERO),
        "max_gross_fraction": sum(of_symbol.values(), ZERO),
    }


def _reach_notes(
    reached: int, rebalances: int, stopped: Mapping[str, int], fitting: Mapping[str, Decimal], without: Iterable[str]
) -> Iterator[str]:
    yield f"reached in {reached:,} of {pluralize(rebalances, 'rebalance')}"
    if stopped:
        most = [f"{reason} in {count:,}" for reason, count in stopped.items()]
        more = f", and {len(most) - SHOWN} more reasons" if len(most) > SHOWN + 1 else ""
        yield f"stopped by {', '.join(most[: SHOWN if more else SHOWN + 1])}{more}"
    if fitting:
        yield f"to fit them, set {', '.join(f'{name}: {value}' for name, value in fitting.items())}"
    if names := ", ".join(without):
        yield f"never bought, because they have no sector: {names}; add each one under sectors"


FEW_TRADES = 30
"""With fewer closed trades, a backtest hardly predicts the next one."""
FEW_YEARS = 10
"""With fewer years, a backtest hardly covers several kinds of markets."""


class DeepestDrawdown(Struct, frozen=True):
    """The deepest drawdown of equity at the ends of sessions, as a negative fraction, and when equity recovered."""

    depth: float
    from_session: date
    low_session: date
    recovered: date | None


SETTINGS: Mapping[Reason, str] = {
    Reason.DAILY_LOSS_HALT: "halts.daily_loss_fraction",
    Reason.DRAWDOWN_REACHED: "halts.drawdown_fraction",
    Reason.EQUITY_FLOOR_HALT: "halts.min_equity_usd",
    Reason.MARGIN_HALT: "halts.margin_fraction",
    Reason.POSITIONS_HALT: "halts.positions",
    Reason.SYMBOL_HALT: "halts.symbol_fraction",
    Reason.REJECT_STORM: "halts.rejects",
    Reason.UNKNOWN_STORM: "halts.unknowns",
    Reason.VENUE_DRIFT: "halts.unreadable_rows",
}
"""The settings that determine when a cause halts the bot; the other causes are faults, for which there is no setting.
"""


class BacktestHalt(Struct, frozen=True):
    """A halt that the bot caused itself: when, in trading time, why, and which settings would have avoided it.

    `ended` is when a person ended it, or None.
    """

    at: datetime
    state: TradingState
    why: str
    causes: tuple[str, ...]
    settings: tuple[str, ...] = ()
    ended: datetime | None = None


class AnswersRefused(Struct, frozen=True):
    """A strategy whose results were refused for some reason: when that first happened, and the message at that time."""

    strategy: str
    at: datetime
    reason: str
    why: str


class BacktestResult(Struct, frozen=True, omit_defaults=True):
    """The results of a run. Amounts are in USD. Costs are negative, and income is positive.

    A year has `year` sessions. `yearly_return` is the compound rate; None for less than a year. `sharpe` is the
    annualized Sharpe ratio over all sessions, with a cash rate of zero; it is None if equity didn't change. `targets`
    is None if no strategy has any, or if the run didn't record decisions.
    """

    first_session: date
    last_session: date
    sessions: int
    start_usd: Decimal
    end_usd: Decimal
    total_return: float
    yearly_return: float | None
    sharpe: float | None
    max_drawdown: DeepestDrawdown | None
    trades: int
    still_open: int
    fills: int
    traded_usd: Decimal
    fees_usd: Decimal
    interest_usd: Decimal
    dividends_usd: Decimal
    halts: tuple[BacktestHalt, ...]
    targets: Targets | None
    refused: tuple[AnswersRefused, ...]
    funding_usd: Decimal = Decimal(0)
    year: int = SESSIONS_PER_YEAR


def backtest_result(
    opening_usd: Decimal,
    ends: Sequence[SessionEnd],
    fills: Sequence[OwnedFill],
    cash: Iterable[CashMovement],
    states: Iterable[TradingStateRecord],
    wanted: Targets | None = None,
    refused: Iterable[AnswersRefused] = (),
    *,
    year: int = SESSIONS_PER_YEAR,
    moved: Collection[Key] = (),
) -> BacktestResult:
    """Compute a backtest's result; `ends` has at least one session's end, and a year has `year` sessions.

    A position that was rolled (`moved`) counts only when its last contract has been closed.
    """
    equities = [opening_usd, *(end.equity for end in ends if end.equity is not None)]
    grown = float(equities[-1] / opening_usd)
    has_rate = len(ends) >= year and grown > 0
    returns = [float(after / before - 1) for before, after in pairwise(equities) if before]
    ratio = sharpe(returns, year)
    round_trips, paid = trades(fills), defaultdict[CashKind, Decimal](Decimal)
    for movement in cash:
        paid[cash_kind(movement)] += movement.amount_usd
    return BacktestResult(
        first_session=ends[0].session,
        last_session=ends[-1].session,
        sessions=len(ends),
        start_usd=opening_usd,
        end_usd=equities[-1],
        total_return=float(equities[-1] / opening_usd - 1),
        yearly_return=grown ** (year / len(ends)) - 1 if has_rate else None,
        sharpe=ratio.value if ratio else None,
        max_drawdown=_deepest(opening_usd, ends),
        trades=sum(trade.closed_at is not None and trade.key not in moved for trade in round_trips),
        still_open=sum(trade.closed_at is None for trade in round_trips),
        fills=len(fills),
        traded_usd=sum((abs(owned.fill.notional) for owned in fills), Decimal(0)),
        fees_usd=paid[CashKind.FEE] - sum(owned.fill.fee.usd for owned in fills if owned.fill.fee),
        interest_usd=paid[CashKind.INTEREST],
        dividends_usd=paid[CashKind.DIVIDEND],
        halts=tuple(halts_seen(states)),
        targets=wanted,
        refused=tuple(refused),
        funding_usd=paid[CashKind.FUNDING],
        year=year,
    )


def what_it_cannot_know(result: BacktestResult) -> tuple[str, ...]:
    """Say in sentences what a backtest can't show, however good it looks."""
    years, closed = result.sessions / result.year, result.trades
    sentences = []
    if result.total_return <= -1 or (result.max_drawdown and result.max_drawdown.depth <= -1):
        sentences.append("The account's value was below zero: a broker would have closed its positions long before.")
    if closed < FEW_TRADES:
        few = f"Only {pluralize(closed, 'trade')}" if closed else "No trade"
        sentences.append(f"{few} closed: with fewer than {FEW_TRADES}, luck explains any result.")
    if years < FEW_YEARS:
        span = f"{years:.1f} years" if years >= 1 else "Less than a year"
        sentences.append(f"{span} of one market: the future may bring a kind of market that isn't in it.")
    sentences.append("Nobody reacted to its trades: your own orders would have moved the prices at which it filled.")
    return tuple(sentences)


def _deepest(opening_usd: Decimal, ends: Sequence[SessionEnd]) -> DeepestDrawdown | None:
    equities = [(end.session, float(end.equity)) for end in ends if end.equity is not None]
    index = [float(opening_usd), *(equity for _, equity in equities)]
    days = [ends[0].session, *(day for day, _ in equities)]
    deepest = next(iter(drawdowns_deepest_first(index)), None)
    if deepest is None:
        return None
    recovered = None if deepest.recovered is None else days[deepest.recovered]
    return DeepestDrawdown(deepest.depth, days[deepest.peak], days[deepest.trough], recovered)


def halts_seen(states: Iterable[TradingStateRecord]) -> Iterator[BacktestHalt]:
    for state, after in zip_longest(every := [*states], every[1:]):
        if state.state is not TradingState.ACTIVE and state.at is not None:
            causes = sorted(state.causes)
            settings = tuple(SETTINGS[cause] for cause in causes if cause in SETTINGS)
            ended = after.at if after and after.state is TradingState.ACTIVE else None
            yield BacktestHalt(state.at, state.state, state.why, tuple(map(str, causes)), settings, ended)
