"""The screens of `top`, as a person presses its keys."""

import asyncio
import importlib.util
import shutil
from collections.abc import Awaitable, Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pytest
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from commands import top
from commands.shared.verb_options import opened_to_look
from commands.top import top_app
from commands.top.screen_data import ScreenData, find_bots, read
from commands.top.top_app import Board, Top
from tests.kit.bot.ending import refuses
from tests.kit.bot.fixtures import copied_books
from tests.kit.bot.folder import Bot, typed
from tests.kit.fakes.terminals import on_terminal
from tradebot.adapters.text.extras import install
from tradebot.app.wiring import App
from tradebot.model.sentences import pluralize

LARGE, SMALL = (120, 40), (60, 20)


class Seen:
    """The board while it runs."""

    def __init__(self, pilot: Pilot[None]) -> None:
        self.pilot = pilot

    async def press(self, *keys: str) -> None:
        """Press keys, and wait until what they asked for has been read."""
        await self.pilot.press(*keys)
        await self.settle()

    async def settle(self) -> None:
        await self.pilot.app.workers.wait_for_complete()
        await self.pilot.pause()

    def text(self, name: str = "shown") -> str:
        """Return the whole text of a part, also what has to be scrolled to."""
        return str(self.pilot.app.screen.query_one(f"#{name}", Static).content)

    def words(self, name: str = "shown") -> str:
        """Return the same with every break as one space."""
        return " ".join(self.text(name).split())

    def colors(self) -> set[str]:
        """Return the colors of the letters that the shown part has on the terminal."""
        body = self.pilot.app.screen.query_one("#body").region
        lines = self.pilot.app.screen._compositor.render_strips()[body.y : body.bottom]
        parts = [part for line in lines for part in line if part.text.strip(" ▁▂▃▄▅▆▇█")]
        return {part.style.color.name if part.style and part.style.color else "" for part in parts}

    def drawn(self) -> list[str]:
        """Return the lines that are on the terminal."""
        return ["".join(part.text for part in line) for line in self.pilot.app.screen._compositor.render_strips()]


def on_board(folder: Path, size: tuple[int, int], act: Callable[[Seen], Awaitable[None]]) -> None:
    """Run the board of a bot in a terminal of so many columns and lines, and act on it once it shows something."""
    with opened_to_look(str(folder), None) as bot:
        play(Board(bot, None), size, act)


def play(board: Screen[None], size: tuple[int, int], act: Callable[[Seen], Awaitable[None]]) -> None:
    """Run a board, and act on it once it shows something."""

    async def run(top: Top) -> None:
        async with top.run_test(size=size) as pilot:
            seen = Seen(pilot)
            await seen.settle()
            await act(seen)

    asyncio.run(run(Top(board)))


LEFT = "\x1b[?1049l"
"""Gives the terminal back what was on it before."""


@pytest.mark.campaign
def test_top_on_a_real_terminal_is_resized_turned_and_left_as_it_was(copy: Bot) -> None:
    assert copy.says("halt", "--reason", "\x1b]0;owned\x07lunch").code == 0
    with on_terminal(80, 24, "-m", "tradebot", "top", "--state-dir", copy.folder) as terminal:
        terminal.until("owned lunch")
        assert "\x1b]0;owned" not in terminal.said
        terminal.resize(50, 24)
        terminal.until("This terminal has 50 columns")
        terminal.resize(60, 20)
        terminal.until("Trading state REDUCE_ONLY")
        terminal.press(b"2")
        terminal.until("0 positions")
        terminal.press(b"q")
        assert terminal.ended() == 0
        assert LEFT in terminal.said


def test_top_without_a_terminal_or_the_extra_names_the_next_step(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    said = bot.says("top")
    assert (said.code, said.out) == (2, "")
    assert "top needs a terminal to draw on" in said.err
    assert "tradebot top --json" in said.err

    def lacking(name: str) -> Any:
        return None if name == "textual" else importlib.util.find_spec(name)

    monkeypatch.setattr(top, "find_spec", lacking)
    refuses(bot.says("top"), 2, install("top"))
    assert bot.says("top", "--json").code == 0


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


GRAY = {"color(8)"}
HOSTILE = "\x1b]0;owned\x07\x1b[2Jlunch"


@pytest.fixture
def traded(shared_trader: Bot) -> Bot:
    """Return a bot with positions, and an event that quotes what could repaint a terminal."""
    if not shared_trader.json("positions")["positions"]:
        assert shared_trader.says("trade-once").code == 0
        shared_trader.does("exchange tick 1m", "evaluate-exits", "reconcile")
        shared_trader.says("halt", "--reason", HOSTILE)
    return shared_trader


def money(text: str) -> str:
    return f"{Decimal(text):,.2f}"


@pytest.mark.parametrize("size", [LARGE, SMALL])
def test_every_screen_shows_the_figures_of_its_verb(traded: Bot, size: tuple[int, int]) -> None:
    shown = traded.json("top")
    status, positions, why, events = (traded.json(*verb.split()) for verb in VERBS)
    assert shown["overview"]["status"]["equity"] == status["equity"]
    assert (shown["positions"], shown["why"], shown["log"]["events"][-1]) == (positions, why, events["events"][-1])

    async def act(seen: Seen) -> None:
        for key, name, figures in (
            ("1", "overview", overview_figures(status, shown["overview"]["session"])),
            ("2", "positions", position_figures(positions)),
            ("3", "why", why_figures(why)),
            ("4", "log", [event["event_type"] for event in events["events"]]),
        ):
            await seen.press(key)
            words = seen.words()
            assert [figure for figure in figures if figure not in words] == [], name
            assert {len(line) for line in seen.drawn()} == {size[0]}, name
            assert seen.pilot.app.screen.query_one("#body").max_scroll_x == 0, name
            assert "REDUCE_ONLY" in seen.words("head")
            assert f"account …{traded.tail()}" in seen.words("head")
            assert "\x1b" not in seen.text()
            assert "\x07" not in seen.text()

    on_board(traded.folder, size, act)


VERBS = ("status", "positions", "why-no-orders", "events --last 200")


def overview_figures(status: dict[str, Any], session: dict[str, Any]) -> list[str]:
    funnel = session["explanation"]["funnel"]
    due = {row["job"] for row in status["next_slots"]}
    assert due
    assert funnel["candidates"]
    return [
        f"Equity {money(status['equity']['last_usd'])} USD",
        f"{Decimal(status['today']['realized_usd']):+,.2f} realized",
        f"{Decimal(status['today']['open_usd']):+,.2f} open",
        f"Trading state {status['trading_state']}",
        "lunch",
        *due,
        *(row["did"] for row in status["passes"] if row["job"] == "reconcile"),
        f"Funnel: {funnel['candidates']:,} candidates = {pluralize(funnel['orders'], 'order')}",
        *(row["reason"] for row in funnel["reasons"]),
    ]


def position_figures(data: dict[str, Any]) -> list[str]:
    assert data["positions"]
    figures = [f"Unrealized {Decimal(data['unrealized_usd']):+,.2f} USD"]
    for held in data["positions"]:
        resting = held["protection"]["resting"]
        assert resting
        distances = [Decimal(stop["distance"]) for stop in held["stops"] if stop["distance"]]
        figures += [held["symbol"], money(held["average_price"]), money(held["price"])]
        figures += [f"{'stop' if one['is_stop'] else 'target'} {money(one['price'])}" for one in resting]
        figures += [f"{distance:.1%}" for distance in distances]
    return figures


def why_figures(data: dict[str, Any]) -> list[str]:
    funnel = data["explanation"]["funnel"]
    return [
        data["explanation"]["verdict"].upper(),
        f"Funnel: {funnel['candidates']:,} candidates",
        *(f"{row['reason']} {row['count']:,}" for row in funnel["reasons"]),
    ]


def test_tab_goes_through_the_screens_and_the_log_ends_with_the_newest(traded: Bot) -> None:
    newest = traded.json("events")["events"][-1]["event_type"]

    async def act(seen: Seen) -> None:
        heads = []
        for _ in range(5):
            heads.append(seen.text().split("\n")[0])
            await seen.press("tab")
        assert (heads[0], len(set(heads))) == (heads[4], 4)
        await seen.press("shift+tab", "4")
        assert newest in " ".join(line for line in seen.drawn() if line.strip()).split("  read ")[0][-200:]

    on_board(traded.folder, SMALL, act)


def test_a_terminal_that_is_too_small_is_told_so_until_it_grows(traded: Bot) -> None:
    async def act(seen: Seen) -> None:
        assert seen.words() == "This terminal has 59 columns and 20 lines; at least 60 and 12 are needed."
        await seen.pilot.resize_terminal(60, 12)
        await seen.settle()
        assert "Trading state REDUCE_ONLY" in seen.words()
        assert max(map(len, seen.drawn())) == 60

    on_board(traded.folder, (59, 20), act)


def test_unreadable_ledger_grays_figures_with_age(traded: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(top_app, "EVERY_S", 0.1)
    monkeypatch.setattr(top_app, "SHARE", 1e6)
    folder = shutil.copytree(traded.folder, tmp_path / "state", ignore=shutil.ignore_patterns("exchange"))
    ledger = folder / "ledger.db"
    sound = ledger.read_bytes()

    async def act(seen: Seen) -> None:
        async def until(found: str, name: str) -> None:
            for _ in range(100):
                if found in seen.words(name):
                    return
                await seen.pilot.pause(0.05)
            raise AssertionError(seen.words(name))

        assert "embedded exchange not running" in seen.words()
        before = seen.words()
        ledger.write_bytes(b"nothing" * 1000)
        await until("is damaged", "trouble")
        assert seen.words("trouble").startswith("The data below was read ")
        assert "recover" in seen.words("trouble")
        assert seen.words() == before
        assert seen.colors() == GRAY
        await seen.press("2")
        assert "is damaged" in seen.words("trouble")
        ledger.write_bytes(sound)
        await seen.press("1")
        assert "damaged" not in seen.words("trouble")
        assert not seen.colors() & GRAY

    on_board(folder, LARGE, act)


def test_records_show_by_themselves_and_nothing_is_read_without(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    reads = list[str]()

    def counted_read(app: App, name: str) -> ScreenData:
        reads.append(name)
        return read(app, name)

    monkeypatch.setattr(top_app, "EVERY_S", 0.05)
    monkeypatch.setattr(top_app, "SHARE", 1e6)
    monkeypatch.setattr(top_app, "read", counted_read)

    async def act(seen: Seen) -> None:
        await seen.pilot.pause(0.3)
        assert reads == ["overview"]
        assert bot.says("halt", "--reason", "odd fills").code == 0
        for _ in range(100):
            if "odd fills" in seen.words():
                break
            await seen.pilot.pause(0.05)
        assert "odd fills" in seen.words()

    on_board(bot.folder, LARGE, act)


def test_a_lost_exchange_is_told_and_its_figures_are_gray(traded: Bot, tmp_path: Path) -> None:
    script = tmp_path / "down.yaml"
    script.write_text("- {name: down, when: {request: any trading}, what: {status: 503}}\n")
    assert traded.says("exchange", "faults", "add", str(script)).code == 0
    assert traded.says("evaluate-exits", "--force-slot").code

    async def act(seen: Seen) -> None:
        assert seen.words("trouble").startswith("broker FAILED: ")
        assert "; the last figures are from 20" in seen.words("trouble")
        assert seen.colors() == GRAY

    on_board(traded.folder, LARGE, act)


def test_several_bots_stand_in_one_table_which_is_read_again_when_one_changes(copy: Bot, tmp_path: Path) -> None:
    second = Bot(copied_books(copy.folder, tmp_path / "second"), copy._capture)
    folders = [str(copy.folder), str(second.folder), str(tmp_path / "gone")]
    said = typed(copy._capture, "top", "--bots", *folders, "--json")
    rows = {row["name"]: row for row in said.data["bots"]}
    assert (said.code, sorted(rows)) == (10, sorted(["gone", "second", find_bots([copy.folder])[0].name]))
    assert rows["second"]["positions"] == len(second.json("status")["positions"])
    assert "There is no state at" in rows["gone"]["unread"]

    async def act(seen: Seen) -> None:
        table = seen.words()
        for row in rows.values():
            assert row["name"] in table
        assert table.count("ACTIVE") == 2
        assert "can't be read" in table
        assert second.says("halt", "--reason", "[red]wild").code == 0
        await seen.press("end")
        seen.pilot.app.screen._look()  # type: ignore[attr-defined]
        await seen.settle()
        assert seen.words().count("ACTIVE") == 1
        assert ": [red]wild" in seen.words()

    with patch.object(top_app, "SHARE", 100.0):
        play(top_app.BotsBoard(find_bots([Path(folder) for folder in folders])), (160, 40), act)
