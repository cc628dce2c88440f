"""Generate random daily rows that predict nothing: Greek exposure, IV rank, and changes of open interest.

Open interest changes in the contracts that the previous session's alerts were about, and in some others.

A session's exposure and IV rank are published at 17:35 New York, after its close. Open interest of the previous day
arrives two hours before the open.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from random import Random
from typing import Any

from papervenue.chance import draw_bell, random_stream
from papervenue.flow.alerts import AlertSeries
from papervenue.flow.options import FlowContract, friday, option_price
from papervenue.flow.series import NOTHING, FlowRows, Question, Row, cache_newest, feed_ticker, row, rows_known_at
from papervenue.jsontext import encode
from papervenue.market.bars import UNITS
from papervenue.market.profiles import profile
from papervenue.market.sessions import Session
from papervenue.times import HOUR, at_new_york, rfc3339

_ROWS_A_YEAR = 249
_RANKED_OVER = 252
_CONTRACTS = 50
_OI_BEFORE_OPEN = 2 * HOUR
_SCALES = {"delta": 3.5e-5, "gamma": 7e-7, "charm": 8e-6, "vanna": 7e-6}


def published_us(day: str) -> int:
    """Return when a session's daily rows are published: 17:35 in New York."""
    return at_new_york(day, 17, 35)


class DailyFacts(AlertSeries):
    @cached_property
    def _publications(self) -> list[tuple[int, dict[str, Any]]]:
        """Return when each session's daily rows are published, and their date: one object shared by all symbols."""
        return [(published_us(session.date), {"date": session.date}) for session in self.calendar.played]

    def greeks(self, symbol: str, now_us: int) -> Sequence[Row]:
        """Return the last year of published Greek exposure, oldest first."""
        return rows_known_at(self._greek_rows(symbol), now_us)[-_ROWS_A_YEAR:]

    def iv_ranks(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the last year of IV ranks, oldest first, with the closes of finished sessions."""
        rows = rows_known_at(self._iv_rows(symbol), now_us)[-_ROWS_A_YEAR:]
        return FlowRows([row(entry.at_us, self._with_close(symbol, entry.fields)) for entry in rows])

    def oi_changes(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return contracts ranked by how much their open interest changed, in either direction, largest change first.

        By default, the day is the newest session that has data.
        """
        calendar = self.calendar
        if question.day is not None:
            index = calendar.index_of.get(question.day)
            return NOTHING if index is None else FlowRows(self._oi_changes(symbol, index, now_us))
        coming = calendar.last_begun(now_us)
        newest = min(-1 if coming is None else coming, len(calendar.market) - 2) + 1
        by_session = (self._oi_changes(symbol, index, now_us) for index in range(newest, -1, -1))
        return FlowRows(next(filter(None, by_session), ()))

    def _oi_changes(self, symbol: str, index: int, now_us: int) -> Sequence[Row]:
        """Return a session's contracts by absolute change, largest first; none before a price is known."""
        if now_us < self.open_interest_us(self.calendar.market[index]):
            return ()
        reference = self._reference(symbol, index, now_us)
        return () if reference is None else self._oi_rows(symbol, index, reference)

    def open_interest_us(self, session: Session) -> int:
        """Return when the open interest for a session is known."""
        return session.open_us - _OI_BEFORE_OPEN

    def _reference(self, symbol: str, index: int, now_us: int) -> int | None:
        """Return the close before a session; if none is recorded, the first bar's open once that bar is complete."""
        close = self.market.close_before(symbol, index)
        if close is not None:
            return close
        day = self.market.day(symbol, index)
        return day.bars[0].open if day.complete(now_us) else None

    def _with_close(self, symbol: str, fields: dict[str, Any]) -> dict[str, Any]:
        close = self.market.close_of(symbol, self.calendar.position_of(fields["date"]) - self.calendar.first)
        return {"close": None if close is None else f"{close / UNITS:.2f}", **fields}

    @cache_newest(64, 1)
    def _greek_rows(self, symbol: str) -> tuple[Row, ...]:
        rng, size, rows = random_stream(self.seed, "greeks", symbol), float(profile(symbol).marketcap), []
        calls = puts = 1.0
        for at_us, its_date in self._publications:
            calls, puts = _wander(calls, rng), _wander(puts, rng)
            # A year of rows per symbol takes most of the feed's memory, so only the date is stored beside the JSON.
            rows.append(Row(at_us, its_date, encode(its_date | _exposure(size, calls, puts, rng))))
        return tuple(rows)

    @cache_newest(64, 1)
    def volatilities(self, symbol: str) -> tuple[float, ...]:
        """Return the annualized 30-day implied volatility for every session, as a fraction."""
        rng, usual, level, levels = random_stream(self.seed, "iv", symbol), profile(symbol).implied_volatility, 1.0, []
        for _ in self.calendar.played:
            level = _wander(level, rng)
            levels.append(usual * level)
        return tuple(levels)

    @cache_newest(64, 1)
    def _iv_rows(self, symbol: str) -> tuple[Row, ...]:
        history, rows = self.volatilities(symbol), []
        for count, (at_us, its_date) in enumerate(self._publications, start=1):
            # The JSON can't be built before the close it contains.
            past = history[max(0, count - _RANKED_OVER) : count]
            low, high, now = min(past), max(past), past[-1]
            rank = 100 * (now - low) / (high - low) if high > low else 0.0
            fields = {"updated_at": rfc3339(at_us), "volatility": f"{now:.4f}", "iv_rank_1y": f"{rank:.4f}"}
            rows.append(Row(at_us, its_date | fields, b""))
        return tuple(rows)

    @cache_newest(64, 1)
    def _oi_rows(self, symbol: str, index: int, reference: int) -> tuple[Row, ...]:
        session, before = self.calendar.market[index], self.calendar.all[self.calendar.first + index - 1]
        rng = random_stream(self.seed, "oi", symbol, session.date)
        lean = 0.5 + 0.25 * draw_bell(rng) / 3
        others = [_oi_fields(symbol, session, before, reference / UNITS, lean, rng) for _ in range(_CONTRACTS)]
        by_contract = {fields["option_symbol"]: fields for fields in others}
        # Alerts of the previous session have their own random stream, so that the other contracts don't depend on them.
        rng = random_stream(self.seed, "oi of alerts", symbol, session.date)
        for alert in self.flow.alerts(symbol, index - 1) if index else ():
            by_contract[alert.fields["option_chain"]] = _oi_of_alert(symbol, session, before, alert.fields, rng)
        rows = sorted(by_contract.values(), key=lambda fields: -abs(fields["oi_diff_plain"]))
        at_us = self.open_interest_us(session)
        return tuple(Row(at_us, {}, encode(fields | {"rnk": rank})) for rank, fields in enumerate(rows, start=1))


def _wander(level: float, rng: Random) -> float:
    """Return the next level of a random walk that is pulled back to 1."""
    return max(0.3, level + 0.06 * (1.0 - level) + 0.05 * draw_bell(rng))


def _exposure(size: float, calls: float, puts: float, rng: Random) -> dict[str, str]:
    fields = {}
    for name, share in _SCALES.items():
        scale = size * share
        fields[f"call_{name}"] = f"{scale * calls * (0.9 + 0.2 * rng.random()):.4f}"
        fields[f"put_{name}"] = f"{-0.6 * scale * puts * (0.7 + 0.6 * rng.random()):.4f}"
    return fields


def _oi_fields(
    symbol: str, session: Session, before: Session, price: float, lean: float, rng: Random
) -> dict[str, Any]:
    right = "C" if rng.random() < lean else "P"
    strike = price * (1 + 0.12 * (rng.random() - 0.5))
    contract = FlowContract(symbol, friday(session.date, int(5 * rng.random())), right, strike)
    cents = option_price(contract, price, profile(symbol).implied_volatility, session.date)
    last_oi = 200 + int(30_000 * rng.random() * rng.random())
    change = int(last_oi * (1.4 * rng.random() - 0.35))
    volume = abs(change) + int(last_oi * rng.random())
    return {**_oi_row(contract.occ, symbol, (before, session), last_oi, change), **_oi_trading(volume, cents, rng)}


def _oi_of_alert(symbol: str, session: Session, before: Session, alert: dict[str, Any], rng: Random) -> dict[str, Any]:
    """Return how much of an alert's volume became open interest overnight: most of what opened, some of the rest."""
    volume, last_oi = alert["volume"], alert["open_interest"]
    low, high = (0.6, 1.0) if alert["all_opening_trades"] else (-0.3, 0.6)
    change = max(int(volume * (low + (high - low) * rng.random())), -last_oi)
    cents = int(float(alert["price"]) * 100)
    row = _oi_row(alert["option_chain"], symbol, (before, session), last_oi, change)
    return {**row, **_oi_trading(volume, cents, rng)}


def _oi_row(contract: str, symbol: str, sessions: tuple[Session, Session], last_oi: int, change: int) -> dict[str, Any]:
    before, session = sessions
    return {
        "option_symbol": contract,
        "underlying_symbol": feed_ticker(symbol),
        "curr_date": session.date,
        "last_date": before.date,
        "curr_oi": last_oi + change,
        "last_oi": last_oi,
        "oi_diff_plain": change,
        "oi_change": f"{change / max(1, last_oi):.12f}",
    }


def _oi_trading(volume: int, cents: int, rng: Random) -> dict[str, Any]:
    at_ask = int(volume * (0.3 + 0.3 * rng.random()))
    at_bid = int((volume - at_ask) * 0.85)
    return {
        "volume": volume,
        "trades": 1 + volume // 9,
        "avg_price": f"{cents / 100:.6f}",
        "last_fill": f"{cents / 100:.2f}",
        "last_ask": f"{(cents + 1) / 100:.2f}",
        "last_bid": f"{(cents - 1) / 100:.2f}",
        "prev_ask_volume": at_ask,
        "prev_bid_volume": at_bid,
        "prev_mid_volume": volume - at_ask - at_bid,
        "prev_multi_leg_volume": volume // 12,
        "prev_neutral_volume": 0,
        "prev_stock_multi_leg_volume": 0,
        "prev_total_premium": f"{volume * cents}.00",
        "days_of_oi_increases": int(10 * rng.random()),
        "days_of_vol_greater_than_oi": int(4 * rng.random()),
        "percentage_of_total": f"{rng.random() / 10:.12f}",
    }
