"""The tables of docs/internals/CONFORMANCE.md that follow from the OpenAPI files and the tables of left-out paths.

What a request does and which checks cover it is written in the page itself. `python -m tests.docs` writes the rest.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from itertools import groupby
from typing import NamedTuple

from exchange.tests.kit.openapi import DATA_DIFFERENCES, TRADING_DIFFERENCES, Api, Operation, data_api, trading_api
from papervenue.faces import unsupported_paths as left_out
from papervenue.faces.unsupported_paths import UnsupportedPath
from tests.docs.tables import INTERNALS, GeneratedTable, cells_of, table_row

PAGE = INTERNALS / "CONFORMANCE.md"
PARAMETER = re.compile(r"\{[^}]+\}")


class Surface(NamedTuple):
    """One API: the heading of its table, its file, and the paths that are left out."""

    head: str
    api: Api
    left_out: Sequence[UnsupportedPath]


def surfaces() -> tuple[Surface, Surface]:
    """Return both APIs; skip the test if the files aren't available."""
    return (
        Surface("| request of the trading api |", trading_api(), left_out.LEFT_OUT),
        Surface("| request of the market data api |", data_api(), left_out.DATA_LEFT_OUT),
    )


def written(head: str) -> list[list[str]]:
    """Return the cells of a table as the page has them."""
    return cells_of(PAGE.read_text(encoding="utf-8"), head)


def key_of(operation: Operation) -> str:
    """Return an operation's method and path without parameter names, which may differ between the two tables."""
    return f"{operation.method.upper()} {PARAMETER.sub('{}', operation.path)}"


def left_out_keys(rows: Iterable[UnsupportedPath]) -> set[str]:
    return {f"{method} {PARAMETER.sub('{}', row.path)}" for row in rows for method in row.methods}


def _requests(place: int) -> Iterator[str]:
    """Yield a row for each request of a file that is answered; what it does and what checks it stays as it is."""
    surface = surfaces()[place]
    gone = left_out_keys(surface.left_out)
    described = {request: words for request, _, *words in written(surface.head)}
    for operation in sorted(surface.api.operations(), key=lambda one: one.path):
        if key_of(operation) not in gone:
            request = f"`{operation.method.upper()} {operation.path}`"
            yield table_row((request, _answer(operation), *described.get(request, ("", ""))))


def _answer(operation: Operation) -> str:
    status: str = next(status for status in operation.fields["responses"] if status.startswith("2"))
    content = operation.fields["responses"][status].get("content")
    if content is None:
        return status
    (described,) = content.values()
    schema = described["schema"]
    items = schema.get("items", {})
    name, many = (items, "[]") if schema.get("type") == "array" else (schema, "")
    choices = [part for part in (name, *name.get("anyOf", ()), *name.get("oneOf", ())) if "$ref" in part]
    shown = " or ".join(part["$ref"].rpartition("/")[2] for part in choices) or "object"
    return f"{status} {shown}{many}"


def _left_out() -> Iterator[str]:
    for row in (row for surface in surfaces() for row in surface.left_out):
        yield table_row((f"`{' and '.join(row.methods)} {row.path}`", str(row.status), row.reason))


def _differences() -> Iterator[str]:
    rows = [*TRADING_DIFFERENCES, *DATA_DIFFERENCES]
    for (schema, what, source), alike in groupby(rows, key=lambda row: (row.schema, row.what, row.source)):
        yield table_row((schema, ", ".join(f"`{row.field}`" for row in alike), what, source))


TABLES = (
    GeneratedTable(PAGE, "| request of the trading api |", partial(_requests, 0)),
    GeneratedTable(PAGE, "| request of the market data api |", partial(_requests, 1)),
    GeneratedTable(PAGE, "| request | answer | why |", _left_out),
    GeneratedTable(PAGE, "| schema | fields |", _differences),
)
