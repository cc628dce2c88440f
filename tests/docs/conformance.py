"""Write docs/internals/CONFORMANCE.md from the OpenAPI files, the tables of left-out paths, and our descriptions.

Run it from the repository's root: python -m tests.docs
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import NamedTuple

from exchange.tests.kit.openapi import (
    BEHAVIOURS,
    DATA_DIFFERENCES,
    TRADING_DIFFERENCES,
    Api,
    Difference,
    Operation,
    data_api,
    trading_api,
)
from papervenue.faces import unsupported_paths as data_left_out
from papervenue.faces import unsupported_paths as trading_left_out
from papervenue.faces.unsupported_paths import LeftOut

# Describe each request and stream for docs/internals/CONFORMANCE.md: its behavior and the checks that cover it.


class Behaves(NamedTuple):
    """A phrase about what a request or stream does, and the names of the checks that cover it."""

    what: str
    checks: tuple[str, ...]


CHECKS = {
    "session": ("exchange/tests/test_trading_openapi.py", "a long random session; every answer validated"),
    "data session": ("exchange/tests/test_data_openapi.py", "the same for market data"),
    "schemathesis": (
        "exchange/tests/test_schemathesis.py",
        "requests generated from the file, valid and invalid; every answer validated",
    ),
    "SDK": (
        "exchange/tests/test_trading_sdk.py",
        "every method of alpaca-py's trading client, with answers parsed by its models",
    ),
    "data SDK": ("exchange/tests/test_data_sdk.py", "every request of alpaca-py's data clients"),
    "stream SDK": ("exchange/tests/test_streams_sdk.py", "alpaca-py's two streams"),
    "clients": ("tests/clients/test_clients.py", "clients that share no code with alpaca-py, if they are installed"),
    "orders": ("exchange/tests/test_trading_orders.py", "filters, bounds and nesting of orders"),
    "reading": ("exchange/tests/test_reading.py", "the fields of an order, and each refusal"),
    "life": ("exchange/tests/test_life.py", "an order from acceptance to end, status by status"),
    "in flight": ("exchange/tests/test_orders_in_flight.py", "cancels and replacements in transit"),
    "order states": ("exchange/tests/test_order_states.py", "FIX's order state matrices, instant, slow and on paper"),
    "groups": ("exchange/tests/test_groups.py", "bracket, oco and oto orders"),
    "pairs": ("exchange/tests/test_groups.py", "oco orders that rest over a position"),
    "policy": ("exchange/tests/test_policy.py", "what Alpaca's documents leave open, each way"),
    "model": (
        "exchange/tests/test_against_the_obvious_model.py",
        "random commands, compared with a slow and simple exchange",
    ),
    "account": ("exchange/tests/test_trading_account.py", "settings, activities, positions"),
    "actions": ("exchange/tests/test_corporate_actions.py", "dividends, splits, name changes, options, journals"),
    "history": ("exchange/tests/test_trading_history.py", "values, compared with what the account showed at the time"),
    "calendar": ("exchange/tests/test_calendar.py", "every session from 1970 to 2029, compared with another source"),
    "watchlists": ("exchange/tests/test_trading_watchlists.py", "every change, and each refusal"),
    "HTTP": ("exchange/tests/test_trading_http.py", "headers, methods, odd paths, filters, phases of the day"),
    "bars": ("exchange/tests/test_data_bars.py", "pages, timeframes, adjustments, feeds"),
    "plan": ("exchange/tests/test_data_plan.py", "the free plan's delay of 15 minutes"),
    "data actions": ("exchange/tests/test_data_actions.py", "adjusted and raw prices around actions"),
    "updates": ("exchange/tests/test_trade_updates.py", "trade_updates through real sockets"),
    "events": ("exchange/tests/test_server_sent.py", "event streams through real sockets, and across a restart"),
    "Go": ("exchange/tests/test_go_sdk.py", "the bytes that the official Go SDK sends, and how it parses answers"),
    "market stream": ("exchange/tests/test_market_stream.py", "the data streams through real sockets"),
    "keys": ("exchange/tests/test_accounts.py", "keys, several accounts, resets"),
    "rate": ("exchange/tests/test_rate_limit.py", "requests per minute, and their headers"),
    "bad input": ("exchange/tests/test_bad_input.py", "any JSON in any field, half-open connections, many clients"),
}

_READ = ("session", "schemathesis", "SDK")
_ORDER = (*_READ, "reading", "life", "model", "clients", "bad input")

TRADING: dict[str, Behaves] = {
    "GET /v2/account": Behaves("balances at the market's prices; no day-trading fields", (*_READ, "account", "model")),
    "GET /v2/account/activities": Behaves(
        "fills and everything else that happened; by kind, category and time, in pages", (*_READ, "account", "actions")
    ),
    "GET /v2/account/activities/{}": Behaves("the same for one kind or group", ("session", "schemathesis", "account")),
    "GET /v2/account/configurations": Behaves("the owner's settings", (*_READ, "account")),
    "PATCH /v2/account/configurations": Behaves(
        "sets the given fields, all or nothing; applies from the next order on", (*_READ, "account")
    ),
    "GET /v2/account/portfolio/history": Behaves(
        "equity per interval, computed from activities and prices", (*_READ, "history")
    ),
    "GET /v2/assets": Behaves("the market's symbols, by exchange and symbol", (*_READ, "HTTP")),
    "GET /v2/assets/{}": Behaves("by symbol or asset id", (*_READ, "HTTP")),
    "GET /v2/calendar": Behaves(
        "sessions from 1970 to 2029, by trading or settlement date", (*_READ, "HTTP", "calendar")
    ),
    "GET /v2/clock": Behaves("engine time", _READ),
    "GET /v2/corporate_actions/announcements": Behaves("dividends, splits and mergers known so far", _READ),
    "GET /v2/corporate_actions/announcements/{}": Behaves("a single announcement", _READ),
    "GET /v2/orders": Behaves("all filters; legs nested or flat", (*_READ, "orders", "clients")),
    "POST /v2/orders": Behaves(
        "every type, time in force and class; replies before anything happens to the order",
        (*_ORDER, "pairs", "policy"),
    ),
    "DELETE /v2/orders": Behaves("returns a row for each open order", (*_READ, "orders")),
    "GET /v2/orders/{}": Behaves("legs with `nested=true`", (*_READ, "orders", "clients")),
    "PATCH /v2/orders/{}": Behaves(
        "creates an order that replaces the old one and takes over its fills when it arrives",
        (*_READ, "orders", "in flight", "order states", "pairs", "policy"),
    ),
    "DELETE /v2/orders/{}": Behaves(
        "cancels at once, or later if the fill model has latency; 422 once the order has ended, and while it is being "
        "canceled or replaced",
        (*_READ, "in flight", "groups", "order states", "policy"),
    ),
    "GET /v2/orders:by_client_order_id": Behaves("ids are unique forever", (*_READ, "orders")),
    "GET /v2/positions": Behaves(
        "valued at the last price; short positions are negative", (*_READ, "account", "model")
    ),
    "DELETE /v2/positions": Behaves("places a market order for each; on request, cancels all orders first", _READ),
    "GET /v2/positions/{}": Behaves("by symbol or asset id", (*_READ, "account")),
    "DELETE /v2/positions/{}": Behaves("closes all of it, a quantity or a percentage", (*_READ, "clients")),
    "GET /v2/watchlists": Behaves("without their assets", (*_READ, "watchlists")),
    "POST /v2/watchlists": Behaves("names are unique and have at most 64 characters", (*_READ, "watchlists")),
    "GET /v2/watchlists/{}": Behaves("with its assets", (*_READ, "watchlists")),
    "PUT /v2/watchlists/{}": Behaves("changes the name, the symbols, or both", (*_READ, "watchlists")),
    "POST /v2/watchlists/{}": Behaves("appends a symbol", (*_READ, "watchlists")),
    "DELETE /v2/watchlists/{}": Behaves("deletes the list", (*_READ, "watchlists")),
    "DELETE /v2/watchlists/{}/{}": Behaves("removes a symbol", (*_READ, "watchlists")),
    "GET /v2/watchlists:by_name": Behaves("same as by id", ("session", "schemathesis", "watchlists")),
    "PUT /v2/watchlists:by_name": Behaves("same as by id", ("session", "schemathesis", "watchlists")),
    "POST /v2/watchlists:by_name": Behaves("same as by id", ("session", "schemathesis", "watchlists")),
    "DELETE /v2/watchlists:by_name": Behaves("same as by id", ("session", "schemathesis", "watchlists")),
    "GET /v2beta1/events/activities": Behaves(
        "the same activities as server-sent events: past ones since a time or id, then new ones",
        ("session", "schemathesis", "events"),
    ),
    "GET /v3/calendar/{}": Behaves(
        "NYSE and NASDAQ by acronym or code; any other market is a 400", ("session", "schemathesis", "HTTP", "calendar")
    ),
    "GET /v3/clock": Behaves("the phase and its end, now or at a given time", ("session", "schemathesis", "HTTP")),
}

_DATA = ("data session", "schemathesis", "data SDK")
_HISTORY = (*_DATA, "bars", "plan")
_LATEST = (*_DATA, "plan")
_AUCTIONS = ("data session", "schemathesis", "bars")

DATA: dict[str, Behaves] = {
    "GET /v1beta1/screener/{}/movers": Behaves("the largest changes since the last close; stocks only", _DATA),
    "GET /v1beta1/screener/stocks/most-actives": Behaves("by volume or by number of trades", _DATA),
    "GET /v1/corporate-actions": Behaves("actions known so far, by type, in pages", (*_DATA, "data actions")),
    "GET /v2/stocks/meta/conditions/{}": Behaves("the conditions that trades and quotes here can have", _DATA[:2]),
    "GET /v2/stocks/meta/exchanges": Behaves("the exchanges' letters", _DATA[:2]),
    **{f"GET /v2/stocks/{one}bars": Behaves("all timeframes and adjustments, in pages", (*_HISTORY, "data actions"))
       for one in ("", "{}/")},
    **{f"GET /v2/stocks/{one}{kind}": Behaves("modeled so that each minute matches its bar, in pages", _HISTORY)
       for one in ("", "{}/") for kind in ("trades", "quotes")},
    **{f"GET /v2/stocks/{one}auctions": Behaves("each session's first and last price, in pages", _AUCTIONS)
       for one in ("", "{}/")},
    **{f"GET /v2/stocks/{one}{kind}/latest": Behaves("the newest complete one", _LATEST)
       for one in ("", "{}/") for kind in ("bars", "trades", "quotes")},
    "GET /v2/stocks/snapshots": Behaves("all of these at once; null if there is nothing yet", _LATEST),
    "GET /v2/stocks/{}/snapshot": Behaves("the same for one symbol", ("data session", "schemathesis")),
}  # fmt: skip

_SOCKET = ("market stream", "stream SDK")
STREAMS: dict[str, Behaves] = {
    "`GET /v2/events/trades` and `/v2beta1/events/trades`": Behaves(
        "the same events as server-sent events: since a time or id, then new ones, up to a time or id",
        ("events", "Go"),
    ),
    "`/stream` trade_updates": Behaves(
        "authenticate, listen; every event shows the order as it was then; JSON in binary frames, or MessagePack",
        ("updates", "stream SDK", "clients"),
    ),
    "`/v2/{feed}` bars, updated and daily bars, trades, quotes, statuses": Behaves(
        "authenticate, subscribe (also to `*`); data is sent when its minute is over; error codes as documented",
        (*_SOCKET, "Go"),
    ),
    "keys": Behaves("401 without a key; a key opens its own account on REST and streams alike", ("keys", "updates")),
    "requests per minute": Behaves(
        "headers on every answer, counted against 200; 429 with the documented bodies if a limit is set", ("rate",)
    ),
}

GAPS = (
    "Prices come from recorded bars or are generated from a seed.",
    "A market ends after 60 sessions if `exchange serve` created it, or after `--sessions N`; then time stops.",
    "Before their first session, generated markets have only daily bars (and weeks and months built from them), and no "
    "finer data; recorded markets have what their file holds.",
    "There is no overnight session. Options can be held, expire and be assigned, but not traded.",
    "`opg`, `cls`, `ioc` and `fok` orders need no arrangement with the broker.",
    "Client order ids are unique forever; Alpaca promises that only for open orders.",
    "The list of assets holds only the market's symbols. A delisted symbol is absent, as at Alpaca.",
    "Messages follow answers that were observed. Programs should rely on status and code, as Alpaca advises.",
)


PAGE = Path(__file__).resolve().parents[2] / "docs" / "internals" / "CONFORMANCE.md"
PARAMETER = re.compile(r"\{[^}]+\}")
_HEAD = """# Conformance
What the exchange answers to a client of Alpaca: each path of Alpaca's two OpenAPI files and each stream, with the
schema of its answer, its behavior, and the tests that check it. A test regenerates this page and compares it.

The answer column names a schema of the file. "Validated" means that a test checks the whole answer against that
schema and allows no other fields, except those in the last tables. Errors are `{"code", "message"}`.
"""


class Surface(NamedTuple):
    """One API: its title, its file, the descriptions of its paths, and the paths that are left out."""

    title: str
    api: Api
    behaves: dict[str, Behaves]
    left_out: Sequence[LeftOut]


def surfaces() -> tuple[Surface, Surface]:
    """Return both APIs; skip the test if the files aren't available."""
    return (
        Surface("Trading API", trading_api(), TRADING, trading_left_out.LEFT_OUT),
        Surface("Market data API", data_api(), DATA, data_left_out.DATA_LEFT_OUT),
    )


def key_of(operation: Operation) -> str:
    """Return an operation's method and path without parameter names, which may differ between the two tables."""
    return f"{operation.method.upper()} {PARAMETER.sub('{}', operation.path)}"


def left_out_keys(rows: Iterable[LeftOut]) -> set[str]:
    return {f"{method} {PARAMETER.sub('{}', row.path)}" for row in rows for method in row.methods}


def page() -> str:
    parts = [_HEAD, _checks(), *(_surface(surface) for surface in surfaces()), _streams(), _left_out()]
    return "\n".join([*parts, _differences(), _behaviours(), _gaps()])


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = (head, ["---"] * len(head), *rows)
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines) + "\n"


def _checks() -> str:
    rows = ((word, f"`{path}`", what) for word, (path, what) in CHECKS.items())
    return "## How it is checked\n" + _table(("word", "where", "what it does"), rows)


def _surface(surface: Surface) -> str:
    gone = left_out_keys(surface.left_out)
    shown = [one for one in surface.api.operations() if key_of(one) not in gone]
    rows = (_row(one, surface.behaves[key_of(one)]) for one in sorted(shown, key=lambda one: one.path))
    head = ("request", "answer", "behavior", "checked by")
    return f"## {surface.title}\n" + _table(head, rows)


def _row(operation: Operation, behaves: Behaves) -> Sequence[str]:
    request = f"`{operation.method.upper()} {operation.path}`"
    return request, _answer(operation), behaves.what, ", ".join(behaves.checks)


def _answer(operation: Operation) -> str:
    status: str = next(status for status in operation.fields["responses"] if status.startswith("2"))
    content = operation.fields["responses"][status].get("content")
    if content is None:
        return status
    (described,) = content.values()
    schema = described["schema"]
    items = schema.get("items", {})
    name, many = (items, "[]") if schema.get("type") == "array" else (schema, "")
    choices = [part for part in (name, *name.get("anyOf", ()), *name.get("oneOf", ())) if "$ref" in part]
    shown = " or ".join(part["$ref"].rpartition("/")[2] for part in choices) or "object"
    return f"{status} {shown}{many}"


def _streams() -> str:
    return "## Streams\n" + _table(("stream", "behavior", "checked by"), _stream_rows())


def _stream_rows() -> Iterator[Sequence[str]]:
    for name, behaves in STREAMS.items():
        yield name, behaves.what, ", ".join(behaves.checks)


def _left_out() -> str:
    rows = (
        (f"`{' and '.join(row.methods)} {row.path}`", str(row.status), row.reason)
        for surface in surfaces()
        for row in surface.left_out
    )
    text = "## Left out\nThe answer is always this error, in the form that the file documents for it.\n\n"
    return text + _table(("request", "answer", "why"), rows)


def _differences() -> str:
    rows = [*TRADING_DIFFERENCES, *DATA_DIFFERENCES]
    grouped = groupby(rows, key=lambda row: (row.schema, row.what, row.source))
    text = "## Where the API differs from its OpenAPI file\n"
    return text + _table(("schema", "fields", "what", "source"), (_difference(key, row) for key, row in grouped))


def _difference(key: tuple[str, str, str], rows: Iterable[Difference]) -> Sequence[str]:
    schema, what, source = key
    return schema, ", ".join(f"`{row.field}`" for row in rows), what, source


def _behaviours() -> str:
    text = "## Where the file says nothing or contradicts itself\n"
    return text + _table(("topic", "the file", "here", "source"), BEHAVIOURS)


def _gaps() -> str:
    return "## Known differences of this exchange\n" + "".join(f"- {gap}\n" for gap in GAPS)
