"""`tradebot status --watch`: the status on its own screen, redrawn every five seconds."""

import os
import select
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime

from rich.console import Console
from rich.live import Live
from rich.text import Text

from commands.shared.console import Screen
from commands.shared.times import when
from commands.shared.verb_options import console, identity
from commands.status.report import sections, status_of
from tradebot.app.wiring import App
from tradebot.errors import OperatorError, TradebotError, one_line
from tradebot.model.text import pluralize

EVERY_S = 5.0
MOST_KEYS = 100
ORDER = ("serve", "health", "may", "bot", "today", "positions", "orders", "unresolved", "passes", "equity")
"""What a small terminal may cut off comes last."""
QUIT = b"qQ\x03\x04"
"""The keys that end it: q, Ctrl-C and Ctrl-D."""


def follow(app: "App") -> None:
    """Draw the status until q or Ctrl-C is pressed; OperatorError if there is no terminal to draw on."""
    if not sys.stdout.isatty():
        raise OperatorError("--watch needs a terminal to draw on", "tradebot status")
    alone = Live(console=Screen(), screen=True, auto_refresh=False)
    with suppress(KeyboardInterrupt), _keys() as pressed, alone as live:
        while True:
            live.update(render_status(app), refresh=True)
            if _quits(pressed):
                return


def render_status(app: "App") -> Text:
    """Return the status now, in as many lines as the terminal has; while it can't be read, the error."""
    screen = console()
    width, height = screen.size
    room = height - 1
    try:
        with closing(app.twin()) as bot:
            data = status_of(bot)
        draws = sections(data, identity(app))
        parts = [_text(screen, draws[name]) for name in ORDER]
    except TradebotError as failed:
        parts = [Text(one_line(failed), "red")]
    lines = [line for part in parts for line in part.wrap(screen, width)]
    left = max(len(lines) - room, 0)
    more = f"{pluralize(left, 'more line')}: tradebot status; " if left else ""
    asked = f"{when(datetime.now(UTC))} by this machine's clock"
    foot = Text(f"{more}q quits; {asked}, every {EVERY_S:.0f} s", "reverse", no_wrap=True, overflow="crop")
    return Text("\n").join([*lines[:room], foot])


def _text(screen: "Console", draw: "Callable[[Console], None]") -> Text:
    with screen.capture() as shown:
        draw(screen)
    return Text.from_ansi(shown.get().removesuffix("\n"))


def _quits(pressed: Callable[[float], bytes]) -> bool:
    """Wait until it is time to draw again; return True if a key that quits is pressed before."""
    until_s = time.monotonic() + EVERY_S
    while (left_s := until_s - time.monotonic()) > 0:
        if any(key in QUIT for key in pressed(left_s)):
            return True
    return False


def _sleep(seconds: float) -> bytes:
    time.sleep(seconds)
    return b""


@contextmanager
def _keys() -> Iterator[Callable[[float], bytes]]:
    """Yield what waits for keys for so many seconds, without echoing them and without waiting for a line."""
    if not sys.stdin.isatty():
        yield _sleep
        return
    import termios
    import tty

    descriptor = sys.stdin.fileno()
    before = termios.tcgetattr(descriptor)

    def pressed(seconds: float) -> bytes:
        ready, _, _ = select.select([descriptor], [], [], seconds)
        # A terminal that is gone is always ready, and has nothing.
        return (os.read(descriptor, MOST_KEYS) or _sleep(seconds)) if ready else b""

    try:
        tty.setcbreak(descriptor)
        yield pressed
    finally:
        termios.tcsetattr(descriptor, termios.TCSADRAIN, before)
