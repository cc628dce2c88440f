"""docs/internals/SIGNALS.md: the kinds of flow facts and the components of the score, as their declarations say."""

from collections.abc import Iterator
from datetime import date

from tests.docs.tables import INTERNALS, GeneratedTable, table_row
from tradebot.model.fact_kind import AnyKind, Phase, ReplyScope
from tradebot.signals.components import component_names, component_of
from tradebot.signals.kinds import kinds

PAGE = INTERNALS / "SIGNALS.md"
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


def endpoint(kind: AnyKind) -> str:
    """Return the path that a kind asks for, with the ticker's or the sector's place in braces."""
    about = "" if kind.scope is ReplyScope.MARKET else "{sector}" if kind.scope is ReplyScope.SECTOR else "{ticker}"
    return kind.request(about, date(2026, 11, 16)).path


def _kinds() -> Iterator[str]:
    for name, kind in kinds().items():
        counts = f"and {kind.past_days} days after it" if kind.past_days else "only"
        limit = "none" if kind.max_age_s is None else f"{kind.max_age_s:,} s"
        own = (f"`{name}`" + (" (core)" if kind.core else ""), f"`{endpoint(kind)}`", CALLS[kind.scope])
        times = (f"{kind.poll_s:,} s", WHEN[kind.phase], limit, f"its session {counts}")
        yield table_row((*own, kind.unit, kind.sign, kind.absent, *times, "yes" if kind.changes else "no"))


def _fields() -> Iterator[str]:
    for name, kind in kinds().items():
        yield table_row((f"`{name}`", ", ".join(f"`{field}` {words}" for field, words in kind.fields.items())))


def _components() -> Iterator[str]:
    for name in component_names():
        each = component_of(name)
        reads = ", ".join(f"`{kind.name}`" for kind in each.reads)
        family = f"follows `{each.follows}`" if each.follows else each.family
        yield table_row((f"`{name}`", family, reads, f"`{each.formula}`", each.sign, each.absent))


def _origins() -> Iterator[str]:
    for name in component_names():
        each = component_of(name)
        evidence = each.evidence or "none, so off by default"
        yield table_row((f"`{name}`", each.after or "ours", evidence, each.inferred or "nothing"))


TABLES = (
    GeneratedTable(PAGE, "| kind | endpoint |", _kinds),
    GeneratedTable(PAGE, "| kind | fields |", _fields),
    GeneratedTable(PAGE, "| component | family |", _components),
    GeneratedTable(PAGE, "| component | formula after |", _origins),
)
