"""Serve the TWS API on a separate socket."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from types import MappingProxyType

from papervenue.faces.face import Face, Login, Parts, Serving
from papervenue.faces.tws import contracts, news, orders
from papervenue.faces.tws.contracts import CONTINUOUS, CONTRACT_FIELDS, FUTURE, contract_query
from papervenue.faces.tws.gateway import SNAPSHOT_END, Gateway, GatewayConnection
from papervenue.faces.tws.history import SHOWN, SIZES, UPDATE, HistoryError
from papervenue.faces.tws.order_messages import error
from papervenue.faces.tws.orders import CANCEL, CANCEL_ALL, CHANGE, PLACE, ROOT
from papervenue.faces.tws.session import CANCEL_ORDER, PLACE_ORDER, START, Request, TwsSession
from papervenue.faces.tws.wire import DESCRIBED_SINCE, TwsMessage
from papervenue.times import MINUTE, SECOND

_NOW, _NO_DATA, _NO_CONTRACT, _INVALID, _NO_END, _NOT_MASTER = 49, 162, 200, 321, 10339, 327
_MASTER = 0
"""The id of the client that gets the orders which no client has placed."""
_ACCOUNT_EVERY_US = 3 * MINUTE
"""How often an account is reported again if only prices have changed."""
_NO_DEFINITION = "No security definition has been found for the request"
_NOTHING: tuple[TwsMessage, ...] = ()

Fields = list[str]
Answer = Iterable[TwsMessage]


def now(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    yield TwsMessage(_NOW, {"version": 1, "time": session.gateway.engine.now_us // SECOND})


def positions(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    session.holds = True
    yield from session.gateway.reads.positions(session.gateway.account)


def no_positions(session: TwsSession, fields: Fields) -> Answer:
    session.holds = False
    return _NOTHING


def _unknown_account(session: TwsSession, request: object, number: str) -> TwsMessage | None:
    """Return the error if a request names another account than the client's own, otherwise None; it may name none."""
    if number in ("", session.gateway.account.number):
        return None
    return error(request, _INVALID, f"Error validating request: invalid account code '{number}'")


def account(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    if fields[2] != "1":
        session.followed.pop("account", None)
        return
    if unknown := _unknown_account(session, -1, "".join(fields[3:4])):
        yield unknown
        return
    yield from session.gateway.reads.account(session.gateway.account)
    stamp = session.gateway.engine.now_us, session.gateway.account.version

    def again() -> Answer:
        nonlocal stamp
        now_us, version = session.gateway.engine.now_us, session.gateway.account.version
        if now_us - stamp[0] < _ACCOUNT_EVERY_US and version == stamp[1]:
            return _NOTHING
        stamp = now_us, version
        return session.gateway.reads.account(session.gateway.account)

    session.followed["account"] = again


def account_multi(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    if unknown := _unknown_account(session, fields[2], fields[3]):
        yield unknown
        return
    yield from session.gateway.reads.values_of(fields[2], session.gateway.account)


def profit(session: TwsSession, fields: Fields) -> Answer:
    return _follow_profit(session, fields, lambda: session.gateway.reads.profit(fields[1], session.gateway.account))


def profit_of_one(session: TwsSession, fields: Fields) -> Answer:
    """Report the profit of the position in one contract, which a client names by its number."""
    month = session.gateway.contracts.by_id(fields[4])
    if month is None:
        return (error(fields[1], _NO_CONTRACT, _NO_DEFINITION),)
    reads, of = session.gateway.reads, session.gateway.account
    return _follow_profit(session, fields, lambda: reads.profit_of(fields[1], of, month))


def _follow_profit(session: TwsSession, fields: Fields, read: Callable[[], TwsMessage]) -> Answer:
    """Send a profit now, and again whenever it has changed."""
    if unknown := _unknown_account(session, fields[1], fields[2]):
        return (unknown,)
    last = read()

    def again() -> Answer:
        nonlocal last
        before, last = last, read()
        return _NOTHING if last == before else (last,)

    session.followed[fields[1]] = again
    return (last,)


def no_profit(session: TwsSession, fields: Fields) -> Answer:
    session.followed.pop(fields[1], None)
    return _NOTHING


def summary(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    yield from session.gateway.reads.summary(fields[2], session.gateway.account, fields[4])


def bind(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    """Give client 0 the orders that weren't placed by any client, now and in the future."""
    if session.client != _MASTER:
        yield error(-1, _NOT_MASTER, "Only the default client (i.e 0) can auto bind orders")
        return
    session.binds = fields[2] == "1"
    if session.binds:
        yield from session.gateway.reads.bound_orders(session.gateway.account)


def own_orders(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    yield from session.gateway.reads.open_orders(session.gateway.account, session.client)


def all_orders(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    yield from session.gateway.reads.open_orders(session.gateway.account, None)


def completed_orders(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    yield from session.gateway.reads.completed_orders(session.gateway.account)


def executions(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    names = ("client", "account", "time", "symbol", "type", "exchange", "side")
    wanted = dict(zip(names, fields[3:], strict=False))
    yield from session.gateway.reads.executions(fields[2], session.gateway.account, wanted)


def details(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    wanted, with_expired = contract_query(fields[3 : 3 + CONTRACT_FIELDS]), fields[3 + CONTRACT_FIELDS] == "1"
    there = session.gateway.contracts
    months = [month for month in there.find(wanted) if with_expired or not there.is_expired(month)]
    if not months:
        yield error(fields[2], _NO_CONTRACT, _NO_DEFINITION)
        return
    kind = CONTINUOUS if wanted["secType"] == CONTINUOUS else FUTURE
    yield from contracts.all_details(session.gateway.contracts, fields[2], months, kind)


def samples(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    """Return the roots whose symbol begins with a text, or whose name contains it."""
    yield session.gateway.contracts.samples(fields[1], fields[2], described=session.version >= DESCRIBED_SINCE)


def first_time(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    """Return the time of the earliest bar of a contract."""
    month = _one(session, fields[1], fields[2 : 2 + CONTRACT_FIELDS])
    if isinstance(month, TwsMessage):
        yield month
        return
    try:
        yield session.gateway.history.first(fields[1], month, fields[-1])
    except HistoryError as wrong:
        yield error(fields[1], _NO_DATA, f"Historical Market Data Service error message:{wrong}")


def rule(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    rule = session.gateway.contracts.rule(fields[1])
    yield rule if rule is not None else error(-1, 321, f"Error validating request: no market rule {fields[1]}")


def _one(session: TwsSession, request: str, fields: Fields) -> str | TwsMessage:
    """Return the symbol of the only contract that matches a request, or the error if none or several match."""
    months = session.gateway.contracts.find(contract_query(fields))
    return months[0] if len(months) == 1 else error(request, _NO_CONTRACT, _NO_DEFINITION)


def quotes(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    request, month = fields[2], _one(session, fields[2], fields[3 : 3 + CONTRACT_FIELDS])
    if isinstance(month, TwsMessage):
        yield month
        return
    yield from session.gateway.prices.begin(request, month)
    if fields[3 + CONTRACT_FIELDS + 2] == "1":
        yield TwsMessage(SNAPSHOT_END, {"version": 1, "reqId": request})
    else:
        session.followed[request] = session.gateway.prices.changes(request, month)


def live(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    request, month = fields[2], _one(session, fields[2], fields[3 : 3 + CONTRACT_FIELDS])
    if isinstance(month, TwsMessage):
        yield month
        return

    def bar() -> Answer:
        tws_message = session.gateway.prices.live_bar(request, month)
        return _NOTHING if tws_message is None else (tws_message,)

    session.followed[request] = bar


def bars(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    request, month = fields[1], _one(session, fields[1], fields[2 : 2 + CONTRACT_FIELDS])
    if isinstance(month, TwsMessage):
        yield month
        return
    if session.gateway.contracts.is_expired(month) and fields[2 + CONTRACT_FIELDS] != "1":
        yield error(request, _NO_CONTRACT, _NO_DEFINITION)
        return
    names = ("expired", "end", "size", "duration", "liquid", "what", "format", "kept", "options")
    fields_by_name = dict(zip(names, fields[2 + CONTRACT_FIELDS :], strict=True))
    continuous = fields[4] == CONTINUOUS
    if fields_by_name["what"] not in SHOWN:
        yield error(request, _INVALID, "Error validating request: what to show is missing or incorrect")
        return
    if continuous and fields_by_name["end"]:
        yield error(request, _NO_END, "Setting end date/time for continuous future security type is not allowed")
        return
    try:
        yield session.gateway.history.answer(request, month, fields_by_name, continuous=continuous)
    except HistoryError as wrong:
        yield error(request, _NO_DATA, f"Historical Market Data Service error message:{wrong}")
        return
    if fields_by_name["kept"] == "1" and SIZES[fields_by_name["size"]]:
        session.followed[request] = lambda: _latest(session, request, month, fields_by_name)


def _latest(session: TwsSession, request: str, symbol: str, fields_by_name: Mapping[str, str]) -> Iterator[TwsMessage]:
    size = SIZES[fields_by_name["size"]]
    bar = session.gateway.history.latest(symbol, size)
    if bar is not None:
        row = session.gateway.history.row(symbol, bar, size, fields_by_name["format"], fields_by_name["what"])
        order = ("barCount", "date", "open", "close", "high", "low", "average", "volume")
        yield TwsMessage(UPDATE, {"reqId": request, **{name: row[name] for name in order}})


def news_providers(session: TwsSession, fields: Fields) -> Answer:
    return (news.providers(),)


def headlines(session: TwsSession, fields: Fields) -> Iterator[TwsMessage]:
    """Return past headlines about a contract, which the client names by the contract's number."""
    month = session.gateway.contracts.by_id(fields[2])
    if month is None:
        yield error(fields[1], _NO_CONTRACT, _NO_DEFINITION)
        return
    yield from news.historical(session.gateway.headlines, fields, month, session.gateway.engine.now_us)


def unfollow(session: TwsSession, fields: Fields) -> Answer:
    session.followed.pop(fields[2], None)
    return _NOTHING


def refuse_request(number: int, id_at: int) -> Request:
    """Return the table entry for a message that isn't supported here; the answer is an error under the message's id."""

    def refuse(session: TwsSession, fields: Fields) -> Answer:
        return (error(fields[id_at], _INVALID, f"Error validating request: this exchange has no answer to {number}"),)

    return Request(f"GET {ROOT}/unsupported", refuse, id_at + 1, id_at)


_ID_FIRST = (22, 78, 79, 83, 84, 88, 96, 97, 100, 102, 104)
"""The messages that aren't served here and begin with their id: scanners, options, articles, histograms, ticks, ..."""
_ID_SECOND = (10, 21, 52, 54, 55, 67, 68, 74)
"""The messages that aren't served here and whose id follows a version: market depth, exercises, fundamentals, implied
volatility, display groups, ...
"""
_ORDERS, _ACCOUNT = f"GET {ROOT}/orders", f"GET {ROOT}/account"
REQUESTS: Mapping[int, Request] = MappingProxyType(
    {
        1: Request(f"GET {ROOT}/quotes", quotes, 18, 2),
        2: Request(f"GET {ROOT}/end", unfollow, 3),
        PLACE_ORDER: Request(f"POST {PLACE}", TwsSession.place_order, 40, 1),
        CANCEL_ORDER: Request(f"DELETE {CANCEL}", TwsSession.cancel, 3, 2),
        5: Request(_ORDERS, own_orders),
        6: Request(_ACCOUNT, account, 3),
        7: Request(f"GET {ROOT}/executions", executions, 10, 2),
        8: Request(f"GET {ROOT}/ids", TwsSession.ids),
        9: Request(f"GET {ROOT}/contracts", details, 16, 2),
        15: Request(f"GET {ROOT}/ids", bind, 3),
        16: Request(_ORDERS, all_orders),
        17: Request(f"GET {ROOT}/ids", TwsSession.accounts),
        20: Request(f"GET {ROOT}/bars", bars, 22, 1),
        25: Request(f"GET {ROOT}/end", unfollow, 3),
        49: Request(f"GET {ROOT}/clock", now),
        50: Request(f"GET {ROOT}/bars/live", live, 16, 2),
        51: Request(f"GET {ROOT}/end", unfollow, 3),
        58: Request(f"DELETE {CANCEL_ALL}", TwsSession.cancel_all),
        59: Request(f"GET {ROOT}/end", TwsSession.nothing),
        61: Request(f"GET {ROOT}/positions", positions),
        62: Request(_ACCOUNT, summary, 5, 2),
        63: Request(f"GET {ROOT}/end", TwsSession.nothing),
        64: Request(f"GET {ROOT}/end", no_positions),
        START: Request(f"GET {ROOT}/session", TwsSession.start, 3),
        76: Request(_ACCOUNT, account_multi, 5, 2),
        77: Request(f"GET {ROOT}/end", TwsSession.nothing),
        81: Request(f"GET {ROOT}/contracts", samples, 3, 1),
        85: Request(f"GET {ROOT}/news", news_providers),
        86: Request(f"GET {ROOT}/news", headlines, 7, 1),
        87: Request(f"GET {ROOT}/bars", first_time, 2 + CONTRACT_FIELDS + 4, 1),
        90: Request(f"GET {ROOT}/end", TwsSession.nothing),
        91: Request(f"GET {ROOT}/rules", rule, 2),
        92: Request(_ACCOUNT, profit, 3, 1),
        93: Request(f"GET {ROOT}/end", no_profit, 2),
        94: Request(_ACCOUNT, profit_of_one, 5, 1),
        95: Request(f"GET {ROOT}/end", no_profit, 2),
        99: Request(f"GET {ROOT}/orders/completed", completed_orders),
        **{number: refuse_request(number, 1) for number in _ID_FIRST},
        **{number: refuse_request(number, 2) for number in _ID_SECOND},
    }
)
"""The handler of each client message, by the message's number."""
KINDS = {
    "submit": rf"POST {PLACE}",
    "replace": rf"PATCH {CHANGE}",
    "cancel": rf"DELETE {CANCEL}",
    "cancel_all": rf"DELETE {CANCEL_ALL}",
    "orders": rf"GET {ROOT}/orders",
    "order": rf"GET {ROOT}/orders/completed",
    "account": rf"GET {ROOT}/account",
    "positions": rf"GET {ROOT}/positions",
    "activities": rf"GET {ROOT}/executions",
    "clock": rf"GET {ROOT}/clock",
    "assets": rf"GET {ROOT}/contracts",
    "quotes": rf"GET {ROOT}/quotes",
    "bars": rf"GET {ROOT}/bars(/live)?",
    "any data": rf"GET {ROOT}/(quotes|bars.*)",
}
"""What fault rules call the requests of this face. Placing an open order again is a `replace`."""


def _parts(serving: Serving) -> Parts:
    gateway = Gateway(serving.exchange, serving.delivery)

    def open_session(line: GatewayConnection) -> TwsSession:
        return TwsSession(gateway, line, REQUESTS)

    return Parts((), lines={"tws": open_session})


FACE = Face(
    "plain",
    orders.ENTRIES,
    _parts,
    orders=orders.PLACE,
    kinds=KINDS,
    title="orders and prices (the TWS API of Interactive Brokers), with any client id",
    login=Login.NONE,
)
