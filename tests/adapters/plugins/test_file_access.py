"""Which declared files a plug-in gets: plain ones, and never keys, state or the future, by whatever name."""

import os
from pathlib import Path

import pytest

from tradebot.adapters.plugins.file_access import reach_of, why_unreadable

KEPT = "is hidden from plug-ins"


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Return a folder with a bot's state, keys, another bot's state, and data of the user's own."""
    for folder in ("state", "other", "data"):
        (tmp_path / folder).mkdir()
    for name in (".env", ".env.live", "state/ledger.db", "other/state.id", "other/ledger.db", "data/model.bin"):
        (tmp_path / name).write_text(name)
    (tmp_path / "data" / "link").symlink_to(tmp_path / "state" / "ledger.db")
    (tmp_path / "data" / "model.link").symlink_to(tmp_path / "data" / "model.bin")
    os.link(tmp_path / "state" / "ledger.db", tmp_path / "data" / "second")
    os.link(tmp_path / ".env", tmp_path / "data" / "key")
    os.link(tmp_path / "data" / "model.bin", tmp_path / "data" / "copy.bin")
    return tmp_path


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("data/model.bin", ""),
        ("data/model.link", ""),
        ("data/copy.bin", ""),
        ("data/gone.bin", "doesn't exist"),
        ("data", "isn't a plain file; declare each file separately"),
        (".env", KEPT),
        (".env.live", KEPT),
        ("state/ledger.db", KEPT),
        ("data/../state/ledger.db", KEPT),
        ("other/ledger.db", KEPT),
        ("data/link", KEPT),
        ("data/second", KEPT),
        ("data/key", KEPT),
    ],
)
def test_declared_file_is_refused_unless_it_is_the_users_own_data(home: Path, name: str, why: str) -> None:
    said = why_unreadable(home / name, (home / "state", home / ".env"))
    assert said.startswith(why)
    assert bool(said) is bool(why)


def test_reach_has_a_declared_file_and_nothing_beside_it(home: Path) -> None:
    private = (home / "state", home / ".env")
    wanted = (home / "data" / "model.bin", home / "data" / "link")
    reach = reach_of("json:It", home / "own", private, wanted)
    assert [path for path in reach.read if path.is_relative_to(home)] == [home / "data" / "model.bin"]
