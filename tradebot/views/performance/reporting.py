"""Report an account's performance: put figures, curve, trades and assumptions together from its past."""

from collections.abc import Sequence
from itertools import chain

from msgspec import Struct, field

from tradebot.model.bar import Session
from tradebot.model.cash import CashKind
from tradebot.model.evidence import NO_EVIDENCE, Evidence
from tradebot.model.origin import Origin
from tradebot.views.performance import pnl
from tradebot.views.performance.activity import traded_usd
from tradebot.views.performance.activity_figures import activity_figures
from tradebot.views.performance.assumptions import assumptions, what_is_lacking
from tradebot.views.performance.cash import cash_kind
from tradebot.views.performance.choosing import Choice
from tradebot.views.performance.curve import Benchmark, Rates, drawdowns, points, years
from tradebot.views.performance.days import EVER, Days
from tradebot.views.performance.further import FurtherTerms, further
from tradebot.views.performance.further_assumptions import further_assumptions
from tradebot.views.performance.history import History
from tradebot.views.performance.measured import measure
from tradebot.views.performance.pieces import breakdown
from tradebot.views.performance.report import AccountReport, Block, RefusalsWorth
from tradebot.views.performance.report_profit import PROFIT, cuts_of, earned, what_differs
from tradebot.views.performance.report_trades import report_trades
from tradebot.views.performance.return_figures import account_returns, comparisons, return_figures
from tradebot.views.performance.returns import Path, Transfer, path
from tradebot.views.performance.trade_figures import trade_figures

DEEPEST = 5
"""How many drawdowns a report lists."""


class Material(Struct, frozen=True):
    """What a report of one account is made from, besides its past.

    `sessions` are the exchange's since the books began, oldest first. `cash_yearly` is what cash earns as a fraction
    per year, if `evidence` has no rates by date. `unknown` says in sentences what couldn't be read.
    """

    label: str
    history: History
    sessions: Sequence[Session]
    benchmark: Benchmark
    cash_yearly: float
    refusals: tuple[RefusalsWorth, ...] = ()
    days: Days = EVER
    strategy: str | None = None
    symbol: str | None = None
    unknown: tuple[str, ...] = field(default=())
    evidence: Evidence = NO_EVIDENCE


def transfers(history: History) -> list[Transfer]:
    """Return what the owner moved in and out, by what it did to the equity that the broker shows.

    Adopted shares were in that equity before, so their adoption moves nothing.
    """
    return [
        Transfer(each.at, each.amount_usd)
        for each in history.cash
        if cash_kind(each) is CashKind.TRANSFER and each.origin is not Origin.ADOPTION
    ]


def account_report(of: Material) -> AccountReport:
    """Return the report of one account."""
    way = path(of.history, transfers(of.history), of.sessions, of.days)
    measured = measure(of.history, way, of.sessions, of.benchmark, _rates(of))
    rows, rates = measured.rows, measured.rates
    trades, slippage = report_trades(of.history, Choice(of.days, of.strategy, of.symbol))
    known = breakdown(of.history)
    profit = pnl.Profit(known, pnl.Choice(of.days, of.strategy, of.symbol))
    curve = points(way, rows) if rows is not None else ()
    own = account_returns(way, rows, rates)
    returns = return_figures(own)
    fees_usd = -pnl.Profit(known, pnl.Choice(of.days)).total.fees_usd
    traded = traded_usd(of.history.fills, way)
    of_trades = trade_figures(trades)
    benchmark = of.benchmark.symbol if of.benchmark.closes else None
    more = further(of.history, of.evidence, measured, FurtherTerms(own, curve, trades, traded, benchmark))
    return AccountReport(
        label=of.label,
        account=of.history.account,
        mode=of.history.mode,
        from_session=way.sessions[0] if way.sessions else None,
        to_session=way.sessions[-1] if way.sessions else None,
        sessions=len(way.sessions),
        missing=way.missing,
        benchmark=benchmark,
        earned=earned(profit),
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
        unknown=(*_unseen(way), *what_is_lacking(chain(returns, of_trades, more.rolling)), *of.unknown),
        assumptions={
            Block.EARNED: (PROFIT, *what_differs(profit)),
            **assumptions(way, of.benchmark, rates, measured.exposed),
            **further_assumptions(more),
        },
    )


def _rates(of: Material) -> Rates:
    return Rates(of.cash_yearly, None, of.evidence.cash_rates, of.evidence.borrowing_spread)


def _unseen(way: Path) -> tuple[str, ...]:
    if way.steps:
        return ()
    return ("No session's equity is known in this span, so there is no curve and no return. Next: tradebot serve",)
