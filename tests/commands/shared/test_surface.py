"""A document with a long list is written in parts, and says what it says in one."""

import json
from dataclasses import dataclass
from decimal import Decimal

import pytest

from commands.shared import surface
from commands.shared.surface import Report, finish


@dataclass(frozen=True)
class Row:
    number: int
    price: Decimal
    hint: str


@dataclass(frozen=True)
class Data:
    before: str
    rows: tuple[Row, ...]
    others: tuple[int, ...]
    after: Decimal


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_a_long_document_is_the_same_in_parts(
    count: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(surface, "LONG", 3)
    rows = tuple(Row(n, Decimal(n) / 4, "tradebot status") for n in range(count))
    report = Report("fills", Data("x", rows, tuple(range(count)), Decimal("1.50")), lambda console: None, mode="paper")
    finish(report, as_json=True)
    assert capsys.readouterr().out == json.dumps(report.document()) + "\n"
