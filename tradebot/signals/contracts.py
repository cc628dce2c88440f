"""Check the rows of replies against the documented fields, and evaluate all replies together.

Rows with the same fields and types are counted together, so each such shape is examined once. No row is left out.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from types import NoneType
from typing import Any, NamedTuple

from tradebot.model.fact_kind import Breach, CheckedReply, Columns, ContractFinding, Drift, NullCounts
from tradebot.model.struct_tools import replace

LONGEST_EXAMPLE = 160
LEAST_ROWS = 100
"""The fewest rows for which a field's current share of nulls is compared with its usual share."""
NULLS_ABOVE = 0.25
"""How far a field's share of nulls may rise above its usual share before that is a finding."""

_TYPES: Mapping[str, tuple[str, frozenset[type]]] = {
    "text": ("text", frozenset({str})),
    "decimal": ("a number in quotes", frozenset({str})),
    "integer": ("a whole number", frozenset({int})),
    "number": ("a number", frozenset({int, float, Decimal})),
    "boolean": ("true or false", frozenset({bool})),
    "list": ("a list", frozenset({list})),
    "object": ("an object", frozenset({dict})),
}
"""Each documented type in words, and how JSON is read into it."""
_CUT = "…"


class ContractChecked(NamedTuple):
    """The differences from the documented contract, and the null count of each field, documented or not."""

    findings: tuple[ContractFinding, ...] = ()
    nulls: Mapping[str, int] = {}


def check(
    fields: Mapping[str, str], rows: Iterable[object], foreign: Sequence[object] = (), columns: Columns | None = None
) -> ContractChecked:
    """Compare rows with the documented fields, if any; `foreign` are rows of other tickers than the requested one.

    `columns` has the rows as columns, if all have the same fields; with them, one check usually shows that nothing
    differs. Only the types of values are compared; a text that isn't a number is rejected when it is parsed.
    """
    contract_findings = [ContractFinding(Breach.FOREIGN, "", len(foreign), _excerpt(foreign[0]))] if foreign else []
    nulls: Counter[str] = Counter()
    if columns is not None and _as_documented(fields, columns):
        nulls.update({name: each.values.count(None) for name, each in columns.items() if NoneType in each.types})
        rows = ()
    shapes, strays = _shapes(rows if fields else ())
    for count, row in shapes:
        nulls.update({name: count for name, value in row.items() if value is None})
        contract_findings += _differences(fields, row, count)
    if strays:
        contract_findings.append(ContractFinding(Breach.RETYPED, "", len(strays), _excerpt(strays[0], "object")))
    alike = defaultdict[tuple[Breach, str], list[ContractFinding]](list)
    for each in contract_findings:
        alike[each.breach, each.field].append(each)
    together = (replace(same[0], rows=sum(each.rows for each in same)) for _, same in sorted(alike.items()))
    return ContractChecked(tuple(together), dict(nulls))


def _as_documented(fields: Mapping[str, str], columns: Columns) -> bool:
    return columns.keys() <= fields.keys() and all(
        columns[name].types <= _types(documented) if name in columns else "*" in documented
        for name, documented in fields.items()
    )


@cache
def _types(documented: str) -> frozenset[type]:
    return _TYPES[documented.rstrip("?*")][1] | ({NoneType} if "?" in documented else set())


def _shapes(rows: Iterable[object]) -> tuple[Sequence[tuple[int, Mapping[str, object]]], Sequence[object]]:
    """Return how many rows have each combination of fields and types, with the first such row; and rows that aren't
    objects.
    """
    alike: dict[tuple[str | type, ...], list[Any]] = {}
    strays = list[object]()
    for row in rows:
        if isinstance(row, dict):
            alike.setdefault((*row, *map(type, row.values())), [0, row])[0] += 1
        else:
            strays.append(row)
    return [(count, row) for count, row in alike.values()], strays


def _differences(fields: Mapping[str, str], row: Mapping[str, object], count: int) -> Iterator[ContractFinding]:
    for name, documented in fields.items():
        if name not in row:
            if "*" not in documented:
                yield ContractFinding(Breach.GONE, name, count, _excerpt(row))
        elif type(row[name]) not in _types(documented):
            if row[name] is None:
                yield ContractFinding(Breach.NULL, name, count, _excerpt(row))
            else:
                yield ContractFinding(Breach.RETYPED, name, count, _excerpt(row[name], documented.rstrip("?*")))
    for name in row.keys() - fields.keys():
        yield ContractFinding(Breach.NEW, str(name)[:LONGEST_EXAMPLE], count, _excerpt(row[name]))


def _excerpt(value: object, expected: str = "") -> str:
    """Return a value as the JSON had it, cut short, and what was expected instead, if that can be said."""
    text = json.dumps(value, default=_number)
    short = text if len(text) <= LONGEST_EXAMPLE else text[: LONGEST_EXAMPLE - len(_CUT)] + _CUT
    return short + (f" instead of {_TYPES[expected][0]}" if expected else "")


def _number(value: object) -> float | str:
    """Return a parsed number as JSON writes it."""
    return float(value) if isinstance(value, Decimal) and not value.is_snan() else str(value)


def drifts(replies: Iterable[CheckedReply]) -> tuple[Drift, ...]:
    """Return the differences in these replies by kind: harmful ones first, then by the share of rows."""
    rows: Counter[str] = Counter()
    by_breach: dict[tuple[str, Breach, str], list[ContractFinding]] = defaultdict(list)
    for reply in replies:
        rows[reply.endpoint] += reply.rows
        for finding in reply.findings:
            by_breach[reply.endpoint, finding.breach, finding.field].append(finding)
    together = (
        Drift(kind, breach, name, sum(each.rows for each in same), rows[kind], same[0].example)
        for (kind, breach, name), same in by_breach.items()
    )
    return tuple(sorted(together, key=lambda drift: (not drift.breach.harms, -drift.share, str(drift))))


def harmful_drifts(drifted: Iterable[Drift], largest_share: Decimal) -> tuple[Drift, ...]:
    """Return the harmful differences that occur in more than `largest_share` of the rows."""
    return tuple(drift for drift in drifted if drift.breach.harms and drift.share > largest_share)


def more_nulls(kind: str, current: NullCounts, usual: NullCounts) -> tuple[Drift, ...]:
    """Return the fields that are null much more often than usual; none if there are too few rows."""
    if min(current.rows, usual.rows) < LEAST_ROWS:
        return ()
    shares = ((name, count, usual.nulls.get(name, 0) / usual.rows) for name, count in current.nulls.items())
    return tuple(
        Drift(kind, Breach.NULL, name, count, current.rows, f"usually in {share:.0%} of the rows")
        for name, count, share in shares
        if count / current.rows > share + NULLS_ABOVE
    )
