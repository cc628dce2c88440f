"""Events in memory."""

from tradebot.model.event import SystemEvent


class MemoryEvents:
    """The log of operational events as a list."""

    def __init__(self) -> None:
        self.emitted: list[SystemEvent] = []

    def emit(self, event: SystemEvent) -> None:
        """Append one event."""
        self.emitted.append(event)
