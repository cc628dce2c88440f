"""Past trade updates equal those that were streamed when they happened."""

import asyncio
import json
from collections import defaultdict
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exchange.tests.kit.app import World, open_world
from exchange.tests.kit.random_commands import Commands
from exchange.tests.kit.ring import keep, without_snapshot
from papervenue.commands.command import Command
from papervenue.engine import account_lists
from papervenue.events import Event, Place
from papervenue.exchange import Exchange, open_exchange
from papervenue.faults.streaming import StreamFaults
from papervenue.jsontext import encode
from papervenue.streams.server_sent import UpdateFeed
from papervenue.streams.trade_updates import StreamEvent, TradeUpdates, Window, update_json

COMMANDS = 60
EVERYTHING = Window(0, None, None, None)


class Told(NamedTuple):
    """An update as it was streamed: its time, its id, and its JSON."""

    at_ns: int
    id: str
    data: bytes


class Ear:
    """Keeps the updates of each account as they are when they happen."""

    def __init__(self) -> None:
        self.told = defaultdict[str, list[Told]](list)

    def capture(self, event: Event, place: Place) -> None:
        if event.update is not None and event.account is not None:
            row = update_json(event.update, place)
            self.told[event.account].append(Told(place.at_ns, row["event_id"], encode(row)))

    def publish(self, captured: object) -> None: ...


def feed_of(exchange: Exchange, number: str, window: Window = EVERYTHING) -> UpdateFeed:
    streamed = TradeUpdates(exchange.engine, StreamFaults(exchange.engine, exchange.faults.book))
    return UpdateFeed(exchange, exchange.engine.accounts[number], streamed, window)


def past(exchange: Exchange, number: str, window: Window = EVERYTHING) -> list[Told]:
    """Return what a client of an account is told of the past."""
    return told_by(asyncio.run(feed_of(exchange, number, window).past()))


def told_by(events: Iterable[StreamEvent]) -> list[Told]:
    return [Told(event.at_ns, event.id, event.encoded()) for event in events]


def windows(told: list[Told], first: int, last: int) -> dict[Window, list[Told]]:
    """Return windows from one update to another, each with the updates in it."""
    return {
        Window(told[first].at_ns, told[last].at_ns, None, None): told[first : last + 1],
        Window(told[first].at_ns, None, None, None): told[first:],
        Window(None, None, told[first].id, told[last].id): told[first + 1 : last + 1],
        Window(None, None, told[first].id, None): told[first + 1 :],
    }


@settings(max_examples=settings().max_examples // 10)
@given(seed=st.integers(0, 10**9), cut=st.integers(0, COMMANDS), data=st.data())
def test_past_updates_equal_those_streamed_live_and_those_of_a_replay(
    new_folder: Callable[[], Path], tmp_path_factory: pytest.TempPathFactory, seed: int, cut: int, data: st.DataObject
) -> None:
    folder = tmp_path_factory.mktemp("past")
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(account_lists, "_BLOCK", 8)
        live, ear = new_folder(), Ear()
        world = open_world(live)
        world.exchange.listeners.append(ear)
        commands = Commands(world, seed)
        world.tick(to="open")
        for number in range(COMMANDS):
            if number == cut:
                keep(world.exchange, live)
            commands.step()
        replayed = open_exchange(without_snapshot(live, folder / "replayed"))
        started = open_exchange(live)
    assert (replayed.log.known_lines, started.log.known_lines > 0) == (0, cut < COMMANDS)
    for account in world.engine.accounts:
        streamed = ear.told[account]
        assert past(world.exchange, account) == past(replayed, account) == past(started, account) == streamed
        for _ in range(3 if streamed else 0):
            first = data.draw(st.integers(0, len(streamed) - 1))
            last = data.draw(st.integers(first, len(streamed) - 1))
            for window, expected in windows(streamed, first, last).items():
                assert past(started, account, window) == expected


def test_past_updates_wait_for_their_lines_and_end_where_the_feed_started(world: World) -> None:
    exchange, account = world.exchange, world.engine.main.number
    submit(world)

    async def told() -> list[Told]:
        asking = asyncio.ensure_future(feed_of(exchange, account).past())
        await asyncio.sleep(0)
        assert not asking.done()
        submit(world)
        exchange.record()
        return told_by(await asking)

    assert [json.loads(row.data)["event"] for row in asyncio.run(told())] == ["accepted"]
    assert len(past(exchange, account)) == 2


def submit(world: World) -> None:
    """Submit an order whose lines aren't written yet."""
    body = '{"symbol": "AAPL", "side": "buy", "type": "market", "time_in_force": "day", "qty": "1"}'
    world.exchange.run(Command("POST", "/v2/orders", body=body, account=world.engine.main.number))
