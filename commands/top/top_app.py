"""The screen of `tradebot top`: tabs, the chosen screen's content, and a footer with the keys."""

import asyncio
import io
import time
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import ClassVar

from rich.markup import escape
from rich.text import Text
from textual import events, work
from textual.app import App as Textual
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical, VerticalScroll
from textual.screen import ModalScreen, Screen
from textual.widgets import Input, Static

from commands.halt import run as run_halt
from commands.halt.report import HaltRequest
from commands.shared.light_helpers import NO_REASON, clean, clean_lines, print_error
from commands.shared.number_format import duration
from commands.shared.times import show_utc, shows_utc, when
from commands.top.screen_data import (
    NAMES,
    BotFolder,
    BotsShown,
    ScreenData,
    line,
    load_bot_row,
    read,
    render_plain,
    show_bots,
    version,
)
from tradebot.adapters.text.redaction import hide_keys
from tradebot.app.wiring import App
from tradebot.errors import TradebotError, one_line

EVERY_S = 2.0
"""How often the state folder is checked for changes, in seconds."""
ANYWAY_S = 10.0
"""After how many seconds everything is read again even without new records, because missing data changes no file."""
SHARE, LONGEST_S = 0.04, 60.0
"""The fraction of a core that reading may take: after a slow reading the next one waits, up to this many seconds."""
NARROWEST, LOWEST = 60, 12
"""The fewest columns and lines of a terminal in which a screen is drawn."""
LOG = "log"
OLD = "bright_black"
"""The color of figures that are out of date."""


class Board(Screen[None]):
    """The four screens, one at a time; each is read when it is chosen, and again when new records exist."""

    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(str(number), f"choose('{name}')", name) for number, name in enumerate(NAMES, 1)),
        Binding("tab", "turn(1)", "next"),
        Binding("shift+tab", "turn(-1)", "previous"),
        Binding("h", "halt", "halt"),
        Binding("q", "app.quit", "quit"),
    ]
    CSS = """
    Board Static { height: auto; }
    Board #tabs, Board #foot { height: 1; }
    Board #head { max-height: 2; }
    Board #trouble { max-height: 50%; }
    Board #body { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """

    def __init__(self, bot: App, config: str | None) -> None:
        super().__init__()
        self._bot, self._config = bot, config
        self._folder = bot.folder.path
        self._chosen = NAMES[0]
        self._readings: dict[str, ScreenData] = {}
        self._unread = ""
        self._seen: object = None
        self._began_s = self._cpu_s = 0.0
        self._reading = False

    def compose(self) -> ComposeResult:
        """Yield the screen's parts from top to bottom."""
        for name in ("tabs", "head", "trouble"):
            yield Static(id=name, markup=False)
        with VerticalScroll(id="body"):
            yield Static("Reading…", id="shown", markup=False)
        yield Static(id="foot", markup=False)

    def on_mount(self) -> None:
        """Read the first screen, and poll for new records from now on."""
        self.query_one("#body").focus()
        self._read()
        self.set_interval(EVERY_S, self._look)

    def on_resize(self, event: events.Resize) -> None:
        """Redraw the data for the new width."""
        self._draw()

    def action_choose(self, name: str) -> None:
        """Show a screen, at first with its last data, then with new data as soon as it arrives."""
        self._chosen = name
        self._draw()
        if name == LOG or name not in self._readings:
            self._follow()
        self._read()

    def action_turn(self, by: int) -> None:
        """Show the next screen, or the one before."""
        self.action_choose(NAMES[(NAMES.index(self._chosen) + by) % len(NAMES)])

    def action_halt(self) -> None:
        """Ask for the confirmation word, halt, and read again."""
        self.app.push_screen(Halting(self._folder, self._config), self._after_halt)

    def _after_halt(self, _: bool | None) -> None:
        self._read()

    def _look(self) -> None:
        since_s, cpu_s = time.monotonic() - self._began_s, time.process_time() - self._cpu_s
        if self._reading or (cpu_s > SHARE * since_s and since_s < LONGEST_S):
            return
        if version(self._folder) != self._seen or since_s >= ANYWAY_S:
            self._read()

    @work(exclusive=True)
    async def _read(self) -> None:
        name, self._reading = self._chosen, True
        self._began_s, self._cpu_s = time.monotonic(), time.process_time()
        self._seen = version(self._folder)
        try:
            self._readings[name] = await asyncio.to_thread(read, self._bot, name)
            self._unread = ""
        except TradebotError as error:
            self._unread = one_line(error)
        finally:
            self._reading = False
        self._draw()

    def _draw(self) -> None:
        width, height = self.app.size
        if not self.is_mounted or not width:
            return
        reading = self._readings.get(self._chosen)
        trouble = self._trouble(reading)
        body = self.query_one("#body", VerticalScroll)
        follows = self._chosen == LOG and body.is_vertical_scroll_end
        self._put("tabs", self._tabs())
        self._put("head", _gray_if_troubled(line(reading.head if reading else "", width), trouble))
        self._put("shown", _gray_if_troubled(self._render_screen(reading, width, height), trouble))
        self._put("trouble", line(f"[red]{escape(clean(trouble))}[/]", width) if trouble else Text())
        at = f"  read {when(reading.at)}" if reading else ""
        self._put("foot", Text(f"1-4 tab  h halts  q quits{at}", "reverse", no_wrap=True, overflow="crop"))
        self.query_one("#trouble").display = bool(trouble)
        if follows:
            self._follow()

    def _trouble(self, reading: ScreenData | None) -> str:
        """Return the problem with the figures, and how old they are."""
        if not self._unread:
            return reading.old if reading else ""
        age_s = (datetime.now(UTC) - reading.at).total_seconds() if reading else 0.0
        return f"The data below was read {duration(age_s)} ago. {self._unread}" if reading else self._unread

    def _render_screen(self, reading: ScreenData | None, width: int, height: int) -> Text:
        if width < NARROWEST or height < LOWEST:
            return Text(
                f"This terminal has {width} columns and {height} lines; at least {NARROWEST} and {LOWEST} are needed."
            )
        if reading is None:
            return Text("" if self._unread else "Reading…")
        return render_plain(reading.draws, width - 1)

    def _follow(self) -> None:
        self.query_one("#body", VerticalScroll).scroll_end(animate=False)

    def _tabs(self) -> Text:
        tabs = Text(no_wrap=True, overflow="crop")
        for number, name in enumerate(NAMES, 1):
            tabs.append(f" {number} {name} ", "reverse" if name == self._chosen else "")
        return tabs

    def _put(self, name: str, text: Text) -> None:
        self.query_one(f"#{name}", Static).update(text)


class BotsBoard(Screen[None]):
    """A table of several bots, read again when one of them has new records."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("q", "app.quit", "quit")]
    CSS = """
    BotsBoard Static { height: auto; }
    BotsBoard #foot { height: 1; }
    BotsBoard #body { height: 1fr; scrollbar-size-vertical: 1; overflow-x: hidden; }
    """

    def __init__(self, bots: Sequence[BotFolder]) -> None:
        super().__init__()
        self._bots = bots
        self._rows: BotsShown | None = None
        self._at: datetime | None = None
        self._seen: object = None
        self._began_s = self._cpu_s = 0.0
        self._reading = False

    def compose(self) -> ComposeResult:
        """Yield the table and the footer."""
        with VerticalScroll(id="body"):
            yield Static("Reading…", id="shown", markup=False)
        yield Static(id="foot", markup=False)

    def on_mount(self) -> None:
        """Read the bots, and poll for new records from now on."""
        self.query_one("#body").focus()
        self._read()
        self.set_interval(EVERY_S, self._look)

    def on_resize(self, event: events.Resize) -> None:
        """Redraw the table for the new width."""
        self._draw()

    def _versions(self) -> object:
        return [version(bot.path) for bot in self._bots]

    def _look(self) -> None:
        since_s, cpu_s = time.monotonic() - self._began_s, time.process_time() - self._cpu_s
        if self._reading or (cpu_s > SHARE * since_s and since_s < LONGEST_S):
            return
        if self._versions() != self._seen or since_s >= ANYWAY_S:
            self._read()

    @work(exclusive=True)
    async def _read(self) -> None:
        self._reading = True
        self._began_s, self._cpu_s = time.monotonic(), time.process_time()
        self._seen = self._versions()
        try:
            self._rows = BotsShown(tuple([await asyncio.to_thread(load_bot_row, bot) for bot in self._bots]))
            self._at = datetime.now(UTC)
        finally:
            self._reading = False
        self._draw()

    def _draw(self) -> None:
        width, _ = self.app.size
        rows = self._rows
        if not self.is_mounted or not width or rows is None or self._at is None:
            return
        table = render_plain([lambda console: show_bots(console, rows)], width - 1)
        self.query_one("#shown", Static).update(table)
        foot = Text(f"q quits  read {when(self._at)}", "reverse", no_wrap=True, overflow="crop")
        self.query_one("#foot", Static).update(foot)


def _gray_if_troubled(text: Text, trouble: str) -> Text:
    """Return a text in gray if there is trouble; Textual forgets the style of a text, but not that of its parts."""
    return Text.assemble((text.plain, OLD)) if trouble else text


class Top(Textual[None]):
    """The Textual program of `top`. It uses the terminal's own colors, and has no commands but the board's keys."""

    ENABLE_COMMAND_PALETTE = False
    BINDINGS: ClassVar[list[BindingType]] = [Binding("ctrl+c", "quit", show=False, priority=True)]

    def __init__(self, board: Screen[None]) -> None:
        super().__init__()
        self._board = board

    def show(self) -> None:
        """Draw until the user quits; raise any error once the terminal is restored."""
        self.run()
        if self._exception is not None:
            raise self._exception

    def _fatal_error(self) -> None:
        """End without the library's own report, which prints values of variables: keys may be among them."""
        self._close_messages_no_wait()

    def on_mount(self) -> None:
        """Start with the board, in the terminal's own colors."""
        self.theme = "ansi-dark"
        self.push_screen(self._board)


WORD = "halt"


def halt(folder: Path, config: str | None, reason: str) -> str:
    """Halt as `tradebot halt --reason` does, and return what it printed."""
    in_utc, printed = shows_utc(), io.StringIO()
    request = HaltRequest(reason.strip() or NO_REASON, state_dir=str(folder), config=config, in_utc=in_utc)
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            run_halt(request)
        except TradebotError as error:
            print_error(error)
        finally:
            show_utc(in_utc)
    return clean_lines(hide_keys(printed.getvalue())).strip()


class Halting(ModalScreen[bool]):
    """Asks for the word and a reason, halts, and shows the result; the dialog returns whether the halt was set."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "leave", "leave")]
    CSS = """
    Halting { align: center middle; }
    Halting Vertical { width: 90%; max-width: 100; height: auto; max-height: 90%; border: heavy red; padding: 0 1; }
    Halting Static { height: auto; }
    """

    def __init__(self, folder: Path, config: str | None) -> None:
        super().__init__()
        self._folder, self._config = folder, config
        self._begun = self._done = False

    def compose(self) -> ComposeResult:
        """Yield the two input fields and a line for instructions."""
        with Vertical():
            yield Static("Halt: stop opening positions now. Exits continue.", markup=False)
            yield Input(placeholder=f"type {WORD} to confirm", id="word")
            yield Input(placeholder="reason", id="reason")
            yield Static("Enter continues, Escape leaves without halting.", id="said", markup=False)

    def on_mount(self) -> None:
        """Focus the input for the confirmation word."""
        self.query_one("#word").focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask for the reason once the confirmation word is right, and halt once a reason is entered."""
        if self._begun:
            return
        typed = self.query_one("#word", Input).value.strip()
        if typed != WORD:
            self._say(f"Nothing is halted: you typed {clean(typed)[:40]!r} instead of {WORD}.")
            self.query_one("#word").focus()
        elif event.input.id == "word":
            self._say("Enter halts, Escape leaves without halting.")
            self.query_one("#reason").focus()
        else:
            self._begun = True
            self._halt(event.input.value)

    @work
    async def _halt(self, reason: str) -> None:
        for question in self.query(Input):
            question.display = False
        self._say("Halting…")
        printed = await asyncio.to_thread(partial(halt, self._folder, self._config, reason))
        self._done = True
        self._say(f"{printed}\n\nEscape closes this.")

    def action_leave(self) -> None:
        """Close the dialog, unless a halt has started and isn't done yet."""
        if self._done or not self._begun:
            self.dismiss(self._done)

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(text)
