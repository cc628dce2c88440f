"""Events in memory."""

from collections.abc import Collection

from tradebot.model.event import EventKind, SystemEvent


class MemoryEvents:
    """The log of operational events as a list, without those of the kinds in `besides`."""

    def __init__(self, besides: Collection[EventKind] = ()) -> None:
        self.emitted: list[SystemEvent] = []
        self._besides = frozenset((kind.subsystem, kind.event_type) for kind in besides)

    def emit(self, event: SystemEvent) -> None:
        if (event.subsystem, event.event_type) not in self._besides:
            self.emitted.append(event)
