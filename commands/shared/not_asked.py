"""Lines about strategies whose answer was refused, or that weren't asked at all."""

from typing import TYPE_CHECKING

from commands.shared.drawing import measured
from commands.shared.plain import clean
from commands.shared.times import MINUTE, when
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.text import noun

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rich.console import Console

    from tradebot.model.record import StrategyRefusal
    from tradebot.model.slot import Waiting


def render_refusals(console: "Console", refusals: "Iterable[StrategyRefusal]") -> None:
    """Print what strategies weren't asked or had refused, why, and what to do: one entry for each reason."""
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
        clean(measured(value, unit)) for value, unit in zip((first.observed, first.limit), first.units, strict=True)
    )
    numbers = f" ({observed}{f' against {limit}' if limit else ''})" if observed else ""
    if group[0].slot:
        slots = ", ".join(refusal.slot for refusal in group)
        return f"Strategy {strategy}, {noun(len(group), 'slot')} {slots}: {reason}"
    if group[0].symbol:
        symbols = ", ".join(clean(refusal.symbol or "") for refusal in group)
        return f"Strategy {strategy} wasn't asked about {symbols}: {reason}{numbers}"
    return f"Strategy {strategy} is {REASONS[reason].cause.upper()}: {reason}{numbers}"


def remedy_for(strategy: str, reason: Reason) -> str:
    """Return what to do about a refusal, with the strategy's own name in the commands and settings."""
    return REASONS[reason].remedy.replace("NAME", strategy)


def not_due(waiting: "Waiting") -> str:
    """Return a line that says that a strategy wasn't due, and when it is due next."""
    following = waiting.next
    due = f"its next slot is {following.name} at {when(following.start, MINUTE)}" if following else "no slot is known"
    return f"Strategy {waiting.strategy} isn't due now; {due}"
