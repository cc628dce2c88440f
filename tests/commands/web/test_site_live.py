"""News of changes: within two seconds, to everybody who listens, and nothing is done while nobody does."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from commands.web import site
from commands.web.site import Live, TooManyListenersError

PATIENCE_S = 10
Act = Callable[["Files"], Awaitable[None]]


class Files:
    """Files of a state that change when a test says so; how often they were looked at is counted."""

    def __init__(self) -> None:
        self.number, self.looked = 0, 0
        self.live = Live(self)

    def __call__(self) -> object:
        self.looked += 1
        return self.number

    async def tasks(self) -> int:
        """Return how many other tasks are left once those that end have ended."""
        for _ in range(5):
            await asyncio.sleep(0)
        return len(asyncio.all_tasks()) - 1


def played(act: Act) -> None:
    async def play() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await act(Files())

    asyncio.run(play())


@asynccontextmanager
async def closed(files: Files) -> AsyncIterator[AsyncIterator[str]]:
    """Listen, and stop to."""
    events: Any = files.live.events()
    yield events
    await events.aclose()


async def kind(events: AsyncIterator[str]) -> str:
    """Return the kind of the next event."""
    event = await anext(events)
    assert event.endswith("\n\n")
    return event.partition("\n")[0].removeprefix("event: ")


def test_a_change_is_told_to_everybody_within_two_seconds() -> None:
    async def act(files: Files) -> None:
        listeners: list[Any] = [files.live.events() for _ in range(3)]
        assert [await kind(each) for each in listeners] == ["beat"] * 3
        for _ in range(2):
            await asyncio.sleep(0)
            files.number += 1
            began_s = time.monotonic()
            assert [await kind(each) for each in listeners] == ["changed"] * 3
            assert time.monotonic() - began_s < 2
        for each in listeners:
            await each.aclose()

    played(act)


def test_what_a_pass_records_in_one_breath_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "LOOK_S", 0.1)
    monkeypatch.setattr(site, "BEAT_S", 0.5)

    async def act(files: Files) -> None:
        async with closed(files) as events:
            assert await kind(events) == "beat"
            for looks in (1, 2):
                while files.looked < looks:
                    await asyncio.sleep(0.01)
                files.number += 1
            assert [await kind(events) for _ in range(2)] == ["changed", "beat"]

    played(act)


def test_a_change_before_anybody_waits_for_the_next_event_is_told_all_the_same() -> None:
    async def act(files: Files) -> None:
        async with closed(files) as events:
            assert await kind(events) == "beat"
            await asyncio.sleep(0)
            files.number += 1
            await asyncio.sleep(2 * site.LOOK_S)
            async with asyncio.timeout(0.1):
                assert await kind(events) == "changed"

    played(act)


def test_without_a_change_a_beat_is_sent_well_before_a_browser_takes_it_for_lost(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert site.BEAT_S * 2 < 12
    monkeypatch.setattr(site, "BEAT_S", 0.01)

    async def act(files: Files) -> None:
        async with closed(files) as events:
            assert [await kind(events) for _ in range(4)] == ["beat"] * 4

    played(act)


def test_one_listener_too_many_is_told_and_takes_no_place() -> None:
    async def act(files: Files) -> None:
        listeners: list[Any] = [files.live.events() for _ in range(site.MOST_LISTENERS)]
        for each in listeners:
            await kind(each)
        for _ in range(3):
            with pytest.raises(TooManyListenersError):
                await anext(files.live.events())
        await listeners.pop().aclose()
        async with closed(files) as another:
            assert await kind(another) == "beat"
        for each in listeners:
            await each.aclose()

    played(act)


def test_nobody_looks_at_the_files_once_the_last_listener_has_gone_however_it_went() -> None:
    async def act(files: Files) -> None:
        for how in ("closed", "canceled", "both"):
            events: Any = files.live.events()
            await kind(events)
            other: Any = files.live.events()
            await kind(other)
            assert await files.tasks() == 1
            waiting = asyncio.ensure_future(anext(other))
            await asyncio.sleep(0)
            await events.aclose()
            assert await files.tasks() == 2, how
            waiting.cancel()
            await asyncio.wait([waiting])
            assert await files.tasks() == 0, how
        looked = files.looked
        await asyncio.sleep(2 * site.LOOK_S)
        assert files.looked == looked

    played(act)
