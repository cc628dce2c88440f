"""`pnl --csv`: the rows with exact decimals."""

from commands.shared.files import cell, csv_text
from tradebot.views.performance.pnl import Pnl, Row

COLUMNS = Row.__struct_fields__


def written(found: Pnl) -> str:
    """Return the text of a CSV file with the rows; their sum is left to the reader's program."""
    rows = ([cell(getattr(row, column)) for column in COLUMNS] for row in found.rows)
    return csv_text((found.by, *COLUMNS[1:]), rows)
