"""The websocket as a hint at a real socket: what rings, what doesn't, and how listening begins anew."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest
from websockets.sync.server import ServerConnection

from exchange.tests.kit.app import folders_of
from exchange.tests.kit.kraken import KEY, SECRET, V3, XBT, signature, spec
from exchange.tests.kit.served import Served, served
from tests.adapters.flow.test_stream import QUICK, none_left_open, source
from tests.kit.waiting import until
from tradebot.venues.kraken.account_feed import KrakenAccountFeed
from tradebot.venues.kraken.client import AccountNumber, KrakenVenue, Nonces, OpeningEquity

CHALLENGE = '{"event": "challenge", "message": "c100b894"}'
SUBSCRIBED = tuple(json.dumps({"event": "subscribed", "feed": feed}) for feed in ("fills", "open_orders"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Path]:
    return folders_of(spec((XBT,)), tmp_path_factory)


@pytest.fixture
def place(folder: Callable[[], Path]) -> Iterator[Served]:
    with served(folder()) as place:
        place.tick(seconds=3600)
        yield place


@contextmanager
def listening(url: str, secret: str = SECRET) -> Iterator[KrakenAccountFeed]:
    kept = Nonces(None), OpeningEquity(None), AccountNumber(None, KEY)
    with none_left_open(), closing(KrakenAccountFeed(KrakenVenue(url, KEY, secret, *kept), QUICK)) as bell:
        yield bell


def send(place: Served, name: str = "sendorder", **params: object) -> str:
    sent = urlencode(params)
    headers = {"APIKey": KEY, "Authent": signature(SECRET, f"{V3}/{name}".removeprefix("/derivatives"), sent, "")}
    answer = place.ask("POST", f"{V3}/{name}?{sent}", None, **headers).json()
    assert answer["result"] == "success", answer
    return str(answer.get("sendStatus", {}).get("order_id"))


def test_fills_and_ends_ring_and_what_only_rests_does_not(place: Served) -> None:
    with listening(place.url) as bell:
        until(bell.rang)
        rests = send(place, orderType="lmt", symbol=XBT, side="buy", size="0.1", limitPrice=80_000)
        time.sleep(0.1)
        assert not bell.rang(), "a resting order is no news"
        send(place, orderType="mkt", symbol=XBT, side="buy", size="0.5")
        until(bell.rang)
        time.sleep(0.1)
        bell.rang()
        send(place, "cancelorder", order_id=rests)
        until(bell.rang)
        assert bell.problem() == ""


def test_it_rings_when_it_listens_again_because_nobody_tells_what_was_missed(folder: Callable[[], Path]) -> None:
    own = folder()
    with served(own) as first:
        port = first.port
        with listening(first.url) as bell:
            until(bell.rang)
            first.end()
            until(lambda: bell.problem() == "Kraken Futures can't be reached")
            assert not bell.rang()
            with served(own, port):
                until(bell.rang)
                assert bell.problem() == ""


def test_a_refused_signature_is_said_without_the_key_and_tried_again(place: Served) -> None:
    with listening(place.url, secret="d3Jvbmc=") as bell:
        until(bell.problem)
        assert bell.problem() == "Kraken Futures refused the feed: Failed to subscribe to authenticated feed"
        assert not bell.rang()


@pytest.mark.parametrize(
    "said",
    [
        ("not json", "[]", "7", '{"feed": ["fills"]}', '{"event": "challenge"}', "\x00", '{"message": NaN}'),
        ('{"feed": "open_orders", "is_cancel": false}', '{"feed": "ticker"}', '{"feed": "fills_snapshot"}'),
        ('{"event": "alert", "message": "slow client"}', '{"event": "subscribed", "feed": "fills"}'),
    ],
)
def test_what_cannot_be_read_or_says_nothing_new_costs_nothing(said: tuple[str, ...]) -> None:
    heard: list[str] = []

    def behave(connection: ServerConnection) -> None:
        connection.send(CHALLENGE)
        for frame in (*SUBSCRIBED, *said):
            connection.send(frame)
        heard.extend(str(frame) for frame in connection)

    with source(behave) as url, listening(url) as bell:
        until(bell.rang)
        time.sleep(0.2)
        assert (bell.rang(), bell.problem()) == (False, "")
    assert [json.loads(one)["event"] for one in heard[:3]] == ["challenge", "subscribe", "subscribe"]


def test_a_venue_that_says_nothing_at_all_is_left_and_tried_again() -> None:
    connections = list[int]()

    def mute(connection: ServerConnection) -> None:
        connections.append(len(connections))
        for _ in connection:
            pass

    with source(mute) as url, listening(url) as bell:
        until(lambda: bell.problem() == "Kraken Futures didn't answer in time")
        until(lambda: len(connections) > 1)
        assert not bell.rang()
