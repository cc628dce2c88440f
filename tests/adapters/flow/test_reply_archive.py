"""Replies are kept as they came, for a number of sessions, whatever happens to the file."""

import errno
import json
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timedelta
from decimal import Decimal
from multiprocessing import get_context
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.rows import DAY, NOW, minutes
from tradebot.adapters import failpoint
from tradebot.adapters.flow.reply_archive import KeptReplies
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.errors import OperatorError, TemporaryError
from tradebot.model.flow import FlowPage, Quota
from tradebot.model.struct_tools import replace

NO_QUOTA = Quota(None, None, None)
KINDS = ("dark_pool", "flow_alerts", "market_tide")


def page(rows: list[object], symbol: str | None = "AAPL", kind: str = "dark_pool") -> FlowPage:
    return FlowPage(kind, symbol, tuple(rows), NO_QUOTA, body=json.dumps({"data": rows}).encode())


LATER = minutes(999)


def seen(kept: KeptReplies, until: datetime = LATER) -> list[FlowPage]:
    return [reply.page() for reply in kept.replies(KINDS, (DAY, DAY), until)]


@pytest.fixture
def events() -> MemoryEvents:
    return MemoryEvents()


@pytest.fixture
def kept(tmp_path: Path, events: MemoryEvents) -> Iterator[KeptReplies]:
    with closing(KeptReplies(tmp_path, events, 2)) as replies:
        yield replies


ROW = st.dictionaries(st.text(max_size=4), st.one_of(st.none(), st.integers(), st.text(max_size=4)), max_size=3)


@settings(max_examples=20)
@given(st.lists(st.tuples(st.sampled_from(KINDS), st.sampled_from(["AAPL", None]), st.lists(ROW, max_size=3))))
def test_replies_are_read_as_they_came_and_in_order(replies: list[tuple[str, str | None, list[object]]]) -> None:
    pages = [page(rows, symbol, kind) for kind, symbol, rows in replies]
    with tempfile.TemporaryDirectory() as folder, closing(KeptReplies(Path(folder), MemoryEvents(), 2)) as kept:
        for number, one in enumerate(pages):
            kept.keep(one, DAY, minutes(number))
        read = [replace(one, body=b"") for one in pages]
        assert seen(kept) == read
        half = len(read) // 2
        assert seen(kept, minutes(half)) == read[: half + 1]


def test_replies_returns_only_the_requested_kinds_and_sessions(kept: KeptReplies) -> None:
    kept.keep(page([1]), DAY, NOW)
    kept.keep(page([2], kind="iv_rank"), DAY, NOW)
    kept.keep(page([3]), DAY + timedelta(days=1), minutes(1))
    assert [reply.page().rows for reply in kept.replies({"dark_pool"}, (DAY, DAY), minutes(9))] == [(1,)]


def test_identical_bodies_are_kept_once(kept: KeptReplies, tmp_path: Path) -> None:
    for number in range(5):
        kept.keep(page([{"a": 1}]), DAY, minutes(number))
    with closing(sqlite3.connect(tmp_path / "replies.db")) as database:
        assert database.execute("SELECT count(*) FROM bodies").fetchone() == (1,)
    assert len(seen(kept)) == 5


def test_sessions_beyond_the_number_are_forgotten_with_their_bodies(kept: KeptReplies, tmp_path: Path) -> None:
    days = [DAY + timedelta(days=number) for number in range(4)]
    for number, day in enumerate(days):
        kept.keep(page([number]), day, minutes(number))
        kept.keep(page(["always"]), day, minutes(number))
    assert [(one.session, one.replies, one.first_at) for one in kept.sessions()] == [
        (days[2], 2, minutes(2)), (days[3], 2, minutes(3)),
    ]  # fmt: skip
    with closing(sqlite3.connect(tmp_path / "replies.db")) as database:
        assert database.execute("SELECT count(*) FROM bodies").fetchone() == (3,)


def test_rows_without_a_body_are_kept_as_a_reply(kept: KeptReplies) -> None:
    rows: list[object] = [{"price": "1.50", "size": 3, "share": Decimal("0.25"), "code": None}]
    kept.keep(FlowPage("dark_pool", "AAPL", tuple(rows), NO_QUOTA), DAY, NOW)
    assert seen(kept)[0].rows == tuple(rows)


def test_replies_are_not_kept_for_zero_sessions(tmp_path: Path, kept: KeptReplies) -> None:
    KeptReplies(tmp_path, MemoryEvents(), 0).keep(page([1]), DAY, NOW)
    assert not (tmp_path / "replies.db").exists()
    assert kept.sessions() == []


def test_reply_without_data_is_kept(kept: KeptReplies) -> None:
    kept.keep(FlowPage("dark_pool", "AAPL", (), NO_QUOTA, status=404, body=b"not found"), DAY, NOW)
    assert seen(kept)[0].rows == ()


def test_damage_is_moved_aside_and_the_reply_is_kept(kept: KeptReplies, events: MemoryEvents, tmp_path: Path) -> None:
    kept.keep(page([1]), DAY, NOW)
    kept.close()
    (tmp_path / "replies.db").write_bytes(b"garbage!" * 1000)
    with pytest.raises(OperatorError, match="damaged"):
        kept.sessions()
    kept.keep(page([2]), DAY, minutes(1))
    assert [one.rows for one in seen(kept)] == [(2,)]
    assert (tmp_path / "replies.db.damaged-1").exists()
    assert [event.event_type for event in events.emitted] == ["REPLIES_BEGUN_ANEW"] * 2


@pytest.mark.parametrize(
    "change", ["bodies SET packed = x'00'", "replies SET symbol = 'MSFT'", "replies SET status = 7"]
)
def test_reply_whose_stored_content_changed_is_left_out_reported_and_kept_again(
    kept: KeptReplies, events: MemoryEvents, tmp_path: Path, change: str
) -> None:
    kept.keep(page([1]), DAY, NOW)
    with closing(sqlite3.connect(tmp_path / "replies.db", isolation_level=None)) as database:
        assert database.execute(f"UPDATE {change}").rowcount == 1
    assert seen(kept) == []
    kept.keep(page([1]), DAY, minutes(1))
    assert [one.rows for one in seen(kept)] == [(1,)]
    assert {event.event_type for event in events.emitted[1:]} == {"replies_damaged"}


def test_keep_emits_an_event_when_it_fails(
    kept: KeptReplies, events: MemoryEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuses(point: str) -> None:
        if point == "cache_database.set_aside.before":
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(failpoint, "hook", refuses)
    (tmp_path / "replies.db").mkdir()
    for number in range(3):
        kept.keep(page([number]), DAY, minutes(number))
    (event,) = events.emitted
    assert (event.event_type, event.symbol, event.details["endpoint"]) == ("reply_not_kept", "AAPL", "dark_pool")
    (tmp_path / "replies.db").rmdir()
    kept.keep(page([4]), DAY, minutes(4))
    kept.close()
    (tmp_path / "replies.db").unlink()
    (tmp_path / "replies.db").mkdir()
    kept.keep(page([5]), DAY, minutes(5))
    assert [event.event_type for event in events.emitted].count("reply_not_kept") == 2


def keep_some(folder: Path) -> int:
    events = MemoryEvents()
    with closing(KeptReplies(folder, events, 2)) as kept:
        for number in range(10):
            kept.keep(page([number]), DAY, minutes(number))
    return sum(event.event_type == "reply_not_kept" for event in events.emitted)


def test_several_processes_keep_replies_at_once(tmp_path: Path, kept: KeptReplies) -> None:
    # Not forked: threads of other tests may hold locks that a forked child would wait for in vain.
    with get_context("spawn").Pool(4) as pool:
        assert pool.map(keep_some, [tmp_path] * 4) == [0] * 4
    assert len(seen(kept)) == 40


def test_unreadable_reply_raises_the_same_error_again(kept: KeptReplies) -> None:
    kept.keep(replace(page([1]), body=b"<html>"), DAY, NOW)
    with pytest.raises(TemporaryError):
        seen(kept)
