"""The suite's own guards: the list of allowed skips, loopback only, settings from outside, and what is made once."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket

from tests.kit.bot.folder import Bot, made, second_session
from tests.suite import tiers
from tests.suite.house import forget_outside_settings, rank, unlisted_skips


def test_a_skip_whose_reason_is_not_on_the_list_is_named_once() -> None:
    assert unlisted_skips(["flaky today", "flaky today"], ["needs ../shared/*"]) == ["flaky today"]


def test_long_files_are_begun_first_and_the_rest_keeps_its_order() -> None:
    places = [
        "tests/reconciliation/test_catch_up.py",
        "tests/commands/test_app.py",
        "tests/adapters/wire/test_http.py",
        "tests/faults/x.py",
        "tests/signals/structures/test_structures.py",
        "tests/signals/structures/test_structures_causality.py",
        "tests/scenarios/test_kraken_verbs.py",
    ]
    assert sorted(places, key=rank) == [places[number] for number in (6, 3, 5, 1, 0, 2, 4)]


@pytest.fixture
def tier() -> Iterator[None]:
    """Put back the tier in which this run plays."""
    before = tiers.seed()
    yield
    tiers.begin(before)


def test_campaigns_draw_the_same_parts_from_the_same_seed_and_others_from_another(tier: None) -> None:
    whole = range(1000)
    drawn = []
    for seed in (1, 1, 2):
        tiers.begin(seed)
        drawn.append(tiers.drawn("kills", [0], whole, 20))
    assert drawn[0] == drawn[1] != drawn[2]
    assert set(drawn[2]) <= set(whole)
    assert len(set(drawn[2])) == 20
    assert tiers.sized("sample", "campaign") == "campaign"


@pytest.mark.campaign
def test_all_workers_play_the_campaigns_of_the_seed_that_was_drawn_once(tmp_path: Path) -> None:
    (tmp_path / "test_drawn.py").write_text(
        "import pytest\nfrom tests.suite import tiers\n\n"
        "@pytest.mark.campaign\n@pytest.mark.parametrize('seed', [tiers.seed()])\n"
        "def test_drawn(seed):\n    pass\n"
    )
    plugins = ("-p", "tests.suite.house", "-p", "no:cacheprovider")
    command = (sys.executable, "-m", "pytest", "-n", "2", "--campaigns", *plugins, "--rootdir", ".", "test_drawn.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[2])
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_credentials_modes_and_proxies_are_forgotten_and_the_rest_is_kept() -> None:
    environment = {"APCA_API_KEY_ID": "x", "UW_API_KEY": "x", "https_proxy": "x", "TRADING_MODE": "live", "HOME": "h"}
    forget_outside_settings(environment)
    assert environment == {"HOME": "h"}


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_a_connection_beyond_loopback_is_refused_before_it_is_made() -> None:
    with socket.socket() as outside, pytest.raises(pytest_socket.SocketConnectBlockedError):
        outside.connect(("192.0.2.1", 80))


def test_only_bots_as_they_were_made_become_copies_of_one_in_its_second_session(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends = {}
    for name in ("first", "new", "changed"):
        with made(tmp_path / name) as folder:
            bot = Bot(folder, capsys)
            if name == "changed":
                (folder / "tradebot.yaml").write_text((folder / "tradebot.yaml").read_text() + "# mine\n")
            second_session(bot)
            ends[name] = bot.json("status")["as_of"], "# mine" in (folder / "tradebot.yaml").read_text()
    assert ends["new"] == ends["first"]
    assert ends["changed"] == (ends["first"][0], True)
