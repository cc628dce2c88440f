"""docs/internals/CONFORMANCE.md has every request of the files, and every check that it names is there."""

from pathlib import Path

import pytest

from tests.docs.conformance import key_of, left_out_keys, surfaces, written

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("place", [0, 1], ids=["trading", "market data"])
def test_every_request_of_a_file_is_either_described_or_left_out(place: int) -> None:
    surface = surfaces()[place]
    rows = {request.strip("`"): (what, checks) for request, _, what, checks in written(surface.head)}
    shown = {f"{one.method.upper()} {one.path}": key_of(one) for one in surface.api.operations()}
    gone, described = left_out_keys(surface.left_out), {shown[request] for request in rows}
    assert not gone & described
    assert set(shown.values()) <= gone | described
    assert all(what and checks for what, checks in rows.values())


def test_every_check_is_a_file_that_is_there_and_every_word_is_explained() -> None:
    checks = written("| word | where |")
    assert [path for _, path, what in checks if not what or not (ROOT / path.strip("`")).is_file()] == []
    heads = ("| request of the trading api |", "| request of the market data api |", "| stream |")
    named = {word for head in heads for row in written(head) for word in row[-1].split(", ")}
    assert named == {word for word, *_ in checks}
