"""`trades --csv`: every column of trades or lots, with exact decimals and times in UTC."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING

from commands.shared.surface import jsonable
from tradebot.errors import OperatorError
from tradebot.views.performance.risk import Excursion
from tradebot.views.performance.trade_row import LotRow, TradeRow

if TYPE_CHECKING:
    from tradebot.model.candidate import Component
    from tradebot.views.slippage import TotalSlippage

STDOUT = Path("-")
MIDPOINTS = ("decision", "send", "arrival")
EXCURSION = tuple(field.name for field in fields(Excursion))
SPREAD = {
    **{name: tuple(f"{name}_{part}" for part in EXCURSION) for name in ("best", "worst")},
    "slippage": tuple(f"slippage_{at}_{part}" for at in MIDPOINTS for part in ("usd", "bps", "fills", "of_fills")),
}
"""The fields of a trade that take several columns."""
TRADE_COLUMNS = tuple(column for field in fields(TradeRow) for column in SPREAD.get(field.name, (field.name,)))
LOT_COLUMNS = tuple(field.name for field in fields(LotRow))


def written(trades: "Sequence[TradeRow]", lots: "Sequence[LotRow] | None") -> str:
    """Return the text of a CSV file with these lots, or without lots with these trades."""
    file = io.StringIO(newline="")
    out = csv.writer(file, lineterminator="\n")
    if lots is None:
        out.writerow(TRADE_COLUMNS)
        out.writerows([cells[column] for column in TRADE_COLUMNS] for cells in map(_trade, trades))
    else:
        out.writerow(LOT_COLUMNS)
        out.writerows([_cell(getattr(lot, column)) for column in LOT_COLUMNS] for lot in lots)
    return file.getvalue()


def save(text: str, file: Path) -> None:
    """Write a file; raise OperatorError if that isn't possible."""
    try:
        file.write_text(text, encoding="utf-8", newline="")
    except OSError as error:
        raise OperatorError(
            f"{file} can't be written: {error.strerror}", "name another file, or - for stdout"
        ) from error


def _trade(row: "TradeRow") -> "Mapping[str, str]":
    cells = {field.name: getattr(row, field.name) for field in fields(row) if field.name not in SPREAD}
    return {
        **{name: _cell(value) for name, value in cells.items()},
        "reasons": "; ".join(row.reasons),
        "components": "; ".join(map(_component, row.components)),
        "tags": " ".join(row.tags),
        **dict(_excursion("best", row.best)),
        **dict(_excursion("worst", row.worst)),
        **{name: text for total in row.slippage for name, text in _slippage(total)},
    }


def _cell(value: object) -> str:
    """Return a value as JSON writes it, and nothing for what isn't known."""
    found = jsonable(value)
    return "" if found is None else str(found)


def _component(component: "Component") -> str:
    """Return a component as its name, its value, and the weight that it had; no value if its data was absent."""
    value = "" if component.value is None else f"{component.value!r}"
    return f"{component.name}={value}*{component.weight!r}"


def _excursion(name: str, found: "Excursion | None") -> "Iterator[tuple[str, str]]":
    for part in EXCURSION:
        yield f"{name}_{part}", _cell(None if found is None else getattr(found, part))


def _slippage(total: "TotalSlippage") -> "Iterator[tuple[str, str]]":
    name = f"slippage_{total.against}"
    yield f"{name}_usd", _cell(total.total.usd if total.total else None)
    yield f"{name}_bps", _cell(total.total.bps if total.total else None)
    yield f"{name}_fills", str(total.known)
    yield f"{name}_of_fills", str(total.of)
