"""Describe contracts: their identity, their trading hours, and their price rules."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, timedelta
from typing import Any

from papervenue.chance import number_of
from papervenue.engine.engine import Engine
from papervenue.faces.tws.wire import TwsMessage, laid_out
from papervenue.jsontext import plain
from papervenue.market.futures import LETTERS, ROOTS, FutureRoot
from papervenue.market.hours import CHICAGO
from papervenue.market.sessions import Session
from papervenue.market.venue import Instrument
from papervenue.times import at_zone, parse_time, to_datetime

FUTURE, CONTINUOUS, ZONE = "FUT", "CONTFUT", "US/Central"
DETAILS, DETAILS_END, SAMPLES, RULE = 10, 52, 79, 93
_DAYS_SHOWN = 7
_OPENS = (17, 0)
"""When a session opens, in Chicago, on the evening before its date."""
_DAY = timedelta(days=1)
_LIQUID = {"equity": ((8, 30), (15, 0)), "metals": ((7, 20), (12, 30)), "currency": ((7, 20), (14, 0))}
"""When most is traded, in Chicago: the hours of the pits."""
_DETAILS = laid_out(
    "version=8 reqId symbol secType=FUT lastTrade strike=0 right exchange currency=USD localSymbol marketName"
    " tradingClass conId minTick mdSizeMultiplier=1 multiplier"
    " orderTypes=DAY,GTC,IOC,FOK,LMT,MKT,STP,STPLMT,OCA,WHATIF validExchanges priceMagnifier=1"
    " underConId longName primaryExchange contractMonth industry category subcategory timeZoneId=US/Central"
    " tradingHours liquidHours evRule evMultiplier=0 secIds=0 aggGroup=1 underSymbol underSecType=IND marketRuleIds"
    " realExpirationDate stockType minSize=1 sizeIncrement=1 suggestedSizeIncrement=1"
)
_KEYS = (
    *("conId", "symbol", "secType", "lastTrade", "strike", "right", "multiplier", "exchange", "primaryExchange"),
    *("currency", "localSymbol", "tradingClass"),
)
"""The fields with which a client identifies a contract, in their order."""
CONTRACT_FIELDS = len(_KEYS)

Fields = dict[str, Any]


def contract_query(fields: list[str]) -> dict[str, str]:
    """Return the fields by which a client identifies a contract."""
    return dict(zip(_KEYS, fields, strict=True))


class Contracts:
    """The futures contracts of an exchange, as TWS describes them."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._by_id = {str(con_id(symbol)): symbol for symbol in engine.market.symbols}

    def instrument(self, symbol: str) -> Instrument:
        return self._engine.market.grids[symbol].instrument

    def root(self, symbol: str) -> FutureRoot:
        return ROOTS[self.instrument(symbol).root]

    def by_id(self, number: str) -> str | None:
        """Return the symbol of the contract with this number; None if there is none."""
        return self._by_id.get(number)

    def samples(self, request: str, text: str, *, described: bool) -> TwsMessage:
        """Return the indices and commodities whose symbol begins with a text, or whose title contains it."""
        roots = {self.root(symbol).name: self.root(symbol) for symbol in self._engine.market.symbols}
        wanted, rows = text.lower(), list[Fields]()
        for name, root in roots.items():
            if text and (root.symbol.lower().startswith(wanted) or wanted in root.title.lower()):
                number = number_of(8, "underlying", name)
                row = {"conId": number, "symbol": root.symbol, "secType": "IND", "exchange": root.exchange}
                shown = {"description": root.title, "issuer": ""} if described else {}
                rows.append({**row, "currency": "USD", "kinds": 1, "kind": FUTURE, **shown})
        return TwsMessage(SAMPLES, {"reqId": request, "count": len(rows), "rows": rows})

    def find(self, wanted: Mapping[str, str], *, expired: bool = True) -> list[str]:
        """Return the symbols of the contracts that match a client's request."""
        if wanted["conId"] not in ("", "0"):
            named = self._by_id.get(wanted["conId"])
            return [named] if named is not None else []
        if wanted["secType"] == CONTINUOUS:
            return self.front_months({**wanted, "secType": FUTURE, "lastTrade": ""})
        return [
            symbol
            for symbol in self._engine.market.symbols
            if self._fits(symbol, wanted) and (expired or not self.is_expired(symbol))
        ]

    def front_months(self, wanted: Mapping[str, str]) -> list[str]:
        """Return the current front month of each matching root; its continuous future stands for that month."""
        now = to_datetime(self._engine.now_us).astimezone(CHICAGO).date().isoformat()
        fronts: dict[str, str] = {}
        for symbol in sorted(self._engine.market.symbols, key=self._last_us):
            if self._fits(symbol, wanted) and self.rolls(symbol) > now:
                fronts.setdefault(self.root(symbol).name, symbol)
        return [*fronts.values()]

    def months_in_turn(self, symbol: str) -> Iterator[tuple[str, int, int]]:
        """Yield each month of a contract's root, with when it becomes and when it ceases to be the front month."""
        from_us = 0
        for month in sorted(self._engine.market.symbols, key=self._last_us):
            if self.instrument(month).root == self.instrument(symbol).root:
                eve = date.fromisoformat(self.rolls(month)) - _DAY
                until_us = at_zone(CHICAGO, eve.isoformat(), *_OPENS)
                yield month, from_us, until_us
                from_us = until_us

    def rolls(self, symbol: str) -> str:
        """Return the date of the first session in which the next month is the front month; empty if there is none."""
        return self.instrument(symbol).rolls or ""

    def _fits(self, symbol: str, wanted: Mapping[str, str]) -> bool:
        there = self.contract_fields(symbol)
        criteria = {name: value for name, value in wanted.items() if value not in ("", "0", "0.0", "?")}
        month, primary = criteria.pop("lastTrade", ""), criteria.pop("primaryExchange", there["exchange"])
        same = all(value == there.get(name) for name, value in criteria.items())
        days = (there["lastTrade"], self.month(symbol))
        return same and primary == there["exchange"] and (not month or month in days)

    def is_expired(self, symbol: str) -> bool:
        last_us = self._engine.market.grids[symbol].last_us
        return last_us is not None and self._engine.now_us >= last_us

    def month(self, symbol: str) -> str:
        """Return the year and month of a contract, such as "202612"."""
        last = to_datetime(self._last_us(symbol)).astimezone(CHICAGO)
        month = LETTERS.index(symbol[-2]) + 1
        return f"{last.year + (month < last.month):04}{month:02}"

    def _last_us(self, symbol: str) -> int:
        return parse_time(self.instrument(symbol).last_trading or "")

    def contract_fields(self, symbol: str) -> Fields:
        """Return the fields that identify a contract, in the order of most messages."""
        root, last = self.root(symbol), to_datetime(self._last_us(symbol)).astimezone(CHICAGO)
        return {
            "conId": str(con_id(symbol)),
            "symbol": root.symbol,
            "secType": FUTURE,
            "lastTrade": f"{last:%Y%m%d}",
            "strike": "0",
            "right": "",
            "multiplier": plain(root.multiplier),
            "exchange": root.exchange,
            "currency": "USD",
            "localSymbol": symbol,
            "tradingClass": root.name,
        }

    def details(self, request: str, symbol: str) -> TwsMessage:
        """Return the message with all details of a contract."""
        root, named = self.root(symbol), self.contract_fields(symbol)
        last = to_datetime(self._last_us(symbol)).astimezone(CHICAGO)
        own = {name: named[name] for name in ("symbol", "exchange", "localSymbol", "tradingClass", "conId")}
        hours = [*self._trading_hours(symbol)]
        return TwsMessage(
            DETAILS,
            {
                **_DETAILS,
                **own,
                "reqId": request,
                "lastTrade": f"{last:%Y%m%d %H:%M} {ZONE}",
                "marketName": root.name,
                "minTick": root.tick,
                "multiplier": named["multiplier"],
                "validExchanges": root.exchange,
                "underConId": number_of(8, "underlying", root.name),
                "longName": root.title,
                "primaryExchange": "",
                "contractMonth": self.month(symbol),
                "tradingHours": ";".join(trading for trading, _ in hours),
                "liquidHours": ";".join(liquid for _, liquid in hours),
                "underSymbol": root.symbol,
                "marketRuleIds": rule_of(root),
                "realExpirationDate": f"{last:%Y%m%d}",
            },
        )

    def _trading_hours(self, symbol: str) -> Iterator[tuple[str, str]]:
        """Yield the trading and the liquid hours of the next days, including days on which none begin."""
        before: date | None = None
        for session in self._coming(symbol):
            begins, ends = (to_datetime(us).astimezone(CHICAGO).date() for us in (session.open_us, session.close_us))
            while before and (before := before + _DAY) < begins:
                yield (f"{before:%Y%m%d}:CLOSED",) * 2
            yield self._hours(session, symbol)
            before = ends

    def _coming(self, symbol: str) -> list[Session]:
        calendar, now_us = self._engine.market.calendars[symbol], self._engine.now_us
        return [day for day in calendar.all if day.close_us > now_us and day.open_us < self._last_us(symbol)][
            :_DAYS_SHOWN
        ]

    def _hours(self, session: Session, symbol: str) -> tuple[str, str]:
        """Return the trading hours of a session and its liquid hours, or that it has none."""
        (begin, end), day = _LIQUID[self.root(symbol).group], session.date
        ends_us = min(session.close_us, self._last_us(symbol))
        liquid_us = at_zone(CHICAGO, day, *begin), min(at_zone(CHICAGO, day, *end), ends_us)
        compact = day.replace("-", "")
        liquid = _span(*liquid_us) if liquid_us[0] < liquid_us[1] else f"{compact}:CLOSED"
        return _span(session.open_us, ends_us), liquid

    def rule(self, number: str) -> TwsMessage | None:
        """Return a market rule's price increments, or None if there is no such rule."""
        root = next((root for root in ROOTS.values() if rule_of(root) == number), None)
        return root and TwsMessage(RULE, {"ruleId": number, "count": 1, "lowEdge": 0, "increment": root.tick})


def con_id(symbol: str) -> int:
    """Return the number of a contract, which never changes."""
    return 500_000_000 + int(number_of(8, "contract", symbol))


def rule_of(root: FutureRoot) -> str:
    """Return the number of the market rule that has this root's price increments."""
    return str(1 + int(number_of(3, "market rule", root.tick)))


def _span(from_us: int, to_us: int) -> str:
    begin, end = (to_datetime(us).astimezone(CHICAGO) for us in (from_us, to_us))
    return f"{begin:%Y%m%d:%H%M}-{end:%Y%m%d:%H%M}"


def all_details(contracts: Contracts, request: str, symbols: list[str], kind: str = FUTURE) -> Iterator[TwsMessage]:
    """Yield the details of some contracts, labeled with a security type, and an end message."""
    for symbol in symbols:
        message = contracts.details(request, symbol)
        yield TwsMessage(DETAILS, {**message.fields, "secType": kind})
    yield TwsMessage(DETAILS_END, {"version": 1, "reqId": request})
