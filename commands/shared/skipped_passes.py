"""Report slots that weren't run, and strategies that didn't run or whose result was refused."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from msgspec import Struct
from rich.console import Console

from commands.shared.light_helpers import clean
from commands.shared.number_format import format_with_unit
from commands.shared.times import MINUTE, when
from commands.shared.verb_options import Report, identity
from jobs.slot_claims import SlotRefused
from tradebot.app.wiring import App
from tradebot.errors import ExitCode
from tradebot.model.bar import WaitingStrategy
from tradebot.model.decision import Decision, Gate
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import StrategyRefusal
from tradebot.model.sentences import noun_for
from tradebot.model.trading import Mode

AWAITS_THE_MARKET = frozenset({Reason.MARKET_CLOSED, Reason.OUTSIDE_TIMETABLE})
MARKET_ENDED = "The market ended with its last session. Create a new one: tradebot init --state-dir NEW"


class NotRun(Struct, frozen=True):
    """A pass that did not run, and why."""

    reason: Reason
    meaning: str
    found: str | None
    remedy: str


def refused_report(app: "App", verb: str, refused: "SlotRefused") -> Report:
    """Report a pass that got no slot. This is a normal result: the slot's work is done or isn't due."""
    data = not_run(app, refused.decision, app.now())
    return Report(verb, data, render_not_run, ExitCode.DONE, identity(app))


def not_run(app: "App", decision: Decision, at: datetime) -> NotRun:
    """Return why a pass did not run, with the numbers of the decision."""
    assert decision.reason is not None, "a refusal has a reason"
    value = None if decision.observed is None else format_with_unit(decision.observed, decision.units[0])
    if value is not None and decision.limit is not None:
        value += f", at most {format_with_unit(decision.limit, decision.units[1])}"
    return NotRun(decision.reason, REASONS[decision.reason].meaning, value, remedy_of(app, decision.reason, at))


def remedy_of(app: "App", reason: Reason, at: datetime) -> str:
    """Return what would have changed a past decision; waiting doesn't help once the sandbox's market has ended."""
    if reason in AWAITS_THE_MARKET and app.mode is Mode.SANDBOX:
        from tradebot.app.sandbox import market_has_ended

        if market_has_ended(app.folder.exchange, at):
            return MARKET_ENDED
    return REASONS[reason].remedy


def render_not_run(console: "Console", data: NotRun) -> None:
    """Print why a pass did not run."""
    console.print(f"{data.reason}: {with_evidence(data.meaning, data.found)}", markup=False)
    console.print(f"Next: {data.remedy}", markup=False)


def with_evidence(meaning: str, evidence: str | None) -> str:
    """Return a reason's meaning, with the observed value in parentheses."""
    return f"{meaning.removesuffix('.')} ({clean(evidence)})." if evidence else meaning


def render_refusals(console: "Console", refusals: "Iterable[StrategyRefusal]") -> None:
    """Print the refusals of strategies, with reasons and remedies: one entry for each reason."""
    alike: dict[tuple[str, Reason, bool, bool], list[StrategyRefusal]] = {}
    for refusal in refusals:
        reason = refusal.decision.reason
        assert reason is not None, "a refusal has a reason"
        of_symbol, of_slot = refusal.symbol is not None, bool(refusal.slot)
        alike.setdefault((refusal.strategy, reason, of_symbol, of_slot), []).append(refusal)
    for (strategy, reason, _, _), group in alike.items():
        whole = not group[0].symbol and not group[0].slot
        console.print(_headline(strategy, reason, group), style="red" if whole else None, markup=False)
        console.print(f"  {REASONS[reason].meaning}\n  Next: {remedy_for(strategy, reason)}", markup=False)


def _headline(strategy: str, reason: Reason, group: "Sequence[StrategyRefusal]") -> str:
    first = group[0].decision
    observed, limit = (
        clean(format_with_unit(value, unit))
        for value, unit in zip((first.observed, first.limit), first.units, strict=True)
    )
    numbers = f" ({observed}{f' against {limit}' if limit else ''})" if observed else ""
    if group[0].slot:
        slots = ", ".join(refusal.slot for refusal in group)
        return f"Strategy {strategy}, {noun_for(len(group), 'slot')} {slots}: {reason}"
    if group[0].symbol:
        symbols = ", ".join(clean(refusal.symbol or "") for refusal in group)
        if first.gate is Gate.EXIT:
            return f"{symbols} of {strategy} can't be closed: {reason}"
        return f"Strategy {strategy} wasn't run for {symbols}: {reason}{numbers}"
    return f"Strategy {strategy} is {REASONS[reason].cause.upper()}: {reason}{numbers}"


def remedy_for(strategy: str, reason: Reason) -> str:
    """Return what to do about a refusal, with this strategy's name in the commands and settings."""
    return REASONS[reason].remedy.replace("NAME", strategy)


def not_due(waiting: "WaitingStrategy") -> str:
    """Return a line saying that a strategy wasn't due, and when it will be."""
    following = waiting.next
    due = f"its next slot is {following.name} at {when(following.start, MINUTE)}" if following else "no slot is known"
    return f"Strategy {waiting.strategy} isn't due now; {due}"
