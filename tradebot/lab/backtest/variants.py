"""Define a backtest's variants, each with one change: the trading costs, or the sessions in which it trades."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from decimal import Decimal

from msgspec import Struct

from papervenue.market.spec import FUNDS, Costs, MarketError, MarketSpec
from papervenue.market.venue import Venue
from tradebot.adapters.memory.recorder import RecordLevel
from tradebot.app.settings import Settings
from tradebot.lab.backtest.market import OpenedMarket
from tradebot.lab.backtest.run import BacktestPlan, BacktestRun, create_run
from tradebot.lab.performance.sensitivity import AS_PLAYED, variant_of
from tradebot.model.evidence import Variant, VariantKind
from tradebot.model.struct_tools import replace
from tradebot.model.venue_day import VenueDay
from tradebot.ports.strategy import Strategy
from tradebot.timetable import strategy_times
from tradebot.timetable.strategy_times import OwnTimes
from tradebot.views.trades.lots import trades


class PlanVariant(Struct, frozen=True):
    """A variant of a backtest. Equal plans give equal results, so they needn't run twice."""

    kind: VariantKind
    name: str
    plan: BacktestPlan


class PlanVariants(Struct, frozen=True):
    """A backtest's variants, and sentences saying why others are left out.

    `played` is the backtest's own plan, but it records as little as the variants do.
    """

    played: BacktestPlan
    changes: tuple[PlanVariant, ...]
    left_out: tuple[str, ...]


def changes_of(plan: BacktestPlan, strategies: Sequence[Strategy]) -> PlanVariants:
    """Return a plan's variants for these strategies: doubled costs, trading one session later, and other rebalance
    days.

    If a strategy trades monthly, there is one variant for each possible session of the month. Variants record as little
    as possible, which doesn't change their results.
    """
    quiet, times = replace(plan, level=RecordLevel.NONE), _times(plan.settings, strategies)
    parts = (_costs(quiet), _delay(quiet, times), _sessions(quiet, times))
    changes = tuple(variant for part in parts if not isinstance(part, str) for variant in part)
    return PlanVariants(quiet, changes, tuple(part for part in parts if isinstance(part, str)))


def harder_variants(plan: BacktestPlan, strategies: Sequence[Strategy]) -> PlanVariants:
    """Return only the variants that are harder than the plan itself: doubled costs, and trading one session later."""
    quiet = replace(plan, level=RecordLevel.NONE)
    parts = (_costs(quiet), _delay(quiet, _times(plan.settings, strategies)))
    changes = tuple(variant for part in parts if not isinstance(part, str) for variant in part)
    return PlanVariants(quiet, changes, tuple(part for part in parts if isinstance(part, str)))


def run_variant(
    change: PlanVariant, strategies: Sequence[Strategy], market: OpenedMarket, watch: Callable[[int], None]
) -> Variant:
    """Run a variant to its end on the market opened for the backtest; `watch` is called with the number of ended
    sessions.
    """
    run = create_run(change.plan, strategies, market._replace(spec=change.plan.spec))
    with closing(run.made):
        while not run.is_played:
            run.step()
            watch(len(run.ends))
        run.step()
        return variant(run, change.kind, change.name)


def variant(run: BacktestRun, kind: VariantKind = VariantKind.OTHER, name: str = AS_PLAYED) -> Variant:
    ledger = run.made.ledger
    equities = [ledger.opening_cash(), *(end.equity for end in run.ends if end.equity is not None)]
    closed = sum(trade.closed_at is not None for trade in trades(ledger.fills()))
    return variant_of(kind, name, [*map(float, equities)], closed)


def _costs(plan: BacktestPlan) -> tuple[PlanVariant, ...] | str:
    try:
        dear = _dear(plan.spec)
    except MarketError as error:
        return f"Costs x2 isn't played: {error.message}."
    if dear == plan.spec:
        return "Costs x2 isn't played: trading costs nothing here, so there is nothing to double; see --cost."
    return (PlanVariant(VariantKind.COSTS, "costs x2", replace(plan, spec=dear)),)


def _dear(spec: MarketSpec) -> MarketSpec:
    """Return a market with doubled spread, slippage, commissions, fees and lending premiums over the funds rate.

    The fees of a venue with its own rules are doubled too, up to the whole notional; its funding isn't a cost of
    trading and stays.

    An account's interest stays, and so does the funds rate, which isn't a cost of trading.
    """
    fill = spec.fill._replace(slippage_bps=2 * spec.fill.slippage_bps)
    fill = fill._replace(spread_bps=2 * fill.spread_bps) if fill.quotes == "spread" else fill
    return replace(spec, fill=fill, costs=_dear_costs(spec.costs), venue=_dear_venue(spec.venue))


def _dear_venue(venue: Venue) -> Venue:
    rules, most = venue.rules, Decimal(1)
    fees = {name: min(2 * getattr(rules, name), most) for name in ("maker_fee", "taker_fee")}
    listed = (
        each if each.contract_fee is None else replace(each, contract_fee=2 * each.contract_fee)
        for each in venue.instruments
    )
    dear = replace(rules, **fees, contract_fee=2 * rules.contract_fee)
    return replace(venue, rules=dear, instruments=tuple(listed))


def _dear_costs(costs: Costs) -> Costs:
    borrowing = costs.margin_rate if costs.margin_rate == FUNDS else 2 * costs.margin_rate
    return costs._replace(
        commission_bps=2 * costs.commission_bps,
        commission_per_share_usd=2 * costs.commission_per_share_usd,
        commission_min_usd=2 * costs.commission_min_usd,
        margin_rate=borrowing,
        margin_spread=_dear_spread(costs.margin_spread, 1),
        cash_spread=_dear_spread(costs.cash_spread, -1),
        borrow_fee_rate=2 * costs.borrow_fee_rate,
        short_rebate_spread=_dear_spread(costs.short_rebate_spread, -1),
    )


def _dear_spread(spread: Decimal, costly: int) -> Decimal:
    """Return a spread over the funds rate, doubled if it costs anything; `costly` is the sign of costly spreads."""
    return 2 * spread if spread * costly > 0 else spread


def _delay(plan: BacktestPlan, times: Mapping[str, OwnTimes | None]) -> tuple[PlanVariant, ...] | str:
    """Return the variant in which every strategy trades a session later, or why there is none."""
    later = {name: own and strategy_times.a_session_later(own) for name, own in times.items()}
    stuck = sorted(name for name, text in later.items() if not text)
    moved = {name: text for name, text in later.items() if text}
    if stuck:
        return (
            f"A day's delay isn't played: {', '.join(stuck)} may trade in every session. Only times that name a "
            "session of the week or month can be delayed; trading on day-old data would be a different strategy."
        )
    return (PlanVariant(VariantKind.DELAY, "a session later", _with_times(plan, moved)),)


def _sessions(plan: BacktestPlan, times: Mapping[str, OwnTimes | None]) -> tuple[PlanVariant, ...] | str:
    """Return the variants in which the strategies trade in each session of the month, or why there are none."""
    times_by_name = {name: own for name, own in times.items() if own is not None}
    named = {strategy_times.session_of_month(own) for own in times_by_name.values()}
    if len(times_by_name) < len(times) or len(named) != 1 or None in named:
        return (
            "Other sessions of the month aren't played: this needs strategies whose times all name the same "
            "session, such as 'first session of month at open+5m'."
        )
    return tuple(_in_session(plan, times_by_name, which) for which in strategy_times.SESSIONS_OF_MONTH)


def _in_session(plan: BacktestPlan, times: Mapping[str, OwnTimes], which: str) -> PlanVariant:
    """Return the variant in which the strategies trade in one session of the month, which may be their own."""
    texts = {name: strategy_times.in_session_of_month(own, which) for name, own in times.items()}
    new = {name: text for name, text in texts.items() if text != times[name].text}
    return PlanVariant(VariantKind.REBALANCE_DAY, f"{which} session of month", _with_times(plan, new))


def _times(settings: Settings, strategies: Sequence[Strategy]) -> Mapping[str, OwnTimes | None]:
    """Return each strategy's times; None if it runs in every pass, or isn't configured."""
    sections = settings.strategies.sections()
    texts = {
        strategy.name: (sections[strategy.name].times or strategy.times) if strategy.name in sections else ""
        for strategy in strategies
    }
    return {name: _parse_times(text, settings.day) for name, text in texts.items()}


def _parse_times(text: str, day: VenueDay) -> OwnTimes | None:
    """Parse times; None if there are none, or if they are a plug-in's own and can't be read."""
    try:
        return strategy_times.parse(text, day) if text else None
    except ValueError:
        return None


def _with_times(plan: BacktestPlan, times: Mapping[str, str]) -> BacktestPlan:
    """Return a plan whose strategies have these times in its settings."""
    strategies = plan.settings.strategies
    sections = {
        name: section.model_copy(update={"times": times[name]})
        for name, section in strategies.sections().items()
        if name in times
    }
    changed = strategies.model_copy(update=sections)
    return replace(plan, settings=plan.settings.model_copy(update={"strategies": changed}))
