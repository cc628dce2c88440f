"""Generate short interest, fails to deliver and short volume: random, without edge, and as late as the real ones.

FINRA publishes the short interest of the middle and the end of a month about seven business days after the settlement
date. The SEC publishes the fails of a month's first half at its end, and those of the second half in the middle of the
next month. FINRA publishes a day's short volume that evening.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from typing import Any

from tradebot.exchange.chance import bell, stream
from tradebot.exchange.flow.series import RECENT, Answered, Priced, Question, Row, feed_ticker, kept, known, row
from tradebot.exchange.market.profiles import profile
from tradebot.exchange.times import HOUR, at_new_york

_PUBLISHED_SESSIONS_LATER = 9
_MIDDLE = 15
_SHOWN_FAILS, _SHOWN_VOLUMES = 60, 250


class Shorts(Priced):
    def interest(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the last published short interest: one row at most."""
        return Answered(known(self._interests(symbol), now_us)[-1:])

    def fails(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the last published fails to deliver by day, oldest first; a day without any has no row."""
        rows = known(self._fails(symbol), now_us)[-_SHOWN_FAILS:]
        priced = (
            {"price": self.closes.text(symbol, self.calendar.place(one.fields["date"])), **one.fields} for one in rows
        )
        return Answered([row(one.at_us, fields) for one, fields in zip(rows, priced, strict=True)])

    def volumes(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return how much of each finished session's volume was sold short, oldest first."""
        sessions = enumerate(self.calendar.played)
        places = [place for place, session in sessions if session.close_us + 4 * HOUR <= now_us]
        return Answered([self._volume(symbol, place) for place in places[-_SHOWN_VOLUMES:]])

    @kept(RECENT)
    def _interests(self, symbol: str) -> tuple[Row, ...]:
        """Return the short interest of every settlement date; it wanders around what is usual for the symbol."""
        rng, character = stream(self.seed, "shorts", symbol), profile(symbol)
        floating = max(character.shares_a_day * 4, int(character.marketcap / character.level * 0.9))
        usual, level, rows = 0.01 + 0.06 * rng.random() * rng.random(), 1.0, []
        for published_us, settled in self._settlements():
            level = max(0.3, level + 0.15 * (1 - level) + 0.15 * bell(rng))
            interest = int(floating * usual * level)
            fee = 0.25 + 4 * rng.random() * usual * level * 10
            fields = {
                "symbol": feed_ticker(symbol),
                "market_date": settled,
                "short_interest": interest,
                "total_float": floating,
                "si_float": f"{interest / floating:.9f}",
                "si_float_with_synth_long_pct_of_total_shares": f"{interest / (floating + interest):.10f}",
                "days_to_cover": f"{interest / character.shares_a_day:.2f}",
                "fee_rate": f"{fee:.4f}",
                "rebate_rate": f"{4.3 - fee:.4f}",
                "short_shares_available": int(floating * 0.02 * rng.random()),
            }
            rows.append(row(published_us, fields))
        return tuple(rows)

    def _settlements(self) -> Iterator[tuple[int, str]]:
        """Yield each settlement date, in mid month or at its end, after the time at which its interest is published."""
        sessions = self.calendar.all
        for place, session in enumerate(sessions[: -_PUBLISHED_SESSIONS_LATER - 1]):
            day, following = session.date, sessions[place + 1].date
            if day[:7] != following[:7] or int(day[8:]) <= _MIDDLE < int(following[8:]):
                yield at_new_york(sessions[place + _PUBLISHED_SESSIONS_LATER].date, 18), day

    @kept(RECENT)
    def _fails(self, symbol: str) -> tuple[Row, ...]:
        rng, usual, rows = stream(self.seed, "fails", symbol), profile(symbol).shares_a_day * 0.002, []
        for session in self.calendar.all:
            drawn = rng.random()
            quantity = int(usual * rng.random() / (1.02 - drawn)) if drawn > 0.3 else 0
            if quantity:
                rows.append(Row(_fails_published_us(session.date), {"date": session.date, "quantity": quantity}, b""))
        return tuple(rows)

    def _volume(self, symbol: str, place: int) -> Row:
        """Return a session's short volume among what the reporting facilities saw, about half of all."""
        session = self.calendar.all[place]
        rng, usual = stream(self.seed, "short volume", symbol, session.date), profile(symbol).shares_a_day
        total = 1 + int(usual * 0.5 * (0.6 + 0.8 * rng.random()))
        ratio = 0.35 + 0.25 * rng.random()
        fields: dict[str, Any] = {
            "market_date": session.date,
            "close_price": self.closes.text(symbol, place),
            "total_volume": total,
            "short_volume": int(total * ratio),
            "short_volume_ratio": f"{int(total * ratio) / total:.4f}",
        }
        return row(session.close_us + 4 * HOUR, fields)


def _fails_published_us(day: str) -> int:
    settled = date.fromisoformat(day)
    following = (settled.replace(day=1) + timedelta(days=32)).replace(day=1)
    published = following - timedelta(days=1) if settled.day <= _MIDDLE else following.replace(day=_MIDDLE)
    return at_new_york(published.isoformat(), 18)
