"""`tradebot why-no-orders`: true answers from what was recorded."""

import io
import json
import re
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from rich.console import Console

from commands.shared.tables import Screen
from commands.shared.times import show_utc
from commands.shared.verb_options import jsonable
from commands.why_no_orders import run as of_reason
from commands.why_no_orders.report import show_symbol
from commands.why_no_orders.run import show_by_symbol as show
from tests.kit.bot.folder import UNIVERSE, Bot, second_session
from tests.kit.values import DAY, NOW, candidate
from tradebot.errors import OperatorError
from tradebot.model.decision import Decision, Gate, Number, Verdict
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CandidateRecord, CycleRecord, Job
from tradebot.views.explain import FROM_NOTHING, funnel
from tradebot.views.why_no_orders import BySymbol, GateCount, SymbolCount, SymbolWhy

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
        "Funnel: 0 candidates = 0 orders + 0 refused\n"
        "1 pass was refused as a whole: MARKET_CLOSED\n"
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
    assert f"{passed} checks passed; --explain shows each" in short
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


SHOWN = [
    (None, None, "momentum: buy, checked at 233.59 USD"),
    (0.9, None, "momentum: score +0.900 (buy), checked at 233.59 USD"),
    (0.9, 0.8, "momentum: score +0.900 (buy), with data for 80% of its weight, checked at 233.59 USD"),
]


@pytest.mark.parametrize(("score", "coverage", "line"), SHOWN)
def test_candidate_without_a_score_is_shown_without_one(score: float | None, coverage: float | None, line: str) -> None:
    way = SymbolWhy(
        symbol="AAPL",
        strategy="momentum",
        at=NOW,
        slot="open+22m",
        passes=1,
        side="buy",
        score=score,
        coverage=coverage,
        price=Decimal("233.59"),
        decisions=(),
        reason="OPPOSITE_SIDE",
        sentence="Another strategy holds it.",
        remedy="Set strategies.NAME.x",
        now=None,
    )
    console = Console(file=io.StringIO(), width=160)
    show_symbol(console, way)
    assert isinstance(console.file, io.StringIO)
    shown = console.file.getvalue()
    assert f"Strategy {line}\n" in shown
    assert "Next: Set strategies.momentum.x\n" in shown


SEEN = BySymbol(
    passes=2,
    first_at=NOW,
    last_at=NOW,
    candidates=5,
    orders=1,
    gates=(GateCount("place in the range", 5, 3), GateCount("rest", 2, 1)),
    symbols=(SymbolCount("AAPL", 3, 0, {"place in the range": 2, "rest": 1}), SymbolCount("MSFT", 2, 1, {"rest": 1})),
)


def shown(width: int, data: BySymbol = SEEN) -> list[str]:
    show_utc(False)
    screen = Screen(width=width, highlight=False)
    with screen.capture() as text:
        show(screen, data)
    return [line.rstrip() for line in text.get().splitlines()]


def test_each_symbol_has_a_row_with_its_refusals_by_question() -> None:
    assert shown(100)[1:] == [
        "Funnel: 5 candidates = 1 order + 4 refused; each refusal counts at the first gate that failed",
        "question            came  refused",
        "place in the range     5        3  ████████████████",
        "rest                   2        1  █████",
        "sent                   1",
        "",
        "symbol  candidates  sent  place in the range  rest",
        "AAPL             3     0                   2     1",
        "MSFT             2     1                         1",
    ]


def test_what_a_backtest_left_out_is_said() -> None:
    empty = BySymbol(0, None, None, 0, 0, (), (), "This backtest recorded no candidates.")
    assert shown(80, empty) == ["Left out: This backtest recorded no candidates."]


LATER = NOW + timedelta(minutes=5)


def waits(
    symbol: str, observed: Number, gate: Gate = Gate.COOLDOWN, reason: Reason = Reason.COOLDOWN
) -> CandidateRecord:
    return CandidateRecord(candidate(symbol), (Decision(gate, Verdict.FAIL, reason, observed, 1800),))


def cycle_of(at: datetime, *records: CandidateRecord) -> CycleRecord:
    return CycleRecord("id", Job.TRADE_ONCE, DAY, "open+2m", at, "sandbox", records, None)


def shown_reason(reason: Reason, *cycles: CycleRecord) -> list[str]:
    show_utc(False)
    screen = Screen(width=100, highlight=False)
    with screen.capture() as text:
        of_reason.show_reason(screen, of_reason.candidates_by_reason(reason, cycles))
    return [line.rstrip() for line in text.get().splitlines()]


EQUAL = [waits(symbol, 1080.0) for symbol in ("NVDA", "AAPL", "MSFT", "AMD")]


def test_equal_refusals_are_one_line_counting_their_passes() -> None:
    assert shown_reason(Reason.COOLDOWN, cycle_of(NOW, *EQUAL), cycle_of(LATER, waits("KO", 1799.0)), cycle_of(LATER))[
        2:
    ] == [
        "5 candidates were refused for this reason, in 2 of 3 passes",
        "symbol           time ET           gate         observed   limit    off by",
        "KO               2026-11-16 10:05  cooldown  29 min 59 s  30 min  under 1%",
        "AAPL and 3 more  2026-11-16 10:00  cooldown       18 min  30 min       40%",
    ]


def test_line_of_refusals_names_up_to_three_symbols() -> None:
    assert shown_reason(Reason.COOLDOWN, cycle_of(NOW, *EQUAL[:3]))[4].startswith("AAPL, MSFT, NVDA  ")


def test_a_document_has_exact_numbers_where_a_screen_rounds_them() -> None:
    moved = waits("AAPL", Decimal("1234.56789"), Gate.BUYING_POWER, Reason.BUYING_POWER_SHORT)
    (row,) = jsonable(of_reason.candidates_by_reason(Reason.BUYING_POWER_SHORT, [cycle_of(NOW, moved)]))["rows"]
    miss = jsonable(funnel([cycle_of(NOW, moved)]))["reasons"][0]["nearest"]
    assert [(each["observed"], each["limit"]) for each in (row, miss)] == 2 * [("1234.56789", 1800)]


def test_remedy_is_that_of_the_nearest_candidate() -> None:
    without = [waits(symbol, 0, Gate.STRATEGY, Reason.CLUSTER_TOO_SMALL) for symbol in ("AAPL", "MSFT")]
    one = waits("AMD", 1, Gate.STRATEGY, Reason.CLUSTER_TOO_SMALL)
    assert of_reason.candidates_by_reason(Reason.CLUSTER_TOO_SMALL, [cycle_of(NOW, *without)]).remedy == FROM_NOTHING
    again = of_reason.candidates_by_reason(Reason.CLUSTER_TOO_SMALL, [cycle_of(NOW, *without, one)])
    assert again.remedy == REASONS[Reason.CLUSTER_TOO_SMALL].remedy


@pytest.mark.parametrize("name", ["score", "Score", " SCORE "])
def test_reason_option_accepts_a_gate_with_one_reason(name: str) -> None:
    low = waits("AAPL", 0.1, Gate.SCORE, Reason.SCORE_BELOW_MIN)
    assert of_reason.reason_of(name, [cycle_of(NOW, low, *EQUAL)]) is Reason.SCORE_BELOW_MIN


def test_reason_option_lists_the_reasons_of_a_gate_with_several_or_none() -> None:
    stale = waits("AAPL", 901.0, Gate.FLOW_FRESH, Reason.FLOW_STALE)
    ahead = waits("MSFT", -6.0, Gate.FLOW_FRESH, Reason.FLOW_FROM_FUTURE)
    with pytest.raises(OperatorError, match="gate flow_fresh gave more than one reason in the 1 pass") as several:
        of_reason.reason_of("flow-fresh", [cycle_of(NOW, stale, ahead)])
    assert all(f"--reason {code}" in several.value.hint for code in ("FLOW_STALE", "FLOW_FROM_FUTURE"))
    with pytest.raises(OperatorError, match="no candidate ended at gate spread in the 2 passes read"):
        of_reason.reason_of("spread", [cycle_of(NOW, stale), cycle_of(LATER)])
