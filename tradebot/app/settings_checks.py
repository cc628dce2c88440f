"""Check the settings against each other when they are loaded. Contradicting settings don't load.

Suppose that all strategies hold their maximum and every stop is hit. Then the loss must stay within the daily loss
limit, and that limit must stay within the halts (`coherence.self_halting_scenarios`). If the strategies together exceed
the account's gross limit, they count only up to it. A strategy whose exits have no stop is left out of the sum, because
only the daily loss limit and the halts bound its loss.
"""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from tradebot.app.flow_plan import allowance_of, flow_problems
from tradebot.app.news import news_problems
from tradebot.app.venues import driver_for
from tradebot.exits.kinds.signals import SignalDecay
from tradebot.exits.kinds.stops import LiquidationDistance
from tradebot.exits.kinds.times import EndOfDay, too_late
from tradebot.exits.rules import Exits, account_rules, parse, worst_stop
from tradebot.gates.coherence import (
    Trader,
    contradictions,
    cost_contradictions,
    exit_contradictions,
    margin_contradictions,
    promotion_contradictions,
    self_halting_scenarios,
)
from tradebot.model.limits import Protection, without_effect
from tradebot.model.order import OrderType, Style
from tradebot.model.record import Job
from tradebot.model.venue import Capabilities, Edit, Settlement
from tradebot.strategies.settings import execution_contradictions
from tradebot.timetable.job_times import left_after_last_s, longest_wait_s, whole_day
from tradebot.timetable.strategy_times import usable

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator, Sequence

    from tradebot.app.settings_schema import Sections, ServeSettings
    from tradebot.strategies.section_validation import TargetStrategy

FOLLOWED = "add `shadow: {verb: shadow, when: every 5m from open+3m until close, late: skip, limit: 4m}` to timetable"
MOST_UNWATCHED_S = 900
"""The longest time without an exit check, in seconds.

The bot itself watches the stops; no stop orders rest at the venue.
"""


def find_contradictions(settings: Sections, *, flow_must_fit: bool = True) -> Iterator[str]:
    """Yield each contradiction between settings, with an example.

    If `flow_must_fit` is False, don't check that flow can be fetched in time.
    """
    yield from _names(settings)
    yield from contradictions(settings.limits)
    yield from exit_contradictions(settings.exits)
    yield from _of_registry(settings)
    yield from _fits_the_venue(settings, driver_for(settings.venue).capabilities)
    yield from _of_serve(settings.serve)
    yield from promotion_contradictions(settings.promotion)
    yield from margin_contradictions(
        tuple(_traders(settings)), settings.limits, settings.halts, settings.capabilities.settlement
    )
    if settings.strategies.sections():
        yield from _of_strategies(settings)
        yield from _check_wants(settings)
        yield from _own_settings(settings)
        yield from _displacement(settings)
        yield from _auction(settings)
        yield from _liquidations(settings)
        yield from _fits_the_timetable(settings, flow_must_fit)


def _of_serve(serve: ServeSettings) -> Iterator[str]:
    if serve.stall_end_s < serve.stall_s:
        yield (
            f"serve.stall_end_s {serve.stall_end_s} is below serve.stall_s {serve.stall_s}: serve would end before "
            "reporting that a lane is stalled"
        )
    if serve.retry_most_s < serve.retry_s:
        yield (
            f"serve.retry_most_s {serve.retry_most_s} is below serve.retry_s {serve.retry_s}: the wait would get "
            "shorter with each retry"
        )


def _fits_the_venue(settings: Sections, venue: Capabilities) -> Iterator[str]:
    """Yield settings that the venue doesn't support: entry styles, and protection that rests at the venue."""
    own = {f"strategies.{name}.execution": settings.execution_of(name) for name in settings.strategies.sections()}
    for where, execution in {"execution": settings.execution_of(), **own}.items():
        if execution.style is Style.MARKET and OrderType.MARKET not in venue.order_types:
            yield f"{where}.style market: {venue.title} takes no market orders; choose marketable or passive"
        if execution.style is Style.PASSIVE and venue.edit is Edit.NONE:
            yield f"{where}.style passive: {venue.title} doesn't let an order change its price; choose marketable"
    if settings.exits.protection is not Protection.BOT and not venue.rests_stops:
        yield f"exits.protection {settings.exits.protection}: {venue.title} has no resting stop orders; set it to bot"


def find_ineffective(settings: Sections) -> Iterator[str]:
    """Yield a sentence for each setting that has no effect.

    Such a setting is a strategy's own limit that is wider than the account's, or a smart-money variant that equals the
    default.
    """
    allotments = settings.strategies.allotments()
    for name, section in settings.strategies.sections().items():
        for limit in without_effect(settings.limits, section.limits, allotments[name]):
            yield (
                f"strategies.{name}.limits.{limit} {getattr(section.limits, limit)} has no effect, because "
                f"limits.{limit} {getattr(settings.limits, limit)} is tighter"
            )
    for name in [name for name, used in settings.strategies.installed_as().items() if used == "smart_money"]:
        from tradebot.strategies.smart_money.settings import SmartMoneySettings

        own = SmartMoneySettings.model_validate(settings.strategies.in_use()[name])
        for variant in own.variants_without_effect():
            yield f"strategies.{name}.variants.{variant} has no effect, because it only repeats current settings"


def _of_strategies(settings: Sections) -> Iterator[str]:
    traders = tuple(_traders(settings))
    for trader in traders:
        if trader.limits != settings.limits:
            yield from contradictions(trader.limits, f"strategies.{trader.name}.limits")
        costs, execution = settings.costs_of(trader.name), settings.execution_of(trader.name)
        yield from cost_contradictions(trader.limits, costs, execution, f"strategies.{trader.name}.limits")
    yield from self_halting_scenarios(traders, settings.limits, settings.halts)
    styles = {f"strategies.{name}.execution": settings.execution_of(name) for name in settings.strategies.sections()}
    for where, execution in {"execution": settings.execution_of(), **styles}.items():
        yield from execution_contradictions(execution, where, settings.limits.entry_life_s)


def _traders(settings: Sections) -> Iterator[Trader]:
    allotments = settings.strategies.allotments()
    for name, section in settings.strategies.sections().items():
        exits = settings.exits
        stop = exits.stop_loss_fraction if section.exits is None else worst_stop(parse(section.exits))
        yield Trader(name, allotments[name], settings.limits_of(name), stop, exits.limit_offset_fraction)


def _check_wants(settings: Sections) -> Iterator[str]:
    """Check the settings of rotations, and that the known strategies' targets fit into the limits."""
    sections, allotments = settings.strategies.sections(), settings.strategies.allotments()
    rotations = [name for name, used in settings.strategies.installed_as().items() if used == "rotation"]
    declared = {name: section.wants for name, section in sections.items() if section.wants}
    if not (rotations or declared):
        return
    from tradebot.strategies.section_validation import TargetStrategy, problems

    wanting = [
        TargetStrategy(name, most, allotments[name], sections[name].limits, f"strategies.{name}.wants")
        for name, most in declared.items()
    ]
    if rotations:
        wanting = [*(yield from _rotations(settings, rotations)), *wanting]
    if wanting:
        yield from problems(wanting, settings.limits)


def _own_settings(settings: Sections) -> Iterator[str]:
    """Yield problems in the sections of strategies whose settings are known here."""
    sections = settings.strategies.in_use()
    for name, used in settings.strategies.installed_as().items():
        if used == "smart_money":
            from tradebot.strategies.smart_money.settings import SmartMoneySettings as Known
        elif used == "futures":
            from tradebot.strategies.futures_settings import FuturesSettings as Known  # type: ignore[assignment]
        elif used == "policy":
            from tradebot.strategies.policy import PolicySettings as Known  # type: ignore[assignment]
        else:
            continue
        from tradebot.strategies.section_validation import validate_section

        yield from validate_section(name, Known, sections[name])


def _rotations(settings: Sections, named: Sequence[str]) -> Generator[str, None, list[TargetStrategy]]:
    """Yield problems in rotations; return the other strategies' targets."""
    from tradebot.strategies.rotation import wanting

    strategies = settings.strategies
    in_use, sections, allotments = strategies.in_use(), strategies.sections(), strategies.allotments()
    targets: list[TargetStrategy] = []
    for name in named:
        section = sections[name]
        universe = section.universe or settings.universe
        wanted = yield from wanting(name, in_use[name], allotments[name], section.limits, universe)
        targets += [wanted] if wanted else []
    return targets


def _liquidations(settings: Sections) -> Iterator[str]:
    """Check exit rules that act before a liquidation: they need margin, and no entry may start within them."""
    least = settings.limits.min_liquidation_fraction
    for name, section in settings.strategies.sections().items():
        for rule in parse(section.exits or ()):
            if not isinstance(rule, LiquidationDistance):
                continue
            if settings.capabilities.settlement is Settlement.PAID:
                yield (
                    f"strategies.{name}.exits: liquidation_distance can't act: this venue has only cash accounts, "
                    "so nothing can be liquidated"
                )
            elif least is not None and rule.trim_below >= least:
                yield (
                    f"strategies.{name}.exits: liquidation_distance's trim_below {rule.trim_below} is not below "
                    f"limits.min_liquidation_fraction {least}: a position could be reduced as soon as it is opened"
                )


def _displacement(settings: Sections) -> Iterator[str]:
    """Check that a position can get old enough to be displaced, and that no rule must hold it longer."""
    for name, section in settings.strategies.sections().items():
        rules = settings.displacement_of(name)
        if rules.enabled:
            where = f"strategies.{name}.displacement" if section.displacement else "displacement"
            exits = account_rules(settings.exits) if section.exits is None else parse(section.exits)
            late = too_late(f"{where}.min_age_s", rules.min_age_s, exits)
            setting, session_s = f"{where}.min_age_s {rules.min_age_s}", int(settings.day.lasts.total_seconds())
            yield from (late,) if late else _held_otherwise(setting, rules.min_age_s, exits, session_s)


def _auction(settings: Sections) -> Iterator[str]:
    """Check that the auction's limits don't exceed the account's, and that a position can get old enough for it."""
    rules, sections = settings.auction, settings.strategies.sections()
    taking = [name for name, section in sections.items() if section.auction]
    for name in taking:
        if rules is None:
            yield (
                f"strategies.{name}.auction is true, but auction is null: add its rules under auction, or set"
                f" strategies.{name}.auction to false"
            )
        if settings.displacement_of(name).enabled:
            yield (
                f"strategies.{name} uses both the auction and displacement, but only one of them may replace"
                f" its positions: turn displacement off, or remove strategies.{name}.auction"
            )
    if rules is None:
        return
    most, halted = settings.limits.max_open_positions, settings.halts.margin_fraction
    if rules.max_positions > most:
        yield (
            f"auction.max_positions {rules.max_positions} is above limits.max_open_positions {most}: a position could "
            "be closed for a candidate that the account has no room for"
        )
    if halted is not None and rules.margin_fraction >= halted:
        yield (
            f"auction.margin_fraction {rules.margin_fraction} is not below halts.margin_fraction {halted}: an auction "
            "that fills its own budget could halt the bot"
        )
    session_s = int(settings.day.lasts.total_seconds())
    for name in taking:
        own = sections[name].exits
        exits = account_rules(settings.exits) if own is None else parse(own)
        late = too_late("auction.min_age_s", rules.min_age_s, exits)
        setting = f"auction.min_age_s {rules.min_age_s}"
        yield from (late,) if late else _held_otherwise(setting, rules.min_age_s, exits, session_s)


def _held_otherwise(where: str, min_age_s: int, exits: Exits, session_s: int) -> Iterator[str]:
    for rule in exits:
        if isinstance(rule, SignalDecay) and min_age_s < rule.min_hold_s:
            yield (
                f"{where} is below signal_decay's min_hold_s {rule.min_hold_s}: a position could be displaced by a "
                "better signal before its own signal may close it"
            )
        left_s = session_s - rule.before_close_s if isinstance(rule, EndOfDay) else None
        if left_s is not None and min_age_s >= left_s:
            yield (
                f"{where} is not below the {left_s} s of a session that are left before end_of_day closes"
                " everything: no position would ever be old enough to be displaced"
            )


def _fits_the_timetable(settings: Sections, flow_must_fit: bool) -> Iterator[str]:
    """Yield contradictions to the timetable: age limits shorter than the time between two renewals of the data."""
    limits, timetable = settings.tightest_limits, settings.timetable
    for name, job in (("max_flow_age_s", Job.FETCH_FLOW), ("max_reconcile_age_s", Job.RECONCILE)):
        if not {job, Job.TRADE_ONCE} <= set(timetable):
            continue
        usual = whole_day(settings.day)
        age, wait = getattr(limits, name), longest_wait_s(timetable[job], timetable[Job.TRADE_ONCE], usual)
        if age <= wait:
            yield (
                f"limits.{name} {age} is not above the {wait} s between two slots of timetable.{job} "
                f"({timetable[job]}): entries would be blocked before each renewal, because the data would be too old"
            )
    yield from _in_shadow(settings)
    yield from _looks_at_exits(settings)
    yield from _ends_of_day(settings)
    yield from _own_times(settings)
    yield from news_problems(settings)
    if flow_must_fit:
        yield from flow_problems(settings, allowance_of(settings))


def _in_shadow(settings: Sections) -> Iterator[str]:
    named = sorted(settings.strategies.in_shadow() | settings.strategies.until_promoted())
    if named and not any(line.verb == "shadow" for line in settings.timetable.chores):
        value = str(settings.strategies.sections()[named[0]].shadow).lower()
        yield f"strategies.{named[0]}.shadow is {value}, but no line of the timetable runs `shadow`: {FOLLOWED}"


def _ends_of_day(settings: Sections) -> Iterator[str]:
    """Check that exits run between a strategy's end of day and the close, and that entries end before."""
    timetable = settings.timetable
    for name, section in settings.strategies.sections().items():
        for rule in parse(section.exits) if section.exits else ():
            if not isinstance(rule, EndOfDay) or not {Job.EVALUATE_EXITS, Job.TRADE_ONCE} <= set(timetable):
                continue
            where, before = f"strategies.{name}.exits: end_of_day.before_close_s", rule.before_close_s
            jobs, usual = (Job.EVALUATE_EXITS, Job.TRADE_ONCE), whole_day(settings.day)
            look, entry = (left_after_last_s(timetable[job], usual) for job in jobs)
            if look > before:
                gap = f"the {look} s between the last exit check and the close"
                yield f"{where} {before} is shorter than {gap}, so the rule never acts"
            if entry <= before:
                yield (
                    f"{where} {before} is not below the {entry} s between the last entries and the close: the"
                    " rule would close those entries at once"
                )


def _own_times(settings: Sections) -> Iterator[str]:
    """Check that strategies' own times are valid, and that entries run while each of their slots is due."""
    for name, section in settings.strategies.sections().items():
        if section.times and Job.TRADE_ONCE in settings.timetable:
            try:
                usable(section.times, settings.timetable[Job.TRADE_ONCE], settings.day)
            except ValueError as unusable:
                yield f"strategies.{name}.times: {unusable}"


def _looks_at_exits(settings: Sections) -> Iterator[str]:
    """Check that exits run often enough, because the daily loss limits rely on working stops."""
    timetable = settings.timetable
    if not {Job.EVALUATE_EXITS, Job.TRADE_ONCE} <= set(timetable):
        return
    exits = timetable[Job.EVALUATE_EXITS]
    wait = longest_wait_s(exits, timetable[Job.TRADE_ONCE], whole_day(settings.day))
    if wait > MOST_UNWATCHED_S:
        yield (
            f"timetable.{Job.EVALUATE_EXITS} ({exits}) leaves {wait} s without an exit check while positions"
            f" are opened or held, but at most {MOST_UNWATCHED_S} s are allowed: in that time, a price could run"
            " past every stop, and the day's loss past its limits"
        )


def _names(settings: Sections) -> Iterator[str]:
    missing = [job.value for job in Job if job not in settings.timetable]
    if missing:
        yield f"timetable lacks {', '.join(missing)}: every job needs its times, or it would never be due"
    strategies = settings.strategies
    yield from strategies.contradictions(settings.universe)
    yield from settings.plugins.contradictions(strategies.plugins(), settings.tightest_limits.max_candidate_age_s)
    yield from _listed_twice(settings)
    yield from _one_symbol_of_each_coin(settings)


def _listed_twice(settings: Sections) -> Iterator[str]:
    """Yield each symbol that the universe, or the list it comes from, names more than once, with all its names."""
    candidates = settings.registry.candidate_symbols if settings.registry else None
    setting, names = ("registry.candidate_symbols", candidates) if candidates else ("universe", settings.universe)
    written = defaultdict[str, list[str]](list)
    for symbol, name in zip(settings.universe, names, strict=False):
        written[symbol].append(name)
    for symbol, each in written.items():
        if len(each) > 1:
            also = f" as {' and '.join(each)}" if set(each) != {symbol} else ""
            yield f"{setting} lists {symbol} twice{also}: it would be scored and limited twice"


def _of_registry(settings: Sections) -> Iterator[str]:
    if settings.registry is None:
        return
    yield from settings.registry.contradictions()
    if settings.registry.discovery and driver_for(settings.venue).contracts is None:
        yield f"registry.discovery: {settings.venue} can't list its contracts"
    named = {"pinned": settings.registry.pinned, "candidate_symbols": settings.registry.candidate_symbols or ()}
    for setting, names in named.items():
        for name in names:
            try:
                driver_for(settings.venue).symbol(name)
            except ValueError as unclear:
                yield f"registry.{setting}: {unclear}"


def _one_symbol_of_each_coin(settings: Sections) -> Iterator[str]:
    """Yield symbols that are one risk under two names, because each limit per symbol would allow it twice."""
    driver, by_coin = driver_for(settings.venue), dict[str, str]()
    discovers = settings.registry is not None and settings.registry.discovery
    own = (symbol for section in settings.strategies.sections().values() for symbol in section.universe or ())
    for symbol in dict.fromkeys((*settings.universe, *own)):
        try:
            coin = driver.coin(symbol)
        except ValueError as error:
            yield f"universe: {error}"
            continue
        if discovers and symbol != (perpetual := driver.symbol(coin)):
            yield f"universe: {symbol} isn't {perpetual}, and registry.discovery trades each coin as its perpetual"
        if (other := by_coin.setdefault(coin, symbol)) != symbol:
            yield f"universe: {other} and {symbol} are both {coin}, so each limit on a symbol would allow it twice"
