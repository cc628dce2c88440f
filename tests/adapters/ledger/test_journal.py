"""A chain that shows each change, and a tail that a crash may tear."""

import errno
import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.kit.bot import forked
from tests.kit.fakes.failpoints import at_point, raising
from tests.kit.ledgers import verify
from tests.kit.rows import NOW
from tradebot.adapters.ledger import journal
from tradebot.adapters.ledger.journal import ChainHead, Journal
from tradebot.errors import DamagedBooksError, DamagedJournalError, OperatorError, TemporaryError


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


@pytest.fixture
def chain(path: Path) -> Iterator[Journal]:
    opened = Journal.create(path, {"account": "X"}, NOW)
    for number in range(4):
        opened.append("fill", {"number": number}, NOW)
    yield opened
    opened.close()


def place(path: Path, number: int) -> ChainHead:
    """Return what a ledger holds that is sealed with a record."""
    return ChainHead(number, json.loads(path.read_bytes().splitlines()[number - 1])["hash"])


def test_records_are_numbered_chained_and_readable(chain: Journal, path: Path) -> None:
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [record["seq"] for record in records] == [1, 2, 3, 4, 5]
    assert [record["prev"] for record in records] == [journal.GENESIS, *(r["hash"] for r in records[:-1])]
    assert records[2] | {"hash": "", "prev": ""} == {
        "schema": 2,
        "seq": 3,
        "at": "2026-01-05T15:00:00.000000Z",
        "sealed": 1,
        "kind": "fill",
        "payload": {"number": 1},
        "prev": "",
        "hash": "",
    }
    assert verify(path) == chain.head() == (5, records[-1]["hash"])


@settings(max_examples=40)
@given(place=st.floats(0, 1, exclude_max=True), change=st.integers(1, 255))
def test_chain_check_names_the_record_with_a_changed_byte(place: float, change: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "journal.jsonl"
        chain = Journal.create(path, {}, NOW)
        for number in range(4):
            chain.append("fill", {"number": number}, NOW)
        chain.close()
        whole = bytearray(path.read_bytes())
        index = int(place * (len(whole) - 1))
        record = whole[:index].count(b"\n") + 1
        whole[index] ^= change
        path.write_bytes(whole)
        with pytest.raises(OperatorError, match=f"broken at record {record}\\."):
            verify(path)


@pytest.mark.parametrize("lost", [0, 2, 3])
def test_chain_check_finds_a_removed_record(chain: Journal, path: Path, lost: int) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:lost] + lines[lost + 1 :]))
    with pytest.raises(OperatorError, match=f"record {lost + 1}"):
        verify(path)


def test_chain_check_finds_a_forged_record_with_a_right_hash(chain: Journal, path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    body = lines[2].partition(b',"hash":')[0].replace(b'"number":1', b'"number":7') + b"}"
    digest = hashlib.sha256(body).hexdigest()
    lines[2] = body[:-1] + f',"hash":"{digest}"}}\n'.encode()
    path.write_bytes(b"".join(lines))
    with pytest.raises(OperatorError, match=r"broken at record 4\."):
        verify(path)


def test_torn_last_line_is_set_aside_and_the_chain_continues(chain: Journal, path: Path) -> None:
    head = chain.head()
    with path.open("ab") as file:
        file.write(b'{"schema":1,"seq":6,"at":"20')
    assert verify(path) == head
    opened = Journal.open(path, place(path, 1))
    opened.append("fill", {"number": 9}, NOW)
    opened.close()
    assert (path.parent / "journal.torn-1").read_bytes() == b'{"schema":1,"seq":6,"at":"20'
    assert verify(path).sequence == 6


def test_complete_wrong_last_line_is_damage_and_stays(chain: Journal, path: Path) -> None:
    before = path.read_bytes().replace(b'"number":3', b'"number":4')
    path.write_bytes(before)
    with pytest.raises(DamagedJournalError, match=r"Record 5 of .* is damaged\."):
        Journal.open(path, place(path, 5))
    assert path.read_bytes() == before


def test_two_writers_in_turn_keep_one_journal_chain(chain: Journal, path: Path) -> None:
    other = Journal.open(path, place(path, 1))
    other.append("fill", {"by": "other"}, NOW)
    chain.append("fill", {"by": "first"}, NOW)
    other.append("fill", {"by": "other"}, NOW)
    other.close()
    assert verify(path).sequence == 8


def test_full_disk_leaves_no_partial_record_in_the_journal(chain: Journal, path: Path) -> None:
    code = (
        "import resource, signal, sys; from pathlib import Path; from tests.kit.rows import NOW\n"
        "from tradebot.adapters.ledger.journal import Journal; from tests.kit.ledgers import verify\n"
        "path = Path(sys.argv[1]); chain = Journal.open(path, verify(path)); limit = path.stat().st_size + 100\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))\n"
        "chain.append('fill', {}, NOW)"
    )
    before = path.read_bytes()
    done = forked.ran(code, path)
    assert "OSError: [Errno 27]" in done.stderr
    assert path.read_bytes() == before


def test_existing_journal_is_never_overwritten(chain: Journal, path: Path) -> None:
    with pytest.raises(FileExistsError):
        Journal.create(path, {}, NOW)


def test_a_missing_or_empty_journal_is_damage(path: Path) -> None:
    with pytest.raises(OperatorError, match="missing"):
        Journal(path)
    with pytest.raises(OperatorError, match="can't be read"):
        verify(path)
    path.touch()
    with pytest.raises(OperatorError, match="empty"):
        verify(path)
    with pytest.raises(DamagedJournalError, match="ends before record 1"):
        Journal.open(path, ChainHead(1, "a" * 64))


def in_pieces(path: Path, record: int) -> bytes:
    """Put zeros into a line, as a disk leaves a sector that it never wrote; return all from that line on."""
    lines = path.read_bytes().splitlines(keepends=True)
    line = lines[record - 1]
    lines[record - 1] = line[:40] + bytes(len(line) - 60) + line[-20:]
    path.write_bytes(b"".join(lines))
    return b"".join(lines[record - 1 :])


@pytest.mark.parametrize("sealed", [1, 2, 3])
def test_unsynced_fragments_are_moved_aside_with_all_that_follows(chain: Journal, path: Path, sealed: int) -> None:
    pieces = in_pieces(path, 4)
    assert [record.head.sequence for record in journal.records(path, sealed)] == [1, 2, 3]
    opened = Journal.open(path, place(path, sealed))
    opened.append("fill", {"number": 9}, NOW)
    opened.close()
    assert (path.parent / "journal.torn-1").read_bytes() == pieces
    assert verify(path).sequence == 4


def test_fragment_of_a_sealed_record_is_damage(chain: Journal, path: Path) -> None:
    sealed = place(path, 4)
    in_pieces(path, 4)
    before = path.read_bytes()
    with pytest.raises(OperatorError, match=r"broken at record 4\."):
        list(journal.records(path, 4))
    with pytest.raises(DamagedJournalError, match=r"Record 4 of .* is damaged\."):
        Journal.open(path, sealed)
    assert path.read_bytes() == before


def test_fragments_are_damage_when_a_later_line_shows_a_newer_seal(chain: Journal, path: Path) -> None:
    chain.set_seal(place(path, 5))
    chain.append("fill", {"number": 5}, NOW)
    in_pieces(path, 4)
    before = path.read_bytes()
    with pytest.raises(OperatorError, match=r"broken at record 4\."):
        list(journal.records(path, 3))
    with pytest.raises(DamagedBooksError, match="ends at record 3, but the journal shows that it had reached 5"):
        Journal.open(path, place(path, 3))
    assert path.read_bytes() == before


def test_open_refuses_the_journal_of_another_ledger(chain: Journal, path: Path) -> None:
    with pytest.raises(DamagedBooksError, match="don't belong together"):
        Journal.open(path, ChainHead(3, "a" * 64))
    with pytest.raises(DamagedJournalError, match="ends before record 6"):
        Journal.open(path, ChainHead(6, "a" * 64))


@pytest.mark.parametrize("left", range(5))
def test_append_refuses_an_open_journal_that_was_cut_short(chain: Journal, path: Path, left: int) -> None:
    chain.set_seal(chain.sync())
    lines = path.read_bytes().splitlines(keepends=True)
    os.truncate(path, sum(map(len, lines[:left])))
    for _ in range(2):
        with pytest.raises(DamagedJournalError, match="ends before record 5"):
            chain.append("promised", {}, NOW)
    assert path.read_bytes() == b"".join(lines[:left])
    path.write_bytes(b"".join(lines))
    chain.append("promised", {}, NOW)
    assert verify(path).sequence == 6


def test_append_refuses_when_the_ledger_was_replaced_by_an_older_one(chain: Journal, path: Path) -> None:
    old = place(path, 1)
    chain.set_seal(chain.sync())
    chain.append("settled", {}, NOW)
    chain.set_seal(old)
    with pytest.raises(DamagedBooksError, match="ends at record 1, but the journal shows that it had reached 5"):
        chain.append("promised", {}, NOW)


def test_append_continues_after_a_commit_that_failed_after_the_sync(chain: Journal, path: Path) -> None:
    old = place(path, 1)
    chain.sync()
    chain.set_seal(old)
    chain.append("promised", {}, NOW)
    chain.set_seal(chain.sync())
    chain.append("promised", {}, NOW)
    assert verify(path).sequence == 7


def test_fragments_are_found_however_far_back_the_sealed_record_is(path: Path) -> None:
    chain = Journal.create(path, {}, NOW)
    for _ in range(5):
        chain.append("settled", {"text": "x" * (journal.LONGEST_LINE // 2)}, NOW)
    chain.close()
    in_pieces(path, 3)
    Journal.open(path, place(path, 1)).close()
    assert verify(path).sequence == 2


def test_unreadable_journal_is_a_temporary_error_and_no_damage(
    chain: Journal, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none_left(*args: object) -> int:
        raise OSError(errno.EMFILE, os.strerror(errno.EMFILE), str(path))

    monkeypatch.setattr(os, "open", none_left)
    with pytest.raises(TemporaryError, match="can't be read: Too many open files"):
        verify(path)


def test_failed_sync_removes_the_records_that_it_may_have_lost(chain: Journal, path: Path) -> None:
    chain.sync()
    before = path.read_bytes()
    chain.append("settled", {}, NOW)
    chain.append("promised", {}, NOW)
    failing = raising(OSError(errno.EIO, os.strerror(errno.EIO)))
    with at_point("journal.sync.before", failing), pytest.raises(OSError, match="Input/output"):
        chain.sync()
    assert path.read_bytes() == before
    chain.append("promised", {"again": 1}, NOW)
    assert verify(path) == chain.sync() == chain.head()
