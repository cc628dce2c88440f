"""Compute the account's exposure and turnover by session and its trading costs, and compare its returns with a
benchmark's.
"""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from decimal import Decimal
from functools import partial
from itertools import chain
from operator import attrgetter
from statistics import fmean
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from tradebot.lab.performance import statistics
from tradebot.lab.performance.curve import BenchmarkPrices, Rates, frame
from tradebot.lab.performance.report import Cost, Figure, FigureUnit, TradingCosts
from tradebot.lab.performance.return_figures import LOST, figure
from tradebot.lab.performance.returns import Path
from tradebot.model.account import ActivityKind, CashKind, CashMovement
from tradebot.model.bar import Session
from tradebot.model.instrument import notional
from tradebot.model.position import Origin, OwnedFill
from tradebot.views.slippage import AT_DECISION, TotalSlippage, cost_usd
from tradebot.views.trades.days import MarketTime
from tradebot.views.trades.fees import cash_kind
from tradebot.views.trades.history import NOT_OURS, History
from tradebot.views.trades.lots import LotStep

if TYPE_CHECKING:
    import pandas as pd

_AT = attrgetter("at")


class Exposure(NamedTuple):
    """The value of positions, as fractions of equity: `gross` is long plus short, `net` is long minus short.

    `held` has the net value for each symbol with a position.
    """

    gross: float
    net: float
    held: Mapping[str, float] = {}


class _Window(NamedTuple):
    """The time of one step of a path, the seconds in which the market was open, and the prices at its start."""

    start: datetime
    end: datetime
    open_s: float
    marks: Mapping[str, Decimal]
    marked_at: datetime | None


class _Held(NamedTuple):
    """A position's signed shares, their value in USD, and when they last changed, including by a split."""

    shares: float = 0.0
    usd: float = 0.0
    restated_at: datetime | None = None
    multiplier: float = 1.0

    def after(self, step: LotStep) -> "_Held":
        """Return the exposure after a fill: bought shares count at their price, and a split doesn't change the
        value.
        """
        shares, cash = float(sum(lot.side.sign * lot.quantity for lot in step.held)), float(step.cash_usd)
        if not shares:
            usd = 0.0
        elif not cash:
            usd = self.usd
        elif shares * self.shares < 0:
            each = abs(cash / (shares - self.shares))
            usd = shares * each
        else:
            usd = self.usd - cash if abs(shares) > abs(self.shares) else self.usd * shares / self.shares
        return _Held(shares, usd, step.restated_at, float(step.held[0].multiplier) if step.held else 1.0)

    def at_market(self, window: _Window, names: Sequence[str]) -> "_Held":
        """Return the exposure at the prices at the start of a window, or unchanged where a price is missing."""
        price = next((window.marks[name] for name in names if name in window.marks), None)
        if price is None or (self.restated_at and window.marked_at and self.restated_at > window.marked_at):
            return self
        return self._replace(usd=notional(self.shares, float(price), self.multiplier))


def exposures(history: History, path: Path, market: MarketTime) -> tuple[Exposure, ...] | None:
    """Return the account's exposure in each step of a path, averaged over the exchange's open hours.

    Exposure is a fraction of the equity at the start of the step. Positions that exist at the start count at their
    market value then. The exposure is zero while there is no equity. Return None if the path has no steps or a session
    isn't known.
    """
    windows = _windows(history, path, market)
    if not windows:
        return None
    gross, usd_by_symbol = [0.0] * len(windows), [defaultdict[str, float](float) for _ in windows]
    for owner, steps in history.lots.steps.items():
        if owner[0] != NOT_OURS:
            names = owner[1], *history.former_names.get(owner, ())
            for index, usd, signed in _invested_windows(steps, names, windows, market):
                gross[index] += usd
                usd_by_symbol[index][owner[1]] += signed
    equities = [float(step.before.equity_usd) for step in path.steps]
    return tuple(map(_exposure, gross, usd_by_symbol, equities))


def _exposure(gross: float, usd_by_symbol: Mapping[str, float], equity: float) -> Exposure:
    if equity <= 0:
        return Exposure(0, 0)
    of = {symbol: usd / equity for symbol, usd in sorted(usd_by_symbol.items())}
    return Exposure(gross / equity, sum(of.values()), of)


def average(of: Sequence[Exposure] | None) -> Exposure | None:
    return Exposure(fmean(each.gross for each in of), fmean(each.net for each in of)) if of else None


def _windows(history: History, path: Path, market: MarketTime) -> list[_Window]:
    """Return the time of each step; empty if the market's hours are unknown for one of them."""
    ends, windows = {end.session: end for end in history.ends}, list[_Window]()
    for step in path.steps:
        start, end = step.before, None if step.before.is_start else ends.get(step.before.session)
        open_s = market.between_s(start.at, step.after.at)
        if not open_s:
            return []
        marks, marked_at = (end.marks, end.marked_at) if end else ({}, None)
        windows.append(_Window(start.at, step.after.at, open_s, marks, marked_at))
    return windows


def _invested_windows(
    steps: Sequence[LotStep], names: Sequence[str], windows: Sequence[_Window], market: MarketTime
) -> Iterator[tuple[int, float, float]]:
    """Yield each window with a position, and its average value in USD, unsigned and signed."""
    ends = [window.end for window in windows]
    done = bisect_right(steps, windows[0].start, key=_AT)
    position, index = _Held(), 0
    for step in steps[:done]:
        position = position.after(step)
    while index < len(windows) and (position.shares or done < len(steps)):
        if not position.shares:
            index = bisect_left(ends, steps[done].at)
            if index == len(windows):
                return
        window, last = windows[index], bisect_right(steps, ends[index], done, key=_AT)
        position, usd, signed = _through(position.at_market(window, names), steps[done:last], window, market)
        yield index, usd, signed
        done, index = last, index + 1


def _through(
    position: _Held, steps: Sequence[LotStep], window: _Window, market: MarketTime
) -> tuple[_Held, float, float]:
    """Return a position after a window, and its average value in the window, unsigned and signed."""
    if not steps:
        return position, abs(position.usd), position.usd
    usd = signed = 0.0
    since = window.start
    for step in steps:
        share = (market.between_s(since, step.at) or 0.0) / window.open_s
        usd, signed = usd + share * abs(position.usd), signed + share * position.usd
        position, since = position.after(step), step.at
    share = (market.between_s(since, window.end) or 0.0) / window.open_s
    return position, usd + share * abs(position.usd), signed + share * position.usd


def average_equity(path: Path) -> float | None:
    """Return the mean equity in USD over both ends of each step; None if it isn't above zero."""
    ends = [float(step.before.equity_usd + step.after.equity_usd) / 2 for step in path.steps]
    mean = sum(ends) / len(ends) if ends else 0.0
    return mean if mean > 0 else None


def traded_usd(fills: Sequence[OwnedFill], path: Path) -> Decimal:
    """Return the value of all executions at the broker along a path, bought and sold, in USD."""
    start, end = path.span
    executed = [each.fill for each in fills if each.origin is Origin.VENUE and start < each.fill.at <= end]
    return sum([abs(fill.notional) for fill in executed], Decimal(0))


SEEN, FILLS = "sessions", "fills of the bot's orders"
NO_TIME = "no equity is known, or no session in which it could be invested"


def activity_figures(
    path: Path, exposed: Exposure | None, traded_usd: Decimal, fees_usd: Decimal | None, costs: Sequence[TotalSlippage]
) -> tuple[Figure, ...]:
    """Compute exposure, turnover and costs along a path; `fees_usd` is the total of fees paid, as a positive amount."""
    mean, n_steps = average_equity(path), len(path.steps)
    turned = float(traded_usd) / 2 / mean if mean else None

    rows = (
        ("exposure", "Average exposure", FigureUnit.FRACTION, exposed.gross if exposed else None),
        ("net_exposure", "Long less short", FigureUnit.FRACTION, exposed.net if exposed else None),
        ("turnover", "Turnover", FigureUnit.RATIO, turned),
        ("traded", "Bought and sold", FigureUnit.USD, float(traded_usd)),
        ("fees", "Fees", FigureUnit.USD, None if fees_usd is None else float(fees_usd)),
    )
    return (
        *(figure(n_steps, name, label, unit, 1, value, NO_TIME, SEEN) for name, label, unit, value in rows),
        *(_slippage(each) for each in costs),
    )


def _slippage(of: TotalSlippage) -> Figure:
    value = float(of.total.usd) if of.total else None
    note = f"{of.total.bps:+.1f} bps" if of.total else "no midpoint is known"
    label = "Slippage" if of.against == AT_DECISION else f"Slippage at {of.against}"
    return Figure(
        f"slippage_{of.against}", label, FigureUnit.USD, value, of.known, 1, FILLS, note=note if of.of else ""
    )


class MeasuredPath(Struct, frozen=True):
    """A path with its exposure in each step and on average, if known, and its frame, if the path has any step."""

    way: Path
    exposures: tuple[Exposure, ...] | None
    exposed: Exposure | None
    rows: "pd.DataFrame | None"


def measure(
    history: History, way: Path, sessions: Sequence[Session], benchmark: BenchmarkPrices, rates: Rates
) -> MeasuredPath:
    """Measure a path, given the exchange's sessions, a benchmark's prices, and interest rates."""
    exposure = exposures(history, way, MarketTime(sessions))
    leverage = [each.gross for each in exposure or ()]
    return MeasuredPath(way, exposure, average(exposure), frame(way, benchmark, rates, leverage) if way.steps else None)


BPS = 10_000


class Charge(NamedTuple):
    """An amount in USD that was charged (positive) or refunded."""

    at: datetime
    usd: float


class CostKind(NamedTuple):
    """A kind of cost with its charges, oldest first."""

    name: str
    label: str
    charges: Sequence[Charge]
    note: str = ""


_COSTS = {
    "commission": "Commissions",
    "fees": "Other fees",
    "interest": "Interest on borrowed cash",
    "funding": "Funding",
    "borrow": "Stock borrow fees",
}
_OF_FEES = {ActivityKind.COMMISSION: "commission", ActivityKind.BORROW_FEE: "borrow"}


def cost_kinds(history: History) -> tuple[CostKind, ...]:
    """Return the account's costs of trading, borrowing cash and shorting, and its slippage.

    Earned interest and funding are not costs.
    """
    charges = defaultdict[str | None, list[Charge]](list)
    for each in history.movements:
        charges[_cost(each)].append(Charge(each.at, -float(each.amount_usd)))
    slippage = CostKind(
        "slippage", "Slippage", tuple(_slippage_charges(history)), "it is included in the prices of fills"
    )
    return (*(CostKind(name, label, charges[name]) for name, label in _COSTS.items()), slippage)


def _cost(movement: CashMovement) -> str | None:
    match cash_kind(movement):
        case CashKind.FEE:
            return _OF_FEES.get(movement.meaning or ActivityKind.FEE, "fees")
        case CashKind.INTEREST as kind if movement.amount_usd < 0:
            return kind.value
        case CashKind.FUNDING as kind:
            # Funding goes both ways from hour to hour, so only the sum shows the cost of holding.
            return kind.value
        case _:
            return None


def _slippage_charges(history: History) -> Iterator[Charge]:
    """Yield each fill's slippage against the midpoint at decision, where that is known."""
    for fill in (owned.fill for owned in history.fills):
        sent = history.sent.get(fill.venue_order_id)
        own = sent.traded_by if sent else None
        if own and own.decision_mid is not None:
            yield Charge(fill.at, float(cost_usd(fill, own.decision_mid)))


def costs_of(kinds: Sequence[CostKind], path: Path, traded_usd: Decimal) -> TradingCosts | None:
    """Return how much each kind of cost was along a path; None without steps or costs.

    To show its effect, a cost is added back to the return of its session, as a fraction of the equity before that
    session. Sizes and trades stay unchanged.
    """
    start, end = path.span
    within = [(kind, [each for each in kind.charges if start < each.at <= end]) for kind in kinds]
    paid = [(kind, charges) for kind, charges in within if charges]
    if not path.steps or not paid:
        return None
    after, traded, yearly = _cagr(path, ()), float(traded_usd), partial(figure, len(path.returns))

    def row(name: str, label: str, charges: Sequence[Charge], note: str) -> Cost:
        usd, without = sum(each.usd for each in charges), _cagr(path, charges)
        drag = None if without is None or after is None else without - after
        return Cost(name, label, usd, BPS * usd / traded if traded else None, drag, note)

    every = list(chain.from_iterable(charges for _, charges in paid))
    return TradingCosts(
        rows=tuple(row(kind.name, kind.label, charges, kind.note) for kind, charges in paid),
        total=row("all", "All together", every, ""),
        before=yearly("cagr_before_costs", "CAGR before costs", FigureUnit.YEARLY, path.year, _cagr(path, every), LOST),
        after=yearly("cagr_after_costs", "CAGR after costs", FigureUnit.YEARLY, path.year, after, LOST),
    )


def paid_usd(kinds: Iterable[CostKind], path: Path) -> float:
    start, end = path.span
    return sum(each.usd for kind in kinds for each in kind.charges if start < each.at <= end)


def _cagr(path: Path, charges: Iterable[Charge]) -> float | None:
    """Return CAGR along a path with charges given back; None for less than a year, or if everything was lost."""
    returns, remaining = list[float](), sorted(charges)
    index = 0
    for step in path.steps:
        back = 0.0
        while index < len(remaining) and remaining[index].at <= step.after.at:
            back, index = back + remaining[index].usd, index + 1
        if step.value is not None:
            returns.append(step.value + back / float(step.before.equity_usd))
    return statistics.cagr(returns, len(returns) / path.per_year) if len(returns) >= path.year else None
