"""What every store of bars does, and what only files on disk can show."""

import sqlite3
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from itertools import pairwise
from multiprocessing import get_context
from multiprocessing.synchronize import Barrier
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.rows import NOW
from tradebot.adapters.bars import parquet
from tradebot.adapters.bars.parquet import ParquetBars, open_bars
from tradebot.adapters.bars.store import LostBarsError, PriceStep, SqliteBars, StoredSpan
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.auditing.bar_findings import RawBar
from tradebot.errors import OperatorError
from tradebot.model.event import Severity

Opens = Callable[[Path], SqliteBars]
JANUARY, MINUTE, DAY = 1_767_627_000, 60, 86_400
"""2026-01-05 15:30 UTC."""


def bar(start_s: int, close: float = 10.0) -> RawBar:
    return RawBar(start_s, close, close + 1, close - 1, close, 100.0)


def bars_at(*starts: int) -> list[RawBar]:
    return [bar(JANUARY + MINUTE * start) for start in starts]


KINDS: dict[str, Opens] = {
    "sqlite": lambda folder: SqliteBars(folder, MemoryEvents(), NOW),
    "parquet": lambda folder: ParquetBars(folder, MemoryEvents(), NOW),
}


@pytest.fixture(params=KINDS)
def opens(request: pytest.FixtureRequest) -> Opens:
    return KINDS[request.param]


@pytest.fixture
def store(opens: Opens, tmp_path: Path) -> Iterator[SqliteBars]:
    store = opens(tmp_path)
    yield store
    store.close()


def everything(store: SqliteBars, symbol: str = "AAPL", timeframe: str = "1Min") -> Sequence[RawBar]:
    return store.get(symbol, timeframe, 0, 2**40)


def test_bars_come_back_oldest_first_and_only_those_of_the_span(store: SqliteBars) -> None:
    assert store.put("AAPL", "1Min", bars_at(3, 1, 2, 0), "sandbox") == 4
    store.put("MSFT", "1Min", bars_at(1), "sandbox")
    store.put("AAPL", "1Day", bars_at(1), "sandbox")
    assert everything(store) == bars_at(0, 1, 2, 3)
    assert store.get("AAPL", "1Min", JANUARY + MINUTE, JANUARY + 2 * MINUTE) == bars_at(1, 2)
    assert store.get("GOOG", "1Min", 0, 2**40) == []


def test_spans_list_stored_bars_by_source(store: SqliteBars) -> None:
    store.put("AAPL", "1Min", bars_at(0, 1, 2), "sandbox")
    store.put("AAPL", "1Min", bars_at(2, 3), "import")
    store.put("AAPL", "1Day", [bar(JANUARY + day * DAY) for day in range(400)], "import")
    at = [JANUARY + MINUTE * start for start in range(4)]
    assert store.spans() == [
        StoredSpan("AAPL", "1Day", "import", JANUARY, JANUARY + 399 * DAY, 400),
        StoredSpan("AAPL", "1Min", "import", at[2], at[3], 2),
        StoredSpan("AAPL", "1Min", "sandbox", at[0], at[1], 2),
    ]


def test_actions_replace_those_before(store: SqliteBars) -> None:
    split, dividend = PriceStep(JANUARY, "split", 0.5, 2.0), PriceStep(JANUARY - DAY, "dividend", 0.99, 1.0)
    store.put_actions("AAPL", [split])
    store.put_actions("AAPL", [split, dividend])
    assert store.actions("AAPL") == [dividend, split]
    assert store.actions("MSFT") == []


@given(st.lists(st.tuples(st.integers(0, 60), st.integers(0, 9)), max_size=12))
def test_asked_spans_are_merged_until_none_touch(spans: list[tuple[int, int]]) -> None:
    with TemporaryDirectory() as folder:
        store = SqliteBars(Path(folder), MemoryEvents(), NOW)
        for first, length in spans:
            store.put_asked("AAPL", "1Min", "sandbox", first, first + length)
        found = store.asked_spans("AAPL", "1Min", "sandbox")
        assert store.asked_spans("AAPL", "1Min", "iex") == []
        store.close()
    covered = {second for first, last in found for second in range(first, last + 1)}
    assert covered == {second for first, length in spans for second in range(first, first + length + 1)}
    assert all(earlier[1] + 1 < later[0] for earlier, later in pairwise(found))


puts = st.lists(
    st.tuples(
        st.sampled_from(["1Min", "1Day"]),
        st.lists(st.tuples(st.integers(0, 40), st.integers(0, 2)), max_size=6),
        st.sampled_from(["sandbox", "import"]),
    ),
    max_size=5,
)


@pytest.mark.parametrize("kind", KINDS)
@given(puts)
@settings(max_examples=8)
def test_store_holds_the_last_bar_put_for_each_start_in_any_order(
    kind: str, given: list[tuple[str, list[tuple[int, int]], str]]
) -> None:
    held: dict[tuple[str, int], tuple[RawBar, str]] = {}
    with TemporaryDirectory() as folder:
        store = KINDS[kind](Path(folder))
        for timeframe, bars, source in given:
            # A step of nine days puts some into each of two years.
            put = {JANUARY - 20 * 9 * DAY + step * 9 * DAY: bar(0, 10.0 + price) for step, price in bars}
            made = {start_s: each._replace(start_s=start_s) for start_s, each in put.items()}
            before = dict(held)
            held |= {(timeframe, start_s): (each, source) for start_s, each in made.items()}
            changed = sum(before.get(key) != value for key, value in held.items())
            assert store.put("AAPL", timeframe, list(made.values()), source) == changed
        for timeframe in ("1Min", "1Day"):
            expected = [each for (of, _), (each, _) in sorted(held.items()) if of == timeframe]
            assert everything(store, timeframe=timeframe) == expected
        assert sum(span.count for span in store.spans()) == len(held)
        store.close()


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


def spoil(path: Path) -> None:
    with closing(sqlite3.connect(path)) as database:
        ((size,),) = database.execute("PRAGMA page_size")
        ((root,),) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'bars'")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)


def test_threads_that_open_a_new_store_at_once_share_one_file(tmp_path: Path) -> None:
    together = threading.Barrier(6)

    def put(number: int) -> None:
        together.wait()
        store = SqliteBars(tmp_path, MemoryEvents(), NOW)
        store.put(f"S{number}", "1Min", bars_at(1), "sandbox")
        store.close()

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(put, range(6)))
    store = SqliteBars(tmp_path, MemoryEvents(), NOW)
    assert [span.symbol for span in store.spans()] == [f"S{number}" for number in range(6)]
    store.close()
    assert not list(tmp_path.glob("*.damaged*"))


def test_damage_found_while_reading_empties_the_store_and_asks_for_a_retry(tmp_path: Path) -> None:
    store = SqliteBars(tmp_path, MemoryEvents(), NOW)
    store.put("AAPL", "1Min", bars_at(*range(500)), "sandbox")
    store.close()
    store = SqliteBars(tmp_path, MemoryEvents(), NOW)
    spoil(tmp_path / "bars.db")
    with pytest.raises(LostBarsError):
        everything(store)
    assert everything(store) == []
    store.close()


def years() -> list[RawBar]:
    return [bar(JANUARY + day * DAY) for day in range(-10, 10)]


def test_bars_are_in_a_file_of_their_symbol_and_year_for_their_owner_only(tmp_path: Path) -> None:
    store = ParquetBars(tmp_path, MemoryEvents(), NOW)
    store.put("BRK/B", "1Day", years(), "sandbox")
    store.close()
    found = sorted(path.relative_to(tmp_path / "bars") for path in (tmp_path / "bars").rglob("*.*"))
    assert [str(path) for path in found] == ["BRK%2FB/1Day-2025.parquet", "BRK%2FB/1Day-2026.parquet"]
    assert {(tmp_path / "bars" / path).stat().st_mode & 0o777 for path in found} == {0o600}


def test_what_is_newer_than_all_files_is_read_without_them(tmp_path: Path) -> None:
    store = ParquetBars(tmp_path, MemoryEvents(), NOW)
    store.put("AAPL", "1Min", [bar(JANUARY), *(newest := [bar(JANUARY + DAY), bar(JANUARY + DAY + MINUTE)])], "iex")
    (file,) = tmp_path.glob("bars/AAPL/*.parquet")
    whole = file.read_bytes()
    file.write_bytes(b"no file")
    assert store.get("AAPL", "1Min", JANUARY + DAY, 2**40) == newest
    assert store.put("AAPL", "1Min", newest, "iex") == 0
    file.write_bytes(whole)
    assert store.get("AAPL", "1Min", JANUARY, 2**40) == [bar(JANUARY), *newest]
    store.close()


def test_a_damaged_file_of_bars_is_moved_aside_and_all_is_asked_again(tmp_path: Path) -> None:
    events = MemoryEvents()
    store = ParquetBars(tmp_path, events, NOW)
    store.put("AAPL", "1Day", years(), "sandbox")
    store.put_asked("AAPL", "1Day", "sandbox", 0, 9)
    (tmp_path / "bars" / "AAPL" / "1Day-2025.parquet").write_bytes(b"PAR1 garbage")
    with pytest.raises(LostBarsError):
        everything(store, timeframe="1Day")
    assert store.asked_spans("AAPL", "1Day", "sandbox") == []
    assert store.put("AAPL", "1Day", years(), "sandbox") > 0
    assert everything(store, timeframe="1Day") == years()
    assert (tmp_path / "bars" / "AAPL" / "1Day-2025.parquet.damaged-1").exists()
    assert [event.severity for event in events.emitted] == [Severity.INFO, Severity.WARN]
    store.close()


def test_open_bars_keeps_the_kind_of_an_existing_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def kind(folder: Path) -> type[SqliteBars]:
        store = open_bars(folder, MemoryEvents(), NOW)
        store.close()
        return type(store)

    files, alone = tmp_path / "files", tmp_path / "alone"
    files.mkdir()
    alone.mkdir()
    assert kind(files) is ParquetBars
    monkeypatch.setattr(parquet, "find_spec", lambda name: None)
    assert kind(alone) is SqliteBars
    with pytest.raises(OperatorError, match="duckdb isn't installed"):
        kind(files)
    monkeypatch.undo()
    assert (kind(files), kind(alone)) == (ParquetBars, SqliteBars)


def fill(folder: Path, kind: str, ready: Barrier, source: str) -> None:
    store = KINDS[kind](folder)
    ready.wait(30)
    for day in range(12):
        store.put("AAPL", "1Day", [bar(JANUARY + day * DAY, 10.0 + (source == "one"))], source)
        store.put_asked("AAPL", "1Day", "sandbox", day * 10, day * 10 + 9)
    store.close()


def test_two_processes_storing_at_once_lose_no_bar(
    opens: Opens, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    opens(tmp_path).close()
    kind = next(name for name, each in KINDS.items() if each is opens)
    context = get_context("fork")
    ready = context.Barrier(2)
    children = [context.Process(target=fill, args=(tmp_path, kind, ready, source)) for source in ("one", "two")]
    for child in children:
        child.start()
    for child in children:
        child.join(60)
    assert [child.exitcode for child in children] == [0, 0]
    store = opens(tmp_path)
    assert [each.start_s for each in everything(store, timeframe="1Day")] == [JANUARY + day * DAY for day in range(12)]
    assert store.asked_spans("AAPL", "1Day", "sandbox") == [(0, 119)]
    store.close()


def test_neither_store_loads_pandas_or_numpy(tmp_path: Path) -> None:
    program = (
        "import sys, pathlib\n"
        "from tests.adapters.bars.test_store import KINDS, everything, years\n"
        "before = sys.modules.keys() & {'pandas', 'numpy'}\n"
        "for name, opens in KINDS.items():\n"
        "    store = opens(pathlib.Path(sys.argv[1]))\n"
        "    store.put('AAPL', '1Day', years(), 'sandbox')\n"
        "    assert everything(store, timeframe='1Day') == years() and store.spans()\n"
        "assert sys.modules.keys() & {'pandas', 'numpy'} == before == set()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.stderr == ""
