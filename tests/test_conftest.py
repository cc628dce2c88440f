"""The suite's own guards: the list of allowed skips, loopback only, settings from outside."""

import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import pytest_socket

from tests import tiers
from tests.conftest import counts, forget_outside_settings, place_for_folders, rank, unlisted_skips


def test_a_skip_whose_reason_is_on_the_list_passes() -> None:
    assert unlisted_skips(["needs ../shared/data/uw"], ["# data", "", "needs ../shared/*"]) == []


def test_a_skip_whose_reason_is_not_on_the_list_is_named_once() -> None:
    assert unlisted_skips(["flaky today", "flaky today"], ["needs ../shared/*"]) == ["flaky today"]


def test_a_comment_line_allows_nothing() -> None:
    assert unlisted_skips(["# anything"], ["# anything"]) == ["# anything"]


def test_long_files_are_begun_first_and_the_rest_keeps_its_order() -> None:
    places = [
        "tests/reconciliation/test_catch_up.py",
        "tests/commands/test_app.py",
        "tests/adapters/wire/test_http.py",
        "tests/faults/x.py",
    ]
    assert sorted(places, key=rank) == [places[3], places[1], places[0], places[2]]


def test_folders_go_to_the_first_place_that_has_room(tmp_path: Path) -> None:
    assert place_for_folders([str(tmp_path / "none"), "/proc", str(tmp_path)]) == str(tmp_path)
    assert place_for_folders([str(tmp_path / "none")]) is None


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


def test_the_fast_tier_plays_the_same_sample_each_time(tier: None) -> None:
    tiers.begin(None)
    assert tiers.drawn("kills", [3], range(1000), 20) == [3]
    assert tiers.sized("sample", "campaign") == "sample"


@pytest.mark.campaign
def test_all_workers_play_the_campaigns_of_the_seed_that_was_drawn_once(tmp_path: Path) -> None:
    (tmp_path / "test_drawn.py").write_text(
        "import pytest\nfrom tests import tiers\n\n"
        "@pytest.mark.campaign\n@pytest.mark.parametrize('seed', [tiers.seed()])\n"
        "def test_drawn(seed):\n    pass\n"
    )
    plugins = ("-p", "tests.conftest", "-p", "no:cacheprovider")
    command = (sys.executable, "-m", "pytest", "-n", "2", "--campaigns", *plugins, "--rootdir", ".", "test_drawn.py")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment["PYTHONPATH"] = str(Path(__file__).parents[1])
    done = subprocess.run(
        command, check=False, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_what_campaigns_count_is_added_up_by_its_name() -> None:
    noted: list[list[tuple[str, object]]] = [[("kills", 3), ("seed", "7")], [("kills", 4), ("schedules", 2)], []]
    reports = [pytest.TestReport("x", ("x", 1, "x"), {}, "passed", None, "call", user_properties=one) for one in noted]
    assert counts(reports) == {"kills": 7, "schedules": 2}


def test_credentials_modes_and_proxies_are_forgotten_and_the_rest_is_kept() -> None:
    environment = {
        "APCA_API_KEY_ID": "x",
        "UW_API_KEY": "x",
        "https_proxy": "x",
        "TRADING_MODE": "live",
        "HOME": "h",
    }
    forget_outside_settings(environment)
    assert environment == {"HOME": "h"}


def test_no_broker_setting_is_left_in_this_process() -> None:
    assert not [name for name in os.environ if name.startswith(("ALPACA_", "APCA_", "TRADEBOT_"))]


@pytest.mark.filterwarnings("ignore:A test tried to use socket")
def test_a_connection_beyond_loopback_is_refused_before_it_is_made() -> None:
    with socket.socket() as outside, pytest.raises(pytest_socket.SocketConnectBlockedError):
        outside.connect(("192.0.2.1", 80))


def test_a_connection_to_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        socket.create_connection(server.getsockname()).close()
