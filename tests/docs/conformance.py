"""Write docs/internals/CONFORMANCE.md from the OpenAPI files, the tables of left-out paths, and our descriptions.

Run it from the repository's root: python -m tests.docs
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from tests.docs.conformance_rows import CHECKS, DATA, GAPS, STREAMS, TRADING, Behaves
from tests.kit.exchange.openapi import Api, Operation, data_api, trading_api
from tests.kit.exchange.openapi_differences import BEHAVIOURS, DATA_DIFFERENCES, TRADING_DIFFERENCES, Difference
from tradebot.exchange.faces.data import left_out as data_left_out
from tradebot.exchange.faces.trading import left_out as trading_left_out
from tradebot.exchange.faces.trading.left_out import LeftOut

PAGE = Path(__file__).resolve().parents[2] / "docs" / "internals" / "CONFORMANCE.md"
PARAMETER = re.compile(r"\{[^}]+\}")
_HEAD = """# Conformance
What the exchange answers to a client of Alpaca: each path of Alpaca's two OpenAPI files and each stream, with the
schema of its answer, its behavior, and the tests that check it. A test regenerates this page and compares it.

The answer column names a schema of the file. "Validated" means that a test checks the whole answer against that
schema and allows no other fields, except those in the last tables. Errors are `{"code", "message"}`.
"""


class Surface(NamedTuple):
    """One API: its title, its file, the descriptions of its paths, and the paths that are left out."""

    title: str
    api: Api
    behaves: dict[str, Behaves]
    left_out: Sequence[LeftOut]


def surfaces() -> tuple[Surface, Surface]:
    """Return both APIs; skip the test if the files aren't available."""
    return (
        Surface("Trading API", trading_api(), TRADING, trading_left_out.LEFT_OUT),
        Surface("Market data API", data_api(), DATA, data_left_out.LEFT_OUT),
    )


def key_of(operation: Operation) -> str:
    """Return an operation's method and path without parameter names, which may differ between the two tables."""
    return f"{operation.method.upper()} {PARAMETER.sub('{}', operation.path)}"


def left_out_keys(rows: Iterable[LeftOut]) -> set[str]:
    return {f"{method} {PARAMETER.sub('{}', row.path)}" for row in rows for method in row.methods}


def page() -> str:
    parts = [_HEAD, _checks(), *(_surface(surface) for surface in surfaces()), _streams(), _left_out()]
    return "\n".join([*parts, _differences(), _behaviours(), _gaps()])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _checks() -> str:
    rows = ((word, f"`{path}`", what) for word, (path, what) in CHECKS.items())
    return "## How it is checked\n" + _table(("word", "where", "what it does"), rows)


def _surface(surface: Surface) -> str:
    gone = left_out_keys(surface.left_out)
    shown = [one for one in surface.api.operations() if key_of(one) not in gone]
    rows = (_row(one, surface.behaves[key_of(one)]) for one in sorted(shown, key=lambda one: one.path))
    head = ("request", "answer", "behavior", "checked by")
    return f"## {surface.title}\n" + _table(head, rows)


def _row(operation: Operation, behaves: Behaves) -> Sequence[str]:
    request = f"`{operation.method.upper()} {operation.path}`"
    return request, _answer(operation), behaves.what, ", ".join(behaves.checks)


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


def _streams() -> str:
    return "## Streams\n" + _table(("stream", "behavior", "checked by"), _stream_rows())


def _stream_rows() -> Iterator[Sequence[str]]:
    for name, behaves in STREAMS.items():
        yield name, behaves.what, ", ".join(behaves.checks)


def _left_out() -> str:
    rows = (
        (f"`{' and '.join(row.methods)} {row.path}`", str(row.status), row.reason)
        for surface in surfaces()
        for row in surface.left_out
    )
    text = "## Left out\nThe answer is always this error, in the form that the file documents for it.\n\n"
    return text + _table(("request", "answer", "why"), rows)


def _differences() -> str:
    rows = [*TRADING_DIFFERENCES, *DATA_DIFFERENCES]
    grouped = groupby(rows, key=lambda row: (row.schema, row.what, row.source))
    text = "## Where the API differs from its OpenAPI file\n"
    return text + _table(("schema", "fields", "what", "source"), (_difference(key, row) for key, row in grouped))


def _difference(key: tuple[str, str, str], rows: Iterable[Difference]) -> Sequence[str]:
    schema, what, source = key
    return schema, ", ".join(f"`{row.field}`" for row in rows), what, source


def _behaviours() -> str:
    text = "## Where the file says nothing or contradicts itself\n"
    return text + _table(("topic", "the file", "here", "source"), BEHAVIOURS)


def _gaps() -> str:
    return "## Known differences of this exchange\n" + "".join(f"- {gap}\n" for gap in GAPS)
