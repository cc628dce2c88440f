"""Show what `tradebot replay` found."""

from typing import TYPE_CHECKING

from commands.shared.light_helpers import clean
from commands.shared.times import when
from tradebot.model.text import pluralize

if TYPE_CHECKING:
    from rich.console import Console

    from commands.replay.report import Again, ChangedPass


def render(console: "Console", data: "Again", *, hint: str = "") -> None:
    """Print how many passes were equal, and the first that weren't; `hint` is the next step if one is damaged."""
    days = " to ".join(dict.fromkeys((str(data.sessions[0]), str(data.sessions[-1]))))
    console.print(f"Decided again: {pluralize(data.passes, 'pass', 'passes')} of {days}", markup=False)
    equal = f"{data.equal:,} equal" if data.equal < data.passes else "all equal"
    console.print(f"  {equal}, {pluralize(data.decisions, 'decision')} compared; nothing was sent", markup=False)
    if others := [one for one in data.recorded_by if one != data.version]:
        console.print(f"  recorded by {clean(', '.join(others))}, decided now by {data.version}", markup=False)
    for one in data.first:
        console.print(f"  {clean(one.id)} ({when(one.at)}): {clean(_difference(one))}", markup=False, style="red")
    if data.changed > len(data.first):
        console.print(f"  … and {data.changed - len(data.first):,} more that differ", markup=False)
    for lost in data.unreadable:
        console.print(
            f"  {clean(lost.id)} ({when(lost.at)}) can't be decided again: {clean(lost.why)}", markup=False, style="red"
        )
    if data.unreadable:
        of = f" --session {data.sessions[0]}" if len(data.sessions) == 1 else ""
        shows = f"no order depends on such a record; tradebot why-no-orders{of} still shows what was decided"
        console.print(f"Next: {hint or shows}", markup=False)
    for left in data.not_kept:
        console.print(f"  {left.id} ({when(left.at)}) is left out: {left.why}", markup=False)
    if data.other_code:
        console.print(f"  changed since: {'; '.join(data.other_code)}", markup=False)


def _difference(one: "ChangedPass") -> str:
    """Return where a pass differs first, in words."""
    whose = " ".join(part for part in (one.symbol, one.strategy and f"of {one.strategy}", one.gate) if part)
    return f"{whose + ', ' if whose else ''}{one.what} was {one.recorded}, is now {one.replayed}"
