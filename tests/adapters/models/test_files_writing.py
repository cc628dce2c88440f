"""A signed model appears as a whole or not at all, wherever its writer is killed or its disk fails."""

import os
import time
from pathlib import Path

import pytest

from tests.kit.fakes.failpoints import at_point, points_of, raising
from tests.kit.fakes.networks import Signed, constant
from tests.kit.values import Killed
from tradebot.adapters.models.files import LEFT_AFTER_S, load_draft, read_model, write_draft, write_model
from tradebot.adapters.models.signing import make_key, name_of, read_key
from tradebot.errors import OperatorError

PARTS = constant([0.75])


@pytest.fixture
def signed(tmp_path: Path) -> Signed:
    return Signed(tmp_path)


def usable(signed: Signed) -> list[str]:
    """Return what can be loaded of all that is in the folder, under whatever name."""
    found = []
    for path in signed.folder.iterdir() if signed.folder.exists() else ():
        try:
            found.append(read_model(signed.folder, path.name, signed.public).id)
        except OperatorError:
            continue
    return found


def test_same_content_has_the_same_name_and_is_written_once(signed: Signed) -> None:
    first, second = signed.write(PARTS), signed.write(PARTS)
    assert first == second
    assert [path.name for path in signed.folder.iterdir()] == [first]
    assert signed.write(constant([0.5])) != first


def test_model_that_another_process_writes_at_the_same_moment_is_there_once(signed: Signed) -> None:
    with at_point("models.name.before", lambda: signed.write(PARTS)):
        name = signed.write(PARTS)
    assert [path.name for path in signed.folder.iterdir()] == [name]


def test_killed_at_each_point_it_leaves_nothing_that_can_be_loaded_or_all_of_it(signed: Signed) -> None:
    points, name = points_of(lambda: signed.write(PARTS)), signed.write(PARTS)
    assert len([point for point in points if point.startswith("models.sync_file")]) == 2 * 6
    written = points.index("models.name.after")
    for number, point in enumerate(points):
        place = _another(signed, number)
        with at_point(number, raising(Killed())), pytest.raises(Killed):
            place.write(PARTS)
        assert usable(place) == ([name] if number >= written else []), point
        assert place.write(PARTS) == name
        assert usable(place) == [name]


def test_killed_at_each_point_a_draft_is_there_as_a_whole_or_not_at_all(tmp_path: Path) -> None:
    points = points_of(lambda: write_draft(tmp_path / "drafts" / "first", PARTS))
    written = points.index("models.name_draft.after")
    for number, point in enumerate(points):
        place = tmp_path / f"drafts{number}" / "one"
        with at_point(number, raising(Killed())), pytest.raises(Killed):
            write_draft(place, PARTS)
        assert place.exists() == (number >= written), point
        if place.exists():
            assert load_draft(place).card == PARTS.card
            with pytest.raises(OperatorError, match="already"):
                write_draft(place, PARTS)
        else:
            write_draft(place, PARTS)
            assert load_draft(place).graph == PARTS.graph


def _another(signed: Signed, number: int) -> Signed:
    other = Signed.__new__(Signed)
    other.folder, other.key, other.public = signed.folder.parent / f"models{number}", signed.key, signed.public
    return other


def test_draft_of_a_killed_writer_is_removed_by_a_later_one_after_an_hour(signed: Signed) -> None:
    with at_point("models.name.before", raising(Killed())), pytest.raises(Killed):
        signed.write(PARTS)
    (draft,) = signed.folder.iterdir()
    name = signed.write(PARTS)
    assert draft.exists(), "its writer may be at work"
    old = time.time() - LEFT_AFTER_S - 1
    os.utime(draft, (old, old))
    signed.write(constant([0.5]))
    assert not draft.exists()
    assert name in usable(signed)


def test_something_else_under_its_name_is_left_as_it_is(signed: Signed) -> None:
    name = signed.write(PARTS)
    (signed.folder / name / "card.json").write_text("{}")
    with pytest.raises(OperatorError, match="isn't what was signed"):
        signed.write(PARTS)
    assert [path.name for path in signed.folder.iterdir()] == [name]


def test_same_model_that_another_key_signed_is_left_and_its_key_is_named(signed: Signed, tmp_path: Path) -> None:
    name = signed.write(PARTS)
    public = make_key(tmp_path / "other")
    with pytest.raises(OperatorError, match=rf"signed with another key \({name_of(signed.public)}\)") as refused:
        write_model(signed.folder, PARTS, read_key(tmp_path / "other"))
    assert refused.value.hint is not None
    assert ("--to FOLDER" in refused.value.hint, "rm" in refused.value.hint.split()) == (True, False)
    assert usable(signed) == [name]
    assert write_model(tmp_path / "theirs", PARTS, read_key(tmp_path / "other")) == name
    assert read_model(tmp_path / "theirs", name, public).graph == PARTS.graph
    # With another file too, it isn't this model.
    (signed.folder / name / "card.json").write_text("{}")
    with pytest.raises(OperatorError, match="isn't what was signed"):
        write_model(signed.folder, PARTS, read_key(tmp_path / "other"))


def test_folder_that_can_not_be_written_is_named(signed: Signed) -> None:
    signed.folder.write_text("no folder")
    with pytest.raises(OperatorError, match="can't be written"):
        signed.write(PARTS)


def test_files_are_for_their_owner_alone(signed: Signed) -> None:
    path = signed.folder / signed.write(PARTS)
    assert path.stat().st_mode & 0o077 == 0
    assert all(each.stat().st_mode & 0o077 == 0 for each in path.iterdir())
