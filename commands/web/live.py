"""Tell browsers when something was recorded, over one connection each that only ever carries a number."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

LOOK_S = 0.35
"""How often the files of the state are looked at, while anybody listens."""
BEAT_S = 5.0
"""So often a browser hears from us even if nothing changes; it takes a longer silence for a lost connection."""
MOST_LISTENERS = 20


class FullError(Exception):
    """As many browsers listen as may."""


class Live:
    """Looks whether anything was recorded, once for all who listen."""

    def __init__(self, version: Callable[[], object]) -> None:
        self._version = version
        self._listeners = 0
        self._number = 0
        self._changed = asyncio.Condition()
        self._looking: asyncio.Task[None] | None = None

    async def events(self) -> AsyncIterator[str]:
        """Yield an event for each change, and one every few seconds; raise FullError if too many listen."""
        if self._listeners >= MOST_LISTENERS:
            raise FullError
        self._listeners += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            seen = self._number
            yield "event: beat\ndata: 0\n\n"
            while True:
                kind = "beat"
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S), self._changed:
                        await self._changed.wait_for(lambda: self._number != seen)  # noqa: B023 - awaited here
                        kind = "changed"
                seen = self._number
                yield f"event: {kind}\ndata: {seen}\n\n"
        finally:
            self._listeners -= 1
            if not self._listeners and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        told = self._version()
        is_noticed = False
        while True:
            await asyncio.sleep(LOOK_S)
            seen = self._version()
            # Pages are read again a look later: a pass that has just begun has more to record, and needs the machine.
            if seen != told and not is_noticed:
                is_noticed = True
            elif is_noticed:
                told, is_noticed = seen, False
                async with self._changed:
                    self._number += 1
                    self._changed.notify_all()
