"""Asking for the alerts of many symbols since a time: every page, each row once, and no pretending."""

from collections.abc import Mapping, Sequence
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from tests.builders import DAY, NOW, SESSION
from tradebot.adapters.wire.http import decode
from tradebot.desk.streaming import FULL_PAGE, MOST_SYMBOLS, Refilled, refill
from tradebot.errors import TemporaryError
from tradebot.model.flow import FlowPage, Quota
from tradebot.model.kind import AnyKind
from tradebot.signals.rows import past_time

NAMES = ("AAPL", "BRK.B")


def alert(number: int, ticker: str = "AAPL", age_s: float = 60, **changes: object) -> dict[str, Any]:
    """Return an alert in the form of the REST API."""
    at = NOW - timedelta(seconds=age_s)
    return {
        "id": f"alert-{number}", "ticker": ticker, "created_at": f"{at:%Y-%m-%dT%H:%M:%S.%f}Z", "type": "call",
        "strike": "88", "expiry": "2026-12-18", "total_premium": "40000", "total_ask_side_prem": "30000",
        "total_bid_side_prem": "9000", "volume": 14920, "open_interest": 19829, "has_sweep": True, "has_floor": False,
        "has_multileg": False, "issue_type": "Common Stock", "option_chain": f"{ticker}261218C00088000",
    } | changes  # fmt: skip


class Rest:
    """The REST API over a list of alerts, newest first: cursors are inclusive, as they seem to be at the vendor."""

    def __init__(self, rows: Sequence[Any] = ()) -> None:
        self.rows = list(rows)
        self.asked: list[Mapping[str, str]] = []
        self.down = False
        self.inclusive = True
        self.now = NOW

    def fetch(self, kind: AnyKind, symbol: str | None, session: date) -> FlowPage:
        assert symbol is None
        params = kind.request("", session).params
        self.asked.append(params)
        if self.down:
            raise TemporaryError("away")
        tickers = params["ticker_symbol"].split(",")
        newer, older = params["newer_than"], params.get("older_than")
        found = [row for row in self.rows if not isinstance(row, dict) or row.get("ticker") in (*tickers, "OTHER")]
        kept = [row for row in found if self._is_between(row, newer, older)]
        kept.sort(key=lambda row: self._at(row) or NOW, reverse=True)
        return FlowPage(kind.name, symbol, tuple(kept[: int(params["limit"])]), Quota(len(self.asked), 15_000, None))

    def calls_left(self) -> int | None:
        return None

    def _is_between(self, row: Any, newer: str, older: str | None) -> bool:
        at = self._at(row)
        if at is None:
            return True
        end = self.now if older is None else min(self.now, datetime.fromisoformat(older))
        return datetime.fromisoformat(newer) <= at and (at <= end if self.inclusive else at < end)

    def _at(self, row: Any) -> datetime | None:
        return past_time(row, "created_at", NOW + timedelta(days=9)) if isinstance(row, dict) else None


def refilled(rest: Rest, symbols: Sequence[str] = NAMES) -> Refilled:
    return refill(rest, symbols, SESSION.open, DAY, lambda: NOW)


def ids(found: Refilled, symbol: str) -> list[str]:
    (intake,) = [intake for intake in found.intakes if intake.symbol == symbol]
    return sorted(fact.id for fact in intake.facts)


def test_each_symbol_gets_a_reply_of_its_own_even_an_empty_one() -> None:
    rest = Rest([alert(1), alert(2, "BRKB"), alert(3)])
    found = refilled(rest, ("AAPL", "BRK.B", "MSFT"))
    assert (ids(found, "AAPL"), ids(found, "BRK.B"), ids(found, "MSFT")) == (["alert-1", "alert-3"], ["alert-2"], [])
    assert [intake.at for intake in found.intakes] == [NOW] * 3
    (asked,) = rest.asked
    assert asked == {"ticker_symbol": "AAPL,BRKB,MSFT", "limit": "200", "newer_than": "2026-11-16T14:30:00.000000Z"}
    assert [decode(page.body) for page in found.pages] == [{"data": list(page.rows)} for page in found.pages]
    assert found.about == {"AAPL": {"issue_type": "Common Stock"}, "BRK.B": {"issue_type": "Common Stock"}}


@pytest.mark.parametrize("inclusive", [True, False])
def test_pages_are_asked_for_until_one_is_not_full_whatever_a_cursor_includes(inclusive: bool) -> None:
    rest = Rest([alert(number, age_s=60 + number // 3) for number in range(3 * FULL_PAGE)])
    rest.inclusive = inclusive
    found = refilled(rest)
    assert len(ids(found, "AAPL")) == 3 * FULL_PAGE
    assert found.calls == len(rest.asked) > 3
    assert all(intake.duplicates == 0 for intake in found.intakes)


def test_more_symbols_than_one_call_takes_are_asked_about_in_several() -> None:
    rest = Rest()
    names = [f"S{number}" for number in range(MOST_SYMBOLS + 1)]
    found = refilled(rest, names)
    assert [intake.symbol for intake in found.intakes] == names
    assert [len(asked["ticker_symbol"].split(",")) for asked in rest.asked] == [MOST_SYMBOLS, 1]


def test_alerts_that_no_page_shows_are_no_reply() -> None:
    rest = Rest([alert(number) for number in range(FULL_PAGE + 1)])
    with pytest.raises(TemporaryError, match="more alerts"):
        refilled(rest)


def test_full_pages_of_what_has_no_time_end_the_asking() -> None:
    with pytest.raises(TemporaryError, match="more alerts"):
        refilled(Rest([None] * FULL_PAGE))


def test_a_row_of_another_ticker_counts_for_every_symbol_and_a_bad_one_too() -> None:
    found = refilled(Rest([alert(1), alert(2, "OTHER"), "nonsense"]))
    counts = [(intake.received, len(intake.facts), intake.foreign, len(intake.rejected)) for intake in found.intakes]
    assert counts == [(3, 1, 1, 1), (2, 0, 1, 1)]
