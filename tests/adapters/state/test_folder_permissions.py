"""A state folder that somebody else can write, or exchange for another one, is refused with what closes it."""

import grp
import os
import pwd
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.kit.fakes.machine import mounted, without_privileges
from tests.kit.rows import ACCOUNT, NOW
from tradebot.adapters.state import folder_permissions, state_folder
from tradebot.adapters.state.folder_permissions import find_unsafe_permission
from tradebot.errors import OperatorError

SOMEBODY = 54_321


@pytest.fixture
def parent(tmp_path: Path) -> Path:
    path = tmp_path / "above"
    path.mkdir(mode=0o755)
    return path


@pytest.fixture
def folder(parent: Path) -> Path:
    state_folder.create(parent / "bot", "paper", ACCOUNT, "user", NOW)
    return parent / "bot"


def refusal(folder: Path) -> tuple[str, str]:
    """Return how every verb and `init` refuse the folder: in the same words."""
    with pytest.raises(OperatorError) as refused:
        state_folder.read_marker(folder)
    with pytest.raises(OperatorError) as prepared:
        state_folder.prepare(folder)
    assert (prepared.value.message, prepared.value.hint) == (refused.value.message, refused.value.hint)
    return refused.value.message, refused.value.hint.partition(", or name another folder")[0]


def test_create_makes_private_folders_under_any_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        state_folder.create(tmp_path / "a" / "b" / "bot", "paper", ACCOUNT, "user", NOW)
    finally:
        os.umask(before)
    made = [tmp_path / "a", tmp_path / "a" / "b", *(tmp_path / "a" / "b" / "bot").glob("**/")]
    assert {path.stat().st_mode & 0o777 for path in made} == {0o700}
    assert state_folder.read_marker(tmp_path / "a" / "b" / "bot").account_number == ACCOUNT


@pytest.mark.parametrize("mode", [0o720, 0o702, 0o1777])
def test_folder_writable_by_others_is_refused(folder: Path, mode: int) -> None:
    folder.chmod(mode)
    assert refusal(folder) == (f"{folder} is writable by other users.", f"chmod go-w {folder}")


@pytest.mark.parametrize(("mode", "members"), [(0o775, ["ada", "ben"]), (0o757, [])])
def test_parent_folder_writable_by_others_is_refused(
    folder: Path, parent: Path, mode: int, members: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    group_of(members, monkeypatch)
    parent.chmod(mode)
    said = f"{parent} contains the state folder and is writable by other users."
    assert refusal(folder) == (said, f"chmod go-w {parent}")


def test_parent_folder_writable_by_the_users_own_group_is_accepted(
    folder: Path, parent: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Many systems make folders writable for a group that nobody else is in, a fresh clone among them."""
    group_of([], monkeypatch)
    parent.chmod(0o775)
    assert state_folder.read_marker(folder).account_number == ACCOUNT


def group_of(members: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Let this user's own group have these members beside the user."""
    user = pwd.getpwuid(os.geteuid())
    own = grp.struct_group((user.pw_name, "x", user.pw_gid, members))
    monkeypatch.setattr(grp, "getgrgid", lambda group: own)


@pytest.fixture
def given(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path], None]:
    """Return what lets a folder belong to somebody else, whoever runs the tests."""

    def give(path: Path) -> None:
        found = folder_permissions._stat_if_exists

        def owned(place: Path, look: Callable[[Path], os.stat_result] = os.stat) -> os.stat_result | None:
            there = found(place, look)
            given = there and place == path
            return os.stat_result((*there[:4], SOMEBODY, *there[5:])) if given and there else there

        monkeypatch.setattr(folder_permissions, "_stat_if_exists", owned)

    return give


def test_a_folder_of_another_user_is_refused(folder: Path, given: Callable[[Path], None]) -> None:
    given(folder)
    us = os.geteuid()
    said = f"{folder} belongs to another user (uid {SOMEBODY}, and this is uid {us})."
    remedy = f"run it as that user: sudo -u '#{SOMEBODY}' …, or take ownership: sudo chown -R {us} {folder}"
    assert refusal(folder) == (said, remedy)


def test_parent_folder_of_another_user_is_refused(folder: Path, parent: Path, given: Callable[[Path], None]) -> None:
    given(parent)
    assert f"{parent} belongs to another user" in refusal(folder)[0]


def test_parents_of_a_link_and_of_its_target_are_checked(folder: Path, parent: Path, tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o777)
    (tmp_path / "open" / "link").symlink_to(folder)
    assert f"{tmp_path / 'open'} contains" in refusal(tmp_path / "open" / "link")[0]
    (tmp_path / "open").chmod(0o755)
    parent.chmod(0o777)
    assert f"{parent} contains" in refusal(tmp_path / "open" / "link")[0]


def test_permission_bits_are_ignored_on_network_disks(folder: Path) -> None:
    folder.chmod(0o777)
    put(folder, "ledger.db", 0o666)
    with mounted(folder, "9p"):
        assert state_folder.find_unsafe_permission(folder) is None
    with mounted(folder, "ext4"):
        assert find_unsafe_permission(folder) is not None
    folder.chmod(0o755)
    with mounted(folder, "ext4"):
        assert state_folder.find_unsafe_permission(folder) is not None


FILES = ("tradebot.yaml", ".env", "ledger.db", "ledger.db-wal", "journal.jsonl", "HALT", "ARMED", "state.id", "plans/p",
         "backups/a/manifest.json", "backups/parts/p", "quarantine/q/ledger.db")  # fmt: skip


def put(folder: Path, name: str, mode: int = 0o600) -> Path:
    """Return a file in a folder whose bits are these, whatever stood there."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()
    path.chmod(mode)
    return path


def open_to_readers(folder: Path) -> None:
    """Let others pass through every folder from here on."""
    for path in (folder, *(path for path in folder.rglob("*") if path.is_dir())):
        path.chmod(0o755)


def is_fine(folder: Path) -> bool:
    return state_folder.read_marker(folder).account_number == ACCOUNT


@pytest.mark.parametrize("name", FILES)
@pytest.mark.parametrize("mode", [0o622, 0o602])
def test_file_writable_by_others_is_refused(folder: Path, name: str, mode: int) -> None:
    path = put(folder, name, mode)
    open_to_readers(folder)
    assert refusal(folder) == (f"{path} is writable by other users.", f"chmod go-w {path}")
    path.chmod(mode & ~0o022)
    assert is_fine(folder)


@pytest.mark.parametrize("name", ["backups", "backups/parts", "quarantine"])
def test_inner_folder_writable_by_others_is_refused(folder: Path, name: str) -> None:
    put(folder, f"{name}/file")
    open_to_readers(folder)
    (folder / name).chmod(0o777)
    said = f"{folder / name} is writable by other users."
    assert refusal(folder) == (said, f"chmod go-w {folder / name}")


@pytest.mark.parametrize("members", [[], ["ada", "ben"]])
def test_file_writable_by_the_users_own_group_is_accepted(
    folder: Path, members: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an editor writes under the usual umask of a Debian system."""
    group_of(members, monkeypatch)
    put(folder, "tradebot.yaml", 0o664)
    open_to_readers(folder)
    assert (state_folder.find_unsafe_permission(folder) is None) == (members == [])


@pytest.mark.parametrize("name", [*FILES, "backups"])
def test_file_of_another_user_is_refused_in_a_private_folder(
    folder: Path, name: str, given: Callable[[Path], None]
) -> None:
    for file in FILES:
        put(folder, file)
    given(folder / name)
    us = os.geteuid()
    said = f"{folder / name} belongs to another user (uid {SOMEBODY}, and this is uid {us})."
    assert refusal(folder) == (said, f"take ownership: sudo chown -h {us} {folder / name}, or move it away")


def test_file_of_root_is_accepted(folder: Path, given: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tests.adapters.state.test_folder_permissions.SOMEBODY", 0)
    given(put(folder, "ARMED"))
    assert is_fine(folder)


def test_writable_file_with_a_second_name_is_refused(folder: Path, tmp_path: Path) -> None:
    path = put(folder, "ledger.db", 0o666)
    os.link(path, tmp_path / "other name")
    assert refusal(folder) == (f"{path} is writable by other users.", f"chmod go-w {path}")
    path.chmod(0o600)
    assert is_fine(folder)


def test_target_of_a_link_and_its_parents_are_checked(folder: Path, tmp_path: Path) -> None:
    elsewhere = put(tmp_path, "elsewhere/bot.yaml")
    link = folder / "tradebot.yaml"
    link.symlink_to(elsewhere)
    assert is_fine(folder)
    elsewhere.chmod(0o606)
    assert refusal(folder) == (f"{link} is writable by other users.", f"chmod go-w {link}")
    elsewhere.chmod(0o600)
    elsewhere.parent.chmod(0o777)
    said = f"{elsewhere.parent} contains the target of the link {link} and is writable by other users."
    assert refusal(folder) == (said, f"chmod go-w {elsewhere.parent}")


def test_unreadable_inner_folder_is_accepted(folder: Path) -> None:
    (folder / "quarantine").mkdir(mode=0)
    code = (
        "import sys, pathlib; from tradebot.adapters.state.state_folder import read_marker\n"
        "read_marker(pathlib.Path(sys.argv[1]))"
    )
    done = without_privileges([sys.executable, "-c", code, str(folder)])
    assert (done.returncode, done.stderr) == (0, "")


def test_nested_state_folder_is_checked_by_itself(folder: Path) -> None:
    state_folder.create(folder / "demo", "sandbox", ACCOUNT, "demo", NOW)
    put(folder, "demo/tradebot.yaml", 0o666)
    open_to_readers(folder)
    assert is_fine(folder)
    assert "tradebot.yaml is writable" in refusal(folder / "demo")[0]


def make_private_in_between(folder: Path) -> None:
    """Let others pass through the folder, but not through that of the backups."""
    put(folder, "backups/parts/p", 0o666)
    open_to_readers(folder)
    (folder / "backups").chmod(0o700)


ACCEPTED: dict[str, Callable[[Path], object]] = {
    "sticky parent folder": lambda folder: folder.parent.chmod(0o1777),
    "writable files in a private folder": lambda folder: [put(folder, name, 0o666) for name in FILES],
    "writable file below a private folder": make_private_in_between,
    "dangling link": lambda folder: (folder / "system_events.jsonl").symlink_to("nowhere"),
    "link to itself": lambda folder: (folder / "system_events.jsonl").symlink_to("system_events.jsonl"),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_folder_that_nobody_else_can_reach_into_is_accepted(folder: Path, case: str) -> None:
    ACCEPTED[case](folder)
    assert is_fine(folder)


def test_file_that_disappears_during_the_check_is_ignored(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = folder / "ledger.db-journal"
    monkeypatch.setattr(folder_permissions, "_entries", lambda place: [gone, *sorted(place.iterdir())])
    assert is_fine(folder)
