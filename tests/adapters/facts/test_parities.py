"""How sessions compared with their backtests is kept, a row each, and the newest are read."""

from contextlib import closing
from datetime import timedelta
from pathlib import Path

from tests.builders import NOW
from tests.views.test_parity import FIRST, LATE, OURS, day
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.events import MemoryEvents


def test_newest_sessions_are_read_oldest_first_and_one_compared_again_takes_its_place(tmp_path: Path) -> None:
    with closing(SqliteFacts(tmp_path, MemoryEvents(), NOW)) as facts:
        for number in (2, 0, 1):
            facts.put_parity(day(number))
        facts.put_parity(day(1, "3", LATE, OURS))
        assert facts.parities(2) == [day(1, "3", LATE, OURS), day(2)]
        assert [one.session - FIRST for one in facts.parities(20)] == [timedelta(number) for number in range(3)]
