"""docs/internals/EXITS.md: the kinds of exit rules, as their files describe them."""

from collections.abc import Iterator

from tests.docs.tables import INTERNALS, GeneratedTable, table_row
from tradebot.exits.exit_rule import ExitRule
from tradebot.exits.rules import kinds
from tradebot.model.reason_codes import Unit
from tradebot.model.reasons import REASONS

PAGE = INTERNALS / "EXITS.md"


def _unit(kind: type[ExitRule]) -> str:
    units = REASONS[kind.reason].units
    unit = units[0] if units else Unit.SHARE_OF_WHOLE
    return "number" if unit is Unit.NONE else unit.value[0]


def _rules() -> Iterator[str]:
    for name, kind in sorted(kinds().items(), key=lambda item: (item[1].rank, item[1].reason)):
        closes = " ".join((kind.__doc__ or "").split())
        settings = ", ".join(f"`{field}`" for field in kind.model_fields)
        yield table_row((f"`{name}`", closes, settings, f"`{kind.reason}`", _unit(kind), ", ".join(kind.needs)))


TABLES = (GeneratedTable(PAGE, "| rule | what it does |", _rules),)
