"""A board without a terminal: what a test presses and reads there."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Static

from commands.shared.verb_options import opened_to_look
from commands.top.top_app import Board, Top

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
