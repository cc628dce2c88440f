"""Facts and decisions in memory."""

from tradebot.adapters.memory.flow_facts import FlowFacts
from tradebot.adapters.memory.recorder import Level, Recorder


class MemoryFacts(FlowFacts, Recorder):
    """What was known and what passes decided, as much of that as the level says; facts are all kept."""

    def __init__(self, level: Level = Level.FULL) -> None:
        FlowFacts.__init__(self)
        Recorder.__init__(self, level)
