"""Generate books as large as those of years of trading, and a venue on loopback that agrees with them.

The ledger itself writes the rows and the journal, in one transaction. The venue isn't an exchange: it answers from the
same fills, page by page, accepts cancels, and takes the place of the embedded exchange in the folder.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from benchmarks.support.traded import GATES, Traded, filled, intent_of, order_of
from papervenue.state import LOCK_FILE, PORT_FILE
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.ledger.rows import IntentContent
from tradebot.adapters.state import halt_switch, state_folder
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import encode
from tradebot.app.baseline import effective
from tradebot.app.settings import load
from tradebot.model.bar import Session
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision, Verdict
from tradebot.model.fact_kind import NEW_YORK
from tradebot.model.intent import Intent
from tradebot.model.order import Fill, Order, OrderStatus, Reply, WriteOutcome
from tradebot.model.trading import Baseline, ReconcileMark

ACCOUNT = "SBX000000042"
CASH = Decimal(1_000_000)
SYMBOLS = tuple(f"SYM{letter}" for letter in "ABCDEFGHIJKLMNOPQRSTU")
A_SESSION = 100
"""Fills of one session: so few that books of 1,000 fills have more sessions than a pass looks back at."""
WORKING = 20
"""Open entry orders at the end, for a halt to cancel."""
ORDERS = "orders.json"
"""The stand-in venue's file of orders in its folder, which another instance, or one on a copy, reads too."""
NOW = datetime(2026, 11, 20, 15, 0, tzinfo=UTC)
OPENING = timedelta(hours=14, minutes=30)
LENGTH = timedelta(hours=6, minutes=30)
BUSY = timedelta(minutes=25)
"""All orders of a session are in its first minutes: current positions are of today, and no rule closes them yet."""
ENTRY_VERDICTS, EXIT_VERDICTS = 34, 5
"""As many verdicts as an entry and an exit in a day of the demo have."""


def sessions(count: int) -> list[Session]:
    """Return this many weekdays before today, oldest first, and the days around them that a calendar needs."""
    days = [NOW.date() - timedelta(days=n) for n in range(-70, 2 * count + 70)]
    opens = [datetime.combine(day, datetime.min.time(), UTC) + OPENING for day in sorted(days) if day.weekday() < 5]
    return [Session(at.date(), at, at + LENGTH) for at in opens]


def traded(first: int, last: int, of: int) -> Iterator[Traded]:
    """Yield the orders `first` to `last` of `of`, the newest of today; each symbol is bought, then sold."""
    past = [session for session in sessions(of // A_SESSION + 2) if session.open < NOW]
    begins, missing = len(past) - ((of - 1) // A_SESSION + 1), -of % A_SESSION
    for number in range(first, last):
        # The first session is the one that isn't full, so that today has the same number of orders for every size.
        day, position = divmod(number + missing, A_SESSION)
        session = past[begins + day]
        yield _make_trade(number, session.date, session.open + BUSY * position / A_SESSION)


def _make_trade(number: int, day: date, at: datetime) -> Traded:
    turn, position = divmod(number, len(SYMBOLS))
    side = Side.SELL if turn % 2 else Side.BUY
    intent = intent_of(ACCOUNT, day, at, f"open+{number}s", SYMBOLS[position], side)
    activity = f"{at:%Y%m%d%H%M%S}000::{number:08x}-aaaa-4bbb-8ccc-dddddddddddd"
    price = Decimal(10_000 + number % 97) / 100
    return filled(intent, f"{number:08x}-2222-4333-8444-555555555555", activity, price)


def working() -> Iterator[tuple[Intent, Order]]:
    """Yield the open entry orders, each far below the market."""
    for number in range(WORKING):
        sent = intent_of(ACCOUNT, NOW.date(), NOW - timedelta(seconds=60), f"open+{number}m", SYMBOLS[number], Side.BUY)
        yield sent, order_of(sent, f"{number:08x}-9999-4333-8444-555555555555", OrderStatus.NEW, None)


def _verdicts(purpose: Purpose) -> tuple[Decision, ...]:
    count = ENTRY_VERDICTS if purpose is Purpose.OPEN else EXIT_VERDICTS
    passed = (Decision(gate, Verdict.PASS, None, Decimal("0.0731"), Decimal("0.1"), 12.5) for gate in GATES * 2)
    return tuple(decision for decision, _ in zip(passed, range(count), strict=False))


def make(folder: Path, count: int) -> None:
    """Create a sandbox's folder whose books have this many fills, and open orders."""
    state_folder.prepare(folder)
    began = next(traded(0, 1, count)).intent.at - timedelta(days=1)
    SqliteLedger.create(folder, ACCOUNT, began).close()
    with closing(SqliteLedger.open(folder, ACCOUNT)) as books, books.file.in_one_write():
        books.open_books(CASH, began)
        books.put_sessions(sessions(count // A_SESSION + 2))
        _write(books, traded(0, count, count))
        for intent, order in working():
            books.record_intent(intent, _verdicts(Purpose.OPEN))
            books.record_outcome(intent.client_order_id, Reply(WriteOutcome.ACCEPTED, order), intent.at)
        books.mark_reconciled(ReconcileMark(NOW, 0, 0))
        books.baselines.approve(Baseline(effective(load(None, {}, {"mode": "sandbox"}).settings), "benchmark", began))
    state_folder.create(folder, "sandbox", ACCOUNT, "user", began)
    halt_switch.arm(folder, "benchmark", began)


def _write(books: SqliteLedger, orders: Iterator[Traded]) -> None:
    # The text of the verdicts is most of an intent, and always the same.
    verdicts = {one: json_text([*map(encode, _verdicts(one))]) for one in (Purpose.OPEN, Purpose.CLOSE)}
    for intent, order, fill in orders:
        books.record_intent_again(intent, IntentContent(texts=(json_text(encode(intent)), verdicts[intent.purpose])))
        books.record_outcome(intent.client_order_id, Reply(WriteOutcome.ACCEPTED, order), intent.at)
        books.apply_fills((fill,), fill.fill.at)


class Venue:
    """The account's positions by the fills of the books, and its open orders; time moves only by `tick`."""

    def __init__(self, folder: Path, count: int) -> None:
        self.instance = f"stand-in-{os.getpid()}"
        self.now = NOW
        self.fills: list[dict[str, object]] = []
        self._kept = folder / ORDERS
        self.orders: dict[str, dict[str, Any]] = (
            json.loads(self._kept.read_text())
            if self._kept.exists()
            else {order.venue_id: _order_row(order) for _, order in working()}
        )
        self.held = dict.fromkeys(SYMBOLS, Decimal(0))
        self.cash = CASH
        for one in traded(0, count, count):
            fill = one.fill.fill
            self.held[fill.symbol] += fill.signed_quantity
            self.cash -= fill.signed_quantity * fill.price
            if fill.at > NOW - timedelta(days=12):
                self.fills.append(_fill_row(fill))

    def answer(self, method: str, path: str, query: dict[str, list[str]], sent: Any = None) -> tuple[int, object]:
        """Return status and body of one request; `sent` is its JSON body."""
        at = self.now.isoformat()
        if path == "/exchange/v1/instance":
            return 200, {"instance": self.instance}
        if path in ("/v2/clock", "/exchange/v1/status", "/exchange/v1/tick"):
            return 200, self._times()
        if path == "/v2/calendar":
            return 200, [_session_row(session) for session in sessions(0)]
        if path == "/v2/account":
            return 200, self._account()
        if path == "/v2/positions":
            return 200, [_position_row(symbol, qty) for symbol, qty in self.held.items() if qty]
        if path.startswith("/v2/account/activities"):
            return 200, self._activities(path, query)
        if path.startswith("/v2/orders"):
            return (
                self._take(sent)
                if method == "POST"
                else self._orders(method, path.removeprefix("/v2/orders").lstrip("/"), query)
            )
        if path == "/v2/stocks/snapshots":
            return 200, {symbol: _snapshot(at) for symbol in query["symbols"][0].split(",")}
        return 404, {"code": 40410000, "message": f"{method} {path}"}

    def tick(self, seconds: float) -> None:
        """Move time forward."""
        self.now += timedelta(seconds=seconds)

    def _times(self) -> dict[str, object]:
        """Return the times that the broker's clock and the exchange's status both report."""
        return {
            "timestamp": self.now.isoformat(),
            "now": self.now.isoformat(),
            "is_open": True,
            "next_open": (NOW + timedelta(days=3)).isoformat(),
            "next_close": NOW.replace(hour=21).isoformat(),
            "session": NOW.date().isoformat(),
            "account_number": ACCOUNT,
            "finished": False,
        }

    def _account(self) -> dict[str, object]:
        value = self.cash + sum(self.held.values(), Decimal(0)) * 100
        return {
            "id": "11111111-2222-4333-8444-555555555555",
            "account_number": ACCOUNT,
            "status": "ACTIVE",
            "currency": "USD",
            "cash": str(self.cash),
            "equity": str(value),
            "last_equity": str(value),
            "buying_power": str(value),
            "trading_blocked": False,
            "account_blocked": False,
            "trade_suspended_by_user": False,
        }

    def _activities(self, path: str, query: dict[str, list[str]]) -> list[dict[str, object]]:
        if not path.endswith("/FILL"):
            return []
        after = query.get("after", [""])[0].replace("Z", "+00:00")
        rows = [row for row in self.fills if str(row["transaction_time"]) > after]
        token, size = query.get("page_token", [""])[0], int(query["page_size"][0])
        begins = next((n + 1 for n, row in enumerate(rows) if row["id"] == token), 0)
        return rows[begins : begins + size]

    def _orders(self, method: str, name: str, query: dict[str, list[str]]) -> tuple[int, object]:
        if not name:
            of_status = (r for r in self.orders.values() if (r["status"] == "new") == (query["status"] == ["open"]))
            return 200, _page(list(of_status), query)
        wanted = query.get("client_order_id", [""])[0]
        row = self.orders.get(name) or next((r for r in self.orders.values() if r["client_order_id"] == wanted), None)
        if row is None:
            return 404, {"code": 40410000, "message": "order not found"}
        if method == "DELETE":
            row |= {"status": "canceled", "updated_at": (NOW + timedelta(seconds=1)).isoformat()}
            self._keep()
            return 204, None
        return 200, row

    def _take(self, sent: Any) -> tuple[int, object]:
        """Accept an order, which rests; the stop of a pair is held beside its target."""
        name, at = f"{len(self.orders):08x}-7777-4333-8444-555555555555", _sent_at(self.now, len(self.orders))
        row: dict[str, Any] = {
            "id": name,
            "created_at": at,
            "updated_at": at,
            "submitted_at": at,
            "asset_class": "us_equity",
        }
        row |= {"filled_qty": "0", "filled_avg_price": None, "status": "new", **sent}
        if sent.get("order_class") == "oco":
            target, stop = row.pop("take_profit"), row.pop("stop_loss")
            leg = {"id": f"{name[:-1]}6", "client_order_id": f"{name}-stop", "type": "stop", "status": "held"}
            row |= {**target, "legs": [{**row, **leg, **stop}]}
        self.orders[name] = row
        self._keep()
        return 200, row

    def _keep(self) -> None:
        self._kept.write_text(json.dumps(self.orders))


def _page(rows: list[dict[str, Any]], query: dict[str, list[str]]) -> list[dict[str, Any]]:
    """Return one page of a list of orders, oldest first."""
    after, last = query.get("after", [""])[0].replace("Z", "+00:00"), query.get("after_order_id", [""])[0]
    begins = next((position + 1 for position, row in enumerate(rows) if row["id"] == last), 0)
    later = [row for row in rows[begins:] if not after or _at(row["submitted_at"]) > _at(after)]
    return later[: int(query["limit"][0])]


def _sent_at(now: datetime, number: int) -> str:
    """Return a different time for each order, so that a list of orders has pages."""
    return (now + timedelta(milliseconds=2 * number)).isoformat()


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


def _order_row(order: Order) -> dict[str, Any]:
    assert order.submitted_at is not None
    return {
        "id": order.venue_id,
        "client_order_id": order.client_order_id,
        "created_at": order.submitted_at.isoformat(),
        "updated_at": (order.submitted_at + timedelta(seconds=1)).isoformat(),
        "submitted_at": order.submitted_at.isoformat(),
        "asset_class": "us_equity",
        "symbol": order.symbol,
        "qty": str(order.quantity),
        "filled_qty": "0",
        "filled_avg_price": None,
        "type": "limit",
        "side": order.side.value,
        "time_in_force": "day",
        "limit_price": str(order.limit_price),
        "status": "new",
    }


def _fill_row(fill: Fill) -> dict[str, object]:
    return {
        "id": fill.activity_id,
        "activity_type": "FILL",
        "type": "fill",
        "order_id": fill.venue_order_id,
        "symbol": fill.symbol,
        "side": fill.side.value,
        "qty": str(fill.quantity),
        "price": str(fill.price),
        "transaction_time": fill.at.isoformat(),
    }


def _position_row(symbol: str, qty: Decimal) -> dict[str, object]:
    return {
        "symbol": symbol,
        "asset_class": "us_equity",
        "side": "long",
        "qty": str(qty),
        "avg_entry_price": "100",
        "market_value": str(qty * 100),
    }


def _session_row(session: Session) -> dict[str, object]:
    opens, closes = (at.astimezone(NEW_YORK) for at in (session.open, session.close))
    return {"date": session.date.isoformat(), "open": f"{opens:%H:%M}", "close": f"{closes:%H:%M}"}


def _snapshot(at: str) -> dict[str, object]:
    quote = {"t": at, "bp": 100.0, "ap": 100.02}
    return {"latestQuote": quote, "latestTrade": {"t": at, "p": 100.01}, "prevDailyBar": {"t": at, "c": 100.0}}


@contextmanager
def standing_in(folder: Path, count: int) -> Iterator[ThreadingHTTPServer]:
    """Yield the server that replaces the exchange of a folder; the caller runs it."""
    exchange = folder / state_folder.EXCHANGE
    exchange.mkdir(exist_ok=True)
    venue = Venue(exchange, count)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1
        sent: Any = None

        def do_GET(self) -> None:
            """Answer any request."""
            parts = urlsplit(self.path)
            status, body = venue.answer(self.command, parts.path, parse_qs(parts.query), self.sent)
            text = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(text)))
            self.end_headers()
            self.wfile.write(text)

        do_DELETE = do_GET  # noqa: N815 - the standard library's own names

        def do_POST(self) -> None:
            """Accept a tick or an order."""
            self.sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            if self.path == "/exchange/v1/tick":
                venue.tick(self.sent["seconds"])
            self.do_GET()

        def log_message(self, *args: object) -> None:
            """Log nothing."""

    with (exchange / LOCK_FILE).open("wb") as lock, ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        fcntl.flock(lock, fcntl.LOCK_EX)
        url = f"http://127.0.0.1:{server.server_port}"
        port = {"url": url, "pid": os.getpid(), "instance": venue.instance}
        (exchange / PORT_FILE).write_text(json.dumps(port))
        yield server
