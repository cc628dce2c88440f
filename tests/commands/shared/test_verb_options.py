"""A document with a long list is written in parts, and says what it says in one."""

import json
from decimal import Decimal

import pytest
from msgspec import Struct

from commands.shared import verb_options
from commands.shared.light_helpers import Identity
from commands.shared.verb_options import Report, finish


class Row(Struct, frozen=True):
    number: int
    price: Decimal
    hint: str


class Data(Struct, frozen=True):
    before: str
    rows: tuple[Row, ...]
    others: tuple[int, ...]
    after: Decimal


@pytest.mark.parametrize("count", [0, 1, 3, 4, 9])
def test_a_long_document_is_the_same_in_parts(
    count: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(verb_options, "LONG", 3)
    rows = tuple(Row(n, Decimal(n) / 4, "tradebot status") for n in range(count))
    report = Report(
        "fills",
        Data("x", rows, tuple(range(count)), Decimal("1.50")),
        lambda console, data: None,
        bot_identity=Identity("paper"),
    )
    finish(report, as_json=True)
    assert capsys.readouterr().out == json.dumps(report.document()) + "\n"


@pytest.mark.parametrize(
    ("bot_identity", "place"),
    [
        (Identity("paper", "alpaca", "6789"), "alpaca account …6789"),
        (Identity("live shadow", "madeup", "6789"), "madeup account …6789"),
        (Identity("sandbox", "alpaca", "6789"), "account …6789"),
        (Identity("sandbox shadow", "alpaca", "6789"), "account …6789"),
        (Identity("sandbox", "madeup", "6789"), "madeup account …6789"),
    ],
)
def test_a_screen_names_the_venue_of_an_account_that_is_not_the_embedded_exchanges(
    bot_identity: Identity, place: str
) -> None:
    assert bot_identity.venue_and_account == place
