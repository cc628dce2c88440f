"""Which key, address and mode belong together, decided before any request.

No minute holds more requests than burst and rate allow.
"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.fakes.machine import Timer
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.trading import Mode
from tradebot.venues.alpaca.wire import DATA_URL, LIVE_URL, PAPER_URL, AlpacaVenue, TokenBucket, check_credentials

# Put together here, so that no text in the tree looks like a key.
PAPER_KEY = "PK" + "0" * 18
LIVE_KEY = "AK" + "0" * 18
OTHER_KEY = "CK" + "0" * 18
LOOPBACK = "http://127.0.0.1:8123"

FITTING = [
    (Mode.SANDBOX, "sandbox", LOOPBACK),
    (Mode.SANDBOX, "sandbox", "http://localhost:80"),
    (Mode.SANDBOX, "sandbox", "http://[::1]:8123"),
    (Mode.PAPER, PAPER_KEY, PAPER_URL),
    (Mode.PAPER, OTHER_KEY, PAPER_URL),
    (Mode.LIVE, LIVE_KEY, LIVE_URL),
    (Mode.LIVE, OTHER_KEY, LIVE_URL),
]
UNFITTING = [
    (Mode.SANDBOX, "sandbox", PAPER_URL),
    (Mode.SANDBOX, "sandbox", LIVE_URL),
    (Mode.PAPER, PAPER_KEY, LIVE_URL),
    (Mode.PAPER, PAPER_KEY, LOOPBACK),
    (Mode.PAPER, LIVE_KEY, PAPER_URL),
    (Mode.PAPER, LIVE_KEY, LIVE_URL),
    (Mode.LIVE, LIVE_KEY, PAPER_URL),
    (Mode.LIVE, LIVE_KEY, LOOPBACK),
    (Mode.LIVE, PAPER_KEY, LIVE_URL),
    (Mode.LIVE, PAPER_KEY, PAPER_URL),
]
ODD_URLS = [
    *("", "paper-api.alpaca.markets", PAPER_URL.upper(), PAPER_URL.replace("https", "http"), "https://127.0.0.1:8123"),
    *(PAPER_URL + more for more in ("/", "/v2", ":443", "?x=1", "\n", ".evil.example")),
    *(PAPER_URL.replace("://", "://user:word@"), "https://evil.example#" + PAPER_URL, LOOPBACK + "/"),
    *(LOOPBACK + "@evil.example", "http://user@127.0.0.1:8123", "http://127.0.0.1.evil.example:80"),
    *("http://127.0.0.1:99999", "http://127.0.0.1:0", "http://127.0.0.1:80a", "http://127.0.0.2:80"),
    "http://0.0.0.0:80",
]


@pytest.mark.parametrize(("mode", "key", "url"), FITTING)
def test_venue_accepts_a_key_at_the_address_of_its_mode(mode: Mode, key: str, url: str) -> None:
    check_credentials(mode, key, url)


@pytest.mark.parametrize(("mode", "key", "url"), UNFITTING)
def test_venue_refuses_a_key_or_address_of_another_mode(mode: Mode, key: str, url: str) -> None:
    with pytest.raises(OperatorError) as raised:
        check_credentials(mode, key, url)
    assert raised.value.code is ExitCode.USAGE
    assert raised.value.hint
    assert key not in raised.value.message + raised.value.hint or key == "sandbox"


@pytest.mark.parametrize("url", ODD_URLS)
@pytest.mark.parametrize("mode", list(Mode))
def test_an_address_that_is_not_exactly_a_known_one_is_refused_in_every_mode(mode: Mode, url: str) -> None:
    with pytest.raises(OperatorError) as raised:
        check_credentials(mode, "sandbox", url)
    assert "word" not in raised.value.message


@pytest.mark.parametrize("key", ["", " ", "key\n", "key\r\nX: y", "'key'", '"key"', "k\u00e9y", "a b"])
def test_a_key_that_no_header_can_carry_is_refused(key: str) -> None:
    with pytest.raises(OperatorError, match="ALPACA_KEY"):
        check_credentials(Mode.SANDBOX, key, LOOPBACK)


def venue(**changes: Any) -> AlpacaVenue:
    parts: dict[str, Any] = {
        "mode": Mode.PAPER,
        "base_url": PAPER_URL,
        "data_url": DATA_URL,
        "key": PAPER_KEY,
        "secret": "s" * 20,
        "feed": "iex",
    }
    return AlpacaVenue(**parts | changes)


def test_a_venue_hides_its_secrets_and_only_a_real_one_has_a_budget() -> None:
    paper = venue()
    assert PAPER_KEY not in repr(paper)
    assert "s" * 20 not in repr(paper)
    assert paper.budget is not None
    assert venue(mode=Mode.SANDBOX, base_url=LOOPBACK, data_url=LOOPBACK, feed="sandbox").budget is None


@pytest.mark.parametrize(
    "changes",
    [
        {"data_url": PAPER_URL},
        {"data_url": DATA_URL + "/"},
        {"data_url": LOOPBACK},
        {"feed": "sandbox"},
        {"feed": ""},
        {"secret": ""},
        {"secret": "s\n"},
        {"mode": Mode.SANDBOX, "base_url": LOOPBACK, "feed": "sandbox"},
    ],
)
def test_venue_refuses_parts_that_do_not_fit(changes: dict[str, Any]) -> None:
    with pytest.raises(OperatorError) as refused:
        venue(**changes)
    assert "mode" not in changes or "market data address" in refused.value.message


@given(st.lists(st.floats(min_value=0, max_value=20), min_size=1, max_size=400))
def test_bucket_allows_no_more_than_burst_and_rate_in_any_minute(pauses: list[float]) -> None:
    timer = Timer()
    bucket = TokenBucket(160, 30, monotonic=timer.monotonic, sleep=timer.sleep)
    taken = []
    for pause in [*pauses, *[0.0] * 400]:
        timer.sleep(pause)
        bucket.take()
        taken.append(timer.now)
    assert max(sum(start <= at < start + 60 for at in taken) for start in taken[::20]) <= 191


def test_bucket_lets_the_burst_through_and_then_waits_one_interval() -> None:
    timer = Timer()
    bucket = TokenBucket(60, 5, monotonic=timer.monotonic, sleep=timer.sleep)
    for _ in range(5):
        bucket.take()
    assert timer.now == 0
    bucket.take()
    assert timer.now == 1
