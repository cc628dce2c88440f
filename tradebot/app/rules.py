"""Derive the trading core's rules from the configuration."""

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import date
from itertools import islice
from typing import TYPE_CHECKING

from tradebot import __version__
from tradebot.app.baseline import accepted_exits, accepted_own_exits
from tradebot.app.flow_plan import allowance_of
from tradebot.app.news import is_news_apart, news_allowance
from tradebot.app.settings import Settings
from tradebot.app.settings_schema import Sections
from tradebot.app.venues import driver_for
from tradebot.model.limits import ApprovalRules, DisplacementRules, ExitRules, StrategyRules
from tradebot.model.record import Job
from tradebot.model.registry import UNSORTED
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Baseline
from tradebot.ports.stores import Facts
from tradebot.ports.world import Rules
from tradebot.signals.roll_dates import EARLIEST

if TYPE_CHECKING:
    from tradebot.replaying.passes import RecordEnvironment


def rules_of(settings: Sections, exits: ExitRules, *, asks: bool = True, discovered: Sequence[str] = ()) -> Rules:
    """Return the settings that the core needs, with the exit rules in force.

    If `asks` is False, nobody can approve an entry. `discovered` symbols replace the universe. Symbols that a
    strategy's own settings name stay, unless the name is the root of a discovered contract. Discovered symbols aren't
    settings: the user accepts discovery (or a root) once, and not each list of symbols that the venue returns.
    """
    universe, stands_for = tuple(discovered or settings.universe), symbol_finder(settings, discovered)
    flow, registry, driver = settings.strategies.flow, settings.registry, driver_for(settings.venue)
    return Rules(
        mode=settings.mode,
        universe=universe,
        sectors={
            **dict.fromkeys(discovered, UNSORTED),
            **{stands_for(name): sector for name, sector in settings.sectors.items()},
        },
        limits=settings.limits,
        halts=settings.halts,
        exits=exits,
        poll_s=settings.unusual_whales.poll_s,
        own=dict(_own(settings, universe, stands_for, asks=asks)),
        flow=flow.window() if flow else None,
        displacement=_if_enabled(settings.displacement),
        approval=_if_approval_needed(settings.approval) if asks else None,
        registry=registry if registry and registry.enabled else None,
        pinned=frozenset(map(driver.symbol, registry.pinned if registry else ())),
        coin=driver.coin,
        perpetual=driver.symbol,
        execution=settings.execution_of(),
        themes={stands_for(name): theme for name, theme in settings.themes.items()},
        betas={stands_for(name): beta for name, beta in settings.betas.items()},
        fetch_times=str(settings.timetable.get(Job.FETCH_FLOW, "")),
        allowance=allowance_of(settings),
        funds=frozenset(settings.funds),
        streamed=settings.unusual_whales.stream,
        costs=settings.costs_of(),
        news_apart=is_news_apart(settings),
        news_allowance=news_allowance(settings),
        standing=frozenset(map(stands_for, settings.universe)) - frozenset(settings.universe),
    )


def symbols_on(settings: Sections, rules: Rules, names: Iterable[str], today: date) -> tuple[str, ...]:
    """Return the symbols for these names of a universe. For a root without a chosen contract, use its nearest
    contract.
    """
    months = driver_for(settings.venue).months
    if months is None:
        return tuple(names)
    symbols = list[str]()
    for name in names:
        try:
            symbols.append(rules.perpetual(name))
        except ValueError:
            remaining = (month for month in months(name, today, today + EARLIEST) if month.rolling.on > today)
            symbols.extend(month.symbol for month in islice(remaining, 1))
    return tuple(symbols)


def symbol_finder(settings: Sections, discovered: Sequence[str]) -> Callable[[str], str]:
    """Return a function that maps a name in the settings to its symbol; for a root, that is the chosen contract."""
    driver = driver_for(settings.venue)
    if driver.months is None:
        return lambda name: name
    contracts = {driver.coin(symbol): symbol for symbol in discovered}

    def stands_for(name: str) -> str:
        # The shipped sectors also name shares, which have no root.
        with suppress(ValueError):
            return contracts.get(driver.coin(name), name)
        return name

    return stands_for


def without_sector(settings: Sections) -> tuple[str, ...]:
    """Return the symbols of the universe that are never bought because they have no sector.

    The result is empty at a venue whose contracts expire, because they need no sector.
    """
    if driver_for(settings.venue).months is not None:
        return ()
    return tuple(symbol for symbol in settings.universe if symbol not in settings.sectors)


def in_force(settings: Settings, accepted: Baseline | None, discovered: Sequence[str] = ()) -> Rules:
    """Return the rules, with the exit rules accepted last."""
    exits, own = settings.exits, settings.strategies.own_exits()
    if accepted:
        exits, own = accepted_exits(exits, accepted), accepted_own_exits(own, accepted)
    return replace(rules_of(settings, exits, discovered=discovered), own_exits=own)


class CurrentRules:
    """Caches the rules in force and what they are built from, until either changes."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._based_on: tuple[Baseline | None, Sequence[str]] = None, ()
        self._surroundings: RecordEnvironment | None = None
        self.last: Rules | None = None

    def rules(self, accepted: Baseline | None, discovered: Sequence[str]) -> Rules:
        """Return the rules for the configuration accepted last and the symbols discovered last."""
        if self.last is None or self._based_on != (accepted, discovered):
            self._based_on, self._surroundings = (accepted, discovered), None
            self.last = in_force(self._settings, accepted, discovered)
        return self.last

    def find_discovered(self, recorded: Callable[[], Facts | None]) -> tuple[str, ...]:
        """Return the symbols discovered last, as `discovered_last` does."""
        return discovered_last(self._settings, recorded)

    @property
    def surroundings(self) -> "RecordEnvironment":
        """Return what the last rules were built from, in the form in which a pass's record stores it."""
        if self._surroundings is None:
            self._surroundings = record_environment(self._settings, *self._based_on)
        return self._surroundings


def record_environment(settings: Settings, accepted: Baseline | None, discovered: Sequence[str]) -> "RecordEnvironment":
    """Return the settings in force, from which the rules can be rebuilt."""
    from tradebot.replaying.passes import RecordEnvironment

    values = b"" if accepted is None else _text(accepted.values)
    # A baseline drops trailing zeros, but decisions print limits as they were written.
    written = settings.model_dump(mode="json", exclude_unset=True)
    return RecordEnvironment(_text(written), values, tuple(discovered), __version__)


def _text(values: object) -> bytes:
    return json.dumps(values, separators=(",", ":"), ensure_ascii=False).encode()


def discovered_last(settings: Settings, recorded: Callable[[], Facts | None]) -> tuple[str, ...]:
    """Return the symbols discovered last; empty if none were found yet, or if nothing is discovered.

    Symbols are discovered if discovery is on or if the venue's contracts expire. A running `serve` calls this before
    each pass, so it trades a new coin without a reload.
    """
    registry = settings.registry
    stored = recorded() if (registry and registry.discovery) or driver_for(settings.venue).months else None
    return stored.discovery().symbols if stored else ()


def _own(
    settings: Sections, everything: Sequence[str], stands_for: Callable[[str], str], *, asks: bool
) -> Iterator[tuple[str, StrategyRules]]:
    """Yield the rules of each strategy in use."""
    allotments = settings.strategies.allotments()
    for name, section in settings.strategies.sections().items():
        universe = tuple(map(stands_for, section.universe or everything))
        displacement, execution = _if_enabled(settings.displacement_of(name)), settings.execution_of(name)
        limits, times = settings.limits_of(name), section.times or ""
        approval = _if_approval_needed(settings.approval_of(name)) if asks else None
        yield (
            name,
            StrategyRules(
                universe,
                limits,
                allotments[name],
                times,
                execution,
                displacement,
                section.wants,
                approval,
                settings.auction if section.auction else None,
                settings.costs_of(name),
            ),
        )


def _if_enabled(rules: DisplacementRules) -> DisplacementRules | None:
    return rules if rules.enabled else None


def _if_approval_needed(rules: ApprovalRules) -> ApprovalRules | None:
    return rules if rules.wait_s else None
