"""The whole exchange of one state folder: market, engine, log, and the commands that came so far."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tradebot.exchange.chance import number_of, uuid_of
from tradebot.exchange.commands import Answer, Command, Commands
from tradebot.exchange.engine.engine import Engine
from tradebot.exchange.jsontext import encode
from tradebot.exchange.log import Log, read_event
from tradebot.exchange.market.bars import BarSource, Market
from tradebot.exchange.market.generator import GeneratedBars
from tradebot.exchange.market.sessions import Calendar, calendar_from_rows
from tradebot.exchange.market.spec import NEW_EXCHANGE, MarketError
from tradebot.exchange.state import BARS_FILE, LOG_FILE, StoredMarket, read_market, write_atomically
from tradebot.exchange.times import MINUTE, rfc3339

_BEFORE_FIRST_OPEN = 30 * MINUTE
_CREATED = "created"
_RESTORE_BOTH = "restore log.jsonl and market.json together, or " + NEW_EXCHANGE


class Exchange:
    """An exchange over its market and its folder's log; making it replays the log."""

    def __init__(self, state_dir: Path, stored: StoredMarket, market: Market) -> None:
        self.stored = stored
        self.market = market
        number, start_us = _account_number(stored), _start_us(market.calendar)
        self._pending: list[bytes] = []
        self._sequence = 0
        self.engine = Engine(self.market, number, self.stored.spec.cash, start_us, self._emit)
        self._commands = Commands(self.engine, self.status)
        self.log = Log(state_dir / LOG_FILE)
        self._recover()

    def run(self, command: Command) -> Answer:
        """Run a command, make its events durable, and answer it."""
        answer = self._execute(command)
        self.log.append(self._taken())
        return answer

    def status(self) -> dict[str, Any]:
        """Return where the exchange stands, as GET /exchange/v1/status shows it."""
        calendar, now = self.market.calendar, self.engine.now_us
        return {
            "now": rfc3339(now),
            "session": calendar.trading(now).date,
            "is_open": calendar.is_open(now),
            "next_open": rfc3339(calendar.next_open(now)),
            "next_close": rfc3339(calendar.next_close(now)),
            "finished": now >= calendar.last_close_us,
            "account_number": self.engine.account_number,
            "market": self.stored.spec.to_fields(),
            "symbols": list(self.market.symbols),
            "skipped_rows": self.stored.skipped_rows,
        }

    def _emit(self, at_us: int, event: str, fields: dict[str, Any]) -> None:
        self._sequence += 1
        self._pending.append(_line(self._sequence, at_us, event, fields))

    def _taken(self) -> list[bytes]:
        lines, self._pending = self._pending, []
        return lines

    def _execute(self, command: Command) -> Answer:
        self._emit(self.engine.now_us, "request", command._asdict())
        answer, refusal = self._commands.run(command)
        if refusal is not None:
            event = "order_rejected" if command.path == "/v2/orders" else "request_refused"
            self._emit(self.engine.now_us, event, {"status": refusal.status, **refusal.body})
        return answer

    def _recover(self) -> None:
        """Replay the log's commands: they must give its lines again, and give those that a crash lost."""
        recorded = self.log.lines()
        self._emit(self.engine.start_us, _CREATED, _birth(self.stored))
        for number, line in enumerate(recorded, start=1):
            event = read_event(line, number)
            if event.get("event") == "request":
                self._execute(_command(event, number))
        replayed = self._taken()
        for number, (line, again) in enumerate(zip(recorded, replayed, strict=False), start=1):
            if line != again:
                raise _diverged(number)
        if len(recorded) > len(replayed):
            raise _diverged(len(replayed) + 1)
        self.log.append(replayed[len(recorded) :])


def _account_number(stored: StoredMarket) -> str:
    return "SBX" + number_of(9, stored.spec.to_json())


def _start_us(calendar: Calendar) -> int:
    return calendar.market[0].open_us - _BEFORE_FIRST_OPEN


def _birth(stored: StoredMarket) -> dict[str, Any]:
    return {
        "account_number": _account_number(stored),
        "cash": str(stored.spec.cash),
        "market_id": uuid_of(stored.spec.to_json(), *stored.symbols),
    }


def _line(sequence: int, at_us: int, event: str, fields: dict[str, Any]) -> bytes:
    return encode({"seq": sequence, "at": rfc3339(at_us), "event": event, **fields})


def _command(event: dict[str, Any], number: int) -> Command:
    try:
        return Command(**{name: str(event[name]) for name in Command._fields})
    except KeyError as error:
        raise MarketError(f"log.jsonl line {number} is a request without its {error}", _RESTORE_BOTH) from error


def _diverged(number: int) -> MarketError:
    return MarketError(
        f"log.jsonl line {number} is not what its commands give: the log or the market was changed by hand",
        _RESTORE_BOTH,
    )


def begin_log(state_dir: Path, stored: StoredMarket, calendar: Calendar) -> None:
    """Write the log's first line: from now on a folder whose log is missing has lost it, and is not new."""
    line = _line(1, _start_us(calendar), _CREATED, _birth(stored))
    write_atomically(state_dir / LOG_FILE, line.decode() + "\n")


def open_exchange(state_dir: Path) -> Exchange:
    """Open the exchange of a folder; raises MarketError when there is none, or it is damaged or without its log."""
    stored = read_market(state_dir)
    log = state_dir / LOG_FILE
    if not log.is_file() or not log.stat().st_size:
        raise MarketError(f"{log} is missing or empty: it holds every order and fill of this exchange", _RESTORE_BOTH)
    return Exchange(state_dir, stored, open_market(state_dir, stored))


def open_market(state_dir: Path, stored: StoredMarket) -> Market:
    """Return the market that a folder keeps."""
    calendar = calendar_from_rows(stored.sessions, stored.first, stored.spec.sessions)
    return Market(_source(state_dir, stored, calendar), calendar, stored.symbols)


def _source(state_dir: Path, stored: StoredMarket, calendar: Calendar) -> BarSource:
    if stored.spec.source == "generated":
        return GeneratedBars(stored.spec.seed, calendar)
    from tradebot.exchange.market.recorded import KeptBars

    return KeptBars(state_dir / BARS_FILE)
