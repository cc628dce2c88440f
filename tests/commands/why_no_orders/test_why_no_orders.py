"""`tradebot why-no-orders`: true answers from what was recorded."""

import json
import re
import subprocess

import pytest

from tests.kit.bot.folder import PROGRAM, UNIVERSE, Bot, second_session
from tradebot.model.decision import Gate
from tradebot.model.reasons import REASONS, Reason

HEAVY = ("pandas", "numpy", "alpaca", "requests", "exchange_calendars", "uvicorn", "starlette")


@pytest.fixture
def traded(bot: Bot) -> Bot:
    if not bot.json("status")["positions"]:
        second_session(bot)
        assert bot.json("trade-once")["orders"] > 0
        bot.does("exchange tick 2m", "evaluate-exits")
    return bot


def test_why_no_orders_without_a_pass_is_unknown(bot: Bot) -> None:
    assert bot.shown("why-no-orders") == (
        "UNKNOWN  No pass is recorded: trade-once hasn't run.\nNext: tradebot trade-once"
    )
    assert bot.says("why-no-orders").code == 10
    assert not (bot.folder / "facts.db").exists(), "looking made a file"


def test_why_no_orders_in_a_closed_session_is_idle(bot: Bot) -> None:
    bot.says("trade-once")
    assert bot.shown("why-no-orders") == (
        "IDLE BY DESIGN  Each pass ended at MARKET_CLOSED: The session is closed.\n"
        "Next: Wait for the next open; on the sandbox: tradebot exchange tick next_open\n"
        "\n"
        "Looked at: the pass at 2026-11-16 09:00:00 ET, slot at 09:00:00 ET\n"
        "Funnel: 1 candidate = 0 orders + 1 refused\n"
        "reason         count            meaning\n"
        "MARKET_CLOSED      1  ████████  The session is closed."
    )


def test_pass_with_orders_is_no_finding_and_its_funnel_adds_up(traded: Bot) -> None:
    said = traded.says("why-no-orders", "--json")
    seen = said.data["explanation"]["funnel"]
    assert (said.code, said.data["explanation"]["verdict"]) == (0, "traded")
    assert seen["candidates"] == seen["orders"] + sum(row["count"] for row in seen["reasons"]) == 4
    assert all(row["meaning"] == REASONS[Reason(row["reason"])].meaning for row in seen["reasons"])


def test_symbol_shows_every_gate_in_order(traded: Bot) -> None:
    way = traded.json("why-no-orders", "aapl")
    asked = [Gate(decision["gate"]) for decision in way["decisions"]]
    assert list(dict.fromkeys(asked)) == [gate for gate in Gate if gate in asked]
    assert [each["about"] for each in way["decisions"] if each["about"]] == ["side", "families", "cluster"]
    assert len(asked) >= 20
    failed = [decision["reason"] for decision in way["decisions"] if decision["verdict"] != "PASS"]
    assert way["reason"] == (failed[0] if failed else None)
    assert {part["name"] for part in way["components"]} >= {"flow", "dark_pool", "oi_change"}
    assert traded.says("why-no-orders", "AAPL").code == (10 if failed else 0)
    shown = traded.shown("why-no-orders", "AAPL", "--explain")
    assert all(re.search(rf"\n{gate.value}[ :]", shown) for gate in asked)
    assert re.search(r"\nsession \(clocks apart\) +PASS +0 s +60 s\n", shown)
    short = traded.shown("why-no-orders", "AAPL")
    passed = sum(decision["verdict"] == "PASS" for decision in way["decisions"])
    assert f"{passed} questions passed; --explain shows each" in short
    assert not re.search(r"\n\w.* PASS ", short)


def test_unknown_symbol_is_refused_with_the_nearest(traded: Bot) -> None:
    said = traded.says("why-no-orders", "APL")
    assert said.code == 2
    assert said.err == (
        "error: this bot doesn't evaluate a symbol APL\n"
        "  next: did you mean AAPL? all symbols: tradebot config show universe\n"
    )
    assert UNIVERSE.replace(",", ", ") in traded.says("why-no-orders", "ZZZZZ").err


@pytest.mark.parametrize(
    "span", ["--since soon", "--since 2w", "--since 0s", "--since 00d", "--last 1 --since 2h", "--last 0"]
)
def test_a_span_that_cannot_be_read_is_a_usage_error(traded: Bot, span: str) -> None:
    assert traded.says("why-no-orders", *span.split()).code == 2


def test_later_halt_and_an_ended_one_are_mentioned(traded: Bot) -> None:
    traded.says("halt", "--reason", "red \x1b[31m[red]ink")
    assert "Since then: Trading is halted now" in traded.shown("why-no-orders")
    assert "\x1b" not in traded.says("why-no-orders").out + traded.says("status").out
    traded.does("exchange tick 5m", "fetch-flow")
    assert traded.says("trade-once").code == 3
    assert traded.shown("why-no-orders").startswith("BLOCKED  4 of 4 candidates ended at HALTED: ")
    traded.says("unhalt", "--confirm", traded.tail())
    assert "Since then: That halt has ended" in traded.shown("why-no-orders")


def test_a_reader_who_went_away_is_no_error(traded: Bot) -> None:
    line = f"{PROGRAM} why-no-orders AAPL --state-dir {traded.folder} | head -1; echo ${{PIPESTATUS[0]}}"
    done = subprocess.run(["/bin/bash", "-c", line], capture_output=True, text=True, check=False)
    first, code = done.stdout.splitlines()
    assert (first.startswith("AAPL"), code in ("0", "10"), done.stderr) == (True, True, "")


def test_damaged_facts_lose_only_the_explanation(traded: Bot) -> None:
    (traded.folder / "facts.db").write_bytes(b"no facts" * 100)
    for name in ("facts.db-wal", "facts.db-shm"):
        (traded.folder / name).unlink(missing_ok=True)
    said = traded.says("why-no-orders", "--json")
    assert (said.code, json.loads(said.out)["data"]["explanation"]["verdict"]) == (10, "broken")
    assert traded.says("status").code == 0


def test_lost_facts_are_broken_while_passes_are_kept(traded: Bot) -> None:
    for path in traded.folder.glob("facts.db*"):
        path.unlink()
    told = traded.json("why-no-orders")["explanation"]["sentence"]
    lost = r"The decisions of past passes are lost: facts.db has none, though trade-once ran in slot open\+\d+m of "
    assert re.fullmatch(rf"{lost}session 2026-11-17. The books aren't affected.", told)
    for words in ((), ("--since", "1d"), ("--session", "2026-11-17"), ("--session", "2026-11-12"), ("--by-symbol",)):
        answer = traded.json("why-no-orders", *words)["explanation"]
        assert (answer["verdict"], answer["sentence"]) == ("broken", told)
        assert "tradebot replay 2026-11-17" in answer["remedy"]
    assert traded.json("why-no-orders", "AAPL")["sentence"] == told
    said = traded.says("why-no-orders", "--what-if", "limits.max_open_positions=5")
    assert (said.code, said.err.startswith(f"error: {told}")) == (2, True)
    assert not (traded.folder / "facts.db").exists(), "looking made a file"
    (traded.folder / "passes.db").unlink()
    assert traded.json("why-no-orders")["explanation"]["verdict"] == "unknown"


def test_remedy_does_not_repeat_an_unknown_reason(traded: Bot) -> None:
    said = traded.says("why-no-orders", "AAPL", "--reason", "SPREDD_WIDE")
    assert (said.code, "SPREDD_WIDE" in said.err.partition("next:")[2]) == (2, False)
    said = traded.says("why-no-orders", "AAPL", "--reason", "halted")
    assert "next: tradebot why-no-orders --reason HALTED" in said.err
