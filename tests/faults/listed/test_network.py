"""Listed faults 89 to 104: the network between the bot and the venue."""

import shutil
import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.faults.ground import alpaca_of
from tests.kit.bot.trader import UNTIL_FILLED_S, Trader
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.wire.http import RequestBounds, RetryPolicy
from tradebot.adapters.wire.json_fields import DriftTally
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, TemporaryError
from tradebot.model.intent import IntentState
from tradebot.model.order import OrderStatus
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Mode
from tradebot.venues.alpaca.orders import AlpacaOrders
from tradebot.venues.alpaca.reader import AlpacaReader
from tradebot.venues.alpaca.wire import DATA_URL, PAPER_URL, AlpacaVenue

EXCHANGES_ARE_PROCESSES = True
"""What fails here is below HTTP, which threads of this process would do without."""

ROOT = Path(__file__).resolve().parents[3]
CODE = [path for room in ("tradebot", "commands", "jobs") for path in (ROOT / room).rglob("*.py")]
"""Everything of ours but the embedded exchange."""
ONCE = RetryPolicy(attempts=1)


def goes_out_once(trader: Trader, what: object) -> None:
    """Send an entry whose answer is spoiled: its fate is unknown, then it is found, and no second one is sent."""
    trader.trouble(what, request="submit")
    said = trader.buys("AAPL")
    assert said.code == 0, said.err
    assert [record.state for record in trader.intents()] == [IntentState.UNKNOWN]
    trader.calm()
    trader.goes_on(again=True)
    assert [record.state for record in trader.intents()] == [IntentState.ACKED]


def never_arrives(trader: Trader, what: object) -> None:
    """Send an entry that the venue never takes, without a proven no: it stays open, and no second one is sent."""
    trader.trouble(what, request="submit")
    assert trader.buys("AAPL").code == 0
    trader.calm()
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.buys("AAPL", again=True).code == 0
    assert [record.state for record in trader.intents()] == [IntentState.UNKNOWN]
    assert (trader.fired(), trader.posts()) == (1, 0)
    trader.is_whole()


def decides_nothing(trader: Trader, code: ExitCode) -> None:
    """Run a pass of entries that cannot reach the venue: one sentence, no promise, no order."""
    said = trader.buys("AAPL")
    assert (said.code, "Traceback" in said.err) == (code, False), said.err
    assert "no answer" in said.err
    assert (trader.intents(), trader.posts()) == ([], 0)


def test_fault_089_connection_refused(trader: Trader) -> None:
    """The pass ends with exit 5 before anything is promised, and the next one trades."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
        trader.shape = lambda app: app.__dict__.update(exchange_url=url)
        decides_nothing(trader, ExitCode.UNAVAILABLE)
    trader.shape = lambda app: None
    assert trader.buys("AAPL").code == 0
    assert trader.posts() == 1


def test_fault_090_name_service_fails(trader: Trader, monkeypatch: pytest.MonkeyPatch) -> None:
    """The pass ends with exit 5 before anything is promised."""

    def fails(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    with monkeypatch.context() as patch:
        patch.setattr(socket, "getaddrinfo", fails)
        said = trader.buys("AAPL")
    assert (said.code, "no answer" in said.err) == (ExitCode.UNAVAILABLE, True), said.err
    assert (trader.intents(), trader.posts()) == ([], 0)


@contextmanager
def impostor(folder: Path) -> Iterator[tuple[int, list[bytes]]]:
    """Serve TLS as the venue under a certificate that nobody signed; yield its port, and what came through to it."""
    names = [str(folder / name) for name in ("key.pem", "certificate.pem")]
    host = urlsplit(PAPER_URL).netloc
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "1", "-subj", f"/CN={host}"]
    subprocess.run(
        [*command, "-addext", f"subjectAltName=DNS:{host}", "-keyout", names[0], "-out", names[1]],
        check=True,
        capture_output=True,
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(names[1], names[0])
    came: list[bytes] = []

    def serve(listener: socket.socket) -> None:
        try:
            with context.wrap_socket(listener.accept()[0], server_side=True) as connection:
                came.append(connection.recv(1000))
        except OSError:
            return

    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(10)
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        yield listener.getsockname()[1], came
        thread.join()


@pytest.mark.skipif(not shutil.which("openssl"), reason="needs openssl")
def test_fault_091_bad_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server without the venue's certificate is sent nothing, no key either, whatever the environment trusts."""
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "certificate.pem"))
    resolve = socket.getaddrinfo
    with impostor(tmp_path) as (port, came):
        monkeypatch.setattr(socket, "getaddrinfo", lambda host, *others: resolve("127.0.0.1", port, *others[1:]))
        venue = AlpacaVenue(PAPER_URL, DATA_URL, "PKTEST", "hidden", "iex", Mode.PAPER, policy=ONCE)
        with pytest.raises(TemporaryError, match="no trusted connection, because its certificate") as failed:
            AlpacaReader(venue, DriftTally()).clock()
    assert failed.value.code is ExitCode.UNAVAILABLE
    assert came == []


def hasty(app: App) -> None:
    """Let the bot wait for an answer to an order for a short time only."""
    app.__dict__["orders"] = AlpacaOrders(
        replace(alpaca_of(app), bounds=RequestBounds(read_s=0.3, total_s=0.6)), app.drift
    )


def test_fault_092_read_timeout_after_the_order_was_accepted(trader: Trader) -> None:
    """The order is UNKNOWN, the next pass finds it by its id, and it is sent only once."""
    trader.shape = hasty
    goes_out_once(trader, {"hang": "2s", "acceptance": "after"})


def test_fault_093_gateway_timeout_of_an_accepted_order(trader: Trader) -> None:
    """A 504 is not a rejection: the order is UNKNOWN, is found by its id, and is sent only once."""
    goes_out_once(trader, {"status": 504, "acceptance": "after"})


def test_fault_094_server_error_of_an_order_that_never_arrived(trader: Trader) -> None:
    """A 500 proves nothing, and neither does a 404 from the lookup: the entry stays UNKNOWN and isn't sent again."""
    never_arrives(trader, {"status": 500, "acceptance": "before"})


def test_fault_095_too_many_requests_for_an_order(trader: Trader) -> None:
    """A 429 on an order is not retried: the order is UNKNOWN, and its symbol stays closed until we know its outcome."""
    never_arrives(trader, {"status": 429, "acceptance": "before", "retry_after": "1s"})


def test_fault_096_redirect_of_an_order(trader: Trader) -> None:
    """A redirect is never followed, so no key goes elsewhere; the order is UNKNOWN, and found."""
    goes_out_once(trader, {"redirect": 302, "acceptance": "after", "location": "/moved"})
    paths = {event["path"] for event in trader.stage.log() if event["event"] == "request"}
    assert "/moved" not in paths


def test_fault_097_page_for_people_with_status_200(trader: Trader) -> None:
    """A web page is not a reply to an order: UNKNOWN, then found by its id."""
    goes_out_once(trader, {"html_body": None, "acceptance": "after"})


def test_fault_098_empty_body_with_status_200(trader: Trader) -> None:
    """An empty reply to an order is UNKNOWN, then found by its id."""
    goes_out_once(trader, {"empty_body": None, "acceptance": "after"})


def test_fault_099_json_cut_short_with_status_200(trader: Trader) -> None:
    """Half a reply to an order is UNKNOWN, then found by its id."""
    goes_out_once(trader, {"truncated_json": 40, "connection": "kept"})


@pytest.mark.parametrize("moment", ["before", "after"])
def test_fault_100_connection_reset_half_way(trader: Trader, moment: str) -> None:
    """The bot looks the order up by its id to see if it arrived; either way it isn't sent again."""
    (goes_out_once if moment == "after" else never_arrives)(trader, {"reset": moment})


def test_fault_101_order_delivered_twice_by_a_proxy(trader: Trader) -> None:
    """The venue takes one of the two by its id; refusing the second doesn't count as refusing the order."""
    trader.trouble({"delivered_twice": None, "answer": "second"}, request="submit")
    assert trader.buys("AAPL").code == 0
    assert [record.state for record in trader.intents()] == [IntentState.ACKED]
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    assert len(trader.told().accepted) == 1
    assert trader.held().keys() == {"AAPL"}


def test_fault_102_order_arrives_90_seconds_late(trader: Trader) -> None:
    """While the venue does not know the order it stays UNKNOWN and is not sent again; once there, it is found."""
    trader.trouble({"late_arrival": "90s", "answer": 504}, request="submit")
    assert trader.buys("AAPL").code == 0
    trader.stage.tick(seconds=60)
    assert trader.buys("AAPL", again=True).code == 0
    assert [record.state for record in trader.intents()] == [IntentState.UNKNOWN]
    assert (trader.posts(), len(trader.told().accepted)) == (1, 0)
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    trader.goes_on(again=True)


def test_fault_103_reply_of_one_byte_a_second(trader: Trader) -> None:
    """A reply that trickles in is given up after a limited time: UNKNOWN, then found by its id."""
    trader.shape = hasty
    goes_out_once(trader, {"slow_drip": 1})


@pytest.mark.parametrize("what", ["mute_stream", "duplicate_events", "reordered_events"])
def test_fault_104_stream_mute_refused_or_out_of_order(trader: Trader, what: str) -> None:
    """The bot opens no stream about orders: it asks for fills, and a repeated or late message changes nothing."""
    assert [path for path in CODE if "trade_updates" in path.read_text()] == []
    assert {path.name for path in CODE if "import websockets" in path.read_text()} <= {"stream.py"}
    trader.trouble(what, stream="trade_updates")
    assert trader.buys("AAPL").code == 0
    trader.stage.tick(seconds=UNTIL_FILLED_S)
    assert trader.reconciles().code == 0
    assert trader.held().keys() == {"AAPL"}
    with closing(SqliteLedger.open(trader.folder)) as ledger:
        (order,), told = ledger.orders(), ledger.fills()
        assert order.updated_at is not None
        earlier = replace(order, status=OrderStatus.CANCELED, updated_at=order.updated_at - timedelta(seconds=1))
        assert ledger.apply_orders([earlier, order, earlier], order.updated_at) == 0
        assert ledger.apply_fills(reversed([*told, *told]), order.updated_at) == 0
    trader.is_whole()
