"""`tradebot tail`: append new records to the text files for `tail -f`, as `serve` does after each pass."""

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.orders import join_orders
from commands.shared.declaration import VerbPurpose
from commands.shared.verb_options import Report, jsonable, on_bot
from tradebot.adapters.state.events import worth_seeing
from tradebot.adapters.state.json_lines import Row, TailFile, writing
from tradebot.adapters.state.state_folder import EVENTS, TAIL, cannot_write
from tradebot.errors import TradebotError
from tradebot.model.event import EventKind, SystemEvent
from tradebot.model.sentences import pluralize
from tradebot.views.metrics import BAD

if TYPE_CHECKING:
    from rich.console import Console

    from tradebot.app.wiring import App

A_DAY = timedelta(days=1)
"""How much earlier than a date in UTC a session of that moment may be dated."""
NAMES: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "performance": ("at", ("id",)),
    "orders": ("changed_at", ("client_order_id", "status", "filled")),
    "trades": ("closed_at", ("id",)),
    "errors": ("timestamp", ()),
}
"""The files, with the field for a line's time, and those that identify its subject."""


class LinesAppended(Struct, frozen=True):
    """How many lines were appended to each file in `folder`; `busy` is True if another process was writing there."""

    folder: str
    lines: Mapping[str, int]
    busy: bool


class TailedFiles:
    """One bot's text files for `tail -f`: performance, orders, trades and errors."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self.folder, self._events = app.folder.path / TAIL, app.folder.path / EVENTS
        size, n_files = app.settings.storage.events_mb * 10**6, app.settings.storage.events_files
        self._files = {
            name: TailFile(self.folder / f"{name}.jsonl", size, n_files, at, names)
            for name, (at, names) in NAMES.items()
        }
        self._seen: object = None

    def tick(self) -> None:
        """Append new records since the last call; a failed write is tried again."""
        with suppress(TradebotError, OSError, sqlite3.Error):
            records = self._records()
            if (records, self._sizes()) != self._seen and self.write() is not None:
                self._seen = records, self._sizes()

    def write(self) -> Mapping[str, int] | None:
        """Append new records, and return the number of lines per file; None if another process is writing there.

        Raises OSError if a file can't be used, and TradebotError if the records can't be read.
        """
        from commands.notify.delivery import evidence_time

        with writing(self.folder) as ours:
            if not ours:
                return None
            now = evidence_time(self._app)
            reads: Mapping[str, Callable[[datetime], Iterable[Row]]] = {
                "performance": self._performance,
                "orders": self._orders,
                "trades": self._trades,
                "errors": self._errors,
            }
            return {name: file.add(reads[name], now) for name, file in self._files.items()}

    def _records(self) -> tuple[object, ...]:
        """Return a value that changes as soon as anything is recorded."""
        books, facts = self._app.books, self._app.existing_facts
        size = self._events.stat().st_size if self._events.exists() else 0
        return books.file.sealed_head().sequence, facts.last_pass() if facts else None, size

    def _sizes(self) -> tuple[int, ...]:
        return tuple(path.stat().st_size for path in sorted(self.folder.glob("*.jsonl")))

    def _performance(self, since: datetime) -> "Iterator[Row]":
        """Yield a row for each pass that read the equity. `drawdown` is None until the peak was reached, because
        earlier peaks aren't known.
        """
        facts, peak = self._app.existing_facts, self._app.books.equity_peak()
        cycles = [cycle for cycle in (facts.passes(since) if facts else ()) if cycle.equity is not None]
        highest = peak.highest if peak else Decimal(0)
        reached = max((cycle.at for cycle in cycles if cycle.equity >= highest), default=since)  # type: ignore[operator]
        for cycle in cycles:
            yield jsonable({
                "at": cycle.at,
                "id": cycle.id,
                "session": cycle.session,
                "job": cycle.job,
                "equity": cycle.equity,
                "day_usd": _change(cycle.equity, cycle.last_close),
                "drawdown": _fallen(cycle.equity, highest) if cycle.at >= reached else None,
                "positions": len({mark.symbol for mark in cycle.marks}),
            })  # fmt: skip

    def _orders(self, since: datetime) -> "Iterator[Row]":
        books = self._app.books
        orders = books.recent_orders(since)
        recorded = books.recorded_intents({order.client_order_id for order in orders})
        records = {
            **recorded,
            **{intent.intent.client_order_id: intent for intent in books.recent_intents(since.date() - A_DAY)},
        }
        reported = {order.client_order_id: order.updated_at for order in orders}
        for row in join_orders(list(records.values()), orders)[0]:
            record = records.get(row.client_order_id)
            times = (row.at, record.updated_at if record else None, reported.get(row.client_order_id))
            changed = max((at for at in times if at), default=None)
            if changed is not None:
                yield {"changed_at": jsonable(changed), **jsonable(row)}

    def _trades(self, since: datetime) -> "Iterator[Row]":
        from commands.trades.report import all_rows

        if not any(trip.closed_at >= since for trip in self._app.books.totals().round_trips):
            return
        for row in all_rows(self._app)[1].trades:
            if row.closed_at is not None and row.closed_at >= since:
                yield jsonable(row)

    def _errors(self, since: datetime) -> "Iterator[Row]":
        _, events = worth_seeing(self._events, [(since, datetime.max.replace(tzinfo=UTC))])
        yield from (jsonable(event) for event in events if _is_error(event))


def _change(equity: Decimal | None, before: Decimal | None) -> Decimal | None:
    return None if equity is None or before is None else equity - before


def _fallen(equity: Decimal | None, highest: Decimal) -> Decimal | None:
    return None if equity is None or highest <= 0 else round(max(highest - equity, Decimal(0)) / highest, 6)


def _is_error(event: "SystemEvent") -> bool:
    failed = {(kind.subsystem, kind.event_type) for kind in (EventKind.JOB_FAILED, EventKind.CHORE_FAILED)}
    return event.severity in BAD or (event.subsystem, event.event_type) in failed


def _render(console: "Console", data: LinesAppended) -> None:
    if data.busy:
        console.print("Another process, such as serve, is writing these files now.")
    for name, count in data.lines.items():
        console.print(f"{data.folder}/{name}.jsonl: {pluralize(count, 'new line')}", markup=False, soft_wrap=True)


@on_bot("tail", VerbPurpose.LOOK, 180, {"tail/1": (LinesAppended,)}, epilog="tradebot tail")
def tail(bot: "App") -> Report:
    """Append new records to the text files for `tail -f`.

    `serve` does this automatically; without `serve`, cron can run it every minute.
    """
    tails = TailedFiles(bot)
    try:
        lines = tails.write()
    except OSError as error:
        raise cannot_write(tails.folder, error) from error
    return Report("tail", LinesAppended(str(tails.folder), lines or {}, lines is None), _render)
