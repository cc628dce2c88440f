"""Candidates from outside: each line is a candidate, a duplicate, or counted with why it is neither."""

import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.adapters.flow.candidate_jsonl import MAX_BYTES, MAX_LINES, read
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.candidate import Side, Submission, Submitted
from tradebot.model.position import ADOPTED
from tradebot.orders.rehearsal import STRATEGY
from tradebot.views.holdings import FOREIGN_OWNER

GOOD = {"symbol": "AAPL", "side": "buy", "score": 0.6}


def lines(*items: Any) -> Submission:
    text = "\n".join(item if isinstance(item, str) else json.dumps(item) for item in items)
    return read(io.BytesIO(text.encode()), "test", {"flow"})


def one(item: Any) -> Submitted:
    found = lines(item)
    assert found.bad == ()
    (candidate,) = found.candidates
    return candidate


def reason(item: Any) -> str:
    found = lines(item)
    assert found.candidates == ()
    (bad,) = found.bad
    assert bad.line == 1
    return bad.reason


def test_symbol_side_and_score_are_enough() -> None:
    assert one(GOOD) == Submitted("AAPL", Side.BUY, 0.6, "candidates", "own", None, None)


def test_everything_optional_is_kept() -> None:
    said = GOOD | {"source": "my_model", "strategy": "mine", "coverage": 0.5, "at": "2026-11-16T15:00:00Z"}
    at = datetime(2026, 11, 16, 15, tzinfo=UTC)
    assert one(said) == Submitted("AAPL", Side.BUY, 0.6, "my_model", "mine", 0.5, at)


@pytest.mark.parametrize("score", [0.6, -0.6])
def test_sell_is_bearish_whatever_the_sign_of_its_strength(score: float) -> None:
    assert one(GOOD | {"side": "SELL", "score": score}).score == -0.6


def test_alert_without_strength_counts_in_full() -> None:
    alert = {"ticker": "NASDAQ:AAPL", "action": "buy", "close": 12.5, "time": "2026-11-16T15:00:00Z", "strategy": {}}
    at = datetime(2026, 11, 16, 15, tzinfo=UTC)
    assert one(alert) == Submitted("AAPL", Side.BUY, 1.0, "tradingview", "own", None, at)


def test_alert_may_carry_its_strength_and_its_strategy() -> None:
    alert = {"ticker": "brk.b", "action": "short", "score": "0.4", "strategy": "swing"}
    assert one(alert) == Submitted("BRK.B", Side.SELL, -0.4, "tradingview", "swing", None, None)


@pytest.mark.parametrize(("action", "position"), [("buy", "long"), ("sell", "Short"), ("short", "short")])
def test_an_alert_whose_position_agrees_with_its_side_is_an_entry(action: str, position: str) -> None:
    assert one({"ticker": "AAPL", "action": action, "market_position": position}).symbol == "AAPL"


@pytest.mark.parametrize("time", [1794841200, 1794841200.0, 1794841200000, "1794841200"])
def test_an_alerts_time_may_be_epoch_seconds_or_milliseconds(time: object) -> None:
    assert one({"ticker": "AAPL", "action": "buy", "time": time}).at == datetime(2026, 11, 16, 15, tzinfo=UTC)


@pytest.mark.parametrize("name", [FOREIGN_OWNER, ADOPTED, STRATEGY])
def test_the_names_under_which_the_bot_keeps_its_own_books_are_reserved(name: str) -> None:
    assert reason(GOOD | {"strategy": name}) == "reserved_strategy"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("nonsense", "not_json"),
        ('{"symbol":"AAPL","side":"buy","score":NaN}', "not_json"),
        ('{"symbol":"AAPL","symbol":"MSFT","side":"buy","score":0.5}', "repeated_key"),
        ("[" * 100_000, "not_json"),
        ("[1]", "not_an_object"),
        ("{}", "symbol_missing"),
        ({"symbol": "AAPL", "side": "buy"}, "score_missing"),
        (GOOD | {"score": 1.5}, "score_invalid"),
        (GOOD | {"score": True}, "score_invalid"),
        (GOOD | {"side": "hold"}, "side_invalid"),
        (GOOD | {"symbol": "$(rm)"}, "symbol_invalid"),
        (GOOD | {"symbol": 7}, "symbol_invalid"),
        (GOOD | {"coverage": 2}, "coverage_invalid"),
        (GOOD | {"at": "2026-11-16T15:00:00"}, "at_invalid"),
        (GOOD | {"quantity": 100}, "unknown_key"),
        (GOOD | {"score": -0.6}, "side_against_score"),
        (GOOD | {"source": "strategy"}, "reserved_source"),
        (GOOD | {"strategy": "flow"}, "reserved_strategy"),
        (GOOD | {"strategy": ""}, "strategy_invalid"),
        ({"ticker": "AAPL", "action": "close"}, "no_entry"),
        ({"ticker": "AAPL", "action": "sell", "market_position": "flat"}, "no_entry"),
        ({"ticker": "AAPL", "action": "sell", "market_position": "long"}, "no_entry"),
        ({"ticker": "AAPL", "action": "buy", "market_position": "short"}, "no_entry"),
        ({"ticker": "AAPL", "action": "buy", "market_position": None}, "no_entry"),
        ({"ticker": "AAPL", "action": "sell", "strategy": {"market_position": "long"}}, "no_entry"),
        ({"ticker": "AAPL", "action": "buy", "score": {}}, "score_invalid"),
        ({"ticker": "AAPL", "action": "buy", "score": None}, "score_invalid"),
        ({"ticker": "AAPL", "action": "buy", "time": "yesterday"}, "at_invalid"),
        ({"ticker": "AAPL", "action": "buy", "time": {}}, "at_invalid"),
        ({"ticker": "AAPL", "action": "buy", "time": True}, "at_invalid"),
        ({"ticker": "AAPL", "action": "buy", "time": 1e300}, "at_invalid"),
        ({"ticker": None, "action": "buy"}, "symbol_invalid"),
    ],
)
def test_a_bad_line_is_counted_with_its_reason(line: Any, expected: str) -> None:
    assert reason(line) == expected


def test_bad_line_is_dropped_alone_and_blank_lines_are_ignored() -> None:
    found = lines(GOOD, "", "bad", GOOD | {"symbol": "MSFT"}, "  ")
    assert [candidate.symbol for candidate in found.candidates] == ["AAPL", "MSFT"]
    assert (found.lines, [(bad.line, bad.reason) for bad in found.bad]) == (3, [(3, "not_json")])


def test_repeated_line_is_a_duplicate_and_its_opposite_is_bad() -> None:
    found = lines(GOOD, GOOD | {"score": 0.9}, GOOD | {"side": "sell"}, GOOD | {"strategy": "other"})
    assert [(c.strategy, c.score) for c in found.candidates] == [("own", 0.6), ("other", 0.6)]
    assert (found.duplicates, [bad.reason for bad in found.bad]) == (1, ["against_earlier"])


def test_id_follows_from_the_content() -> None:
    assert lines(GOOD).digest == lines(GOOD).digest != lines(GOOD | {"score": 0.7}).digest


@pytest.mark.parametrize("data", [b"{}\n" * (MAX_LINES + 1), b" " * (MAX_BYTES + 1)])
def test_too_many_lines_are_refused_as_a_whole(data: bytes) -> None:
    with pytest.raises(OperatorError, match="nothing was traded") as refused:
        read(io.BytesIO(data), "test", ())
    assert refused.value.code is ExitCode.USAGE


VALUES = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5) | st.lists(st.none(), max_size=1)
KEYS = st.sampled_from(["symbol", "side", "score", "source", "strategy", "coverage", "at", "ticker", "action", "time"])


@settings(max_examples=150)
@given(st.lists(st.binary(max_size=40) | st.dictionaries(KEYS, VALUES).map(lambda d: json.dumps(d).encode())))
def test_every_line_is_accepted_or_counted(sent: list[bytes]) -> None:
    found = read(io.BytesIO(b"\n".join(sent)), "test", {"flow"})
    assert found.lines == len(found.candidates) + found.duplicates + len(found.bad)
    assert all(-1 <= candidate.score <= 1 for candidate in found.candidates)
