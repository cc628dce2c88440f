"""`tradebot status --watch`, on a real terminal: it fits, draws again, outlives errors, and quits on q and Ctrl-C."""

from contextlib import AbstractContextManager
from pathlib import Path

from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.fakes.terminals import Terminal, on_terminal

OFTEN = "from commands.status import report; report.EVERY_S = 0.2; from tradebot.__main__ import main; main()"


def watching(folder: Path, columns: int, lines: int) -> AbstractContextManager[Terminal]:
    """Return a terminal of this size on which the status is watched."""
    return on_terminal(columns, lines, "-c", OFTEN, "status", "--watch", "--state-dir", folder)


def fits(drawn: list[str], columns: int, lines: int) -> bool:
    return len(drawn) <= lines and max(map(len, drawn)) <= columns


def test_watch_fits_a_large_terminal_and_quits_on_ctrl_c(bot: Bot) -> None:
    with watching(bot.folder, 120, 40) as terminal:
        drawn = terminal.screen("Trading state ACTIVE")
        assert fits(drawn, 120, 40)
        assert any("Health UNKNOWN" in line for line in drawn)
        terminal.press(b"\x03")
        assert terminal.ended() == 0


def test_watch_fits_a_small_terminal_and_shows_an_error_until_it_is_gone(bot: Bot, copy: Bot) -> None:
    book = copy.folder / "ledger.db"
    with watching(copy.folder, 80, 24) as terminal:
        assert fits(terminal.screen("Trading state ACTIVE"), 80, 24)
        book.rename(copy.folder / "aside.db")
        assert fits(terminal.screen("ledger"), 80, 24)
        (copy.folder / "aside.db").rename(book)
        copy.says("halt", "--reason", "lunch")
        assert fits(terminal.screen("lunch"), 80, 24)
        terminal.press(b"q")
        assert terminal.ended() == 0


def test_watch_in_the_smallest_terminal_shows_health_first_and_counts_the_rest(bot: Bot) -> None:
    with watching(bot.folder, 40, 8) as terminal:
        drawn = terminal.screen("Health UNKNOWN")
        assert fits(drawn, 40, 8)
        assert "more lines: tradebot status; q" in drawn[-1]


def test_watch_without_a_terminal_names_the_command_to_type(bot: Bot) -> None:
    refuses(bot.says("status", "--watch"), 2, "needs a terminal", "tradebot status")
    assert bot.says("status", "--watch", "--json").code == 2
