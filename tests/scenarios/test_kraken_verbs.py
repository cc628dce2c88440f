"""Typed verbs at Kraken Futures: a demo whose books agree with the exchange, and what each verb says of it."""

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path

import pytest

from tests.bot import Said, typed
from tradebot.exchange import process

VENUE = "kraken_futures"
READ = ("status", "positions", "orders", "trades", "pnl", "report", "summary", "audit", "health", "schedule")


class Played:
    """The folder of a demo, and how the demo ended."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str], *options: str) -> None:
        self.folder = folder
        self.capture = capture
        self.demo = self.says("demo", "--venue", VENUE, "--symbols", "3", "--minutes", "12", *options)

    def says(self, *words: str) -> Said:
        return typed(self.capture, *words, "--state-dir", str(self.folder))


@pytest.fixture
def played(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Played]:
    monkeypatch.chdir(tmp_path)
    yield Played(tmp_path / "bot", capsys, "--json")
    process.stop(tmp_path / "bot" / "exchange")


def test_a_demo_of_coins_agrees_with_its_exchange_and_every_verb_knows_it(played: Played) -> None:
    document = json.loads(played.demo.out)
    found = document["data"]
    assert (played.demo.code, document["venue"], found["differences"]) == (0, VENUE, [])
    assert (found["fills"] > 0, len(found["positions"]) > 0, found["flow"]) == (True, True, None)
    for verb in READ:
        said = played.says(verb)
        assert (said.code in (0, 1, 10), " ET" in said.out, "Traceback" in said.err) == (True, False, False), verb
        assert json.loads(played.says(verb, "--json").out)["venue"] == VENUE
    checks = {
        row["subject"]: row["state"] for row in json.loads(played.says("doctor", "--json").out)["data"]["judgments"]
    }
    assert {checks[name] for name in ("broker", "account", "quotes", "bars", "clock", "nonce", "key")} == {"OK"}
    order = json.loads(played.says("doctor", "--order", "--json").out)["data"]["judgments"]
    assert {row["subject"]: row["state"] for row in order}["cancel"] == "OK"
    _has_what_margin_and_funding_say(played)


def _has_what_margin_and_funding_say(played: Played) -> None:
    assert played.says("exchange", "tick", "1h").code == 0
    assert played.says("reconcile").code == 0
    shown = json.loads(played.says("positions", "--json").out)["data"]
    held = {row["symbol"] for row in shown["positions"]}
    assert {one["symbol"] for one in shown["margin"]["liquidations"]} == held
    assert {one["symbol"] for one in shown["funding"]} == held
    total = json.loads(played.says("pnl", "--json").out)["data"]["pnl"]["total"]
    assert Decimal(total["funding_usd"]) == sum(Decimal(one["amount_usd"]) for one in shown["funding"]) != 0
    assert Decimal(total["fees_usd"]) < 0 == Decimal(total["other_usd"]), "fees are told apart from funding"


def test_a_symbol_that_the_exchange_does_not_have_is_refused_before_anything_is_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "bot"
    said = typed(capsys, "init", "--venue", VENUE, "--symbols", "PF_XBTUSD,PF_NOUSD", "--state-dir", str(folder))
    assert (said.code, "has no PF_NOUSD" in said.err, folder.exists()) == (2, True, False)
