"""How sessions compared with their backtests is kept, a row each, and the newest are read."""

import sqlite3
from contextlib import closing
from datetime import timedelta
from decimal import Decimal
from pathlib import Path

from tests.kit.values import NOW
from tests.views.test_parity import FIRST, LATE, OURS, day
from tradebot.adapters.facts import schema
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state.cache_database import CacheConnection
from tradebot.model.struct_tools import replace


def test_newest_sessions_are_read_oldest_first_and_one_compared_again_takes_its_place(tmp_path: Path) -> None:
    with closing(SqliteFacts(tmp_path, MemoryEvents(), NOW)) as facts:
        for number in (2, 0, 1):
            facts.put_parity(day(number))
        facts.put_parity(day(1, "3", LATE, OURS))
        assert facts.parities(2) == [day(1, "3", LATE, OURS), day(2)]
        assert [one.session - FIRST for one in facts.parities(20)] == [timedelta(number) for number in range(3)]


def test_comparison_of_an_earlier_release_says_nothing_of_what_the_session_cost() -> None:
    known = replace(day(), costs_usd=Decimal("1.5"))
    with closing(sqlite3.connect(":memory:", factory=CacheConnection)) as database:
        database.execute(schema.PARITIES)
        schema.write_parity(database, known)
        assert schema.read_parities(database, 1) == [known]
        database.execute("UPDATE parities SET body = json_remove(body, '$.costs_usd')")
        assert schema.read_parities(database, 1) == [day()]
