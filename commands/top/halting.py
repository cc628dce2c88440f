"""The questions before a halt on the screen, and the halt itself, by the code of `tradebot halt`."""

import asyncio
import io
from contextlib import redirect_stderr, redirect_stdout
from functools import partial
from pathlib import Path
from typing import ClassVar

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from commands.halt import verb
from commands.halt.report import NO_REASON, Request
from commands.shared.plain import clean, clean_lines, print_error
from commands.shared.times import show_utc, shows_utc
from tradebot.adapters.text.redaction import hide
from tradebot.errors import TradebotError

WORD = "halt"


def halt(folder: Path, config: str | None, reason: str) -> str:
    """Halt as `tradebot halt --reason` does, and return what it printed."""
    in_utc, printed = shows_utc(), io.StringIO()
    request = Request(reason.strip() or NO_REASON, state_dir=str(folder), config=config, in_utc=in_utc)
    with redirect_stdout(printed), redirect_stderr(printed):
        try:
            verb.run(request)
        except TradebotError as error:
            print_error(error)
        finally:
            show_utc(in_utc)
    return clean_lines(hide(printed.getvalue())).strip()


class Halting(ModalScreen[bool]):
    """Asks for the word and a reason, halts, and shows what the halt printed; the result is whether it was asked to."""

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
        """Yield the two questions and a line for what is to be done."""
        with Vertical():
            yield Static("Halt: stop opening positions now. Exits continue.", markup=False)
            yield Input(placeholder=f"type {WORD} to confirm", id="word")
            yield Input(placeholder="reason", id="reason")
            yield Static("Enter goes on, Escape leaves without halting.", id="said", markup=False)

    def on_mount(self) -> None:
        """Ask for the word first."""
        self.query_one("#word").focus()

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Go on to the reason after the right word, and halt after the reason."""
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
        """Close the questions; a halt that has begun is waited for."""
        if self._done or not self._begun:
            self.dismiss(self._done)

    def _say(self, text: str) -> None:
        self.query_one("#said", Static).update(text)
