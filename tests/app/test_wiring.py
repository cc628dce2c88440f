"""The bot's own bars: from its venue, into its folder, and only if somebody asks."""

import pytest

from tests.kit.bot.folder import Bot
from tests.kit.values import there
from tradebot.app.calendar import BEHIND
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.model.view import BarNeed


def test_bars_are_stored_only_by_a_pass_that_asks_strategies(bot: Bot) -> None:
    with open_app(Options(str(bot.folder)), {}) as app:
        now = app.now()
        app.ensure_calendar(now)
        world = app.world(dry_run=True, proposing=False)
        with pytest.raises(AssertionError, match="this pass has no bars"):
            world.bars.closed(BarNeed("1Day", 1), ("AAPL",), now)
        world = app.world(dry_run=True)
        assert not (bot.folder / "bars.db").exists()
        found = world.bars.closed(BarNeed("1Day", 127), ("AAPL", "MSFT"), now)
    assert {symbol: len(series) for symbol, series in found.items()} == {"AAPL": 127, "MSFT": 127}
    assert {path.name[:4] for path in (bot.folder / "bars").iterdir()} == {"AAPL", "MSFT"}


def test_stored_bars_reach_back_before_the_calendar_of_the_books(bot: Bot) -> None:
    need, symbols = BarNeed("1Hour", 400), ("AAPL",)
    with open_app(Options(str(bot.folder)), {}) as app:
        now = app.now()
        app.ensure_calendar(now)
        seen = app.world(dry_run=True).bars.closed(need, symbols, now)
        assert there(app.bars_at_rest).closed(need, symbols, now) == seen
    assert seen["AAPL"].start_of(0) < now - BEHIND


def test_bar_files_belong_to_their_store(bot: Bot) -> None:
    (bars,) = [store for store in bot.json("status", "--stores")["stores"] if store["name"] == "bars"]
    files = [
        path for path in bot.folder.rglob("*") if path.is_file() and path.relative_to(bot.folder).parts[0][:4] == "bars"
    ]
    assert bars["files"] == len(files) > 2
    assert bars["bytes"] == sum(path.stat().st_size for path in files)
