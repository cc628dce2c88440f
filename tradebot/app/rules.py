"""The part of the configuration that the trading core needs."""

from collections.abc import Iterator

from tradebot.app.flow_plan import allowance_of
from tradebot.app.settings import Settings
from tradebot.model.limits import DisplacementRules, ExitRules, OwnRules
from tradebot.model.record import Job
from tradebot.ports.world import Rules


def rules_of(settings: Settings, exits: ExitRules) -> Rules:
    """Return the part of the settings that the core needs, with the exit rules in force."""
    flow = settings.strategies.flow
    return Rules(
        mode=settings.mode,
        universe=tuple(settings.universe),
        sectors=settings.sectors,
        limits=settings.limits,
        halts=settings.halts,
        exits=exits,
        poll_s=settings.unusual_whales.poll_s,
        own=dict(_own(settings)),
        flow=flow.window() if flow else None,
        displacement=_if_enabled(settings.displacement),
        execution=settings.execution_of(),
        themes=settings.themes,
        betas=settings.betas,
        fetch_times=str(settings.timetable.get(Job.FETCH_FLOW, "")),
        allowance=allowance_of(settings),
        funds=frozenset(settings.funds),
        streamed=settings.unusual_whales.stream,
    )


def _own(settings: Settings) -> Iterator[tuple[str, OwnRules]]:
    """Yield the rules of each strategy in use."""
    allotments = settings.strategies.allotments()
    for name, section in settings.strategies.sections().items():
        universe = tuple(section.universe or settings.universe)
        displacement, execution = _if_enabled(settings.displacement_of(name)), settings.execution_of(name)
        limits, times = settings.limits_of(name), section.times or ""
        yield name, OwnRules(universe, limits, allotments[name], times, execution, displacement, section.wants)


def _if_enabled(rules: DisplacementRules) -> DisplacementRules | None:
    return rules if rules.enabled else None
