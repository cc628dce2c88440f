"""Generate headlines: about companies of the market, and about all of it. They say nothing about prices to come."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from papervenue.chance import stream
from papervenue.flow.series import RECENT, Answered, Made, Question, Row, feed_ticker, kept, known, row
from papervenue.times import SECOND, at_new_york, new_york_date, rfc3339

_A_DAY = 40
_DAY_S = 86_400
_SHARE_MAJOR = 0.2
_SOURCES = ("Wire Monday", "Ticker Tape", "Market Notes")
_SENTIMENTS = ("positive", "neutral", "negative")
_COMPANY = {
    "earnings": ("{} reports quarterly results", "{} raises its guidance"),
    "merger": ("{} agrees to acquire a rival",),
    "regulatory": ("Regulators open a probe into {}",),
    "products": ("{} shows a new product", "{} names a new chief executive"),
}
_MARKET = {
    "economy": ("Inflation slows for a third month", "Jobless claims are little changed"),
    "federal-reserve": ("Fed officials see no hurry",),
    "markets": ("Stocks drift in quiet trading", "Oil ends higher"),
}


class Headlines(Made):
    def answer(self, symbol: str, question: Question, now_us: int) -> Answered:
        """Return the headlines of the last days, newest first; of one ticker or only major ones if those are asked."""
        params, today = question.params, date.fromisoformat(new_york_date(now_us))
        ticker, words = params.text("ticker").upper(), params.text("search_term").lower()
        major = params.flag("major_only", default=False)
        days = (today - timedelta(days=ago) for ago in range(3))
        rows = [one for day in days for one in reversed(known(self._of_day(day, self.market.symbols), now_us))]
        return Answered(
            [
                one
                for one in rows
                if (not ticker or ticker in one.fields["tickers"])
                and words in one.fields["headline"].lower()
                and (one.fields["is_major"] or not major)
            ]
        )

    @kept(RECENT)
    def _of_day(self, day: date, symbols: tuple[str, ...]) -> tuple[Row, ...]:
        """Return the headlines of a date in New York, in the order in which they are published."""
        rng = stream(self.seed, "headlines", day)
        begins_us = at_new_york(day.isoformat(), 0)
        times = sorted(int(_DAY_S * rng.random()) for _ in range(_A_DAY))
        return tuple(self._row(begins_us + at_s * SECOND, number, day, symbols) for number, at_s in enumerate(times))

    def _row(self, at_us: int, number: int, day: date, symbols: tuple[str, ...]) -> Row:
        rng = stream(self.seed, "headline", day, number)

        def one_of(choices: Any) -> Any:
            return choices[int(len(choices) * rng.random())]

        about = one_of(symbols) if rng.random() < 0.6 else None
        topics = _COMPANY if about else _MARKET
        topic = one_of(tuple(topics))
        ticker = feed_ticker(about) if about else ""
        fields: dict[str, Any] = {
            "created_at": rfc3339(at_us),
            "headline": one_of(topics[topic]).format(ticker),
            "is_major": rng.random() < _SHARE_MAJOR,
            "meta": {},
            "sentiment": one_of(_SENTIMENTS),
            "source": one_of(_SOURCES),
            "tags": [topic],
            "tickers": [ticker] if ticker else [],
        }
        return row(at_us, fields)
