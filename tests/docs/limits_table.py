"""The table of all limits in docs/internals/LIMITS.md: their values and units, what asks them, and what clears them."""

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from tests.docs.tables import INTERNALS, GeneratedTable, table_row
from tests.kit.values import NOW, OPTIONS, margined
from tradebot.app.settings import Settings, load, shipped_path
from tradebot.gates import margin as margin_of
from tradebot.gates import portfolio_limits as limits_of
from tradebot.gates.evaluation import READS
from tradebot.gates.gate_declarations import FITTED, OWN_GATES
from tradebot.model.candidate import Side
from tradebot.model.decision import Gate
from tradebot.model.desk import SessionEntry
from tradebot.model.limits import OF_EQUITY, OPTIONAL_OF_EQUITY, HaltRules, Limits
from tradebot.model.reason_codes import Unit

PAGE = INTERNALS / "LIMITS.md"
HALTS = "the bot halts"
BY_ENDS = {
    "_s": "s",
    "_ms": "ms",
    "_usd": "USD",
    "_fraction": "fraction",
    "_share": "fraction",
    "_days": "days",
    "_only": "yes or no",
}


class Listed(NamedTuple):
    """The gate that asks a limit, and what lets entries through again; no gate if it ends or makes orders."""

    gate: Gate | None
    cleared_by: str


NO_GATES: dict[str, Listed] = {
    "limit_offset_fraction": Listed(None, FITTED),
    "entry_life_s": Listed(None, "ends a working entry"),
    "exit_life_s": Listed(None, "reprices a working exit"),
}
"""Limits that keep no entry back."""


def listed(part: str) -> dict[str, Listed]:
    """Return the settings of a part of the configuration, in its order, each with the first gate that says it."""
    model = Limits if part == "limits" else HaltRules
    asking = [gate for gate in Gate if gate not in OWN_GATES.values()]
    said = {
        name: Listed(gate, cleared_by)
        for gate in reversed(asking)
        for name, cleared_by in (READS[gate].limits if part == "limits" else READS[gate].halts).items()
        if cleared_by
    }
    return {name: said.get(name) or NO_GATES[name] for name in model.model_fields}


def _every() -> Iterator[str]:
    """Yield a row for each limit, with a column for each shipped profile."""
    profiles = {"default": load(None, {}).settings, **dict(_profiles())}
    yield from (*_rows("limits", profiles), *_rows("halts", profiles))


def columns() -> tuple[str, ...]:
    """Return the headings of the table."""
    return ("limit", "default", *(name for name, _ in _profiles()), "unit", "gate", "monitor", "what clears it")


def _profiles() -> Iterator[tuple[str, Settings]]:
    for path in sorted(shipped_path("profiles").glob("*.yaml")):
        yield path.stem, load(Path(path), {}).settings


def _rows(part: str, profiles: dict[str, Settings]) -> Iterator[str]:
    watched = monitored()
    for name, (gate, cleared_by) in listed(part).items():
        monitor = HALTS if part == "halts" else "audit" if gate in watched else ""
        values = (_value(part, name, settings) for settings in profiles.values())
        yield table_row(
            (f"`{part}.{name}`", *values, unit(name, gate), f"`{gate}`" if gate else "", monitor, cleared_by)
        )


def _value(part: str, name: str, settings: Settings) -> str:
    sections = settings.strategies.sections() if part == "limits" else {}
    own = {strategy: getattr(section.limits, name, None) for strategy, section in sections.items()}
    given = ", ".join(f"{strategy} {value}" for strategy, value in own.items() if value is not None)
    value = getattr(getattr(settings, part), name)
    shown = "null" if value is None else str(value)
    return f"{shown} ({given})" if given else shown


def unit(name: str, gate: Gate | None) -> str:
    if name in (*OF_EQUITY, *OPTIONAL_OF_EQUITY):
        return "of equity"
    by_end = next((words for end, words in BY_ENDS.items() if name.endswith(end)), "")
    counted = gate.unit if gate else Unit.NONE
    return by_end or ("fraction" if counted is Unit.SHARE_OF_WHOLE else counted.value[1])


def monitored() -> set[Gate]:
    """Return the gates whose limits are also shown for the book as it is, if all of them are set."""
    settings = load(None, {}).settings
    limits = settings.limits.model_copy(update=OPTIONS)
    held = {"AAPL": Decimal(1)}
    entered = SessionEntry("flow", "AAPL", Side.BUY, NOW)
    seen = margined(exposure=held, sector_exposure=held, entries=(entered, entered))
    on_book, on_margin = (of.monitors(seen, limits, settings.halts) for of in (limits_of, margin_of))
    answers = (*on_book, *limits_of.rate_monitors(seen, limits, NOW), *on_margin)
    return {decision.gate for _, decision in answers}


TABLES = (GeneratedTable(PAGE, "| limit |", _every),)
