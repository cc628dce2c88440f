"""What passes read is kept for a number of sessions, each part of it once a session, whatever happens to the file."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest

from tests.kit.rows import DAY, NOW
from tradebot.adapters.facts.recorded_passes import KeptPass, KeptPasses, decompress
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.errors import OperatorError
from tradebot.replaying.record_reader import LONGEST
from tradebot.replaying.record_writer import RecordError, StoredRecord, digest_of


@pytest.fixture
def events() -> MemoryEvents:
    return MemoryEvents()


@pytest.fixture
def kept(tmp_path: Path, events: MemoryEvents) -> Iterator[KeptPasses]:
    with closing(KeptPasses(tmp_path, events, 2)) as passes:
        yield passes


def keep(kept: KeptPasses, name: str, *parts: bytes, day: int = 0, body: bytes = b"body") -> None:
    contents = {digest_of(part): part for part in parts}
    one = KeptPass(name, DAY + timedelta(days=day), NOW + timedelta(days=day), "1.0")
    kept.keep(one, StoredRecord(body, tuple(contents), contents))


def count(folder: Path, table: str) -> int:
    with closing(sqlite3.connect(folder / "passes.db")) as database:
        ((rows,),) = database.execute(f"SELECT count(*) FROM {table}")  # noqa: S608 - our own name
    return int(rows)


def test_record_is_read_as_it_was_kept_and_a_later_one_of_the_pass_takes_its_place(kept: KeptPasses) -> None:
    keep(kept, "a", b"one", b"two")
    keep(kept, "a", b"two", b"three", body=b"later")
    assert kept.record("a") == (b"later", [b"two", b"three"])
    assert kept.record("b") is None
    assert [one.id for one in kept.passes()] == ["a"]


def test_part_that_several_passes_of_a_session_have_is_kept_once(kept: KeptPasses, tmp_path: Path) -> None:
    keep(kept, "a", b"one", b"two")
    keep(kept, "b", b"two")
    with closing(KeptPasses(tmp_path, MemoryEvents(), 2)) as other:
        keep(other, "c", b"two", b"one")
    assert count(tmp_path, "parts") == 2
    keep(kept, "d", b"two", day=1)
    assert count(tmp_path, "parts") == 3


def test_sessions_beyond_those_that_are_kept_are_deleted_with_their_parts(kept: KeptPasses, tmp_path: Path) -> None:
    for day in range(4):
        keep(kept, f"pass {day}", b"the same", day=day)
    assert [one.id for one in kept.passes()] == ["pass 2", "pass 3"]
    assert [one.id for one in kept.passes(DAY + timedelta(days=3))] == ["pass 3"]
    assert count(tmp_path, "parts") == 2


def test_what_was_written_is_remembered_for_one_session_only(kept: KeptPasses) -> None:
    for day in range(3):
        kept.remembered.text(b"part of day %d" % day)
        keep(kept, f"pass {day}", day=day)
        assert kept.remembered.content == {}, "the parts of earlier sessions would only grow"
        kept.remembered.text(b"part of day %d" % day)
        keep(kept, f"later {day}", day=day)
        assert len(kept.remembered.content) == 1


def test_two_passes_cannot_take_each_others_record(kept: KeptPasses, tmp_path: Path) -> None:
    keep(kept, "a", b"one", body=b"first")
    keep(kept, "b", b"one", body=b"second")
    with closing(sqlite3.connect(tmp_path / "passes.db")) as database, database:
        database.execute("UPDATE passes SET body = (SELECT body FROM passes WHERE id = 'a') WHERE id = 'b'")
    with pytest.raises(RecordError, match="changed after it was written"):
        kept.record("b")


def test_part_that_is_missing_is_told(kept: KeptPasses, tmp_path: Path) -> None:
    keep(kept, "a", b"one", b"two")
    with closing(sqlite3.connect(tmp_path / "passes.db")) as database, database:
        database.execute("DELETE FROM parts WHERE number = 1")
    with pytest.raises(RecordError, match="its record lacks 1 part"):
        kept.record("a")


def test_damaged_file_is_moved_aside_and_a_pass_that_cannot_be_kept_is_told_once(
    tmp_path: Path, kept: KeptPasses, events: MemoryEvents
) -> None:
    (tmp_path / "passes.db").write_bytes(b"garbage!" * 1000)
    keep(kept, "a", b"one")
    assert (tmp_path / "passes.db.damaged-1").exists()
    assert kept.record("a") == (b"body", [b"one"])
    with closing(sqlite3.connect(tmp_path / "passes.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        keep(kept, "b")
        keep(kept, "c")
    keep(kept, "d")
    assert [one.id for one in kept.passes()] == ["a", "d"]
    assert [event.event_type for event in events.emitted] == ["passes_begun_anew", "pass_not_kept"]
    assert events.emitted[-1].details["pass"] == "b"


def test_content_that_would_become_too_long_is_refused() -> None:
    import zlib

    with pytest.raises(RecordError, match="longer than"):
        decompress(zlib.compress(bytes(LONGEST + 1)))
    assert decompress(zlib.compress(b"short")) == b"short"


def test_bot_that_keeps_no_session_keeps_nothing(tmp_path: Path) -> None:
    assert not KeptPasses(tmp_path, MemoryEvents(), 0).keeps


@pytest.mark.parametrize("content", [b"", b"SQLite"])
def test_file_whose_creator_was_killed_has_no_passes_yet_and_any_other_content_is_damage(
    kept: KeptPasses, tmp_path: Path, content: bytes
) -> None:
    (tmp_path / "passes.db").write_bytes(content)
    if content:
        with pytest.raises(OperatorError, match=r"are damaged: .+\."):
            kept.passes()
        return
    assert (list(kept.passes()), kept.record("a")) == ([], None)
    keep(kept, "a", b"one")
    assert [one.id for one in kept.passes()] == ["a"]
