"""Print judgments: one row each, with its evidence and what to do, whoever asked for them."""

from collections import Counter
from collections.abc import Iterable, Mapping

from rich.markup import escape

from commands.shared.light_helpers import clean
from commands.shared.number_format import STATE_STYLE, color_state
from commands.shared.tables import Table, sentence, staying
from tradebot.judging.judgment import HealthState, Judgment
from tradebot.model.text import counted_kind, span


def counted_states(judgments: Iterable[Judgment]) -> dict[str, int]:
    """Return how many judgments have each state."""
    counts = Counter(each.state for each in judgments)
    return {state.value: counts[state] for state in HealthState}


def counts(states: Mapping[str, int]) -> str:
    """Return the states that were found as markup, each with its count and in its color."""
    return ", ".join(f"[{STATE_STYLE[name]}]{count} {name}[/]" for name, count in states.items() if count)


def table(judgments: Iterable[Judgment], *, with_next: bool = True) -> Table:
    """Return a row for each judgment; the next step is omitted for a screen that shows it already."""
    rows = Table("state", staying("subject"), sentence("found"), header=False)
    for each in judgments:
        following = f"\n[bold]next:[/] {escape(clean(each.next))}" if with_next and each.next else ""
        rows.row(color_state(each.state), each.subject, f"{escape(clean(each.found))}{_evidence(each)}{following}")
    return rows


def _evidence(judgment: Judgment) -> str:
    age = f", {span(judgment.age_s)} old" if judgment.age_s else ""
    return f" [dim]({counted_kind(judgment.count, judgment.looked_at)}{age})[/]" if judgment.count else ""
