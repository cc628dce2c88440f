"""Bars in memory are kept as SQLite keeps them, whatever is stored in whatever order."""

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.adapters.bars.store import BarStore, PriceStep, SqliteBars
from tradebot.adapters.memory import bars
from tradebot.adapters.memory.bars import MemoryBars
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.auditing.bar_findings import RawBar
from tradebot.model.series import PriceKind

NOW = datetime(2026, 11, 16, tzinfo=UTC)
SPOT, TRADE = PriceKind.SPOT, PriceKind.TRADE


def bar(minute: int, close: float = 1.0) -> RawBar:
    return RawBar(60 * minute, 1.0, 3.0, 0.5, close, 10.0)


Op = tuple[str, str, PriceKind, int, int, float]
OPS = st.lists(
    st.tuples(
        st.sampled_from(["put", "asked"]),
        st.sampled_from(["A", "B"]),
        st.sampled_from([SPOT, TRADE]),
        st.integers(0, 20),
        st.integers(1, 6),
        st.sampled_from([1.0, 2.0]),
    ),
    max_size=12,
)


def after(store: BarStore, ops: list[Op]) -> list[object]:
    """Return all that a store says, step by step."""
    told = list[object]()
    for what, symbol, price, first, count, close in ops:
        if what == "put":
            before = store.version(symbol, "1Min", price)
            changed = store.put(symbol, "1Min", [bar(first + n, close) for n in range(count)], "there", price)
            told += [changed, store.version(symbol, "1Min", price) != before]
        else:
            store.put_asked(symbol, "1Min", "there", 60 * first, 60 * (first + count) - 1, price)
        told.append(store.get(symbol, "1Min", 60 * (first - 1), 60 * (first + 2), price))
        told.append([tuple(span) for span in store.asked_spans(symbol, "1Min", "there", price)])
    return [*told, *store.spans()]


@given(OPS)
@settings(max_examples=30, deadline=None)
def test_memory_and_sqlite_say_the_same_after_the_same(ops: list[Op]) -> None:
    with TemporaryDirectory() as folder:
        kept = SqliteBars(Path(folder), MemoryEvents(), NOW)
        assert after(MemoryBars(), ops) == after(kept, ops)
        kept.close()


def test_a_long_series_is_cut_and_what_was_cut_counts_as_never_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bars, "MOST", 10)
    monkeypatch.setattr(bars, "LEFT", 4)
    store = MemoryBars()
    store.put_asked("A", "1Min", "there", 0, 60 * 11 - 1)
    store.put("A", "1Min", [bar(n) for n in range(11)], "there")
    assert [one.start_s // 60 for one in store.get("A", "1Min", 0, 9_000)] == [7, 8, 9, 10]
    assert store.asked_spans("A", "1Min", "there") == [(60 * 7, 60 * 11 - 1)]


def test_actions_are_replaced_as_a_whole() -> None:
    store = MemoryBars()
    assert store.actions("A") == []
    store.put_actions("A", [PriceStep(9, "split", 0.5, 2.0), PriceStep(5, "dividend", 0.9, 1.0)])
    assert [step.at_s for step in store.actions("A")] == [5, 9]
    store.put_actions("A", [])
    assert store.actions("A") == []
