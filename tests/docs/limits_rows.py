"""The rows of docs/internals/LIMITS.md: where each limit comes from, what enforces it, and which test shows that.

The page itself holds them. A gate whose code explains it well enough has its row in a table of its own there, which
`make docs` fills from the predicate's docstring and the limits that the predicate reads.
"""

import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

from tests.docs.limits_table import PAGE
from tests.docs.tables import GeneratedTable, cells_of, table_row
from tradebot.gates.ask import ACCOUNT, CANDIDATE, STRATEGY
from tradebot.gates.gate_declarations import Question
from tradebot.model.decision import Gate
from tradebot.model.limits import HaltRules, Limits

GENERATED = "| rule of a gate |"
REFUSES = "gates/test_entry.py::test_a_gate_refuses_with_its_reason_and_its_numbers"
WITHOUT_ROW = (Gate.JOB, Gate.NEEDS, Gate.TARGET, Gate.EXIT, Gate.SEND)
"""Gates of a pass, an exit or a submission, which are not limits on an entry."""


class Row(NamedTuple):
    """One rule: `limit` names its values in the configuration, `predicates` the functions that enforce it."""

    rule: str
    limit: str
    gates: tuple[Gate, ...]
    predicates: tuple[str, ...]
    tests: tuple[str, ...]


def rows() -> tuple[Row, ...]:
    """Return the rules before an order: those that the page has, and those that follow from the code."""
    return (*_written("| rule | values |"), *_followed())


def clauses() -> tuple[Row, ...]:
    """Return the clauses of 17 CFR 240.15c3-5 that a bot for one account can meet: what is asked, and how it is met."""
    return tuple(Row(asks, met, (), _names(by), _names(tests)) for _, asks, met, by, tests in _cells("| clause |"))


def _written(head: str) -> tuple[Row, ...]:
    return tuple(
        Row(rule, limit, tuple(Gate(name) for name in _names(gates)), _names(predicates), _names(tests))
        for rule, limit, gates, predicates, tests in _cells(head)
    )


def _cells(head: str) -> list[list[str]]:
    return cells_of(PAGE.read_text(encoding="utf-8"), head)


def _names(cell: str) -> tuple[str, ...]:
    return tuple(re.findall(r"`([^`]+)`", cell))


def own_rows(gates: Iterable[tuple[Gate, Question[Any]]]) -> Iterator[Row]:
    """Yield a row for each gate that the first table leaves out, if its predicate has a docstring."""
    named = {gate for row in _written("| rule | values |") for gate in row.gates}
    for gate, predicate in gates:
        if gate not in named and predicate.__doc__:
            rule = predicate.__doc__.partition("\n")[0].removesuffix(".")
            yield Row(rule, _limits_in(predicate), (gate,), (f"gates.entry.{predicate.__name__}",), (REFUSES,))


def _limits_in(predicate: Callable[..., Any]) -> str:
    """Return the settings that the predicate's source reads."""
    read = dict.fromkeys(re.findall(r"\b(limits|halts)\.(\w+)", inspect.getsource(predicate)))
    known = {"limits": Limits.model_fields, "halts": HaltRules.model_fields}
    return ", ".join(f"{section}.{name}" for section, name in read if name in known[section]) or "always"


def _followed() -> Iterator[Row]:
    return own_rows([*ACCOUNT.questions, *STRATEGY.questions, *CANDIDATE.questions])


def _generated() -> Iterator[str]:
    for row in _followed():
        yield table_row((row.rule, row.limit, *(f"`{name}`" for name in (*row.gates, *row.predicates, *row.tests))))


TABLES = (GeneratedTable(PAGE, GENERATED, _generated),)
