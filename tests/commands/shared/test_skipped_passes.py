"""Lines about strategies that weren't asked or whose answer was refused: one entry for each reason."""

import io

from rich.console import Console

from commands.shared.skipped_passes import render_refusals
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import StrategyRefusal


def shown(*refusals: StrategyRefusal) -> list[str]:
    console = Console(file=io.StringIO(), width=500)
    render_refusals(console, refusals)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue().splitlines()


def test_symbols_left_out_for_the_same_reason_are_one_entry() -> None:
    few = Decision(Gate.NEEDS, Verdict.UNKNOWN, Reason.BARS_MISSING, 2, 127)
    lines = shown(*(StrategyRefusal("momentum", few, symbol) for symbol in ("AAPL", "MSFT", "NVDA")))
    assert lines[0] == "Strategy momentum wasn't run for AAPL, MSFT, NVDA: BARS_MISSING (2 bars against 127 bars)"
    assert len(lines) == 3


def test_waiting_slots_are_grouped_by_reason_and_strategy() -> None:
    missed = Decision(Gate.JOB, Verdict.FAIL, Reason.SLOT_MISSED, 420, 300)
    refusals = [StrategyRefusal("momentum", missed, slot=slot) for slot in ("open+5m", "open+10m")]
    lines = shown(*refusals, StrategyRefusal("other", missed, slot="open+5m"))
    assert [line for line in lines if line.startswith("Strategy")] == [
        "Strategy momentum, slots open+5m, open+10m: SLOT_MISSED",
        "Strategy other, slot open+5m: SLOT_MISSED",
    ]


def test_a_refused_answer_shows_what_is_wrong_and_the_command_with_the_strategys_name() -> None:
    wrong = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_INVALID, "'AAPL': its side is not a Side")
    headline, meaning, command = shown(StrategyRefusal("momentum", wrong))
    assert headline == "Strategy momentum is BROKEN: STRATEGY_INVALID ('AAPL': its side is not a Side)"
    assert meaning.strip() == REASONS[Reason.STRATEGY_INVALID].meaning
    assert "tradebot strategy test momentum" in command
