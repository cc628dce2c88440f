"""Where a chain breaks is said by line and byte, and what is whole after it is still read."""

from pathlib import Path

import pytest

from tests.kit import ledgers
from tradebot.adapters.ledger import journal_reader


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return ledgers.make(tmp_path / "state").path / "journal.jsonl"


def test_read_finds_no_break_in_a_whole_chain_even_if_its_last_line_is_torn(path: Path) -> None:
    found = journal_reader.read(path)
    assert (found.breaks, found.torn, found.whole) == ([], 0, len(path.read_bytes().splitlines()))
    with path.open("ab") as file:
        file.write(b'{"schema":2,"se')
    found = journal_reader.read(path)
    assert (found.breaks, found.torn) == ([], 15)


def test_read_names_a_changed_line_and_returns_the_others(path: Path) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    lines[4] = lines[4].replace(b'"kind":"', b'"kind":"x')
    path.write_bytes(b"".join(lines))
    found = journal_reader.read(path)
    (line,) = found.breaks
    assert (line.number, line.offset) == (5, sum(map(len, lines[:4])))
    assert "hash" in str(line.problem)
    assert found.whole == len(lines) - 1


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda lines: lines[:3] + lines[4:], "record 5, but 4 was expected"),
        (lambda lines: [*lines[:3], lines[4], lines[3], *lines[5:]], "record 5, but 4 was expected"),
        (lambda lines: [*lines[:4], lines[3], *lines[4:]], "record 4, but 5 was expected"),
        (lambda lines: [*lines[:2], b"{}\n", *lines[3:]], "match its hash"),
        (lambda lines: [*lines[:2], b"\xff\n", *lines[3:]], "match its hash"),
    ],
    ids=["removed", "exchanged", "doubled", "forged", "no text"],
)
def test_each_break_says_what_is_wrong(path: Path, change: object, said: str) -> None:
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(change(lines)))  # type: ignore[operator]
    assert said in str(journal_reader.read(path).breaks[0].problem)
