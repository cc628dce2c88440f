"""Report an account's performance: combine figures, curve, profit, trades and assumptions from its history."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from decimal import Decimal
from itertools import chain
from statistics import fmean, median
from typing import Any

from msgspec import Struct, field

from tradebot.lab.performance import report
from tradebot.lab.performance.activity import activity_figures, measure, traded_usd
from tradebot.lab.performance.assumptions import PROFIT, assumptions, what_is_lacking
from tradebot.lab.performance.curve import BenchmarkPrices, Rates, drawdowns, points, years
from tradebot.lab.performance.further import benchmark_names, extended_report, further_assumptions, is_over
from tradebot.lab.performance.report import Figure, FigureUnit, ReportedTrade, Selected
from tradebot.lab.performance.return_figures import DIFFERENCES, comparisons, figure, return_figures, returns_of
from tradebot.lab.performance.returns import account_steps
from tradebot.lab.performance.statistics import CONFIDENCE, mean_of, wilson_interval
from tradebot.model.account import CashKind, CashMovement
from tradebot.model.bar import Session
from tradebot.model.evidence import NO_EVIDENCE, Evidence
from tradebot.model.instrument import notional
from tradebot.model.position import Key, Origin
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.views.slippage import TotalSlippage, totals
from tradebot.views.trades import pnl
from tradebot.views.trades.days import EVER, DateRange
from tradebot.views.trades.fees import cash_kind
from tradebot.views.trades.history import NOT_OURS, History, group_by_story
from tradebot.views.trades.lots import Trip
from tradebot.views.trades.pieces import break_down_profit
from tradebot.views.trades.pnl import fees_not_counted
from tradebot.views.trades.trade_row import Choice
from tradebot.views.trades.trades import TripFacts, in_risks

A_SAMPLE = 30
"""From this number of trades on, a share of winners has an interval of at most 35 points, and a mean is about normal.
"""
OF_EACH = 10
"""The number of winners, and of losers, needed for an average of either."""
TRADES = "closed trades"


def trade_figures(trades: Sequence[ReportedTrade], day: VenueDay, moved: Collection[Key] = ()) -> tuple[Figure, ...]:
    """Return the figures of closed trades, by their profit after fees.

    A position that was rolled counts once, when its last contract is closed. `moved` has the trades that continued in
    another contract, even if the trade in that contract isn't among `trades`.
    """
    closed = [_whole(story) for story in group_by_story(trades, day) if is_over(story[-1], moved)]
    profits_usd = [float(trade.net_usd) for trade in closed]
    wins, losses = [each for each in profits_usd if each > 0], [-each for each in profits_usd if each < 0]
    times = [(trade.closed_at - trade.opened_at).total_seconds() for trade in closed if trade.closed_at is not None]
    held_s, mean = median(times) if times else None, mean_of(profits_usd) if len(profits_usd) >= A_SAMPLE else None
    return (
        _win_rate(len(wins), len(profits_usd)),
        _of_sides("payoff", "Payoff", wins, losses, means=True),
        _of_sides("profit_factor", "Profit factor", wins, losses, means=False),
        figure(len(profits_usd), "mean_profit", "Mean profit", FigureUnit.USD, A_SAMPLE, mean, of=TRADES),
        Figure("median_holding", "Median holding time", FigureUnit.SECONDS, held_s, len(times), 1, TRADES),
    )


def _whole(story: Sequence[ReportedTrade]) -> ReportedTrade:
    """Return a rolled position's trades as one, from the first entry to the last exit, with the profit of all
    contracts.
    """
    first, last = story[0], story[-1]
    net_usd = sum((trade.net_usd for trade in story), Decimal(0))
    return replace(first, closed_at=last.closed_at, net_usd=net_usd) if len(story) > 1 else first


def _win_rate(wins: int, count: int) -> Figure:
    value, low, high = wilson_interval(wins, count) if count >= A_SAMPLE else (None, None, None)
    note = f"{wins:,} of {count:,} won"
    return Figure("win_rate", "Win rate", FigureUnit.FRACTION, value, count, A_SAMPLE, TRADES, low, high, note)


def _of_sides(name: str, label: str, wins: Sequence[float], losses: Sequence[float], *, means: bool) -> Figure:
    """Return the ratio of winners to losers, by their means or by their sums."""
    of, others = ("winning", "losing") if len(wins) < len(losses) else ("losing", "winning")
    fewer, more = sorted((len(wins), len(losses)))
    combined = fmean if means else sum
    value = combined(wins) / combined(losses) if fewer >= OF_EACH else None
    return Figure(name, label, FigureUnit.RATIO, value, fewer, OF_EACH, f"{of} trades", note=f"{more:,} {others}")


UNSEEN = "No session's equity is known in this span, so there is no curve and no return."
DEEPEST = 5
"""How many drawdowns a report lists."""


class ReportMaterial(Struct, frozen=True):
    """What one account's report needs besides the account's history.

    `sessions` are the exchange's sessions since the books were opened, oldest first. `cash_yearly` is the cash rate as
    a fraction per year; it is used if `evidence` has no rates by date. `unknown` describes what couldn't be read.
    """

    label: str
    history: History
    sessions: Sequence[Session]
    benchmark: BenchmarkPrices
    cash_yearly: float
    refusals: tuple[report.RefusedTradesProfit, ...] = ()
    days: DateRange = EVER
    strategy: str | None = None
    symbol: str | None = None
    unknown: tuple[str, ...] = field(default=())
    evidence: Evidence = NO_EVIDENCE


def transfers(history: History) -> list[CashMovement]:
    """Return the owner's transfers, measured by their effect on the broker's equity.

    Adopted shares were part of that equity before, so adopting them isn't a transfer.
    """
    # Adopted shares were already in that equity, so their adoption moves nothing.
    moved = (each for each in history.cash if cash_kind(each) is CashKind.TRANSFER)
    return [each for each in moved if each.origin is not Origin.ADOPTION]


def _nothing_seen(of: ReportMaterial) -> str:
    if of.days == EVER or not of.sessions:
        return f"{UNSEEN} Next: tradebot serve"
    first, last = of.sessions[0].date, of.sessions[-1].date
    return f"{UNSEEN} The bot's sessions are from {first} to {last}. Next: tradebot report"


def _rates(of: ReportMaterial, year: int) -> Rates:
    evidence = of.evidence
    return Rates(of.cash_yearly, evidence.cash_rates, evidence.borrowing_spread, year, evidence.borrowing_yearly)


def account_report(of: ReportMaterial) -> report.AccountReport:
    way = account_steps(of.history, transfers(of.history), of.sessions, of.days)
    rates = _rates(of, way.year)
    measured = measure(of.history, way, of.sessions, of.benchmark, rates)
    rows = measured.rows
    choice, parts = Choice(of.days, of.strategy, of.symbol), break_down_profit(of.history)
    trades, slippage = report_trades(of.history, choice)
    profit = pnl.ProfitReport(parts, choice)
    curve = points(way, rows) if rows is not None else ()
    own = returns_of("value", way, rows, rates)
    returns = return_figures(own)
    fees_usd = -pnl.ProfitReport(parts, Choice(of.days)).total.fees_usd
    traded = traded_usd(of.history.fills, way)
    of_trades = trade_figures(trades, of.history.day, of.history.rolled_positions)
    benchmark = of.benchmark.symbol if of.benchmark.closes else None
    more = extended_report(of.history, of.evidence, measured, own, curve, trades, traded, benchmark)
    return report.AccountReport(
        label=of.label,
        account=of.history.account,
        mode=of.history.mode,
        from_session=way.sessions[0] if way.sessions else None,
        to_session=way.sessions[-1] if way.sessions else None,
        sessions=len(way.sessions),
        missing=way.missing,
        benchmark=benchmark,
        earned=earnings(profit),
        curve=curve,
        returns=returns,
        comparisons=comparisons(way, rows, rates),
        years=years(way, rows) if rows is not None else (),
        drawdowns=drawdowns(curve, DEEPEST),
        further=more,
        activity=activity_figures(way, measured.exposed, traded, fees_usd, slippage),
        trade_figures=of_trades,
        trades=trades,
        cuts=cuts_of(profit),
        refusals=of.refusals,
        unknown=(
            *(() if way.steps else (_nothing_seen(of),)),
            *fees_not_counted(*profit.fees_left_out),
            *what_is_lacking(chain(returns, of_trades, more.rolling)),
            *of.unknown,
        ),
        assumptions={
            report.Block.EARNED: (PROFIT, *what_differs(profit)),
            **assumptions(way, of.benchmark, rates, measured.exposed, of.history.settlement),
            **further_assumptions(more, way.year),
        },
        luck=tuple(luck(more.against, more.selected, names_of(*benchmark_names(benchmark, measured)))),
    )


CUTS = (
    pnl.ProfitGrouping.STRATEGY,
    pnl.ProfitGrouping.SYMBOL,
    pnl.ProfitGrouping.REASON,
    pnl.ProfitGrouping.COMPONENT,
    pnl.ProfitGrouping.HOUR,
)
LABELS = {
    pnl.ProfitGrouping.REASON: "exit reason",
    pnl.ProfitGrouping.COMPONENT: "entry component",
    pnl.ProfitGrouping.HOUR: "hour of exit",
}


def earnings(profit: pnl.ProfitReport) -> report.SpanEarnings:
    row, (before, after), equity_around = profit.total, profit.values_usd, profit.worth
    before, after = (equity_around.before_usd, equity_around.after_usd) if equity_around else (before, after)
    parts: dict[str, Any] = {f"{part}_usd": getattr(row, f"{part}_usd") for part in pnl.PARTS}
    return report.SpanEarnings(
        before, after, profit.transfers_usd, profit.usd, difference_usd=profit.difference_usd, **parts
    )


def cuts_of(profit: pnl.ProfitReport) -> tuple[report.ProfitCut, ...]:
    total = profit.total.total_usd
    return tuple(
        report.ProfitCut(by.value, LABELS.get(by, by.value), tuple(map(_row, profit.rows(by))), total) for by in CUTS
    )


def _row(row: pnl.ProfitRow) -> report.CutRow:
    parts: dict[str, Any] = {name: getattr(row, name) for name in pnl.ProfitPart.__struct_fields__}
    return report.CutRow(**parts, trades=row.trades_closed)


def what_differs(profit: pnl.ProfitReport) -> Iterator[str]:
    """Say in sentences how the books' value differs from the broker's last equity, and which prices are missing."""
    compared, unpriced = profit.equity_comparison, profit.total.unpriced
    if compared is None:
        if unpriced:
            unseen = f"No price of {profit.ends[-1].day} was seen for {', '.join(unpriced)}"
            yield f"{unseen}; the books use the last price before that day, or the cost."
        return
    if profit.is_equity_outdated:
        yield f"The broker's equity of {compared.at:%Y-%m-%d %H:%M}Z is from before the last change of the books."
    elif apart := profit.difference_usd:
        side = "more" if apart > 0 else "less"
        source = f"the broker's equity of {compared.at:%Y-%m-%d %H:%M}Z, at its own prices"
        yield f"According to {source}, the profit is {abs(apart):,.2f} USD {side} than in the books."
    if compared.unpriced:
        yield f"No price was seen for {', '.join(compared.unpriced)}; the books value these at cost."
    if compared.left_out:
        yield f"The books don't value {', '.join(compared.left_out)}, which the bot doesn't manage."


def report_trades(history: History, choice: Choice) -> tuple[tuple[ReportedTrade, ...], tuple[TotalSlippage, ...]]:
    """Return the selected trades, and the slippage of all their fills against each midpoint."""
    trips = [
        trip
        for trip in history.lots.trips
        if trip.trade.strategy != NOT_OURS and choice.covers(trip.trade, history.day)
    ]
    facts = TripFacts(history)
    filled_orders = [fill for trip in trips for fill in facts.own_fills(trip)]
    return tuple([_trade_row(trip, facts) for trip in trips]), totals(filled_orders) if trips else ()


def _trade_row(trip: Trip, facts: TripFacts) -> ReportedTrade:
    trade, shared = trip.trade, facts.shared_fields(trip)
    cost = notional(trade.closed_quantity, shared["entry_price"], trade.multiplier)
    r = in_risks(shared["net_usd"], facts.risk(trip)) if trade.closed_at else None
    fraction = float(trade.realized_before_fees_usd / cost) if cost else None
    return ReportedTrade(**shared, fraction=fraction, r=None if r is None else float(r))


def luck(against: Sequence[Figure], selected: Selected | None, names: Mapping[str, str]) -> Iterator[str]:
    """Yield sentences on whether the differences from benchmarks and the selected trial's ratio may be just luck.

    `names` maps the name of each difference to the name of its benchmark. A difference without an interval is left out.
    """
    for each in against:
        within = _within(each) if each.name in names else None
        if within is not None:
            ends = (
                "so luck alone may explain the difference"
                if within
                else "so luck alone is unlikely to explain the difference"
            )
            name, zero = names[each.name], f"zero is {_inside(within)}"
            yield f"Its mean difference from {name} is {_interval(each)}: {zero}, {ends}."
    if selected and selected.deflated.value is not None:
        yield _deflated_text(selected, selected.deflated.value)


def names_of(benchmark: str | None, leveled: str) -> Mapping[str, str]:
    """Map the figures that compare with benchmarks to the benchmarks' names; leave out unknown names."""
    called = {"benchmark": benchmark, "leveled": leveled}
    return {name: text for column, (name, _) in DIFFERENCES.items() if (text := called[column])}


def _within(of: Figure) -> bool | None:
    return None if of.low is None or of.high is None else of.low <= 0 <= of.high


def _inside(within: bool) -> str:
    return "within that" if within else "outside of that"


def _interval(of: Figure) -> str:
    return f"{of.value:+.3%}, and with 95% confidence between {of.low:+.3%} and {of.high:+.3%}"


def _deflated_text(of: Selected, value: float) -> str:
    enough = "enough" if value >= CONFIDENCE else "not enough"
    return (
        "The chance that the true Sharpe ratio exceeds what luck alone gives the best of"
        f" {pluralize(of.trials, 'trial')} is {value:.1%}: {enough}, by the usual {CONFIDENCE:.0%}."
    )
