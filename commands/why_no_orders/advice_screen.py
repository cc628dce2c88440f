"""Show what would have let refused candidates through."""

from collections.abc import Sequence

from rich.console import Console

from commands.shared.drawing import in_units
from commands.shared.plain import clean
from tradebot.model.text import counted
from tradebot.views.advised import NO_GATE_OPENS, Advised

SHOWN = 5
"""How many changes are shown for a pass; a symbol shows its own."""

MORE = "tradebot why-no-orders SYMBOL tries its strategy's own settings too, and shows the command."


def show_advice(console: Console, one: Advised) -> None:
    """Print the change that would have let a candidate through, and the commands that make it."""
    console.print(f"Advice: {in_units(clean(one.sentence))}", markup=False)
    for command in one.commands:
        console.print(f"  {clean(command)}", markup=False, soft_wrap=True)


def show_advice_of_pass(console: Console, advice: Sequence[Advised]) -> None:
    """Print the smallest changes that would have let candidates of a pass through, and how many nothing helps."""
    if not advice:
        return
    if not advice[0].symbol:
        console.print(f"\n{clean(advice[0].sentence)}", markup=False)
        return
    helped = [one for one in advice if one.changes]
    if not helped:
        console.print(f"\n{NO_GATE_OPENS}: {counted(len(advice), 'refused candidate')}.", markup=False)
        console.print(MORE, markup=False)
        return
    console.print("\nWhat would have let them through, the smallest change first:", markup=False)
    for one in helped[:SHOWN]:
        console.print(f"  {clean(one.symbol)}: {clean(_change(one))}", markup=False)
    if len(helped) > SHOWN:
        console.print(f"  … and changes for {len(helped) - SHOWN} more: --json shows all", markup=False)
    if rest := sum(one.searched for one in advice) - len(helped):
        console.print(f"  {NO_GATE_OPENS}: {counted(rest, 'candidate')}", markup=False)
    if left := sum(not one.searched for one in advice):
        console.print(f"  Not searched, because there are too many: {counted(left, 'candidate')}", markup=False)
    console.print(MORE, markup=False)


def _change(one: Advised) -> str:
    told = ", ".join(f"{change.key} {change.value} (it was {change.value_before})" for change in one.changes)
    also = f"; {', '.join(one.also)} too" if one.also else ""
    instead = f"; not {', '.join(one.instead)}" if one.instead else ""
    return f"{told}{also}{instead}"
