"""What docs/internals/CONFORMANCE.md says of each request and stream: its behaviour, and which checks look at it."""

from __future__ import annotations

from typing import NamedTuple


class Behaves(NamedTuple):
    """What a request or a stream does, in a phrase, and the words of the checks that look at it."""

    what: str
    checks: tuple[str, ...]


CHECKS = {
    "session": ("tests/exchange/test_trading_openapi.py", "a long random session; every answer validated"),
    "data session": ("tests/exchange/test_data_openapi.py", "the same for market data"),
    "schemathesis": ("tests/exchange/test_schemathesis.py", "requests made up from the file, valid and not; validated"),
    "SDK": ("tests/exchange/test_trading_sdk.py", "every method of alpaca-py's trading client, parsed by its models"),
    "data SDK": ("tests/exchange/test_data_sdk.py", "every request of alpaca-py's data clients"),
    "stream SDK": ("tests/exchange/test_streams_sdk.py", "alpaca-py's two streams"),
    "clients": ("tests/clients/test_clients.py", "clients that share no code with alpaca-py, where they are installed"),
    "orders": ("tests/exchange/test_trading_orders.py", "filters, bounds and nesting of orders"),
    "reading": ("tests/exchange/test_reading.py", "what an order may say, and each refusal"),
    "life": ("tests/exchange/test_life.py", "an order from acceptance to end, word by word"),
    "in flight": ("tests/exchange/test_orders_in_flight.py", "cancels and replacements that are on their way"),
    "order states": ("tests/exchange/test_order_states.py", "FIX's order state matrices, instant, slow and on paper"),
    "groups": ("tests/exchange/test_groups.py", "brackets, pairs and triggers"),
    "model": ("tests/exchange/test_against_the_obvious_model.py", "random commands against a slow, obvious exchange"),
    "account": ("tests/exchange/test_trading_account.py", "settings, activities, positions"),
    "actions": ("tests/exchange/test_corporate_actions.py", "dividends, splits, names, options, journals"),
    "history": ("tests/exchange/test_trading_history.py", "values against what the account showed at the time"),
    "calendar": ("tests/exchange/test_calendar.py", "every session of 1970 to 2029, against another source's"),
    "watchlists": ("tests/exchange/test_trading_watchlists.py", "every change, and each refusal"),
    "HTTP": ("tests/exchange/test_trading_http.py", "headers, methods, odd paths, filters, the parts of a day"),
    "bars": ("tests/exchange/test_data_bars.py", "pages, timeframes, adjustments, feeds"),
    "plan": ("tests/exchange/test_data_plan.py", "the free plan's quarter of an hour"),
    "data actions": ("tests/exchange/test_data_actions.py", "adjusted and raw prices around actions"),
    "updates": ("tests/exchange/test_trade_updates.py", "trade_updates through real sockets"),
    "events": ("tests/exchange/test_server_sent.py", "event streams through real sockets, and over a restart"),
    "Go": ("tests/exchange/test_go_sdk.py", "the bytes that the official Go SDK sends, and how it reads"),
    "market stream": ("tests/exchange/test_market_stream.py", "the data streams through real sockets"),
    "keys": ("tests/exchange/test_accounts.py", "keys, several accounts, resets"),
    "rate": ("tests/exchange/test_rate_limit.py", "requests a minute and their headers"),
    "bad input": ("tests/exchange/test_bad_input.py", "any JSON in any field, half-open connections, many clients"),
}

_READ = ("session", "schemathesis", "SDK")
_ORDER = (*_READ, "reading", "life", "model", "clients", "bad input")

TRADING: dict[str, Behaves] = {
    "GET /v2/account": Behaves("balances at the market's prices; no day-trading fields", (*_READ, "account", "model")),
    "GET /v2/account/activities": Behaves(
        "fills and everything else that happened; by kinds, category and time, in pages", (*_READ, "account", "actions")
    ),
    "GET /v2/account/activities/{}": Behaves("the same for one kind or group", ("session", "schemathesis", "account")),
    "GET /v2/account/configurations": Behaves("what the owner has set", (*_READ, "account")),
    "PATCH /v2/account/configurations": Behaves(
        "sets what is named, all or nothing; in force for the next order", (*_READ, "account")
    ),
    "GET /v2/account/portfolio/history": Behaves(
        "equity in windows, found again from activities and prices", (*_READ, "history")
    ),
    "GET /v2/assets": Behaves("the market's symbols, by exchange and symbol", (*_READ, "HTTP")),
    "GET /v2/assets/{}": Behaves("by symbol or asset id", (*_READ, "HTTP")),
    "GET /v2/calendar": Behaves("sessions of 1970 to 2029 by trading or settlement date", (*_READ, "HTTP", "calendar")),
    "GET /v2/clock": Behaves("engine time", _READ),
    "GET /v2/corporate_actions/announcements": Behaves("dividends, splits and mergers that are known by now", _READ),
    "GET /v2/corporate_actions/announcements/{}": Behaves("one of them", _READ),
    "GET /v2/orders": Behaves("all filters; legs nested or flat", (*_READ, "orders", "clients")),
    "POST /v2/orders": Behaves("every type, time in force and class; answers before anything happens", _ORDER),
    "DELETE /v2/orders": Behaves("a row for each open order", (*_READ, "orders")),
    "GET /v2/orders/{}": Behaves("legs with `nested=true`", (*_READ, "orders", "clients")),
    "PATCH /v2/orders/{}": Behaves(
        "a new order that replaces the old one, and takes over its fills, once it arrives",
        (*_READ, "orders", "in flight", "order states"),
    ),
    "DELETE /v2/orders/{}": Behaves(
        "at once, or late where the fill model has latency; 422 while the order is being replaced",
        (*_READ, "in flight", "groups", "order states"),
    ),
    "GET /v2/orders:by_client_order_id": Behaves("ids are unique for ever", (*_READ, "orders")),
    "GET /v2/positions": Behaves("valued at the last price; short ones negative", (*_READ, "account", "model")),
    "DELETE /v2/positions": Behaves("a market order for each, on request after canceling all orders", _READ),
    "GET /v2/positions/{}": Behaves("by symbol or asset id", (*_READ, "account")),
    "DELETE /v2/positions/{}": Behaves("wholly, by quantity or by percentage", (*_READ, "clients")),
    "GET /v2/watchlists": Behaves("without their assets", (*_READ, "watchlists")),
    "POST /v2/watchlists": Behaves("names are unique and have at most 64 characters", (*_READ, "watchlists")),
    "GET /v2/watchlists/{}": Behaves("with its assets", (*_READ, "watchlists")),
    "PUT /v2/watchlists/{}": Behaves("another name, other symbols, or both", (*_READ, "watchlists")),
    "POST /v2/watchlists/{}": Behaves("appends a symbol", (*_READ, "watchlists")),
    "DELETE /v2/watchlists/{}": Behaves("for good", (*_READ, "watchlists")),
    "DELETE /v2/watchlists/{}/{}": Behaves("takes a symbol out", (*_READ, "watchlists")),
    "GET /v2/watchlists:by_name": Behaves("as by id", ("session", "schemathesis", "watchlists")),
    "PUT /v2/watchlists:by_name": Behaves("as by id", ("session", "schemathesis", "watchlists")),
    "POST /v2/watchlists:by_name": Behaves("as by id", ("session", "schemathesis", "watchlists")),
    "DELETE /v2/watchlists:by_name": Behaves("as by id", ("session", "schemathesis", "watchlists")),
    "GET /v2beta1/events/activities": Behaves(
        "what listing the activities shows, as server-sent events: since a time or an id, then as it happens",
        ("session", "schemathesis", "events"),
    ),
    "GET /v3/calendar/{}": Behaves(
        "NYSE and NASDAQ by acronym or code; another market is a 400", ("session", "schemathesis", "HTTP", "calendar")
    ),
    "GET /v3/clock": Behaves("phase and its end, now or at a given time", ("session", "schemathesis", "HTTP")),
}

_DATA = ("data session", "schemathesis", "data SDK")
_HISTORY = (*_DATA, "bars", "plan")
_LATEST = (*_DATA, "plan")
_AUCTIONS = ("data session", "schemathesis", "bars")

DATA: dict[str, Behaves] = {
    "GET /v1beta1/screener/{}/movers": Behaves("largest changes since the last close; stocks only", _DATA),
    "GET /v1beta1/screener/stocks/most-actives": Behaves("by volume or by number of trades", _DATA),
    "GET /v1/corporate-actions": Behaves("what is known by now, by type, in pages", (*_DATA, "data actions")),
    "GET /v2/stocks/meta/conditions/{}": Behaves("the conditions that trades and quotes here can have", _DATA[:2]),
    "GET /v2/stocks/meta/exchanges": Behaves("the exchanges' letters", _DATA[:2]),
    **{f"GET /v2/stocks/{one}bars": Behaves("all timeframes and adjustments, in pages", (*_HISTORY, "data actions"))
       for one in ("", "{}/")},
    **{f"GET /v2/stocks/{one}{kind}": Behaves("a model of each minute that adds up to its bar, in pages", _HISTORY)
       for one in ("", "{}/") for kind in ("trades", "quotes")},
    **{f"GET /v2/stocks/{one}auctions": Behaves("each session's first and last price, in pages", _AUCTIONS)
       for one in ("", "{}/")},
    **{f"GET /v2/stocks/{one}{kind}/latest": Behaves("the newest one that is over", _LATEST)
       for one in ("", "{}/") for kind in ("bars", "trades", "quotes")},
    "GET /v2/stocks/snapshots": Behaves("all of these at once; null where there is nothing yet", _LATEST),
    "GET /v2/stocks/{}/snapshot": Behaves("the same for one symbol", ("data session", "schemathesis")),
}  # fmt: skip

_SOCKET = ("market stream", "stream SDK")
STREAMS: dict[str, Behaves] = {
    "`GET /v2/events/trades` and `/v2beta1/events/trades`": Behaves(
        "the same events as server-sent ones: since a time or an id, then as they happen, until a time or an id",
        ("events", "Go"),
    ),
    "`/stream` trade_updates": Behaves(
        "authenticate, listen; every event of an order as it was then; JSON in binary frames, or MessagePack",
        ("updates", "stream SDK", "clients"),
    ),
    "`/v2/{feed}` bars, updated and daily bars, trades, quotes, statuses": Behaves(
        "authenticate, subscribe with `*`; told when their minute is over; error codes as documented", (*_SOCKET, "Go")
    ),
    "keys": Behaves("401 without a key; a key opens its own account on REST and streams alike", ("keys", "updates")),
    "requests a minute": Behaves(
        "headers on every answer, counted against 200; 429 with the documented bodies where the option is on", ("rate",)
    ),
}

GAPS = (
    "Prices are the market's own: recorded bars, or made up from a seed.",
    "A market ends: 60 sessions after `exchange serve` made it, unless `--sessions N` says otherwise; then time stops.",
    "Before the first session there are daily bars alone (weeks and months from them), of generated markets; anything "
    "finer is empty there, and recorded markets have what their file holds.",
    "There is no overnight session; options are held, expire and are assigned, and cannot be traded.",
    "`opg` and `cls` orders, `ioc` and `fok` need no arrangement with the broker.",
    "Client order ids are unique for ever; Alpaca promises it for open orders alone.",
    "A list of assets holds what the market plays; what is no longer listed is absent, as it is there.",
    "Texts of messages follow answers that were observed; programs should look at status and code, as Alpaca advises.",
)
