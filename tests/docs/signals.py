"""docs/internals/SIGNALS.md: the kinds of flow facts and the components of the score, as their files describe them."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from tradebot.signals.components import component_names, component_of
from tradebot.signals.kinds import kinds

PAGE = Path(__file__).resolve().parents[2] / "docs" / "internals" / "SIGNALS.md"
LEAD = """\
# Flow signals

`python -m tests.docs` writes this page from `tradebot/signals/kinds/` and `tradebot/signals/components/`. Each row has
a file there. To add one, follow [CONTRIBUTING.md](../../CONTRIBUTING.md#add-a-signal).

## Kinds of facts

A strategy declares which kinds it needs. A kind that no strategy in use needs isn't fetched. The table has each kind's
own interval; `unusual_whales.poll_s` overrides it. "For" says whether a reply is about one symbol or about the market.
Facts that can change are known in the version of their time.
"""
COMPONENTS = """
## Components of the flow score

Each is from -1 (bearish) to 1 (bullish), or absent. `strategies.flow.weights` turns a component on. In a formula,
`direction` is the sign of the alerts' flow.
"""


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        escaped = (cell.replace("|", "\\|") for cell in cells)
        yield f"| {' | '.join(escaped)} |\n"


def _kinds() -> Iterator[Sequence[str]]:
    for name, kind in kinds().items():
        about = "market" if kind.market_wide else "symbol"
        counts = f"and {kind.past_days} days after it" if kind.past_days else "only"
        can_change = "yes" if kind.changes else "no"
        own = (f"`{name}`", kind.source, about, kind.unit, kind.sign, kind.absent)
        yield *own, f"{kind.poll_s:,} s", f"its session {counts}", can_change


def _components() -> Iterator[Sequence[str]]:
    for name in component_names():
        each = component_of(name)
        reads = ", ".join(f"`{kind.name}`" for kind in each.reads)
        yield f"`{name}`", reads, f"`{each.formula}`", each.sign, each.absent


def page() -> str:
    """Return the document."""
    heads = ("kind", "source", "for", "unit", "sign", "none means", "fetched every", "counts in", "can change")
    components = ("component", "reads", "formula", "sign", "absent if")
    return "".join((LEAD, "\n", *_table(heads, _kinds()), COMPONENTS, "\n", *_table(components, _components())))
