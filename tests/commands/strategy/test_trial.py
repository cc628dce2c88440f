"""`tradebot strategy test`: what a strategy sees, wants and costs; and nothing else happens."""

import re
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import UNIVERSE, Bot, log, typed
from tests.kit.strategies import WELL, install
from tradebot.app import sandbox

FOUR = sorted(UNIVERSE.split(","))


def books(bot: Bot) -> Mapping[str, object]:
    names = ("journal.jsonl", "ledger.db", "facts.db", "system_events.jsonl")
    files = {name: (bot.folder / name).read_bytes() for name in names if (bot.folder / name).exists()}
    return {**files, "log": log(bot.url)}


def test_strategy_test_wants_what_a_pass_does_and_leaves_no_trace(trading: Bot) -> None:
    before = books(trading)
    tried = trading.json("strategy", "test", "flow")
    assert books(trading) == before
    assert (tried["data"], tried["seed"], tried["own_process"], tried["refusal"]) == ("recorded", None, False, None)
    scored = {row["symbol"]: (row["side"], row["score"]) for row in trading.json("score")["rows"]}
    assert {want["symbol"]: (want["side"], want["score"]) for want in tried["wants"]} == scored
    assert any(want["components"] for want in tried["wants"])
    assert (tried["repeats"], tried["cost"]["again"]) == (True, 4)
    assert tried["needs"]["facts"] == [
        "dark_pool",
        "flow_alerts",
        "insider",
        "oi_change",
        "options_volume",
        "risk_reversal",
    ]


def test_it_shows_each_want_or_why_the_strategy_declines_it(trading: Bot) -> None:
    shown = trading.says("strategy", "test", "flow", "--symbols", "msft, AAPL").out
    assert re.search(r"^Sees +2 symbols$", shown, re.MULTILINE)
    assert re.search(r"^Asked +every entry pass$", shown, re.MULTILINE)
    assert re.search(r"^(AAPL|MSFT) +open +(buy|sell) +[+-]0\.\d{3} +\d+%", shown, re.MULTILINE)
    assert re.search(r"^Cost +first answer [\d.e-]+ ms; run again, [\d.e-]+ ms \(median of 4\)$", shown, re.MULTILINE)


def test_what_the_strategy_declines_itself_is_counted_and_says_its_numbers(
    trading: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEBOT_STRATEGIES__FLOW__MIN_CLUSTER", "1000")
    shown = trading.says("strategy", "test", "flow").out
    assert "Answer    4 wants: 0 for the gates, 4 declined by the strategy itself" in shown
    assert re.search(r"declined: CLUSTER_TOO_SMALL \d+ alerts? against 1,?000 alerts", " ".join(shown.split()))


def test_a_moment_of_the_past_knows_only_what_was_known_then(trading: Bot) -> None:
    now, before = (trading.json("strategy", "test", "flow", *at)["wants"] for at in ((), ("--at", "2026-11-17 09:31")))
    assert max(want["coverage"] for want in now) > 0.5
    assert {want["coverage"] for want in before} == {0.0}
    refuses(trading.says("strategy", "test", "flow", "--at", "noon"), 2, "'noon' is not a date and time")


def test_without_a_bot_it_sees_generated_facts_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped, stop = list[Path](), sandbox.stop

    def stopping(folder: Path) -> None:
        stopped.append(folder)
        stop(folder)

    monkeypatch.setattr(sandbox, "stop", stopping)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRADEBOT_STATE", raising=False)
    said = typed(capsys, "strategy", "test", "flow", "--symbols", UNIVERSE, "--json")
    tried = said.data
    assert (said.code, tried["data"], tried["seed"]) == (0, "generated", 7)
    assert sorted(want["symbol"] for want in tried["wants"]) == FOUR
    assert max(want["coverage"] for want in tried["wants"]) > 0.5
    assert list(tmp_path.iterdir()) == []
    assert [folder.exists() for folder in stopped] == [False]
    refuses(typed(capsys, "strategy", "test", "flow", "--at", "2026-11-16 11:30"), 2, "--at needs a bot")


@pytest.mark.campaign
def test_a_plug_in_that_is_off_is_tried_and_one_that_errs_is_refused_with_its_reason(
    trading: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "import time\ntime.sleep(0.3)\nreturn list(self.well(view))"
    moody = "import random\nreturn [replace(one, score=random.random()) for one in self.well(view)]"
    install(
        tmp_path,
        {"well": WELL, "slow": slow, "raising": "raise RuntimeError('no [bold]mood[/bold]')", "moody": moody},
        "trying",
    )
    monkeypatch.syspath_prepend(tmp_path)
    well = trading.json("strategy", "test", "well")
    assert ([want["score"] for want in well["wants"]], well["own_process"]) == ([0.9] * 4, True)
    cost = trading.json("strategy", "test", "slow")["cost"]
    assert cost["first_s"] > cost["later_s"] >= 0.3
    shows(
        trading.says("strategy", "test", "raising"),
        10,
        "Answer    refused: STRATEGY_FAILED",
        "RuntimeError: no [bold]mood[/bold] (trying.py line",
    )
    shows(trading.says("strategy", "test", "moody"), 10, "gave a different answer in a second run")
    refuses(trading.says("strategy", "test", "nobody"), 2, "no strategy named nobody is installed")


def test_an_answer_beyond_what_the_section_says_that_it_wants_is_refused(
    trading: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = "from decimal import Decimal\nreturn [Target(s, Decimal('0.01')) for s in view.universe]"
    install(tmp_path, {"wide": f"from tradebot.ports import Target\n{body}"}, "wide")
    monkeypatch.syspath_prepend(tmp_path)
    for name, value in {"SYMBOL_FRACTION": "0.01", "GROSS_FRACTION": "1", "POSITIONS": "4"}.items():
        monkeypatch.setenv(f"TRADEBOT_STRATEGIES__WIDE__WANTS__{name}", value)
    assert len(trading.json("strategy", "test", "wide")["wants"]) == 4
    monkeypatch.setenv("TRADEBOT_STRATEGIES__WIDE__WANTS__POSITIONS", "3")
    said = trading.says("strategy", "test", "wide")
    assert said.code == 10
    assert "its targets ask for 4 symbols, but its section declares wants.positions: 3" in " ".join(said.out.split())


def test_a_symbol_without_the_bars_it_needs_is_left_out_with_the_numbers(
    trading: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = {
        f"needs{depth}": f"return [Open(s, Side.BUY, 0.5) for s in view.universe if len(view.bars(s)) == {depth}]"
        for depth in (20, 999)
    }
    install(tmp_path, bodies, "bars", needs={name: f'BarNeed("1Day", {name[5:]})' for name in bodies})
    monkeypatch.syspath_prepend(tmp_path)
    fed = trading.json("strategy", "test", "needs20")
    assert (sorted(fed["universe"]), fed["left_out"], len(fed["wants"])) == (FOUR, [], 4)
    assert [(need["timeframe"], need["depth"]) for need in fed["needs"]["bars"]] == [("1Day", 20)]
    hungry = trading.says("strategy", "test", "needs999")
    assert hungry.code == 0
    assert re.search(r"^Sees +0 symbols; 4 symbols left out$", hungry.out, re.MULTILINE)
    assert re.search(r"^  BARS_MISSING \d+ bars against 999 bars: AAPL, MSFT, NVDA, AMZN$", hungry.out, re.MULTILINE)


@pytest.mark.campaign
def test_plugin_that_never_answers_is_ended_and_told_its_time_limit(
    trading: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, {"hanging": "import time\ntime.sleep(600)"}, "hanging")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TRADEBOT_PLUGINS__TIMEOUT_S", "1.5")
    tried = trading.json("strategy", "test", "hanging")
    refusal = tried["refusal"]
    assert (refusal["reason"], refusal["limit"], tried["cost"]["again"]) == ("STRATEGY_TIMEOUT", 1.5, 0)
