"""The adapters against the embedded exchange in its own process, judged by its log."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from pathlib import Path

import pytest

from tests.adapters.alpaca.samples import intent
from tests.builders import SHIPPED, instrument, us_sessions
from tradebot.adapters.alpaca.orders import AlpacaOrders
from tradebot.adapters.alpaca.reader import AlpacaReader
from tradebot.adapters.alpaca.venue import AlpacaVenue
from tradebot.adapters.flow.unusual_whales import UnusualWhales
from tradebot.adapters.time.clock import LockStepClock
from tradebot.adapters.wire.rows import DriftTally
from tradebot.exchange.market.spec import MarketSpec
from tradebot.exchange.process import create, running, stop
from tradebot.model.intent import Operation
from tradebot.model.order import OrderStatus, OrderType, Outcome
from tradebot.model.trading import Mode
from tradebot.model.values import replace
from tradebot.signals.kinds import kind_of

DAY = date(2026, 11, 20)
SYMBOLS = ("AAPL", "MSFT", "SPY")


@dataclass(frozen=True)
class Served:
    """A running exchange and its folder."""

    url: str
    state: Path


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    state = tmp_path_factory.mktemp("exchange")
    create(state, MarketSpec(symbols=SYMBOLS, sessions=1, start=DAY, seed=7))
    command = [sys.executable, "-m", "tradebot.exchange", "--state", str(state), "--idle-exit", "30"]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL) as child:
        yield Served(answering(state, child), state)
        stop(state)


def answering(state: Path, child: subprocess.Popen[bytes]) -> str:
    """Return the address once the process answers; its own exit or a minute ends the wait."""
    end = time.monotonic() + 60
    while child.poll() is None and time.monotonic() < end:
        if endpoint := running(state):
            return endpoint.url
        time.sleep(0.02)
    raise AssertionError("the exchange did not start")


def log_of(state: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in (state / "log.jsonl").read_text().splitlines()]


def test_one_order_lives_to_its_fill_and_another_to_its_cancel_in_the_real_process(served: Served) -> None:
    url = served.url
    venue = AlpacaVenue(url, url, "sandbox", "sandbox", "sandbox", Mode.SANDBOX)
    tally = DriftTally()
    reader, orders, clock = AlpacaReader(venue, tally), AlpacaOrders(venue, tally), LockStepClock(url)

    assert set(reader.quotes(SYMBOLS)) == set(SYMBOLS)
    clock.tick_to("open")
    clock.sleep(600)
    assert clock.now() == reader.clock().now
    status = clock.status()
    assert (status.is_open, status.session, status.finished) == (True, DAY, False)
    before = reader.view()
    assert before.account.number == status.account_number
    assert (before.positions, before.orders) == ((), ())

    quote = reader.quotes(SYMBOLS)["AAPL"]
    assert quote.bid <= quote.ask
    assert quote.at == reader.clock().now
    bought = replace(intent(), order_type=OrderType.MARKET, limit_price=None)
    assert orders.submit(bought).outcome is Outcome.ACCEPTED
    again = orders.submit(bought)
    assert (again.outcome, again.order is not None) == (Outcome.ACCEPTED, True)
    unknown = replace(bought, client_order_id="other", instrument=instrument("ZZZZ"))
    assert orders.submit(unknown).outcome is Outcome.REJECTED

    low = replace(intent(), client_order_id="low", limit_price=(quote.bid / 2).quantize(Decimal("0.01")))
    rested = orders.submit(low).order
    assert rested is not None
    clock.sleep(300)
    (fill,) = reader.fills(None)
    assert (fill.symbol, fill.quantity) == ("AAPL", bought.quantity)
    assert reader.fills(fill.at) == []
    after = reader.view()
    assert [position.quantity for position in after.positions] == [bought.quantity]
    assert after.account.cash == before.account.cash - fill.quantity * fill.price
    assert [order.client_order_id for order in after.orders] == ["low"]

    cancel = replace(intent(Operation.CANCEL), target_venue_id=rested.venue_id)
    assert orders.cancel(cancel).outcome is Outcome.ACCEPTED
    again = orders.cancel(cancel)
    assert (again.outcome, again.code) == (Outcome.ACCEPTED, "42210000")
    assert again.order is not None
    assert again.order.status is OrderStatus.CANCELED
    held = reader.order("low")
    assert held is not None
    assert held.status is OrderStatus.CANCELED
    assert reader.order("never sent") is None
    assert not tally.counts
    assert list(reader.calendar(DAY, DAY)) == list(us_sessions(DAY, DAY))
    ours = [entry for entry in log_of(served.state) if entry.get("client_order_id") == bought.client_order_id]
    assert [entry["event"] for entry in ours] == ["order_accepted", "order_new", "fill"]
    of_cancels = ("order_canceled", "request_refused")
    ends = [(entry["event"], entry.get("code")) for entry in log_of(served.state) if entry["event"] in of_cancels]
    assert ends == [("order_canceled", None), ("request_refused", 42210000)]


def test_every_flow_endpoint_answers_with_rows_and_a_quota(served: Served) -> None:
    url = served.url
    clock = LockStepClock(url)
    clock.tick_to("close")
    source = UnusualWhales(url, "sandbox", now=clock.now)
    for kind in map(kind_of, SHIPPED.unusual_whales.poll_s):
        page = source.fetch(kind, None if kind.market_wide else "AAPL", DAY)
        assert page.rows, kind.name
        assert page.quota.used_today is not None
