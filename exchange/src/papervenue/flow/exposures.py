"""Generate what open contracts weigh: exposure at the spot price by minute, max pain, and open interest by strike.

The exposure follows the last published Greek exposure and the price; what is traded during the day follows the option
volume so far.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import fsum
from typing import Any

from papervenue.chance import stream
from papervenue.flow.alerts import OfFlow
from papervenue.flow.daily import Daily
from papervenue.flow.options import Contract, expiries
from papervenue.flow.series import NOTHING, Answered, Question, Row, row
from papervenue.flow.volumes import Volumes
from papervenue.market.bars import UNITS
from papervenue.times import MINUTE, rfc3339

_GREEKS = ("gamma", "charm", "vanna")
_TRADED_SHARE = 0.2
"""What a whole day's trading weighs against the open interest."""
_LISTED_EXPIRIES = 16
_STEPS = range(-15, 16)
"""The strikes around the price, in steps."""


class Exposures(OfFlow):
    def __init__(self, daily: Daily, volumes: Volumes) -> None:
        super().__init__(volumes.flow)
        self._daily = daily
        self._volumes = volumes

    def spot(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return a day's exposure after each minute so far, oldest first."""
        index = self.calendar.shown(question.day, now_us)
        published = [] if index is None else self._daily.greeks(symbol, self.calendar.market[index].open_us)
        if index is None or not published:
            return NOTHING
        last = json.loads(published[-1].encoded)
        open_interest = {name: float(last[f"call_{name}"]) + float(last[f"put_{name}"]) for name in _GREEKS}
        return Answered(list(self._minutes(symbol, index, open_interest, now_us)))

    def max_pain(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return for each expiry the price at which its contracts are worth least, the nearest first."""
        index, reference = self._priced(symbol, question.day, now_us)
        if reference is None:
            return NOTHING
        day = self.calendar.market[index].date
        rows = []
        for expiry in expiries(day)[:_LISTED_EXPIRIES]:
            away = 0.04 * stream(self.seed, "pain", symbol, expiry).random() - 0.02
            strike = Contract(symbol, expiry, "C", reference * (1 + away)).strike_text
            rows.append(row(now_us, {"expiry": expiry, "max_pain": strike}))
        return Answered(rows, {"date": day})

    def strikes(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return open interest by strike; the strikes add up to the open interest of the daily option volume."""
        index, reference = self._priced(symbol, question.day, now_us)
        if reference is None:
            return NOTHING
        day, place = self.calendar.market[index].date, self.calendar.first + index
        strikes = sorted(
            {Contract(symbol, day, "C", reference * (1 + 0.012 * step)).strike_thousandths for step in _STEPS}
        )
        rng = stream(self.seed, "strikes", symbol, day)
        columns = []
        for right in "CP":
            weights = [0.1 + rng.random() for _ in strikes]
            columns.append(_divided(self._volumes.open_interest(symbol, place, right), weights))
        rows = [
            row(now_us, {"date": day, "strike": f"{strike / 1000:g}", "call_oi": calls, "put_oi": puts})
            for strike, calls, puts in zip(strikes, *columns, strict=True)
        ]
        return Answered(rows)

    def _priced(self, symbol: str, day: str | None, now_us: int) -> tuple[int, float | None]:
        """Return the newest session, at most of a date, whose open interest is known, and the close before it."""
        sessions = [one for one in self.calendar.market if self._daily.open_interest_us(one) <= now_us]
        index = sum(day is None or session.date <= day for session in sessions) - 1
        close = self.market.close_before(symbol, index) if index >= 0 else None
        return index, None if close is None else close / UNITS

    def _minutes(self, symbol: str, index: int, open_interest: dict[str, float], now_us: int) -> Iterator[Row]:
        session, day = self.calendar.market[index], self.market.day(symbol, index)
        place = self.calendar.first + index
        ends = [bar.end_us for bar in day.bars[: day.complete(now_us)]]
        traded = self._volumes.after(symbol, place, [(end - session.open_us) // MINUTE for end in ends])
        usual = max(1, self._volumes.open_interest(symbol, place, "C") // 9)
        for bar, sums in zip(day.bars, traded, strict=False):
            price = bar.close / UNITS
            # A contract's gamma counts per dollar; one percent of the price moves the hedge by gamma x price / 100.
            weight = price * price / 100
            passed = _TRADED_SHARE * (sums.calls.volume + sums.puts.volume) / usual
            lean = (sums.calls.net + sums.puts.net) / max(1, sums.calls.total + sums.puts.total)
            fields: dict[str, Any] = {"time": rfc3339(bar.end_us), "price": f"{price:.2f}"}
            for name, value in open_interest.items():
                fields[f"{name}_per_one_percent_move_oi"] = f"{value * weight:.2f}"
                fields[f"{name}_per_one_percent_move_vol"] = f"{value * weight * passed:.2f}"
                fields[f"{name}_per_one_percent_move_dir"] = f"{-value * weight * passed * lean:.2f}"
            yield row(bar.end_us, fields)


def _divided(whole: int, weights: list[float]) -> list[int]:
    """Divide a whole number by weights, without losing any of it."""
    parts = [int(whole * weight / fsum(weights)) for weight in weights]
    parts[0] += whole - sum(parts)
    return parts
