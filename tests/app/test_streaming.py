"""A stream over real sockets, from a source that is killed and comes back: nothing is lost, and nothing is doubled."""

import time
from collections.abc import Callable
from contextlib import closing, nullcontext
from datetime import UTC, date, datetime
from pathlib import Path

from exchange.tests.kit.app import SPEC
from exchange.tests.kit.served import Served, served
from papervenue.process import create
from tests.adapters.flow.test_stream import QUICK
from tradebot.adapters.flow.stream import FlowStream
from tradebot.adapters.flow.unusual_whales import UnusualWhales
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.wire.http import RetryPolicy
from tradebot.app.streaming import may_stream
from tradebot.desk.streaming import Follower, FollowerInputs
from tradebot.model.bar import Session
from tradebot.model.flow import FlowAlert

NAMES = ("AAPL", "SPY")
LONG_S = 30


def now_of(place: Served) -> datetime:
    return datetime.fromisoformat(place.get("/exchange/v1/status")["now"])


def alerts_of(place: Served) -> list[str]:
    query = f"ticker_symbol={','.join(NAMES)}&limit=200"
    return sorted(row["id"] for row in place.get(f"/api/option-trades/flow-alerts?{query}")["data"])


def more(place: Served, count: int) -> None:
    wanted = len(alerts_of(place)) + count
    while len(alerts_of(place)) < wanted:
        place.tick(seconds=120)


class Followed:
    """A follower of what is served on one port, by whoever serves it."""

    def __init__(self, url: str, stream: FlowStream) -> None:
        self.facts, self.events = MemoryFacts(), MemoryEvents()
        self.now = datetime.now(UTC)
        flow = UnusualWhales(url, "sandbox", now=lambda: self.now, policy=RetryPolicy(attempts=1))
        self.follower = Follower(FollowerInputs(stream, flow, self.facts, self.events, NAMES, 180, nullcontext))

    def until(self, session: Session, place: Served, reached: Callable[[], bool]) -> None:
        deadline = time.monotonic() + LONG_S
        while not reached():
            self.now = now_of(place)
            self.follower.look(session, lambda: now_of(place))
            assert time.monotonic() < deadline, self.follower.so_far
            time.sleep(0.05)

    @property
    def reconnected(self) -> bool:
        return self.follower.so_far.joined > 1 and self.follower.whole

    def stored(self, session: Session) -> list[str]:
        facts = self.facts.load(NAMES, session.date, session.close).values()
        alerts: list[FlowAlert] = [alert for of_symbol in facts for alert in of_symbol.alerts]
        return sorted(alert.id for alert in alerts)


def test_stream_killed_midway_loses_no_alert(tmp_path: Path) -> None:
    create(tmp_path, SPEC)
    with served(tmp_path) as place:
        opened = place.tick(to="next_open")
        session = Session(now_of(place).date(), now_of(place), datetime.fromisoformat(opened["next_close"]))
        with closing(FlowStream(place.url, "sandbox", patience=QUICK)) as stream:
            followed = Followed(place.url, stream)
            more(place, 3)
            followed.until(session, place, lambda: followed.follower.whole)
            more(place, 3)
            followed.until(session, place, lambda: followed.stored(session) == alerts_of(place))
            more(place, 3)
            for connection in list(place._running.server_state.connections):
                connection.transport.abort()
            place.end()
            with served(tmp_path, place.port) as again:
                more(again, 3)
                followed.until(session, again, lambda: followed.reconnected)
                more(again, 3)
                followed.until(session, again, lambda: followed.stored(session) == alerts_of(again))
    so_far = followed.follower.so_far
    assert (so_far.new, so_far.lost, so_far.bad, so_far.missed) == (len(followed.stored(session)), 0, 0, 0)
    assert so_far.filled < so_far.new, "nothing came over the stream"


def test_alerts_are_expected_from_the_open_until_shortly_after_the_close() -> None:
    hours = (datetime.fromisoformat(f"2026-11-16T{hour}Z") for hour in ("14:30", "21:00"))
    session = Session(date(2026, 11, 16), *hours)
    moments = ("14:29", "14:30", "21:15", "21:16")
    found = [may_stream(session, datetime.fromisoformat(f"2026-11-16T{moment}Z")) for moment in moments]
    assert found == [False, True, True, False]
    assert not may_stream(None, session.open)
