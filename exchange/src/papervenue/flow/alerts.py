"""Derive option-flow alerts from any source of bars, in bursts with a common direction.

`edge` is an artificial correlation with the future: with probability `edge` a burst's direction is the sign of the
symbol's return over the next hour, otherwise it is a coin toss. At edge 0 nothing here depends on prices after the
alert; at any other edge the flow looks ahead by design.

Dark-pool prints have random sizes and sides, and prices inside the quote. More often than not, their side is that of a
coin tossed once per session. If the market's edge is e, a print follows the next hour's direction instead with
probability e / 3. That is a weaker edge than the alerts have.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from random import Random
from typing import Any, NamedTuple

from papervenue.chance import random_stream, uuid_of
from papervenue.flow.events import next_report
from papervenue.flow.filters import PRINT_NUMBERS
from papervenue.flow.options import FlowContract, friday, option_price
from papervenue.flow.series import (
    NOTHING,
    ComputedSeries,
    FlowRows,
    Question,
    Row,
    cache_newest,
    feed_ticker,
    row,
    rows_known_at,
)
from papervenue.jsontext import encode
from papervenue.market.bars import UNITS, Market, ask, bid
from papervenue.market.profiles import profile
from papervenue.market.sessions import Session
from papervenue.times import HOUR, MINUTE, SECOND, rfc3339

_DRAWS = 16
_BURST_RULES = ("RepeatedHits", "RepeatedHitsAscendingFill", "RepeatedHitsDescendingFill")
_SINGLE_RULES = ("FloorTradeLargeCap", "FloorTradeMidCap", "SweepsFollowedByFloor", "LowHistoricVolumeFloor")
_SMALLEST_PREMIUM = 25_000
_LARGEST_PREMIUM = 5_000_000
_DOUBLINGS = 8
_FORESEEN_US = HOUR


class PlannedAlert(NamedTuple):
    """One planned alert: its time, its coin toss (bullish or not), its burst's number, and its own uniform draws."""

    at_us: int
    burst: int
    burst_at_us: int
    coin: int
    foresight: float
    clustered: bool
    draws: tuple[float, ...]


class Planned(NamedTuple):
    """What one alert is planned to show: its time, C or P, and its premium in USD at the ask, at the bid, and in total.

    The alert that is served may show slightly less, because it counts only whole contracts.
    """

    at_us: int
    right: str
    ask: int
    bid: int
    total: int


class Flow(ComputedSeries):
    def __init__(self, market: Market, seed: int, edge: float) -> None:
        super().__init__(market, seed)
        self._edge = edge

    @cache_newest(4)
    def session_alerts(self, index: int) -> tuple[Row, ...]:
        rows = [row for symbol in self.market.symbols for row in self.alerts(symbol, index)]
        return tuple(sorted(rows, key=lambda row: (row.at_us, row.fields["id"])))

    @cache_newest(64, 1)
    def alerts(self, symbol: str, index: int) -> tuple[Row, ...]:
        session = self.calendar.market[index]
        rng = random_stream(self.seed, "alerts", symbol, session.date)
        hits = sorted(_plan(rng, session))
        rows = (self._alert(symbol, session, number, hit) for number, hit in enumerate(hits))
        return tuple(row for row in rows if row is not None)

    def _alert(self, symbol: str, session: Session, number: int, hit: PlannedAlert) -> Row | None:
        price = self.market.session_price(symbol, hit.at_us)
        if price is None:
            return None
        direction = self.direction(symbol, session, hit.burst_at_us, hit.coin, hit.foresight)
        identity = uuid_of(self.seed, "alert", symbol, session.date, number)
        return row(hit.at_us, {"id": identity, **_fields(symbol, session, hit, direction, price / UNITS)})

    @cache_newest(64, 1)
    def plan_session(self, symbol: str, index: int) -> list[Planned]:
        """Return a session's planned alerts, oldest first; prices are read only if the market's edge isn't 0."""
        session = self.calendar.market[index]
        rights: dict[int, tuple[int, str]] = {}
        planned_alerts = []
        for hit in sorted(_plan(random_stream(self.seed, "alerts", symbol, session.date), session)):
            if hit.burst not in rights:
                toward = self.direction(symbol, session, hit.burst_at_us, hit.coin, hit.foresight)
                rights[hit.burst] = toward, _right(symbol, session, hit, toward)[0]
            toward, right = rights[hit.burst]
            premium = _premium(hit.draws[4], hit.draws[5], hit.clustered)
            ask_side, bid_side = _sides(premium, (right == "P") == (toward > 0), hit.draws)
            planned_alerts.append(Planned(hit.at_us, right, ask_side, bid_side, premium))
        return planned_alerts

    def direction(self, symbol: str, session: Session, at_us: int, coin: int, foresight: float) -> int:
        """Return +1 or -1: the sign of the next hour's return if the draw `foresight` is below the market's edge.

        Otherwise return the coin toss.
        """
        if foresight >= self._edge:
            return coin
        now = self.market.session_price(symbol, at_us)
        later = self.market.session_price(symbol, min(at_us + _FORESEEN_US, session.close_us))
        if now is None or later is None or now == later:
            return coin
        return 1 if later > now else -1


class AlertSeries(ComputedSeries):
    """A flow series that is derived from the alerts."""

    def __init__(self, flow: Flow) -> None:
        super().__init__(flow.market, flow.seed)
        self.flow = flow


def _plan(rng: Random, session: Session) -> Iterator[PlannedAlert]:
    """Plan a session's alerts from chance alone; the number of random draws never depends on prices."""
    minutes = (session.close_us - session.open_us) // MINUTE
    for burst in range(3 + int(rng.random() * 4)):
        yield from _burst(rng, session, burst, minutes, size=3 + int(rng.random() * 4))
    for single in range(4 + int(rng.random() * 7)):
        yield from _burst(rng, session, 100 + single, minutes, size=1)


def _burst(rng: Random, session: Session, burst: int, minutes: int, size: int) -> Iterator[PlannedAlert]:
    begins = session.open_us + int((2 + (minutes - 14) * rng.random()) * MINUTE)
    coin = 1 if rng.random() < 0.5 else -1
    foresight, at_us = rng.random(), begins
    for _ in range(size):
        at_us += int((5 + 85 * rng.random()) * SECOND)
        yield PlannedAlert(at_us, burst, begins, coin, foresight, size > 1, tuple(rng.random() for _ in range(_DRAWS)))


def _fields(symbol: str, session: Session, hit: PlannedAlert, direction: int, price: float) -> dict[str, Any]:
    u, character = hit.draws, profile(symbol)
    report = next_report(symbol, date.fromisoformat(session.date))
    contract = _contract(symbol, session, hit, direction, price)
    volatility = character.implied_volatility * (0.85 + 0.3 * u[3])
    cents = option_price(contract, price, volatility, session.date)
    size = max(1, int(_premium(u[4], u[5], hit.clustered) / cents))
    ask_side, bid_side = _sides(size * cents, (contract.right == "P") == (direction > 0), u)
    wide, ended_ms = 1 + int(3 * u[9]), hit.at_us // 1000 - 900 - int(4000 * u[7])
    return {
        "ticker": feed_ticker(symbol),
        "created_at": rfc3339(hit.at_us),
        "start_time": ended_ms - int(400 * u[8]),
        "end_time": ended_ms,
        "option_chain": contract.occ,
        "type": "call" if contract.right == "C" else "put",
        "strike": contract.strike_text,
        "expiry": contract.expiry,
        "expiry_count": 1,
        # A contract is a hundred shares, so its price in dollars equals the price of a share in cents.
        "price": f"{cents / 100:.2f}",
        "bid": f"{max(0, cents - wide) / 100:.2f}",
        "ask": f"{(cents + wide) / 100:.2f}",
        **_sizes(size, hit, u),
        "total_premium": str(size * cents),
        "total_ask_side_prem": str(ask_side),
        "total_bid_side_prem": str(bid_side),
        **_flags(hit, u),
        "issue_type": character.issue_type,
        "sector": character.sector,
        "marketcap": str(character.marketcap),
        "next_earnings_date": None if report is None else report.day.isoformat(),
        "er_time": None if report is None else report.when,
        "underlying_price": f"{price:.2f}",
        "iv_start": f"{volatility:.6f}",
        "iv_end": f"{volatility * (0.99 + 0.03 * u[6]):.6f}",
    }


def _right(symbol: str, session: Session, hit: PlannedAlert, direction: int) -> tuple[str, Random]:
    """Choose a call or a put: a bull buys calls (three times in four) or sells puts.

    Also return the burst's random generator, to choose the rest of the contract.
    """
    chooser = random_stream(symbol, session.date, hit.burst)
    bought = chooser.random() < 0.75
    return "C" if (direction > 0) == bought else "P", chooser


def _contract(symbol: str, session: Session, hit: PlannedAlert, direction: int, price: float) -> FlowContract:
    """Choose a contract; a burst has one right and one expiry."""
    u = hit.draws
    right, chooser = _right(symbol, session, hit, direction)
    weeks = 0 if chooser.random() < 0.8 else 1 + int(chooser.random() * 6)
    away = (0.01 + 0.04 * chooser.random() + 0.005 * u[0]) * (1 if right == "C" else -1)
    return FlowContract(symbol, friday(session.date, weeks), right, price * (1 + away))


def _premium(u: float, v: float, clustered: bool) -> int:
    """Return a premium in dollars; each doubling is about half as likely, and bursts start two doublings higher."""
    doubling, remaining = (2 if clustered else 0), u
    while remaining < 0.5 and doubling < _DOUBLINGS:
        doubling, remaining = doubling + 1, remaining * 2
    return min(int(_SMALLEST_PREMIUM * 2**doubling * (1 + v)), _LARGEST_PREMIUM)


def _sizes(size: int, hit: PlannedAlert, u: tuple[float, ...]) -> dict[str, Any]:
    volume = int(size * (1.2 + 3 * u[10]))
    fresh = u[11] < (0.85 if hit.clustered else 0.5)
    open_interest = int(volume * (0.1 + 0.8 * u[12]) if fresh else volume * (1.1 + 4 * u[12]))
    ratio = volume / open_interest if open_interest else 0
    return {
        "total_size": size,
        "trade_count": 1 + min(size - 1, int(40 * u[13])),
        "volume": volume,
        "open_interest": open_interest,
        "volume_oi_ratio": f"{ratio:.12f}" if open_interest else "0",
    }


def _sides(premium: int, at_bid: bool, u: tuple[float, ...]) -> tuple[int, int]:
    """Return the dollars traded at the ask and at the bid; the rest traded between them."""
    main = premium * (70 + int(25 * u[14])) // 100
    other = (premium - main) // 2
    return (other, main) if at_bid else (main, other)


def _flags(hit: PlannedAlert, u: tuple[float, ...]) -> dict[str, Any]:
    rules = _BURST_RULES if hit.clustered else _SINGLE_RULES
    rule = rules[int(u[15] * len(rules))]
    multileg = u[1] > 0.94
    return {
        "alert_rule": rule,
        "rule_id": uuid_of("rule", rule),
        "has_sweep": u[2] < 0.45,
        "has_floor": not hit.clustered and u[2] > 0.8,
        "has_multileg": multileg,
        "has_singleleg": not multileg,
        "all_opening_trades": u[11] < 0.3,
    }


_PRINT_DRAWS = 9
_EXTENDED_SHARE = 0.06
_CANCELED_SHARE = 0.01
_ODD_SETTLEMENT_SHARE = 0.02
_EDGE_DILUTION = 3
_FIRST_TRACKING_ID = 26_946_000_000_000


class Prints(AlertSeries):
    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return a day's prints, newest first."""
        index = self.calendar.published_index(question.day, now_us)
        return NOTHING if index is None else FlowRows(rows_known_at(self.session(symbol, index), now_us)[::-1])

    @cache_newest(64, 1)
    def session(self, symbol: str, index: int) -> tuple[Row, ...]:
        """Return a symbol's prints in a session and in the hours after it, oldest first."""
        session = self.calendar.market[index]
        rows = (self._print(symbol, index, session, plan) for plan in sorted(self._plan(symbol, session)))
        return tuple(row for row in rows if row is not None)

    def _plan(self, symbol: str, session: Session) -> Iterator[Plan]:
        rng = random_stream(self.seed, "prints", symbol, session.date)
        busy = 2 if self.market.liquid(symbol) else 1
        length = session.close_us - session.open_us
        for _ in range(busy * (30 + int(70 * rng.random()))):
            draws = tuple(rng.random() for _ in range(_PRINT_DRAWS))
            late = draws[0] < _EXTENDED_SHARE
            at_us = session.close_us + int(4 * HOUR * draws[1]) if late else session.open_us + int(length * draws[1])
            yield Plan(at_us // SECOND * SECOND, late, draws)

    def _print(self, symbol: str, index: int, session: Session, plan: Plan) -> Row | None:
        middle = self.market.session_price(symbol, plan.at_us)
        if middle is None:
            return None
        u = plan.draws
        coin = 1 if u[2] < 0.5 else -1
        side = self.flow.direction(symbol, session, plan.at_us, coin, u[3] * _EDGE_DILUTION)
        fields = self._fields(symbol, index, plan, middle, side)
        # There are many prints, so only the fields for filtering and sorting are stored beside the JSON.
        return Row(plan.at_us, {name: fields[name] for name in PRINT_NUMBERS}, encode(fields))

    def _fields(self, symbol: str, index: int, plan: Plan, middle: int, side: int) -> dict[str, Any]:
        u, low, high = plan.draws, bid(middle), ask(middle)
        price = (low + high) // 2 + side * int((high - low) // 2 * u[4])
        # Usually about a ten-thousandth of a day's volume, occasionally a hundred times that.
        size = 1 + int(max(1.0, profile(symbol).shares_a_day / 10_000) * (0.2 + u[5]) / (1.01 - u[6]))
        odd = u[6] < _ODD_SETTLEMENT_SHARE
        return {
            "ticker": feed_ticker(symbol),
            "executed_at": rfc3339(plan.at_us),
            "price": f"{price / UNITS:.4f}",
            "size": size,
            "premium": f"{price * size / UNITS:.4f}",
            "volume": self.market.day(symbol, index).volume(plan.at_us) + size,
            "nbbo_bid": f"{low / UNITS:.2f}",
            "nbbo_ask": f"{high / UNITS:.2f}",
            "nbbo_bid_quantity": 1 + int(400 * u[7]),
            "nbbo_ask_quantity": 1 + int(400 * u[8]),
            "canceled": u[5] < _CANCELED_SHARE,
            "ext_hour_sold_codes": "extended_hours_trade" if plan.late else None,
            "market_center": "L",
            "sale_cond_codes": "average_price_trade" if u[6] > 0.9 else None,
            "tracking_id": _FIRST_TRACKING_ID + plan.at_us // SECOND % 1_000_000_000,
            "trade_code": None,
            "trade_settlement": "next_day" if odd else "regular",
        }


class Plan(NamedTuple):
    """What is drawn for one dark-pool print: its time, whether it is late, and the draws for its price and size."""

    at_us: int
    late: bool
    draws: tuple[float, ...]
