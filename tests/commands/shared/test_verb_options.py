"""A document with a long list is written in parts, and says what it says in one."""

import json
from decimal import Decimal

import pytest
from msgspec import Struct

from commands.shared import verb_options
from commands.shared.light_helpers import Identity
from commands.shared.setting_args import assignments, path_of, values_of, with_setting_options
from commands.shared.verb_options import Report, finish
from tradebot.errors import OperatorError


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
def test_a_screen_names_the_venue_unless_it_is_the_embedded_exchange(bot_identity: Identity, place: str) -> None:
    assert bot_identity.venue_and_account == place


def test_dots_of_a_symbol_and_dashes_of_a_job_are_a_part_of_the_name() -> None:
    assert path_of("limits.max_open_positions") == ("limits", "max_open_positions")
    assert path_of("sectors.BRK.B") == ("sectors", "BRK.B")
    assert path_of("timetable.trade_once.when") == ("timetable", "trade-once", "when")
    assert path_of("timetable.my_chore") == ("timetable", "my_chore")
    for wrong in ("limits.", ".x", "a b", "a..b", "a\x1bb"):
        with pytest.raises(OperatorError):
            path_of(wrong)


def test_a_value_may_contain_an_equals_sign_and_means_what_it_means_in_a_file() -> None:
    pairs = list(assignments(["sandbox.path=a=b", " limits.min_score = 0.30"]))
    assert values_of(pairs) == [(("sandbox", "path"), "a=b"), (("limits", "min_score"), Decimal("0.30"))]


@pytest.mark.parametrize(
    ("typed", "says", "next_step"),
    [
        (["limits.max_open_positions"], "isn't KEY=VALUE", "--set limits.max_open_positions=5"),
        (["=5"], "isn't KEY=VALUE", ""),
        (["limits.max_theme_fraction="], "has no value", "limits.max_theme_fraction=null"),
        (["a.b=1", "a.b=2"], "a.b is set twice", "name it once"),
        (["a={b: 1}", "a.b=2"], "a and a.b are set, and one contains the other", ""),
        (["a.b=[1"], "a.b: the value isn't valid YAML", "close the list with ]"),
    ],
)
def test_a_mistake_is_refused_with_what_to_type(typed: list[str], says: str, next_step: str) -> None:
    with pytest.raises(OperatorError) as refused:
        values_of(list(assignments(typed)))
    assert (says in refused.value.message, next_step in refused.value.hint) == (True, True)


def test_settings_go_over_options_and_contradict_none() -> None:
    flags = {"mode": "sandbox", "sandbox": {"seed": 8}}
    merged = with_setting_options(flags, [(("sandbox", "edge"), 0), (("limits", "cooldown_s"), 90)])
    assert merged == {"mode": "sandbox", "sandbox": {"seed": 8, "edge": 0}, "limits": {"cooldown_s": 90}}
    assert flags == {"mode": "sandbox", "sandbox": {"seed": 8}}
    for path in (("sandbox", "seed"), ("sandbox",)):
        with pytest.raises(OperatorError, match="another option set the same"):
            with_setting_options(flags, [(path, 9)])
