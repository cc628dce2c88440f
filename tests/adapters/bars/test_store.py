"""What every store of bars does, and what only files on disk can show."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.adapters.samples import NOW
from tests.fakes import MemoryEvents
from tradebot.adapters.bars.store import BarStore, LostBarsError, PriceStep, RawBar, Span, SqliteBars
from tradebot.model.event import Severity

Opens = Callable[[Path], BarStore]
JANUARY, MINUTE, DAY = 1_767_627_000, 60, 86_400
"""2026-01-05 15:30 UTC."""


def bar(start_s: int, close: float = 10.0) -> RawBar:
    return RawBar(start_s, close, close + 1, close - 1, close, 100.0)


def bars_at(*starts: int) -> list[RawBar]:
    return [bar(JANUARY + MINUTE * start) for start in starts]


KINDS: dict[str, Opens] = {"sqlite": lambda folder: SqliteBars(folder, MemoryEvents(), NOW)}


@pytest.fixture(params=KINDS)
def opens(request: pytest.FixtureRequest) -> Opens:
    return KINDS[request.param]


@pytest.fixture
def store(opens: Opens, tmp_path: Path) -> Iterator[BarStore]:
    store = opens(tmp_path)
    yield store
    store.close()


def everything(store: BarStore, symbol: str = "AAPL", timeframe: str = "1Min") -> Sequence[RawBar]:
    return store.get(symbol, timeframe, 0, 2**40)


def test_bars_come_back_oldest_first_and_only_those_of_the_span(store: BarStore) -> None:
    assert store.put("AAPL", "1Min", bars_at(3, 1, 2, 0), "sandbox") == 4
    store.put("MSFT", "1Min", bars_at(1), "sandbox")
    store.put("AAPL", "1Day", bars_at(1), "sandbox")
    assert everything(store) == bars_at(0, 1, 2, 3)
    assert store.get("AAPL", "1Min", JANUARY + MINUTE, JANUARY + 2 * MINUTE) == bars_at(1, 2)
    assert store.get("GOOG", "1Min", 0, 2**40) == []


def test_only_what_is_new_or_different_counts_as_a_change(store: BarStore) -> None:
    store.put("AAPL", "1Min", bars_at(0, 1), "sandbox")
    assert store.put("AAPL", "1Min", bars_at(0, 1, 2), "sandbox") == 1
    assert store.put("AAPL", "1Min", [bar(JANUARY, 11.0), *bars_at(1)], "sandbox") == 1
    assert everything(store)[0].close == 11.0


def test_bars_outlive_the_process(opens: Opens, tmp_path: Path) -> None:
    first = opens(tmp_path)
    first.put("BRK.B", "1Day", [bar(JANUARY + day * DAY) for day in range(400)], "sandbox")
    first.close()
    again = opens(tmp_path)
    assert len(everything(again, "BRK.B", "1Day")) == 400
    again.close()


def test_what_is_stored_is_told_by_source(store: BarStore) -> None:
    store.put("AAPL", "1Min", bars_at(0, 1, 2), "sandbox")
    store.put("AAPL", "1Min", bars_at(2, 3), "import")
    store.put("AAPL", "1Day", [bar(JANUARY + day * DAY) for day in range(400)], "import")
    at = [JANUARY + MINUTE * start for start in range(4)]
    assert store.spans() == [
        Span("AAPL", "1Day", "import", JANUARY, JANUARY + 399 * DAY, 400),
        Span("AAPL", "1Min", "import", at[2], at[3], 2),
        Span("AAPL", "1Min", "sandbox", at[0], at[1], 2),
    ]


def test_actions_replace_those_before(store: BarStore) -> None:
    split, dividend = PriceStep(JANUARY, "split", 0.5, 2.0), PriceStep(JANUARY - DAY, "dividend", 0.99, 1.0)
    store.put_actions("AAPL", [split])
    store.put_actions("AAPL", [split, dividend])
    assert store.actions("AAPL") == [dividend, split]
    assert store.actions("MSFT") == []


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=12))
def test_asked_spans_are_what_was_asked_and_never_touch(spans: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as folder:
        store = SqliteBars(Path(folder), MemoryEvents(), NOW)
        for first, length in spans:
            store.put_asked("AAPL", "1Min", "sandbox", first, first + length)
        found = store.asked("AAPL", "1Min", "sandbox")
        assert store.asked("AAPL", "1Min", "iex") == []
        store.close()
    covered = {second for first, last in found for second in range(first, last + 1)}
    assert covered == {second for first, length in spans for second in range(first, first + length + 1)}
    assert all(earlier[1] + 1 < later[0] for earlier, later in pairwise(found))


DAMAGE: dict[str, Callable[[Path], object]] = {
    "empty": lambda path: path.write_bytes(b""),
    "garbage": lambda path: path.write_bytes(b"garbage!" * 1000),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_moved_aside_and_an_event_says_so(tmp_path: Path, damage: str) -> None:
    SqliteBars(tmp_path, MemoryEvents(), NOW).close()
    DAMAGE[damage](tmp_path / "bars.db")
    events = MemoryEvents()
    store = SqliteBars(tmp_path, events, NOW)
    assert store.spans() == []
    (event,) = events.emitted
    assert (event.event_type, event.severity) == ("BARS_BEGUN_ANEW", Severity.WARN)
    assert (tmp_path / "bars.db.damaged-1").exists()
    store.close()


def test_damage_that_shows_later_empties_the_store_and_asks_to_be_tried_again(tmp_path: Path) -> None:
    store = SqliteBars(tmp_path, MemoryEvents(), NOW)
    store.put("AAPL", "1Min", bars_at(*range(500)), "sandbox")
    store.close()
    database = sqlite3.connect(tmp_path / "bars.db")
    ((size,),) = database.execute("PRAGMA page_size")
    ((root,),) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'bars'")
    database.close()
    store = SqliteBars(tmp_path, MemoryEvents(), NOW)
    with (tmp_path / "bars.db").open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    with pytest.raises(LostBarsError):
        everything(store)
    assert everything(store) == []
    store.close()
