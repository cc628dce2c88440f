"""Services with headlines over HTTP: what is asked, and what each documented reply and error means."""

from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.kit.adapters.alpaca import AT_ONCE, QUICK
from tests.kit.fakes.scripted import Scripted, Wire
from tradebot.adapters.flow.http_headlines import CLIENTS, NewsService
from tradebot.adapters.flow.reply_archive import KeptReplies
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.errors import AllowanceSpentError, NotInPlanError, OperatorError, TemporaryError
from tradebot.model.flow import Allowance, FlowPage, Quota
from tradebot.model.struct_tools import replace
from tradebot.signals.headlines import headlines_kind
from tradebot.signals.kinds import kind_of
from tradebot.signals.normalize import normalize

NOW, HOUR = datetime(2026, 11, 20, 15, 30, tzinfo=UTC), timedelta(hours=1)
KEY = "k" * 32
ARTICLE = {
    "uuid": "cc11e3ab-0", "title": "Fed cuts rates", "description": "", "keywords": "", "snippet": "", "url": "https://e.x",
    "image_url": "", "language": "en", "published_at": "2026-11-20T15:01:00.000000Z", "source": "e.x",
    "relevance_score": None, "entities": [{"symbol": "AAPL", "name": "Apple", "type": "equity"}], "similar": [],
}  # fmt: skip


FED = {
    "title": "Fed cuts rates", "url": "https://e.x/1", "time_published": "20261120T150100", "authors": [],
    "source": "e.x", "topics": [{"topic": "Economy", "relevance_score": "0.9"}], "overall_sentiment_score": 0.1,
    "ticker_sentiment": [{"ticker": "AAPL", "relevance_score": "0.5"}, {"ticker": "FOREX:USD"}],
}  # fmt: skip


def headlines(wire: Wire, name: str, **changes: Any) -> Any:
    """Return what a service answers about the last hour."""
    service = NewsService("SOME_KEY", "https://known.example", wire.url, KEY, None, None, lambda: NOW)
    usual = {"bounds": QUICK, "policy": AT_ONCE, "sleep": lambda seconds: None}
    service = replace(service, **{**usual, **changes})
    return CLIENTS[name](service, ["AAPL", "SPY"]).headlines(NOW - HOUR, NOW)


def articles(numbers: range, found: int) -> Scripted:
    rows = [{**ARTICLE, "uuid": f"id {number}"} for number in numbers]
    return Scripted(200, {"meta": {"found": found, "returned": len(rows), "limit": 3, "page": 1}, "data": rows})


def refusal(status: int, code: str) -> Scripted:
    return Scripted(status, {"error": {"code": code, "message": "words"}})


def feed(*rows: object) -> Scripted:
    return Scripted(200, {"items": str(len(rows)), "feed": rows})


def words(name: str) -> Scripted:
    return Scripted(200, {name: f"We have detected your API key as {KEY} and our rate limit is 25 requests per day."})


def intake(rows: Any) -> tuple[int, list[str], list[str]]:
    """Return how many rows became facts, why others were rejected, and how they differ from the documents."""
    read = normalize(headlines_kind(), FlowPage("news", None, tuple(rows), Quota(None, None, None)), NOW)
    findings = sorted(f"{each.breach} {each.field}" for each in read.findings)
    return len(read.facts), [row.reason for row in read.rejected], findings


def test_marketaux_is_asked_for_each_page_of_a_period(wire: Wire) -> None:
    wire.answer(articles(range(3), 7), articles(range(3, 6), 7), articles(range(6, 7), 7))
    rows = headlines(wire, "marketaux")
    assert intake(rows) == (7, [], [])
    assert rows[0] == {
        "id": "id 0", "created_at": ARTICLE["published_at"], "headline": "Fed cuts rates", "tickers": ["AAPL"],
    }  # fmt: skip
    assert [asked.query["page"] for asked in wire.asked] == ["1", "2", "3"]
    assert (wire.asked[0].path, wire.asked[0].query) == (
        "/v1/news/all",
        {"symbols": "AAPL,SPY", "filter_entities": "true", "language": "en", "published_after": "2026-11-20T14:30:00",
         "published_before": "2026-11-20T15:30:00", "page": "1", "api_token": KEY},
    )  # fmt: skip


def test_stored_reply_gives_the_same_facts_when_it_is_read_again(wire: Wire, tmp_path: Path) -> None:
    wire.answer(articles(range(3), 3))
    page = FlowPage("news", None, tuple(headlines(wire, "marketaux")), Quota(None, None, None))
    with closing(KeptReplies(tmp_path, MemoryEvents(), 1)) as replies:
        replies.keep(page, NOW.date(), NOW)
        (reply,) = replies.replies({"news"}, (NOW.date(), NOW.date()), NOW)
    again = normalize(kind_of("news"), reply.page(), reply.at)
    assert again.facts == normalize(headlines_kind(), page, NOW).facts
    assert len(again.facts) == 3


def test_alpha_vantage_is_asked_once_for_the_whole_market_since_a_time(wire: Wire) -> None:
    wire.answer(feed(FED, {**FED, "url": "https://e.x/2", "time_published": 7}, {"url": "https://e.x/3"}))
    rows = headlines(wire, "alpha_vantage")
    assert rows[0] == {
        "id": "https://e.x/1", "created_at": "20261120T150100Z", "headline": "Fed cuts rates",
        "tickers": ["AAPL", "FOREX:USD"],
    }  # fmt: skip
    kept, rejected, findings = intake(rows)
    assert (kept, len(rejected)) == (2, 1)
    assert findings == ["gone created_at", "gone headline", "gone tickers", "retyped created_at"]
    (asked,) = wire.asked
    assert (asked.path, asked.query) == (
        "/query",
        {"function": "NEWS_SENTIMENT", "time_from": "20261120T1430", "sort": "LATEST", "limit": "1000", "apikey": KEY},
    )


WRONG: list[tuple[str, Scripted, type[Exception], str]] = [
    ("marketaux", refusal(400, "malformed_parameters"), TemporaryError, "answered 400: .*malformed_parameters.*words"),
    ("marketaux", refusal(401, "invalid_api_token"), OperatorError, "refused the key"),
    ("marketaux", refusal(402, "usage_limit_reached"), AllowanceSpentError, "until 2026-11-20 20:00 New York time"),
    ("marketaux", refusal(403, "endpoint_access_restricted"), NotInPlanError, "answered 403"),
    ("marketaux", refusal(404, "resource_not_found"), TemporaryError, "answered 404"),
    ("marketaux", refusal(429, "rate_limit_reached"), TemporaryError, "answered 429"),
    ("marketaux", refusal(500, "server_error"), TemporaryError, "answered 500"),
    ("marketaux", refusal(503, "maintenance_mode"), TemporaryError, "answered 503"),
    ("marketaux", Scripted(200, b"<html>"), TemporaryError, "not JSON"),
    ("marketaux", Scripted(200, []), TemporaryError, "did not return a JSON object"),
    ("marketaux", Scripted(200, {"data": []}), TemporaryError, "without headlines or their count"),
    ("marketaux", Scripted(200, {"meta": {"found": 3}}), TemporaryError, "without headlines or their count"),
    ("marketaux", articles(range(3), 999), TemporaryError, "999 headlines since 14:30 UTC, but only 60 in 20 pages"),
    ("marketaux", articles(range(0), 4), TemporaryError, "4 headlines since 14:30 UTC, but only 0 in 1 page"),
    ("marketaux", Scripted(200, b"{", fault="truncate"), TemporaryError, "cut short"),
    ("alpha_vantage", words("Information"), AllowanceSpentError, "answered: We have detected your API key as SOME_KEY"),
    ("alpha_vantage", words("Note"), AllowanceSpentError, "answered: We have detected"),
    ("alpha_vantage", words("Error Message"), OperatorError, "refused the request: We have detected"),
    ("alpha_vantage", Scripted(404, {}), TemporaryError, "answered 404 without headlines"),
    ("alpha_vantage", Scripted(200, {"items": "0"}), TemporaryError, "answered 200 without headlines"),
    ("alpha_vantage", Scripted(200, b"<html>"), TemporaryError, "not JSON"),
    ("alpha_vantage", Scripted(503, b""), TemporaryError, "answered 503"),
    ("alpha_vantage", feed(*[FED] * 1000), TemporaryError, "more than 1,000 headlines since 14:30 UTC"),
]


@pytest.mark.parametrize(("name", "answer", "error", "message"), WRONG)
def test_reply_without_all_headlines_is_an_error_without_the_key(
    wire: Wire, name: str, answer: Scripted, error: type[Exception], message: str
) -> None:
    wire.answer(answer)
    with pytest.raises(error, match=message) as failed:
        headlines(wire, name)
    assert KEY not in str(failed.value)


@pytest.mark.parametrize(
    ("name", "answer", "calls"),
    [
        ("marketaux", refusal(402, "usage_limit_reached"), 1),
        ("marketaux", refusal(401, "invalid_api_token"), 4),
        ("alpha_vantage", words("Information"), 1),
        ("alpha_vantage", feed(), 4),
        ("marketaux", Scripted(200, {"meta": {"found": 0}, "data": []}), 4),
    ],
)  # fmt: skip
def test_processes_share_the_day_s_calls_and_stop_once_the_service_says_they_are_spent(
    wire: Wire, tmp_path: Path, name: str, answer: Scripted, calls: int
) -> None:
    wire.answer(answer)
    for _ in range(6):
        try:
            headlines(wire, name, allowance=Allowance(30, 4), quota_file=tmp_path / "quota")
        except (AllowanceSpentError, OperatorError):
            continue
    assert len(wire.asked) == calls


def test_call_after_too_many_in_a_minute_waits_for_the_next_one(wire: Wire, tmp_path: Path) -> None:
    waits = list[float]()
    wire.answer(refusal(429, "rate_limit_reached"), articles(range(1), 1))
    with pytest.raises(TemporaryError):
        headlines(wire, "marketaux", quota_file=tmp_path / "quota", sleep=waits.append)
    assert len(headlines(wire, "marketaux", quota_file=tmp_path / "quota", sleep=waits.append)) == 1
    assert waits == [60]


def test_missing_or_unreadable_field_costs_its_own_row_and_is_reported(wire: Wire) -> None:
    untitled = {name: value for name, value in ARTICLE.items() if name != "title"}
    rows = [ARTICLE, untitled, {**ARTICLE, "uuid": "2", "published_at": "soon", "entities": None}, 7]
    wire.answer(Scripted(200, {"meta": {"found": 4}, "data": rows}))
    kept, rejected, findings = intake(headlines(wire, "marketaux"))
    assert kept == 1
    assert rejected == ["headline is missing", "created_at is not a time", "the row is not an object"]
    assert findings == ["gone headline", "gone tickers", "retyped "]


@pytest.mark.parametrize("change", [{"url": "https://elsewhere.example"}, {"key": ""}, {"key": "'quoted'"}])
def test_unknown_address_or_unusable_key_is_never_sent_to(wire: Wire, change: dict[str, str]) -> None:
    for name in CLIENTS:
        with pytest.raises(OperatorError):
            headlines(wire, name, **change)
    assert wire.asked == []
