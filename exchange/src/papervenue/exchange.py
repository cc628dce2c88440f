"""Assemble the exchange of one state folder: market, engine, log, clock, and the commands logged so far."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

from papervenue.chance import uuid_of
from papervenue.clock import Clock, Pace, latency_name
from papervenue.commands.command import Answer, Command, Commands
from papervenue.commands.control import ACCOUNTS, MAIN, MAIN_KEY, TICK, ControlCommands, account_summary
from papervenue.engine.engine import Engine
from papervenue.events import Event, EventPosition
from papervenue.faces.face import faces_of
from papervenue.faults.fault_state import Faults
from papervenue.jsontext import encode, plain
from papervenue.log import CREATED, FORMAT, NOTE, REQUEST, RESTORE_BOTH, Log, Step, replay
from papervenue.market.bars import Market
from papervenue.market.sessions import Calendar
from papervenue.market.spec import MarketError
from papervenue.market_loader import dialect_of, open_market
from papervenue.private_files import write_atomically, write_own
from papervenue.shares.actions import schedule
from papervenue.snapshot.state import Snapshot, SnapshotOrders, read_snapshot, restore_state
from papervenue.state import (
    ACCOUNTS_FILE,
    LOG_FILE,
    StoredMarket,
    read_market,
)
from papervenue.times import MINUTE, SECOND, parse_time, rfc3339

_NS = 1_000
_RESERVED_S = 10
"""Real seconds of running time to reserve at once; a crash loses at most this much."""
_RESERVED = "time_reserved"

Moved = Callable[[int, int], None]
"""Called with the engine times before and after a movement."""


class Listener(Protocol):
    """Captures each event as it happens, and publishes it once its log line is written."""

    def capture(self, event: Event, event_place: EventPosition) -> Any:
        """Return the message to publish about an event, or None; called as it happens."""

    def publish(self, captured: Any) -> None: ...


class Exchange:
    """An exchange with its market and its folder's log; creating one replays the log from the snapshot on.

    Lines wait until `record` or `commit` is called. `moved` is called whenever time has moved; `status_parts` add to
    the status.
    """

    def __init__(
        self,
        state_dir: Path,
        stored: StoredMarket,
        market: Market,
        clock: Clock | None = None,
        snapshot: Snapshot | None = None,
    ) -> None:
        self.stored = stored
        self.market = market
        self.clock = clock or Clock()
        self.listeners: list[Listener] = []
        self.moved: list[Moved] = []
        self.status_parts: dict[str, Callable[[], object]] = {}
        self._captured: list[tuple[Listener, Any]] = []
        self.past = SnapshotOrders()
        self.sequence = 0
        """The number of the last line, including those waiting to be written."""
        self._told_ns = 0
        self._reserved_us = 0
        self._last_line_us = 0
        self._names_file = state_dir / ACCOUNTS_FILE
        self.log = Log(state_dir / LOG_FILE, snapshot and snapshot.log)
        self._take: Callable[[bytes], None] = self.log.add
        spec = stored.spec
        self.faces = faces_of(spec.venue)
        self.order_paths = {face.orders for face in self.faces}
        dialect, self.staff = dialect_of(spec.venue, stored.edition)
        self.engine = Engine(
            market,
            market.calendar.start_us,
            self._emit,
            spec.fill,
            spec.to_json(),
            spec.costs,
            stored.rates,
            dialect=dialect,
        )
        self.control = control = ControlCommands(self.current_state, spec.cash)
        self.faults = Faults(self.engine, self.note, self._emit, self._carry_out)
        of_faces = (entry for face in self.faces for entry in face.entries)
        self._commands = Commands(self.engine, [*self.staff, *of_faces, *control.entries(), *self.faults.entries()])
        for action in market.actions:
            schedule(self.engine, action)
        self._recover(snapshot.state if snapshot and self.log.known_lines else None)

    def run(self, command: Command) -> Answer:
        """Run a command at the current time and return its response; its log lines wait for the next commit."""
        self.catch_up()
        before_us = self.engine.now_us
        answer = self.execute(command)
        if command.path == ACCOUNTS:
            self._write_names()
        if self.engine.now_us != before_us:
            self.clock.rebase(self.engine.now_us)
            self._tell_moved(before_us)
        return answer

    def note(self, name: str, fields: dict[str, Any]) -> None:
        """Log a decision made outside the engine; a replay copies this line unchanged."""
        self._line(self.engine.now_us, name, {NOTE: True, **fields})

    @property
    def has_unrecorded(self) -> bool:
        """Return True if there are lines to be written, or listeners to be notified."""
        return bool(self.log.pending or self._captured)

    def commit(self) -> None:
        """Make all lines durable, including fault counts, and notify the listeners; raise LogError if that fails."""
        self.faults.book.note_counts(at_once=True)
        self.record()
        self.log.commit()

    def record(self) -> None:
        """Write all lines, then notify the listeners; raise LogError if that fails."""
        self.log.write()
        captured, self._captured = self._captured, []
        for listener, what in captured:
            listener.publish(what)

    def set_pace(self, pace: Pace) -> None:
        """Change the pace of time; if time stops, log the exact time at which it does."""
        self.catch_up()
        if pace == self.clock.pace:
            return
        self.note("pace_set", {"pace": pace.name})
        self.clock.set(pace, self.engine.now_us)
        if not self.clock.running and self._reserved_us != self.engine.now_us:
            self._reserve(self.engine.now_us)

    @property
    def at_rest(self) -> bool:
        """Return True if replaying the written lines would give exactly the exchange's current state."""
        all_logged = self._last_line_us == self.engine.now_us
        return all_logged and not self.has_unrecorded and not self.faults.book.has_unsaved_counts

    def catch_up(self) -> None:
        """Advance engine time to what the clock shows. Nothing happens within a minute, so nothing is logged for it."""
        if not self.clock.running:
            return
        before_us = self.engine.now_us
        due_us = min(self.clock.due_us, self.market.calendar.horizon_us)
        if due_us <= before_us:
            return
        if due_us > self._reserved_us:
            self._reserve(due_us + max(MINUTE, int(_RESERVED_S * SECOND * self.clock.pace.speed)))
            self.commit()
        if due_us // MINUTE > before_us // MINUTE:
            self.execute(tick_to(due_us))
        else:
            self.engine.advance(due_us)
        self._tell_moved(before_us)

    def current_state(self) -> dict[str, Any]:
        """Return the current state, in the same form as the response to a tick."""
        calendar, now = self.market.calendar, self.engine.now_us
        return {
            "now": rfc3339(now),
            "session": calendar.trading(now).date,
            "is_open": calendar.is_open(now),
            "next_open": rfc3339(calendar.next_open(now)),
            "next_close": rfc3339(calendar.next_close(now)),
            "finished": now >= calendar.last_close_us,
            "account_number": self.engine.main.number,
            "market": self._spec_fields,
            "symbols": list(self.market.symbols),
            "skipped_rows": self.stored.skipped_rows,
        }

    @cached_property
    def _spec_fields(self) -> dict[str, Any]:
        """Return the fields of the market's specification, which every tick shows."""
        return self.stored.spec.to_fields()

    def status(self) -> dict[str, Any]:
        accounts = [
            account_summary(self.engine, account) | {"began_with": plain(self.control.began_with(account.name))}
            for account in self.engine.accounts.values()
        ]
        details = {"pace": self.clock.pace.name, "accounts": accounts, "log_lines": self.log.count}
        details["latency"] = latency_name(self.engine.latency_us)
        return self.current_state() | details | {name: part() for name, part in self.status_parts.items()}

    def _repeat(self, step: Step | None, at_us: int) -> None:
        if at_us > self.engine.now_us:
            self.engine.advance(at_us)
        if isinstance(step, Command):
            self.execute(step)
        elif step:
            self._apply_note(step)

    def _apply_note(self, event: dict[str, Any]) -> None:
        self.sequence += 1
        self._last_line_us = self.engine.now_us
        self.faults.apply_note(event)
        if event["event"] == _RESERVED:
            self._reserved_us = parse_time(event["until"])

    def execute(self, command: Command) -> Answer:
        """Run a command at the engine's current time; in a replay, that is the recorded time."""
        self._line(self.engine.now_us, REQUEST, command._asdict())
        return self.faults.deliver(command)

    def _carry_out(self, command: Command) -> Answer:
        answer, refusal = self._commands.run(command)
        if refusal is not None:
            name = "order_rejected" if command.path in self.order_paths else "request_refused"
            account = {"account": command.account} if command.account else {}
            self._line(self.engine.now_us, name, {"status": refusal.status, **refusal.body, **account})
        return answer

    def _emit(self, event: Event) -> None:
        account = {} if event.account is None else {"account": event.account}
        self._line(event.at_us, event.name, {**event.fields, **account})
        if event.update is not None:
            # Events in the same microsecond of engine time still have an order.
            self._told_ns = max(self._told_ns + 1, event.at_us * _NS)
        event_place = EventPosition(self.sequence, event.at_us, self._told_ns)
        if event.update is not None:
            self.engine.accounts[event.update.order.account].updates.add(event.update, event_place)
        for listener in self.listeners:
            captured = listener.capture(event, event_place)
            if captured is not None:
                self._captured.append((listener, captured))

    def _line(self, at_us: int, name: str, fields: dict[str, Any]) -> None:
        self.sequence += 1
        self._last_line_us = at_us
        self._take(encode({"seq": self.sequence, "at": rfc3339(at_us), "event": name, **fields}))

    def _reserve(self, until_us: int) -> None:
        self._reserved_us = min(until_us, self.market.calendar.horizon_us)
        self.note(_RESERVED, {"until": rfc3339(self._reserved_us)})

    def _tell_moved(self, from_us: int) -> None:
        for callback in self.moved:
            callback(from_us, self.engine.now_us)

    def _write_names(self) -> None:
        names = [account.name for account in self.engine.accounts.values()]
        write_own(self._names_file, encode({"accounts": names}))

    def _recover(self, state: bytes | None) -> None:
        """Replay the log's commands, which must reproduce its lines and add those lost to a crash."""
        lines: deque[bytes] = deque()
        self._take = lines.append
        if state is None:
            self._line(self.engine.start_us, CREATED, _creation_fields(self.stored))
            self.engine.open_account(MAIN, MAIN_KEY, MAIN_KEY, self.stored.spec.cash)
        else:
            self.past = restore_state(self, state)
            self._last_line_us = self.engine.now_us
        for at_us, step in replay(self.log, lines, self.log.known_lines):
            self._repeat(step, at_us)
        self._take = self.log.add
        for line in lines:
            self.log.add(line)
        if self._reserved_us > self.engine.now_us:
            # Time was running, and clients may have seen it up to this moment at most.
            self.execute(tick_to(self._reserved_us))
        self.commit()
        self._write_names()


def tick_to(us: int) -> Command:
    return Command("POST", TICK, body=encode({"to": rfc3339(us)}).decode())


def _creation_fields(stored: StoredMarket) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "cash": str(stored.spec.cash),
        "market_id": uuid_of(stored.spec.to_json(), *stored.symbols),
    }


def begin_log(state_dir: Path, stored: StoredMarket, calendar: Calendar) -> None:
    """Write the log's first line. From then on, a missing log means that it was lost, not that the folder is new."""
    first_line = {"seq": 1, "at": rfc3339(calendar.start_us), "event": CREATED, **_creation_fields(stored)}
    write_atomically(state_dir / LOG_FILE, encode(first_line).decode() + "\n")


def open_exchange(state_dir: Path, clock: Clock | None = None) -> Exchange:
    """Open the exchange in a folder; raise MarketError if it is missing, damaged, or without a log."""
    stored = read_market(state_dir)
    log = state_dir / LOG_FILE
    if not log.is_file() or not log.stat().st_size:
        raise MarketError(f"{log} is missing or empty: it holds every order and fill of this exchange", RESTORE_BOTH)
    snapshot = read_snapshot(state_dir)
    try:
        return Exchange(state_dir, stored, open_market(state_dir, stored), clock, snapshot=snapshot)
    except (MarketError, ValueError, TypeError, KeyError):
        if snapshot is None:
            raise
        # The log alone decides. A failure while using a snapshot may be the snapshot's fault.
        return Exchange(state_dir, stored, open_market(state_dir, stored), clock)
