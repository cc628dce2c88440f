"""Halting on the screen of `tradebot top`: by the typed word only, and exactly as the verb does."""

from tests.commands.top.board import LARGE, SMALL, Seen, on_board
from tests.kit.bot.folder import Bot


def test_halt_needs_the_typed_word_and_escape_leaves_without_it(copy: Bot) -> None:
    latch = copy.folder / "HALT"

    async def act(seen: Seen) -> None:
        await seen.press("h", *"hlat4q", "enter", "enter")
        assert "Nothing is halted: you typed 'hlat4q' instead of halt." in seen.words("said")
        # Going round the word doesn't help.
        await seen.press("tab", *"lunch", "enter")
        assert "Nothing is halted" in seen.words("said")
        await seen.press("escape")
        assert "Trading state ACTIVE" in seen.words()
        assert not latch.exists()
        await seen.press("h", *"halt", "enter", "escape")
        assert not latch.exists()

    on_board(copy.folder, LARGE, act)
    assert copy.json("status")["trading_state"] == "ACTIVE"


def test_halt_by_the_word_with_a_reason_is_the_halt_of_the_verb(copy: Bot) -> None:
    async def act(seen: Seen) -> None:
        await seen.press("h", *"halt", "enter", *"odd fills", "enter")
        assert "Halted: REDUCE_ONLY by" in seen.words("said")
        assert "odd fills" in seen.words("said")
        assert "tradebot unhalt" in seen.words("said")
        await seen.press("escape")
        assert "REDUCE_ONLY" in seen.words("head")
        assert "odd fills" in seen.words()

    on_board(copy.folder, SMALL, act)
    status = copy.json("status")
    assert (status["trading_state"], status["trading_why"]) == ("REDUCE_ONLY", "odd fills")


def test_halt_without_a_reason_or_a_readable_ledger_is_a_halt_too(copy: Bot) -> None:
    ledger = copy.folder / "ledger.db"

    async def act(seen: Seen) -> None:
        ledger.write_bytes(b"nothing" * 1000)
        await seen.press("h", *"halt", "enter", "enter")
        assert "Halted: REDUCE_ONLY by" in seen.words("said")
        assert "no reason given" in seen.words("said")

    on_board(copy.folder, LARGE, act)
    assert (copy.folder / "HALT").exists()
