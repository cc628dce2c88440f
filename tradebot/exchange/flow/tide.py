"""Compute the market tide: the market's net option premium, cumulative over the session. Each sector has its own.

The market's tide adds up the alerts of all symbols as they become known, plus seeded noise for flow that raises no
alert. So its edge is that of the alerts, diluted by the noise. The noise is divided among the sectors and the funds:
the tides of the sectors, and what the funds add, make the market's.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate
from math import fsum
from typing import NamedTuple

from tradebot.exchange.chance import bell, stream
from tradebot.exchange.flow.alerts import OfFlow
from tradebot.exchange.flow.series import NOTHING, Answered, Question, Row, kept, known, row
from tradebot.exchange.market.profiles import SECTORS
from tradebot.exchange.market.sessions import Session
from tradebot.exchange.times import MINUTE, new_york

_NOISE_USD = 300_000
_NOISE_CONTRACTS = 900
_EVERY = 5
_PARTS_OF_FUNDS = 5
"""The noise of funds, counted in sectors."""


class Net(NamedTuple):
    """Ask-side minus bid-side flow: dollars of calls, dollars of puts, and contracts of calls minus those of puts."""

    calls: int
    puts: int
    volume: int

    def plus(self, other: Net, times: int = 1) -> Net:
        return Net(*(one + times * another for one, another in zip(self, other, strict=True)))

    def times(self, share: float) -> Net:
        return Net(*(int(one * share) for one in self))


class Tide(OfFlow):
    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the market's tide so far, oldest first; each row is stamped with the end of the period it covers."""
        calendar = self.calendar
        index = calendar.shown(question.day, now_us)
        if index is None:
            return Answered((), {"date": question.day or calendar.trading(now_us).date})
        every = _EVERY if question.params.flag("interval_5m", True) else 1
        return Answered(known(self._minutes(index, "")[::every], now_us), {"date": calendar.market[index].date})

    def of_sector(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the tide of one sector by the minute, oldest first."""
        index = self.calendar.shown(question.day, now_us)
        return NOTHING if index is None else Answered(known(self._minutes(index, question.about), now_us))

    @kept(4 + 2 * len(SECTORS))
    def _minutes(self, index: int, sector: str) -> tuple[Row, ...]:
        """Return the market's tide, or a sector's part: its companies' alerts, and its share of the market's noise."""
        session, alerts = self.calendar.market[index], self.flow.session_alerts(index)
        if not sector:
            return _cumulative(session, alerts, self._noise(session))
        alerts = tuple(one for one in alerts if one.fields["sector"] == sector)
        low, high = self._share(session, sector)
        noise = [one.times(high).plus(one.times(low), -1) for one in self._noise(session)]
        return _cumulative(session, alerts, noise)

    def _share(self, session: Session, sector: str) -> tuple[float, float]:
        """Return the bounds of a sector's share of the noise, between 0 and 1; what is above the last is the funds'."""
        rng = stream(self.seed, "sector tide", session.date)
        weights = [0.5 + rng.random() for _ in range(len(SECTORS) + _PARTS_OF_FUNDS)]
        bounds = [0.0, *accumulate(weight / fsum(weights) for weight in weights)]
        place = SECTORS.index(sector)
        return bounds[place], bounds[place + 1]

    def _noise(self, session: Session) -> list[Net]:
        rng = stream(self.seed, "tide", session.date)
        minutes = (session.close_us - session.open_us) // MINUTE + 1
        steps = [
            Net(int(_NOISE_USD * bell(rng)), int(_NOISE_USD * bell(rng)), int(_NOISE_CONTRACTS * bell(rng)))
            for _ in range(minutes)
        ]
        return list(accumulate(steps, Net.plus))


def _cumulative(session: Session, alerts: Sequence[Row], noise: Sequence[Net]) -> tuple[Row, ...]:
    times = [alert.at_us for alert in alerts]
    sums = [Net(0, 0, 0), *accumulate(map(_net_of, alerts), Net.plus)]
    stamps = range(session.open_us, session.close_us + 1, MINUTE)
    rows = []
    for at_us, extra in zip(stamps, noise, strict=True):
        net = sums[bisect_right(times, at_us)].plus(extra)
        fields = {
            "timestamp": new_york(at_us).isoformat(),
            "date": session.date,
            "net_call_premium": f"{net.calls}.0000",
            "net_put_premium": f"{net.puts}.0000",
            "net_volume": net.volume,
        }
        rows.append(row(at_us, fields))
    return tuple(rows)


def _net_of(alert: Row) -> Net:
    fields = alert.fields
    premium = int(fields["total_ask_side_prem"]) - int(fields["total_bid_side_prem"])
    size = fields["total_size"] if premium > 0 else -fields["total_size"]
    return Net(premium, 0, size) if fields["type"] == "call" else Net(0, premium, -size)
