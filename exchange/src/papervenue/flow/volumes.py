"""Generate option volume and premium by day and minute, and the market tide.

A day's trading consists of the symbol's own alerts and of seeded trading that raises no alert. So a day's volume is
never less than the sum of its alerts, and it has the alerts' edge in diluted form. Trading without alerts is spread
over the minutes of the session, so that the minutes add up to the day; a minute is known when it ends. Sessions before
the market's first have no alerts, only random totals.

The tide is the market's net option premium, added up over the session: the alerts of all symbols as they become known,
plus seeded noise for flow without alerts. The noise is divided among the sectors and the funds, so the tides of the
sectors and that of the funds add up to the market's.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Sequence
from itertools import accumulate, pairwise
from math import fsum
from random import Random
from typing import Any, NamedTuple

from papervenue.chance import draw_bell, random_stream
from papervenue.flow.alerts import AlertSeries, Planned
from papervenue.flow.series import NOTHING, FlowRows, Question, Row, cache_newest, feed_ticker, row, rows_known_at
from papervenue.market.profiles import SECTORS, profile
from papervenue.market.sessions import Session
from papervenue.times import MINUTE, new_york, rfc3339

_NOISE_USD = 300_000
_NOISE_CONTRACTS = 900
_EVERY = 5
_PARTS_OF_FUNDS = 5
"""The noise of funds, counted in sectors."""


class NetFlow(NamedTuple):
    """Flow at the ask minus flow at the bid: dollars of calls, dollars of puts, and contracts.

    Contracts are those of calls minus those of puts.
    """

    calls: int
    puts: int
    volume: int

    def plus(self, other: NetFlow, times: int = 1) -> NetFlow:
        return NetFlow(*(mine + times * another for mine, another in zip(self, other, strict=True)))

    def times(self, share: float) -> NetFlow:
        return NetFlow(*(int(part * share) for part in self))


class MarketTideSeries(AlertSeries):
    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the market's tide so far, oldest first; each row is stamped with the end of the period it covers."""
        calendar = self.calendar
        index = calendar.published_index(question.day, now_us)
        if index is None:
            return FlowRows((), {"date": question.day or calendar.trading(now_us).date})
        every = _EVERY if question.params.flag("interval_5m", True) else 1
        return FlowRows(rows_known_at(self._minutes(index, "")[::every], now_us), {"date": calendar.market[index].date})

    def of_sector(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the tide of one sector by the minute, oldest first."""
        index = self.calendar.published_index(question.day, now_us)
        return NOTHING if index is None else FlowRows(rows_known_at(self._minutes(index, question.about), now_us))

    @cache_newest(4 + 2 * len(SECTORS))
    def _minutes(self, index: int, sector: str) -> tuple[Row, ...]:
        """Return the market's tide, or a sector's part: its companies' alerts, and its share of the market's noise."""
        session, alerts = self.calendar.market[index], self.flow.session_alerts(index)
        if not sector:
            return _cumulative(session, alerts, self._noise(session))
        alerts = tuple(row for row in alerts if row.fields["sector"] == sector)
        low, high = self._share(session, sector)
        noise = [net.times(high).plus(net.times(low), -1) for net in self._noise(session)]
        return _cumulative(session, alerts, noise)

    def _share(self, session: Session, sector: str) -> tuple[float, float]:
        """Return the bounds of a sector's share of the noise, between 0 and 1.

        The rest above the last is the funds'.
        """
        rng = random_stream(self.seed, "sector tide", session.date)
        weights = [0.5 + rng.random() for _ in range(len(SECTORS) + _PARTS_OF_FUNDS)]
        bounds = [0.0, *accumulate(weight / fsum(weights) for weight in weights)]
        index = SECTORS.index(sector)
        return bounds[index], bounds[index + 1]

    def _noise(self, session: Session) -> list[NetFlow]:
        rng = random_stream(self.seed, "tide", session.date)
        minutes = (session.close_us - session.open_us) // MINUTE + 1
        steps = [
            NetFlow(
                int(_NOISE_USD * draw_bell(rng)),
                int(_NOISE_USD * draw_bell(rng)),
                int(_NOISE_CONTRACTS * draw_bell(rng)),
            )
            for _ in range(minutes)
        ]
        return list(accumulate(steps, NetFlow.plus))


def _cumulative(session: Session, alerts: Sequence[Row], noise: Sequence[NetFlow]) -> tuple[Row, ...]:
    times = [alert.at_us for alert in alerts]
    sums = [NetFlow(0, 0, 0), *accumulate(map(_net_of, alerts), NetFlow.plus)]
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


def _net_of(alert: Row) -> NetFlow:
    fields = alert.fields
    premium = int(fields["total_ask_side_prem"]) - int(fields["total_bid_side_prem"])
    size = fields["total_size"] if premium > 0 else -fields["total_size"]
    return NetFlow(premium, 0, size) if fields["type"] == "call" else NetFlow(0, premium, -size)


_SHARE_OF_DOLLAR_VOLUME = 0.03
_ALERTED_USD = 11_000_000
"""The usual total of a session's alerts, for any symbol."""
_CONTRACTS_ALERTED = 8_000
_DAYS_IN_MEMORY = 64
_AVERAGED = (3, 7, 30)


class Side(NamedTuple):
    """The trading of calls or of puts: premium in dollars at the ask, at the bid, and in total.

    `each` is the average price of a contract in USD.
    """

    ask: int
    bid: int
    total: int
    each: int

    @property
    def volume(self) -> int:
        return self.total // self.each

    @property
    def ask_volume(self) -> int:
        return self.ask // self.each

    @property
    def bid_volume(self) -> int:
        return self.bid // self.each

    @property
    def net(self) -> int:
        return self.ask - self.bid

    def plus(self, alerts: Sequence[Planned]) -> Side:
        return Side(
            self.ask + sum(alert.ask for alert in alerts),
            self.bid + sum(alert.bid for alert in alerts),
            self.total + sum(alert.total for alert in alerts),
            self.each,
        )


class Traded(NamedTuple):
    """One symbol's option volume in a session, or in the part of it that has elapsed."""

    calls: Side
    puts: Side


class Shares(NamedTuple):
    """How the trading of calls or puts is spread over a session.

    There are fractions for trades at the ask, at the bid, and for all. Each says what part of the day's total is done
    by the end of a minute.
    """

    ask: array[float]
    bid: array[float]
    total: array[float]


class Volumes(AlertSeries):
    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return one row per session up to the current one, newest first, and at most as many as requested."""
        count = question.params.count("limit", 1, 500)
        newest = self.newest(now_us)
        oldest = max(newest - count + 1, *_AVERAGED)
        places = [(index, self.calendar.all[index]) for index in range(newest, oldest - 1, -1)]
        fields = (({"date": day.date, **self.fields(symbol, index, now_us)}, day.open_us) for index, day in places)
        return FlowRows([row(opens_us, each) for each, opens_us in fields])

    def newest(self, now_us: int) -> int:
        """Return the index of the last session that has opened, among all sessions of the calendar."""
        calendar = self.calendar
        begun = calendar.last_begun(now_us)
        return calendar.first + (-1 if begun is None else begun)

    def traded_volume(self, symbol: str, index: int, now_us: int) -> Traded:
        """Return a symbol's option trading in the complete minutes of a session."""
        session = self.calendar.all[index]
        if now_us >= session.close_us:
            return self._finished_volume(symbol, index)
        minutes = (now_us - session.open_us) // MINUTE
        return self.after(symbol, index, [minutes])[0]

    def after(self, symbol: str, index: int, minutes: Sequence[int]) -> list[Traded]:
        """Return a symbol's option trading in the first n minutes of a session, for each n in `minutes`."""
        calendar = self.calendar
        open_us = calendar.all[index].open_us
        rest, shares = self._rest(symbol, index), self._shares(symbol, index)
        alerts = self.flow.plan_session(symbol, index - calendar.first)
        sides = []
        for count in minutes:
            until = open_us + count * MINUTE
            halves = [
                _part(side, share, count).plus(
                    [alert for alert in alerts if alert.right == right and alert.at_us < until]
                )
                for right, side, share in zip("CP", rest, shares, strict=True)
            ]
            sides.append(Traded(*halves))
        return sides

    @cache_newest(64 * _DAYS_IN_MEMORY, _DAYS_IN_MEMORY)
    def _finished_volume(self, symbol: str, index: int) -> Traded:
        rest = self._rest(symbol, index)
        if index < self.calendar.first:
            return rest
        alerts = self.flow.plan_session(symbol, index - self.calendar.first)
        calls, puts = ([alert for alert in alerts if alert.right == right] for right in "CP")
        return Traded(rest.calls.plus(calls), rest.puts.plus(puts))

    def _rest(self, symbol: str, index: int) -> Traded:
        """Return a whole session's trading that raises no alert; before the market's first, all of its trading."""
        session, first = self.calendar.all[index], self.calendar.first
        rng = random_stream(self.seed, "volumes", symbol, session.date)
        character = profile(symbol)
        usual = _SHARE_OF_DOLLAR_VOLUME * character.level * character.shares_a_day
        if index < first:
            usual += _ALERTED_USD
        whole = usual * (0.5 + rng.random())
        calls = whole * (0.53 + 0.03 * draw_bell(rng))
        return Traded(_side(calls, rng), _side(whole - calls, rng))

    @cache_newest(64, 1)
    def _shares(self, symbol: str, index: int) -> tuple[Shares, Shares]:
        """Spread a session's trading over its minutes; a minute that trades more at the ask trades less at the bid."""
        session = self.calendar.all[index]
        draw = random_stream(self.seed, "ticks", symbol, session.date).random
        minutes = (session.close_us - session.open_us) // MINUTE
        shares = []
        for _ in "CP":
            weights = [0.2 + 1.6 * draw() for _ in range(minutes)]
            leans = [0.6 * draw() - 0.3 for _ in range(minutes)]
            pairs = list(zip(weights, leans, strict=True))
            shares.append(
                Shares(_shares([w + w * e for w, e in pairs]), _shares([w - w * e for w, e in pairs]), _shares(weights))
            )
        return shares[0], shares[1]

    def fields(self, symbol: str, index: int, now_us: int) -> dict[str, Any]:
        """Return a session's trading in the form that the daily series and the screener show."""
        calls, puts = self.traded_volume(symbol, index, now_us)
        before = [self.traded_volume(symbol, earlier, now_us) for earlier in range(index - max(_AVERAGED), index)]
        fields: dict[str, Any] = {
            **_side_fields("call", calls, self.open_interest(symbol, index, "C")),
            **_side_fields("put", puts, self.open_interest(symbol, index, "P")),
            "bullish_premium": str(calls.ask + puts.bid),
            "bearish_premium": str(calls.bid + puts.ask),
        }
        for days in _AVERAGED:
            fields[f"avg_{days}_day_call_volume"] = _average([side.calls.volume for side in before[-days:]])
            fields[f"avg_{days}_day_put_volume"] = _average([side.puts.volume for side in before[-days:]])
        return fields

    def open_interest(self, symbol: str, index: int, right: str) -> int:
        """Return how many calls or puts are open on the morning of a session: about nine days of usual volume."""
        character = profile(symbol)
        usual = _CONTRACTS_ALERTED + _SHARE_OF_DOLLAR_VOLUME * character.level * character.shares_a_day / 350
        session = self.calendar.all[index]
        drawn = random_stream(self.seed, "open interest", symbol, session.date, right).random()
        return int(usual * (5.0 if right == "C" else 4.0) * (0.95 + 0.1 * drawn))

    def activity(self, symbol: str, index: int) -> float:
        """Return a session's activity relative to an average session, from 0.5 to 1.5."""
        session = self.calendar.all[index]
        return 0.5 + random_stream(self.seed, "volumes", symbol, session.date).random()


def _side(whole: float, rng: Random) -> Side:
    ask, bid = 0.42 + 0.014 * draw_bell(rng), 0.42 + 0.014 * draw_bell(rng)
    return Side(int(whole * ask), int(whole * bid), int(whole), 150 + int(450 * rng.random()))


def _shares(weights: Sequence[float]) -> array[float]:
    sums = list(accumulate(weights))
    return array("d", (each / sums[-1] for each in sums))


def _part(side: Side, shares: Shares, minutes: int) -> Side:
    if minutes <= 0:
        return Side(0, 0, 0, side.each)
    last = min(minutes, len(shares.total)) - 1
    return Side(
        int(side.ask * shares.ask[last]),
        int(side.bid * shares.bid[last]),
        int(side.total * shares.total[last]),
        side.each,
    )


def _side_fields(name: str, side: Side, open_interest: int) -> dict[str, Any]:
    return {
        f"{name}_volume": side.volume,
        f"{name}_volume_ask_side": side.ask_volume,
        f"{name}_volume_bid_side": side.bid_volume,
        f"{name}_premium": str(side.total),
        f"net_{name}_premium": str(side.net),
        f"{name}_open_interest": open_interest,
    }


def _average(volumes: Sequence[int]) -> str:
    return f"{sum(volumes) / len(volumes):.12f}"


_TICKED_DAYS_IN_MEMORY = 8
_DELTA = 0.42
"""The delta of a typically traded call; a put's is the negative."""
_SHARES = 100


class Ticks(AlertSeries):
    """Net premium by symbol: minute by minute for a session, and as a ranking of the market's symbols."""

    def __init__(self, volumes: Volumes) -> None:
        super().__init__(volumes.flow)
        self._volumes = volumes

    def answer(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the elapsed minutes of a day, oldest first."""
        index = self.calendar.published_index(question.day, now_us)
        return NOTHING if index is None else FlowRows(rows_known_at(self._rows(symbol, index), now_us))

    def impact(self, symbol: str, question: Question, now_us: int) -> FlowRows:
        """Return the tickers with the highest and those with the lowest net premium of a day.

        Each half has the same number of tickers; all are sorted from highest to lowest.
        """
        count = question.params.count("limit", 20, 100)
        index = self.calendar.published_index(question.day, now_us)
        if index is None:
            return NOTHING
        position = self.calendar.first + index
        wanted = question.values("issue_types[]")
        matching = [symbol for symbol in self.market.symbols if not wanted or profile(symbol).issue_type in wanted]
        traded = [(self._volumes.traded_volume(name, position, now_us), feed_ticker(name)) for name in matching]
        nets = [(calls.net - puts.net, ticker) for (calls, puts), ticker in traded]
        top = sorted((net for net in nets if net[0] > 0), reverse=True)[: count // 2]
        bottom = sorted(net for net in nets if net[0] < 0)[: count // 2]
        ranked = [*top, *reversed(bottom)]
        return FlowRows([row(now_us, {"ticker": ticker, "net_premium": float(net)}) for net, ticker in ranked])

    @cache_newest(_TICKED_DAYS_IN_MEMORY)
    def _rows(self, symbol: str, index: int) -> Sequence[Row]:
        session = self.calendar.market[index]
        minutes = range((session.close_us - session.open_us) // MINUTE + 1)
        sums = self._volumes.after(symbol, self.calendar.first + index, minutes)
        return tuple(
            row(session.open_us + (minute + 1) * MINUTE, _tick(session.date, session.open_us + minute * MINUTE, *pair))
            for minute, pair in enumerate(pairwise(sums))
        )


def _tick(day: str, start_us: int, before: Traded, after: Traded) -> dict[str, Any]:
    fields: dict[str, Any] = {"date": day, "tape_time": rfc3339(start_us)}
    for name, old, new in zip(("call", "put"), before, after, strict=True):
        ask, bid = new.ask_volume - old.ask_volume, new.bid_volume - old.bid_volume
        fields |= {
            f"{name}_volume": new.volume - old.volume,
            f"{name}_volume_ask_side": ask,
            f"{name}_volume_bid_side": bid,
            f"net_{name}_premium": f"{new.net - old.net}.00",
            f"net_{name}_volume": ask - bid,
        }
    delta = _DELTA * _SHARES * (fields["net_call_volume"] - fields["net_put_volume"])
    return fields | {"net_delta": f"{delta:.8f}"}
