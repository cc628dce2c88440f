"""A bot in its second session, for all tests of `tradebot strategy`."""

from pathlib import Path

import pytest

from tests.kit.bot.folder import Bot, second_session


@pytest.fixture
def trading(folder: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return a bot half an hour into its second session."""
    bot = Bot(folder, capsys)
    if not (folder / "facts.db").exists():
        second_session(bot)
    return bot
