"""The archive: a version is there as a whole or not at all, and so is a folder that is fetched."""

import errno
import hashlib
import os
import shlex
import subprocess
import time
from pathlib import Path

import msgspec
import pytest

from tests.kit.fakes.failpoints import at_point, killed_at, points_of, raising
from tradebot.adapters.recovery import archive
from tradebot.adapters.recovery.offsite_copy import LEFT_AFTER_S, Folder
from tradebot.errors import CannotWriteError, OperatorError

NAME = "models/sac/one"


@pytest.fixture
def place(tmp_path: Path) -> Folder:
    (tmp_path / "place").mkdir()
    return Folder(tmp_path / "place")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "deep").mkdir(parents=True)
    (folder / "card.json").write_bytes(b"{}")
    (folder / "deep" / "same.json").write_bytes(b"{}")
    (folder / "model.onnx").write_bytes(bytes(range(256)))
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {str(file.relative_to(folder)): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def test_version_has_each_content_once_and_is_named_by_what_it_is(place: Folder, model: Path, tmp_path: Path) -> None:
    first = archive.push_files(model, NAME, place)
    assert (first.files, first.sent, archive.push_files(model, NAME, place).sent) == (3, 2, 0)
    assert archive.push_files(model, "models/sac/two", place).sent == 0
    (model / "card.json").write_bytes(b"[]")
    second = archive.push_files(model, NAME, place)
    assert second.sent == 1
    assert {one.version for one in archive.versions(place, NAME)} == {first.version, second.version}
    archive.fetch(place, NAME, first.version[:9], tmp_path / "back")
    assert contents(tmp_path / "back") == {**contents(model), "card.json": b"{}"}


def test_kill_at_any_point_leaves_no_half_version_and_no_half_folder(
    place: Folder, model: Path, tmp_path: Path
) -> None:
    (tmp_path / "spare").mkdir()
    of_push = points_of(lambda: archive.push_files(model, NAME, Folder(tmp_path / "spare")))
    assert of_push
    for number in range(len(of_push)):
        (root := tmp_path / f"place{number}").mkdir()
        killed_at(number, lambda root=root: archive.push_files(model, NAME, Folder(root)))  # type: ignore[misc]
        assert all(not one.problem for one in archive.versions(Folder(root), ""))
        archive.push_files(model, NAME, Folder(root))
        assert contents(root).items() >= contents(tmp_path / "spare").items()
    archive.push_files(model, NAME, place)
    of_fetch = points_of(lambda: archive.fetch(place, NAME, None, tmp_path / "back"))
    assert "archive.name.before" in of_fetch
    for number in range(len(of_fetch)):
        back = tmp_path / f"back{number}"
        killed_at(number, lambda back=back: archive.fetch(place, NAME, None, back))  # type: ignore[misc]
        if not back.exists():
            archive.fetch(place, NAME, None, back)
        assert contents(back) == contents(model)


def test_full_disk_while_fetching_is_told_and_leaves_nothing(place: Folder, model: Path, tmp_path: Path) -> None:
    archive.push_files(model, NAME, place)
    full = raising(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)))
    with at_point("archive.sync.before", full), pytest.raises(CannotWriteError, match="No space left"):
        archive.fetch(place, NAME, None, tmp_path / "back")
    assert {path.name for path in tmp_path.iterdir()} == {"place", "model"}


def test_changed_manifest_is_refused_by_name(place: Folder, model: Path, tmp_path: Path) -> None:
    version = archive.push_files(model, NAME, place).version
    file = tmp_path / "place" / NAME / f"{version}.json"
    file.write_bytes(file.read_bytes().replace(b"card.json", b"cart.json"))
    (row,) = archive.versions(place, "models")
    assert f"{NAME}/{version}.json in {place.where} was changed" in row.problem
    with pytest.raises(OperatorError, match="was changed"):
        archive.fetch(place, NAME, version, tmp_path / "back")


@pytest.mark.parametrize("which", ["objects/*", f"{NAME}/*"])
def test_each_push_reads_what_is_there_and_the_command_it_names_lets_the_next_one_repair_it(
    which: str, place: Folder, model: Path, tmp_path: Path
) -> None:
    archive.push_files(model, NAME, place)
    before, damaged = contents(tmp_path / "place"), sorted((tmp_path / "place").glob(which))[0]
    damaged.write_bytes(b"Z" * damaged.stat().st_size)
    with pytest.raises(OperatorError, match=f"{damaged.name} in .* differs from") as refused:
        archive.push_files(model, NAME, place)
    assert damaged.read_bytes().strip(b"Z") == b"", "it was left as it is"
    subprocess.run(shlex.split(refused.value.hint.partition("then push again: ")[2]), check=True)
    assert archive.push_files(model, NAME, place).sent == which.startswith("objects")
    assert contents(tmp_path / "place") == before
    archive.fetch(place, NAME, None, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(model)


def test_lost_object_is_sent_again_though_the_version_is_there(place: Folder, model: Path, tmp_path: Path) -> None:
    archive.push_files(model, NAME, place)
    sorted((tmp_path / "place" / "objects").iterdir())[0].unlink()
    assert archive.push_files(model, NAME, place).sent == 1
    archive.fetch(place, NAME, None, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(model)


def test_files_of_other_names_are_neither_listed_nor_fetched(place: Folder, model: Path, tmp_path: Path) -> None:
    version = archive.push_files(model, NAME, place).version
    for stray in (f"{NAME}/readme.txt", f"{NAME}/notes.json", f"{NAME}/old/{version}.json", f"models/{version}.json"):
        (file := tmp_path / "place" / stray).parent.mkdir(exist_ok=True)
        file.write_bytes(b"x")
        later = time.time() + 60
        os.utime(file, (later, later))
    assert [(one.version, one.problem) for one in archive.versions(place, "")] == [(version, "")]
    assert archive.fetch(place, NAME, None, tmp_path / "back").version == version
    with pytest.raises(OperatorError, match="has no"):
        archive.fetch(place, NAME, "readme", tmp_path / "other")


def test_pushes_at_the_same_time_do_not_disturb_each_other(place: Folder, model: Path, tmp_path: Path) -> None:
    other: list[archive.PushResult] = []

    def push_too() -> None:
        if not other:
            other.append(archive.push_files(model, NAME, Folder(tmp_path / "place")))

    with at_point("offsite_copy.put.before", push_too):
        pushed = archive.push_files(model, NAME, place)
    assert [one.version for one in other] == [pushed.version]
    archive.fetch(place, NAME, None, tmp_path / "back")
    assert contents(tmp_path / "back") == contents(model)
    assert not list((tmp_path / "place").rglob(".new-*"))


def test_draft_of_a_push_that_was_killed_is_removed_a_day_later(place: Folder, model: Path, tmp_path: Path) -> None:
    (objects := tmp_path / "place" / "objects").mkdir()
    old, young = objects / ".new-old.0", objects / ".new-young.0"
    for draft, age in ((old, LEFT_AFTER_S + 60), (young, 60)):
        draft.write_bytes(b"x")
        os.utime(draft, (time.time() - age,) * 2)
    archive.push_files(model, NAME, place)
    assert (old.exists(), young.exists()) == (False, True)


@pytest.mark.parametrize("named", ["afile", "afile/deep"])
def test_file_in_place_of_a_folder_is_told_as_one(named: str, tmp_path: Path) -> None:
    (tmp_path / "afile").write_bytes(b"x")
    with pytest.raises(OperatorError, match="afile is a file, not a folder") as refused:
        Folder(tmp_path / named)
    assert "mkdir" not in refused.value.hint


@pytest.mark.parametrize("path", ["../out", "/out", "a//b", "a/./b", ""])
def test_manifest_that_leads_elsewhere_is_refused(path: str, place: Folder, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"x")
    encoded = msgspec.json.encode(archive.Manifest(archive.VERSION, NAME, {path: archive.ArchivedFile(1, "0" * 64)}))
    version = hashlib.sha256(encoded).hexdigest()
    (tmp_path / "place" / NAME).mkdir(parents=True)
    (tmp_path / "place" / NAME / f"{version}.json").write_bytes(encoded)
    with pytest.raises(OperatorError, match="names files outside its folder"):
        archive.fetch(place, NAME, None, tmp_path / "back")


@pytest.mark.parametrize("name", ["models/sac", "market_data/../x", "market_data/ES/", "other/x", "features", ""])
def test_name_of_no_kind_is_refused(name: str) -> None:
    with pytest.raises(OperatorError, match="is not a valid archive name"):
        archive.require_name(name)


@pytest.mark.parametrize(
    ("left", "told"), [("bars.db-wal", "in use"), (".env", "may contain keys,"), ("bars.db-journal", "in use")]
)
def test_database_in_use_and_keys_are_not_archived(left: str, told: str, place: Folder, model: Path) -> None:
    (model / left).write_bytes(b"x")
    with pytest.raises(OperatorError, match=told):
        archive.push_files(model, NAME, place)
    assert archive.versions(place, "") == []


def test_link_is_not_followed(place: Folder, model: Path) -> None:
    (model / "link").symlink_to(model / "card.json")
    with pytest.raises(OperatorError, match="it is a link"):
        archive.push_files(model, NAME, place)
