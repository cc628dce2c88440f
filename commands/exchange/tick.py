"""`tradebot exchange tick`: advance the embedded exchange's clock."""

import re
from collections.abc import Callable
from datetime import date, datetime
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.exchange.place import ANOTHER, exchange_of
from commands.shared.light_helpers import Identity, clean
from commands.shared.span_options import seconds_in
from commands.shared.times import CLOCK, stamp, when, zone
from commands.shared.verb_options import Report, identity
from tradebot.adapters.time.clock import LockStepClock
from tradebot.app import sandbox
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from pathlib import Path

    from rich.console import Console

    from tradebot.app.wiring import App

MOMENTS = frozenset({"open", "close", "next_open"})

ISO_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d[0-9:.]{0,12}(Z|[+-]\d\d:\d\d)")


class Ticked(Struct, frozen=True):
    """How far the clock moved; `session` is None on a day without one, `finished` means the market has ended."""

    start: datetime
    end: datetime
    session: date | None
    is_open: bool
    next_open: datetime | None
    next_close: datetime | None
    finished: bool


def tick(bot: "App", step: str) -> Report:
    """Advance the clock of a bot's exchange; raise OperatorError for an invalid step or a real broker."""
    return _report(_moved(lambda: bot.engine, step), identity(bot), "tradebot init --state-dir NEW")


def tick_served(path: "Path", step: str) -> Report:
    """Advance the clock of an exchange that no bot uses, starting it if needed."""

    def clock() -> LockStepClock:
        folder = exchange_of(path)
        return LockStepClock(sandbox.start(folder), lambda: sandbox.control_headers(folder))

    return _report(_moved(clock, step), Identity("sandbox"), ANOTHER)


def _moved(clock: "Callable[[], LockStepClock]", step: str) -> Ticked:
    amount = seconds_of(step)
    engine = clock()
    start = engine.now()
    if amount is None:
        end = engine.tick_to(step)
    else:
        engine.sleep(amount)
        end = engine.status()
    return Ticked(start, end.now, end.session, end.is_open, end.next_open, end.next_close, end.finished)


def _report(data: Ticked, whose: Identity, another: str) -> Report:
    return Report("exchange-tick", data, lambda out, _: _render_ticked(out, data, another), whose=whose)


def seconds_of(text: str) -> int | None:
    """Return the seconds in a duration such as 5m, or None for a moment; raise OperatorError for anything else."""
    if text in MOMENTS or ISO_TIME.fullmatch(text):
        return None
    amount = seconds_in(text)
    if amount is None:
        raise OperatorError(
            f"can't read {clean(text)[:20]!r} as a time step",
            "write 90s, 5m, 2h, 2d, open, close, next_open or a time such as 2026-11-16T21:00Z",
        )
    return amount


def _render_ticked(out: "Console", data: Ticked, another: str) -> None:
    out.print(f"{stamp(data.start)} -> [bold]{stamp(data.end)}[/bold] {zone()}")
    if data.finished:
        ended = f"The market has ended: its last session is over. Next: {another}"
        out.print(ended, markup=False)
    elif data.is_open:
        closes = data.next_close and when(data.next_close, CLOCK)
        out.print(f"  session {data.session} is [green]open[/green] until {closes}")
    else:
        out.print(f"  the session is closed; the next one opens {data.next_open and when(data.next_open)}")
