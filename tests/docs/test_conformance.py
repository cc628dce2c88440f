"""docs/internals/CONFORMANCE.md is what the files, the routes and the tests give: it cannot go stale."""

from pathlib import Path

import pytest

from tests.docs.conformance import CHECKS, DATA, PAGE, STREAMS, TRADING, Surface, key_of, left_out_keys, page, surfaces

ROOT = Path(__file__).resolve().parents[2]


def test_the_page_is_what_is_written_from_the_files_and_tables() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "write it again: python -m tests.docs"


@pytest.mark.parametrize("place", [0, 1], ids=["trading", "market data"])
def test_every_request_of_a_file_is_either_described_or_left_out(place: int) -> None:
    surface: Surface = surfaces()[place]
    gone, described = left_out_keys(surface.left_out), set(surface.behaves)
    assert not gone & described
    assert {key_of(operation) for operation in surface.api.operations()} <= gone | described


def test_every_check_is_a_file_that_is_there_and_every_word_is_explained() -> None:
    assert [path for path, _ in CHECKS.values() if not (ROOT / path).is_file()] == []
    rows = (*TRADING.values(), *DATA.values(), *STREAMS.values())
    assert {word for row in rows for word in row.checks} == set(CHECKS)
