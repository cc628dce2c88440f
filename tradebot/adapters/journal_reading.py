"""A journal line by line, damaged or not: where its chain breaks, and which records are whole all the same."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from tradebot.adapters import journal
from tradebot.adapters.state_folder import REBUILD
from tradebot.errors import DamagedJournalError

HASH = len(journal.GENESIS) + len(journal.HASH_END)


class Line(NamedTuple):
    """One line: its number from 1, where it begins in bytes, its record where its own hash is right, what is wrong.

    `hash` is the one that the line carries, right or not.
    """

    number: int
    offset: int
    record: dict[str, Any] | None
    problem: str | None
    hash: str


class Reading(NamedTuple):
    """A whole journal: its complete lines, and how many bytes of an incomplete one follow, as a crash leaves them."""

    lines: tuple[Line, ...]
    torn: int

    @property
    def records(self) -> list[dict[str, Any]]:
        """Return the records whose own hash is right, in their order, each number once."""
        found = {line.record["seq"]: line.record for line in self.lines if line.record}
        return [found[sequence] for sequence in sorted(found)]

    @property
    def breaks(self) -> list[Line]:
        """Return the lines at which the chain does not hold."""
        return [line for line in self.lines if line.problem]


def read(path: Path) -> Reading:
    """Read a journal through; DamagedJournalError only where there is no file to read."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise DamagedJournalError(f"The journal {path} cannot be read: {error.strerror}.", REBUILD) from error
    *complete, rest = data.split(b"\n")
    return Reading(tuple(_lines(complete)), len(rest))


def _lines(texts: list[bytes]) -> Iterator[Line]:
    due, before, offset = 1, journal.GENESIS, 0
    for number, text in enumerate(texts, 1):
        record = _record(text)
        problem = _problem(record, due, before)
        yield Line(number, offset, record, problem, text[-HASH : -len(journal.HASH_END)].decode(errors="replace"))
        # What stood in a damaged line is not known, so that the next one is measured by its number alone.
        due, before = (record["seq"] + 1, record["hash"]) if record else (due + 1, "")
        offset += len(text) + 1


def _record(text: bytes) -> dict[str, Any] | None:
    try:
        return journal.parse_line(text)
    except (ValueError, RecursionError):
        return None


def _problem(record: dict[str, Any] | None, due: int, before: str) -> str | None:
    if record is None:
        return "its text is not what its hash was made of"
    if record["seq"] != due:
        return f"it is record {record['seq']}, and {due} was due"
    if before and record["prev"] != before:
        return "it follows another record than the one before it"
    return None
