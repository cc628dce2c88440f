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
from tests.suite.calendars import KEPT, kept
from tests.suite.house import counts, forget_outside_settings, place_for_folders, rank, unlisted_skips


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
        "tests/signals/structures/test_structures.py",
        "tests/signals/structures/test_structures_causality.py",
        "tests/scenarios/test_kraken_verbs.py",
    ]
    assert sorted(places, key=rank) == [places[number] for number in (6, 3, 5, 1, 0, 2, 4)]


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


def test_seeds_that_follow_one_another_take_turns_with_all_parts(tier: None) -> None:
    for first in (7, 2648):
        played = set[int]()
        for seed in range(first, first + 3):
            tiers.begin(seed)
            played |= {*tiers.in_turn(range(5), 2)}
        assert played == set(range(5))


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


SHOWN = """import sys
from tests.suite import calendars
calendars.know_once()
from papervenue.market import hours
sessions = hours._library_sessions
print(sessions.__module__, len(sessions("XNYS", "2030-12-31")) if len(sys.argv) > 1 else "")
"""


def squared(number: int) -> int:
    return number * number


def _library_sessions(name: str, last: str) -> str:
    return "abc"


def test_what_one_process_has_worked_out_others_read(tmp_path: Path) -> None:
    assert [kept(tmp_path, squared)(number) for number in (2, 3)] == [4, 9]
    again = kept(tmp_path, squared)
    (tmp_path / "squared-3").write_bytes((tmp_path / "squared-2").read_bytes())
    assert [again(number) for number in (2, 3)] == [4, 4]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["squared-2", "squared-3"]


def test_processes_of_a_run_take_calendars_from_its_folder_and_others_work_them_out(tmp_path: Path) -> None:
    kept(tmp_path, _library_sessions)("XNYS", "2030-12-31")
    ends = []
    for environ, words in (({KEPT: str(tmp_path)}, ["count"]), ({}, [])):
        command = [sys.executable, "-c", SHOWN, *words]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": ".", **environ})
        ends.append(done.stdout.split())
    assert ends == [["tests.suite.calendars", "3"], ["papervenue.market.hours"]]


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
