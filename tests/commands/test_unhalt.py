"""`tradebot unhalt`: books that agree, and a person who says so."""

import os
import pty
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state import halt_switch
from tradebot.model.candidate import Side
from tradebot.model.order import Fill
from tradebot.model.position import OwnedFill
from tradebot.model.reasons import Reason
from tradebot.model.trading import TradingState, TradingStateRecord


def state_of(bot: Bot) -> str:
    return halt_switch.read(bot.folder).state.value


def test_unhalt_without_a_halt_does_nothing(bot: Bot) -> None:
    assert bot.says("unhalt") == (0, "Nothing was halted. If entries are still blocked, see: tradebot status\n", "")


def test_unhalt_without_a_terminal_names_the_confirming_command(bot: Bot) -> None:
    bot.says("halt", "--reason", "odd fills")
    refuses(bot.says("unhalt"), 2, "odd fills", f"next: tradebot unhalt --confirm {bot.tail()}")
    assert state_of(bot) == "REDUCE_ONLY"


def test_unhalt_refuses_a_wrong_confirmation(bot: Bot) -> None:
    assert bot.says("unhalt", "--confirm", "yes").code == 3
    assert state_of(bot) == "REDUCE_ONLY"


def test_unhalt_ends_the_halt_when_confirmed_and_the_books_agree(bot: Bot) -> None:
    said = bot.says("unhalt", "--confirm", bot.tail(), "--reason", "feed is back")
    assert said.code == 0
    assert said.out.startswith("ACTIVE: REDUCE_ONLY has ended")
    assert state_of(bot) == "ACTIVE"
    assert bot.json("status")["trading_why"] == "feed is back"
    assert bot.json("status")["reconcile"]["findings"] == 0


def test_unhalt_keeps_a_newer_halt(bot: Bot) -> None:
    bot.says("halt", "--reason", "first")
    ours, theirs = pty.openpty()
    running = bot.process("unhalt", stdin=theirs)
    assert running.stderr is not None
    assert "first" in running.stderr.readline()
    bot.says("halt", "--reason", "second")
    os.write(ours, f"{bot.tail()}\n".encode())
    _, err = running.communicate(timeout=120)
    os.close(ours)
    os.close(theirs)
    assert (running.returncode, "a newer halt arrived" in err) == (3, True)
    assert halt_switch.read(bot.folder).why == "second"
    assert bot.says("unhalt", "--confirm", bot.tail()).code == 0


def test_unhalt_is_refused_until_the_plan_for_a_blocking_difference_is_accepted(bot: Bot) -> None:
    ledger = SqliteLedger.open(bot.folder)
    at = datetime(2026, 11, 16, 15, tzinfo=UTC)
    made_up = Fill("made-up", "", "AAPL", Side.BUY, Decimal(5), Decimal(100), at)
    ledger.apply_fills([OwnedFill("flow", made_up)], at)
    ledger.close()
    bot.says("halt")
    refuses(
        bot.says("unhalt", "--confirm", bot.tail()),
        3,
        "AAPL: the books hold a position that the broker does not",
        "next: run tradebot reconcile",
    )
    assert state_of(bot) == "REDUCE_ONLY"

    accept_plan(bot)
    assert bot.says("unhalt", "--confirm", bot.tail()).code == 0
    assert state_of(bot) == "ACTIVE"


def accept_plan(bot: Bot) -> None:
    assert bot.says("reconcile", "--apply", bot.json("reconcile")["plan"]).code == 0


def disagree(bot: Bot) -> None:
    ledger = SqliteLedger.open(bot.folder)
    at = datetime(2026, 11, 16, 15, tzinfo=UTC)
    made_up = Fill("made-up-too", "", "MSFT", Side.BUY, Decimal(5), Decimal(100), at)
    ledger.apply_fills([OwnedFill("flow", made_up)], at)
    ledger.close()


def test_unhalt_override_needs_a_reason_and_the_account(bot: Bot) -> None:
    disagree(bot)
    bot.says("halt", "--reason", "odd fills")
    assert bot.says("unhalt", "--confirm", bot.tail()).code == 3
    for reason in ((), ("--reason", " ")):
        refuses(bot.says("unhalt", "--override", *reason, "--confirm", bot.tail()), 2, "an override needs a reason")
    assert bot.says("unhalt", "--override", "--reason", "venue is down").code == 2
    assert state_of(bot) == "REDUCE_ONLY"


def test_unhalt_override_is_recorded_and_opens_nothing_else(bot: Bot) -> None:
    said = bot.says("unhalt", "--override", "--reason", "venue is down", "--confirm", bot.tail(), "--json")
    assert (said.code, said.data["cleared"], said.data["overridden"]) == (0, True, True)
    assert (state_of(bot), bot.json("status")["trading_why"]) == ("ACTIVE", "override: venue is down")
    (event,) = [row for row in bot.json("events")["events"] if row["event_type"] == "overridden"]
    assert (event["severity"], event["details"]["halted_because"]) == ("WARN", "odd fills")
    # The gates ask for themselves: what differs keeps entries shut as it did before.
    assert bot.says("reconcile").code == 10
    assert bot.json("status")["reconcile"]["blocking"] > 0


def test_unhalt_reason_that_reads_like_an_override_is_only_a_reason(bot: Bot) -> None:
    accept_plan(bot)
    words = "override DAILY_LOSS_HALT,REJECT_STORM at 2026-11-16T15:00:00+00:00: x"
    bot.says("halt", "--reason", words)
    assert bot.says("unhalt", "--confirm", bot.tail(), "--reason", words).code == 0
    assert bot.json("status")["trading_why"] == words
    with closing(SqliteLedger.open(bot.folder, read_only=True)) as ledger:
        assert ledger.trading_state().override is None


def test_unhalt_override_also_accepts_the_bots_halt_under_a_persons(bot: Bot) -> None:
    own, at = "DAILY_LOSS_HALT: 0.05 against 0.04", datetime(2026, 11, 16, 15, tzinfo=UTC)
    ledger = SqliteLedger.open(bot.folder)
    causes = frozenset({Reason.DAILY_LOSS_HALT})
    ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, "tradebot", own, at, causes=causes))
    ledger.close()
    assert bot.json("status")["halted_itself"] == []
    bot.says("halt", "--reason", "mine too")
    assert bot.json("status")["halted_itself"] == [own]
    assert f": mine too\n  the bot had also halted itself: {own}\n" in bot.says("status").out
    refuses(
        bot.says("unhalt", "--override", "--reason", "small", "--confirm", bot.tail()), 0, f"Also in force: {own}\n"
    )
    status = bot.json("status")
    assert status["trading_why"] == f"override: small (DAILY_LOSS_HALT accepted, as of {at:%Y-%m-%d %H:%M:%S} UTC)"
    assert status["halted_itself"] == []


def test_unhalt_moves_a_folder_named_halt_aside(copy: Bot) -> None:
    (copy.folder / "HALT").mkdir()
    (copy.folder / "HALT" / "note").write_text("not yet")
    said = copy.says("unhalt", "--override", "--reason", "read it", "--confirm", copy.tail())
    assert (said.code, state_of(copy)) == (0, "ACTIVE"), said.err
    (aside,) = copy.json("unhalt")["aside"]
    assert f"{aside} is a folder where the HALT file belongs. It isn't empty, so it was left in place.\n" in said.out
    assert (Path(aside) / "note").exists()


def test_unhalt_override_is_refused_with_a_damaged_journal(bot: Bot) -> None:
    bot.says("halt")
    path = bot.folder / "journal.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole.replace(b'"kind":"opening"', b'"kind":"openinG"', 1))
    said = bot.says("unhalt", "--override", "--reason", "I know", "--confirm", bot.tail())
    path.write_bytes(whole)
    assert (said.code, state_of(bot)) == (2, "REDUCE_ONLY")
    assert "broken at record" in said.err
