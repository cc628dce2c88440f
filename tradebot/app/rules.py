"""The part of the configuration that the trading core needs."""

from collections.abc import Iterator

from tradebot.app.baseline import accepted_exits, accepted_own_exits
from tradebot.app.flow_plan import allowance_of
from tradebot.app.settings import Settings
from tradebot.app.venues import door_to
from tradebot.model.limits import ApprovalRules, DisplacementRules, ExitRules, OwnRules
from tradebot.model.record import Job
from tradebot.model.trading import Baseline
from tradebot.model.values import replace
from tradebot.ports.world import Rules


def rules_of(settings: Settings, exits: ExitRules, *, asks: bool = True) -> Rules:
    """Return the part of the settings that the core needs, with the exit rules in force.

    With `asks` False there is no person whose approval an entry could wait for.
    """
    flow, registry, door = settings.strategies.flow, settings.registry, door_to(settings.venue)
    return Rules(
        mode=settings.mode,
        universe=tuple(settings.universe),
        sectors=settings.sectors,
        limits=settings.limits,
        halts=settings.halts,
        exits=exits,
        poll_s=settings.unusual_whales.poll_s,
        own=dict(_own(settings, asks=asks)),
        flow=flow.window() if flow else None,
        displacement=_if_enabled(settings.displacement),
        approval=_if_asked(settings.approval) if asks else None,
        registry=registry if registry and registry.enabled else None,
        pinned=frozenset(map(door.symbol, registry.pinned if registry else ())),
        coin=door.coin,
        execution=settings.execution_of(),
        themes=settings.themes,
        betas=settings.betas,
        fetch_times=str(settings.timetable.get(Job.FETCH_FLOW, "")),
        allowance=allowance_of(settings),
        funds=frozenset(settings.funds),
        streamed=settings.unusual_whales.stream,
        costs=settings.costs_of(),
    )


def in_force(settings: Settings, accepted: Baseline | None) -> Rules:
    """Return the same, with the exit rules that were accepted last."""
    exits, own = settings.exits, settings.strategies.own_exits()
    if accepted:
        exits, own = accepted_exits(exits, accepted), accepted_own_exits(own, accepted)
    return replace(rules_of(settings, exits), own_exits=own)


def _own(settings: Settings, *, asks: bool) -> Iterator[tuple[str, OwnRules]]:
    """Yield the rules of each strategy in use."""
    allotments = settings.strategies.allotments()
    for name, section in settings.strategies.sections().items():
        universe = tuple(section.universe or settings.universe)
        displacement, execution = _if_enabled(settings.displacement_of(name)), settings.execution_of(name)
        limits, times = settings.limits_of(name), section.times or ""
        approval = _if_asked(settings.approval_of(name)) if asks else None
        yield (
            name,
            OwnRules(
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


def _if_asked(rules: ApprovalRules) -> ApprovalRules | None:
    return rules if rules.wait_s else None
