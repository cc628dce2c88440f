"""Lines about strategies whose answer was refused, or that weren't asked at all."""

from typing import TYPE_CHECKING

from commands.shared.plain import clean
from commands.shared.times import MINUTE, when
from tradebot.model.reasons import REASONS

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.model.record import StrategyRefusal
    from tradebot.model.slot import Waiting


def render_refusal(console: "Console", refusal: "StrategyRefusal") -> None:
    """Print that a strategy's answer was refused as a whole, why, and what to do."""
    found = refusal.decision
    assert found.reason is not None, "a refusal has a reason"
    row, limit = REASONS[found.reason], "" if found.limit is None else f" against {found.limit}"
    if refusal.slot:
        console.print(f"Strategy {refusal.strategy}, slot {refusal.slot}: {found.reason}", markup=False)
        console.print(f"  {row.meaning}\n  Next: {row.remedy}", markup=False)
        return
    line = f"Strategy {refusal.strategy} is {row.cause.upper()}: {found.reason} ({clean(str(found.observed))}{limit})"
    console.print(line, style="red", markup=False)
    console.print(f"  {row.meaning}\n  Next: {row.remedy}", markup=False)


def not_due(waiting: "Waiting") -> str:
    """Return a line that says that a strategy wasn't due, and when it is due next."""
    following = waiting.next
    due = f"its next slot is {following.name} at {when(following.start, MINUTE)}" if following else "no slot is known"
    return f"Strategy {waiting.strategy} isn't due now; {due}"
