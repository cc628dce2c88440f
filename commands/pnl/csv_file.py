"""`pnl --csv`: the rows with exact decimals."""

import csv
import io
from dataclasses import fields

from commands.shared.surface import jsonable
from tradebot.views.performance.pnl import Pnl, Row

COLUMNS = tuple(field.name for field in fields(Row))


def written(found: Pnl) -> str:
    """Return the text of a CSV file with the rows; their sum is left to the reader's program."""
    file = io.StringIO(newline="")
    out = csv.writer(file)
    out.writerow((found.by, *COLUMNS[1:]))
    out.writerows([_cell(getattr(row, column)) for column in COLUMNS] for row in found.rows)
    return file.getvalue()


def _cell(value: object) -> str:
    return " ".join(value) if isinstance(value, tuple) else str(jsonable(value))
