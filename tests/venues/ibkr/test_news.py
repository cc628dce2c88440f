"""Headlines over the embedded exchange's TWS, and over a Gateway that answers as a test wants."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from tests.kit.adapters.ibkr import Connection, Exchange
from tests.kit.values import NOW
from tradebot.errors import NotInPlanError, TemporaryError
from tradebot.model.flow import FlowPage, Quota
from tradebot.signals.headlines import headlines_kind
from tradebot.signals.normalize import normalize
from tradebot.venues.ibkr.news import IbkrNews

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def page(*rows: object) -> FlowPage:
    return FlowPage("news", None, rows, Quota(None, None, None))


def test_headlines_of_a_period_become_facts_as_documented(one: Connection, there: Exchange) -> None:
    now = there.now
    rows: Any = IbkrNews(one.venue, ["ESZ6"]).headlines(now - DAY, now)
    intake = normalize(headlines_kind(), page(*rows), now)
    assert (intake.rejected, intake.findings) == ((), ())
    published = [datetime.fromisoformat(row["created_at"]) for row in rows]
    assert len(intake.facts) == len(rows) > 5
    assert all(now - DAY <= at <= now for at in published)
    assert IbkrNews(one.venue, ["ESZ6"]).headlines(now - HOUR, now) == rows
    # The first second belongs to the period.
    oldest = min(published)
    assert len(IbkrNews(one.venue, ["ESZ6"]).headlines(oldest, oldest + DAY)) == len(rows)
    both = IbkrNews(one.venue, ["ES", "ESH7"]).headlines(now - DAY, now)
    assert len(normalize(headlines_kind(), page(*both), now).facts) < len(both), "one about the market counts once"


def test_contract_that_the_venue_does_not_list_has_no_headlines(one: Connection, there: Exchange) -> None:
    with pytest.raises(TemporaryError, match="doesn't list exactly one future ESU6"):
        IbkrNews(one.venue, ["ESU6"]).headlines(there.now - HOUR, there.now)


class Gateway(SimpleNamespace):
    """A connection that answers each request for headlines with the next page."""

    def __init__(self, codes: str, *pages: list[Any]) -> None:
        details = SimpleNamespace(contract=SimpleNamespace(conId=7))
        super().__init__(codes=codes, pages=deque(pages), asked=[], contracts={"ESZ6": details}, link=self)

    def before_read(self) -> None: ...

    def read(self, question: Callable[[Any], Awaitable[Any]]) -> Any:
        return asyncio.run(question(self))  # type: ignore[arg-type]

    async def news_providers(self) -> list[SimpleNamespace]:
        return [SimpleNamespace(code=code) for code in self.codes.split()]

    async def past_headlines(self, *asked: object) -> list[Any]:
        self.asked.append(asked)
        if len(self.pages) > 1:
            return self.pages.popleft()  # type: ignore[no-any-return]
        return self.pages[0]  # type: ignore[no-any-return]


def headlines(gateway: Gateway) -> Any:
    return IbkrNews(gateway, ["ESZ6"]).headlines(NOW - HOUR, NOW)  # type: ignore[arg-type]


def test_next_page_ends_with_the_oldest_headline_of_the_last() -> None:
    first, second = ("2026-11-16 14:58:00.0", "BZ", "BZ$1", "Fed"), ("2026-11-16 14:31:00.0", "BZ", "BZ$2", "CPI")
    gateway = Gateway("BZ DJNL", [first, second, True], [second, False])
    rows = headlines(gateway)
    assert [row["id"] for row in rows] == ["BZ$1", "BZ$2"]
    assert rows[0] == {
        "id": "BZ$1", "created_at": "2026-11-16 14:58:00.0+00:00", "headline": "Fed", "tickers": ["ESZ6"],
    }  # fmt: skip
    start = f"{NOW - DAY - timedelta(seconds=1):%Y-%m-%d %H:%M:%S.0}"
    assert [asked[:4] for asked in gateway.asked] == [
        (7, "BZ+DJNL", start, f"{NOW:%Y-%m-%d %H:%M:%S.0}"),
        (7, "BZ+DJNL", start, "2026-11-16 14:31:00.0"),
    ]


@pytest.mark.parametrize(
    ("codes", "answer", "error", "message"),
    [
        ("", [False], NotInPlanError, "offers this account no news services"),
        ("BZ", [("soon", "BZ", "BZ$1", "Fed"), True], TemporaryError, "without a readable time"),
        ("BZ", [True], TemporaryError, "without a readable time"),
        ("BZ", [("2026-11-16 14:58:00.0", "BZ", "BZ$1", "Fed"), True], TemporaryError, "more than 6,000 headlines"),
    ],
)
def test_incomplete_answer_is_an_error_and_never_no_headlines(
    codes: str, answer: list[Any], error: type[Exception], message: str
) -> None:
    with pytest.raises(error, match=message):
        headlines(Gateway(codes, answer))


def test_headline_without_a_readable_time_is_rejected_alone() -> None:
    rows = headlines(Gateway("BZ", [("soon", "BZ", "BZ$1", "Fed"), ("2026-11-16 14:58:00.0", "BZ", "2", "CPI"), False]))
    intake = normalize(headlines_kind(), page(*rows), datetime.fromisoformat("2026-11-16T15:00:00+00:00"))
    assert ([row.reason for row in intake.rejected], len(intake.facts)) == (["created_at is not a time"], 1)
