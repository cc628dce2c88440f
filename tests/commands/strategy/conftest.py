"""A bot in its second session, for all tests of `tradebot strategy`."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.bot.folder import Bot, made, second_session


@pytest.fixture(scope="module")
def ready(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a bot half an hour into its second session."""
    with made(tmp_path_factory.mktemp("ready") / "state") as path:
        yield path


@pytest.fixture
def trading(ready: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    bot = Bot(ready, capsys)
    if not (ready / "facts.db").exists():
        second_session(bot)
    return bot
