"""docs/internals/SIGNALS.md: the kinds of flow facts and the components of the score, as their declarations say."""

from collections.abc import Iterator, Sequence
from datetime import date
from pathlib import Path

from tradebot.model.fact_kind import AnyKind, Phase, ReplyScope
from tradebot.signals.components import component_names, component_of
from tradebot.signals.kinds import kinds

PAGE = Path(__file__).resolve().parents[2] / "docs" / "internals" / "SIGNALS.md"
LEAD = """\
# Flow signals

`python -m tests.docs` writes this page from `tradebot/signals/subjects/`, which has a file for each subject, such as
`shorts.py`, with its kinds and its components. To add one, follow [the recipe](../recipes/signal.md).

## Kinds of facts

A strategy declares which kinds it needs. A kind that no strategy in use needs isn't fetched. The table has each kind's
own interval; `unusual_whales.poll_s` overrides it. "Calls" is what one fetch of it takes: `tradebot fetch-flow --plan`
adds them up for your universe. A reply older than its limit counts as absent. Facts that can change are known in the
version of their time. A broken contract of a core kind closes entries.
"""
FIELDS = """
## The fields of each kind

Each reply is checked against these. "decimal" is a number written as text; a ? says that the field may be null, and a *
that it may be left out.
"""
COMPONENTS = """
## Components of the flow score

Each is from -1 (bearish) to 1 (bullish), or absent. `strategies.flow.weights` turns a component on; those without
evidence are off unless you do. `score --explain SYMBOL` computes the formulas. Components of one family say the same
thing in different ways, and an entry needs several families that agree. A component that follows the flow is a share of
its value, no evidence in itself, and absent where the flow is.
"""
ORIGINS = """
## Where the components come from

"Inferred" is what the source doesn't define, so that nobody outside can check it.
"""
CALLS = {
    ReplyScope.SYMBOL: "1 per symbol",
    ReplyScope.FUND: "1 per fund",
    ReplyScope.SECTOR: "1 per sector",
    ReplyScope.MARKET: "1 for all",
}
WHEN = {
    Phase.ALWAYS: "at any time",
    Phase.OPEN: "during the session",
    Phase.MORNING: "once, before the open",
    Phase.EVENING: "once, after the close",
}


def _table(head: Sequence[str], rows: Iterator[Sequence[str]]) -> Iterator[str]:
    for cells in (head, ["---"] * len(head), *rows):
        escaped = (cell.replace("|", "\\|") for cell in cells)
        yield f"| {' | '.join(escaped)} |\n"


def endpoint(kind: AnyKind) -> str:
    """Return the path that a kind asks for, with the ticker's or the sector's place in braces."""
    about = "" if kind.scope is ReplyScope.MARKET else "{sector}" if kind.scope is ReplyScope.SECTOR else "{ticker}"
    return kind.request(about, date(2026, 11, 16)).path


def _kinds() -> Iterator[Sequence[str]]:
    for name, kind in kinds().items():
        counts = f"and {kind.past_days} days after it" if kind.past_days else "only"
        limit = "none" if kind.max_age_s is None else f"{kind.max_age_s:,} s"
        own = (f"`{name}`" + (" (core)" if kind.core else ""), f"`{endpoint(kind)}`", CALLS[kind.scope])
        times = (f"{kind.poll_s:,} s", WHEN[kind.phase], limit, f"its session {counts}")
        yield *own, kind.unit, kind.sign, kind.absent, *times, "yes" if kind.changes else "no"


def _fields() -> Iterator[Sequence[str]]:
    for name, kind in kinds().items():
        yield f"`{name}`", ", ".join(f"`{field}` {words}" for field, words in kind.fields.items())


def _components() -> Iterator[Sequence[str]]:
    for name in component_names():
        each = component_of(name)
        reads = ", ".join(f"`{kind.name}`" for kind in each.reads)
        family = f"follows `{each.follows}`" if each.follows else each.family
        yield f"`{name}`", family, reads, f"`{each.formula}`", each.sign, each.absent


def _origins() -> Iterator[Sequence[str]]:
    for name in component_names():
        each = component_of(name)
        yield f"`{name}`", each.after or "ours", each.evidence or "none, so off by default", each.inferred or "nothing"


def page() -> str:
    heads = (
        "kind", "endpoint", "calls", "unit", "sign", "none means", "fetched every", "when", "limit of age",
        "counts in", "can change",
    )  # fmt: skip
    components = ("component", "family", "reads", "formula", "sign", "absent if")
    origins = ("component", "formula after", "evidence", "inferred")
    parts = (
        (LEAD, heads, _kinds()),
        (FIELDS, ("kind", "fields"), _fields()),
        (COMPONENTS, components, _components()),
        (ORIGINS, origins, _origins()),
    )
    return "".join("".join((lead, "\n", *_table(head, rows))) for lead, head, rows in parts)
