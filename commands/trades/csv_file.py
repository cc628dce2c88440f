"""`trades --csv`: every column of trades or lots, with exact decimals and times in UTC."""

from collections.abc import Iterator, Mapping, Sequence

from commands.shared.files import cell, csv_text
from tradebot.model.candidate import Component
from tradebot.views.performance.risk import Excursion
from tradebot.views.performance.trade_row import LotRow, TradeRow
from tradebot.views.slippage import TotalSlippage

MIDPOINTS = ("decision", "send", "arrival")
EXCURSION = Excursion.__struct_fields__
SPREAD = {
    **{name: tuple(f"{name}_{part}" for part in EXCURSION) for name in ("best", "worst")},
    "slippage": tuple(f"slippage_{at}_{part}" for at in MIDPOINTS for part in ("usd", "bps", "fills", "of_fills")),
}
"""The fields of a trade that take several columns."""
TRADE_COLUMNS = tuple(column for name in TradeRow.__struct_fields__ for column in SPREAD.get(name, (name,)))
LOT_COLUMNS = LotRow.__struct_fields__
PLAIN = tuple(name for name in TradeRow.__struct_fields__ if name not in {*SPREAD, "reasons", "components"})
"""The fields of a trade whose values are written as they are."""


def written(trades: "Sequence[TradeRow]", lots: "Sequence[LotRow] | None") -> str:
    """Return the text of a CSV file with these lots, or without lots with these trades."""
    if lots is None:
        return csv_text(TRADE_COLUMNS, ([cells[column] for column in TRADE_COLUMNS] for cells in map(_trade, trades)))
    return csv_text(LOT_COLUMNS, ([cell(getattr(lot, column)) for column in LOT_COLUMNS] for lot in lots))


def _trade(row: "TradeRow") -> "Mapping[str, str]":
    return {
        **{name: cell(getattr(row, name)) for name in PLAIN},
        "reasons": "; ".join(row.reasons),
        "components": "; ".join(map(_component, row.components)),
        **dict(_excursion("best", row.best)),
        **dict(_excursion("worst", row.worst)),
        **{name: text for total in row.slippage for name, text in _slippage(total)},
    }


def _component(component: "Component") -> str:
    """Return a component as its name, its value, and the weight that it had; no value if its data was absent."""
    value = "" if component.value is None else f"{component.value!r}"
    return f"{component.name}={value}*{component.weight!r}"


def _excursion(name: str, found: "Excursion | None") -> "Iterator[tuple[str, str]]":
    for part in EXCURSION:
        yield f"{name}_{part}", cell(None if found is None else getattr(found, part))


def _slippage(total: "TotalSlippage") -> "Iterator[tuple[str, str]]":
    name = f"slippage_{total.against}"
    yield f"{name}_usd", cell(total.total.usd if total.total else None)
    yield f"{name}_bps", cell(total.total.bps if total.total else None)
    yield f"{name}_fills", str(total.known)
    yield f"{name}_of_fills", str(total.of)
