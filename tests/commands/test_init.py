"""`tradebot init`: what it makes, what it leaves untouched, and what it does where another run was cut short."""

import os
import re
import socket
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from commands.init import NAMES
from commands.init.making import _make as made_books
from commands.init.making import make, setting_up, written_here
from commands.shared.completion import profiles
from papervenue import process
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot
from tests.kit.bot.real_money import bent_to
from tests.kit.fakes.scripted import Scripted, serving
from tests.kit.rows import ACCOUNT, NOW, make_intent
from tests.kit.values import account, venue_clock
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.marker_text import VENUES
from tradebot.adapters.state.state_folder import prepare
from tradebot.app import venues
from tradebot.app.baseline import effective
from tradebot.app.settings import load, shipped_path
from tradebot.model.venue import Settlement


@pytest.fixture
def place(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Bot]:
    """Yield where a bot may be made, with no account's keys about."""
    for name in [name for name in os.environ if name.startswith(("ALPACA_", "APCA_", "TRADEBOT_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    yield Bot(tmp_path / "bot", capsys)
    process.stop(tmp_path / "bot" / "exchange")


def mode_of(path: Path) -> int:
    return path.stat().st_mode & 0o777


def test_a_folder_with_files_of_others_is_refused_as_it_is(place: Bot) -> None:
    place.folder.mkdir(mode=0o755)
    (place.folder / "notes.txt").write_text("mine")
    said = place.says("init", "--symbols", "2")
    assert said.code == 2
    assert f"{place.folder} is neither empty nor a state: it holds notes.txt." in said.err
    assert (mode_of(place.folder), os.listdir(place.folder)) == (0o755, ["notes.txt"])


def test_a_folder_is_not_touched_before_keys_and_configuration_are_right(place: Bot) -> None:
    place.folder.mkdir(mode=0o755)
    assert place.says("init", "--mode", "paper").code == 2
    assert place.says("init", "--seed", "-1").code == 2
    assert (mode_of(place.folder), os.listdir(place.folder)) == (0o755, [])


def test_flags_are_not_written_over_a_configuration_of_the_users(place: Bot) -> None:
    place.folder.mkdir()
    own = place.folder / "tradebot.yaml"
    own.write_text("shadow: true\n")
    said = place.says("init", "--symbols", "2")
    assert (said.code, f"mv {own} {own}.mine" in said.err, own.read_text()) == (2, True, "shadow: true\n")


@pytest.mark.parametrize("cut_short", ["before the first commit", "before the marker"])
def test_what_an_interrupted_run_left_unused_is_moved_aside(place: Bot, cut_short: str) -> None:
    place.folder.mkdir()
    if cut_short == "before the marker":
        SqliteLedger.create(place.folder, ACCOUNT, NOW).close()
    else:
        (place.folder / "ledger.db").touch()
    assert "(moves books aside if they were never used" in place.says("status").err
    refuses(place.says("init", "--symbols", "2"), 0, f"were moved to {place.folder}/aside-1")
    assert (place.folder / "aside-1" / "ledger.db").exists()
    assert place.says("status").code == 0


@pytest.mark.parametrize("lost", ["state.id", "journal.jsonl", "ledger.db"])
def test_books_in_use_whose_marker_is_lost_are_never_moved(place: Bot, lost: str) -> None:
    place.folder.mkdir()
    ledger = SqliteLedger.create(place.folder, ACCOUNT, NOW)
    ledger.promise(make_intent(), ())
    ledger.close()
    (place.folder / lost).unlink(missing_ok=True)
    before = sorted(os.listdir(place.folder))
    for verb in ("init", "demo"):
        refuses(
            place.says(verb, "--symbols", "2"),
            2,
            "the books were used",
            f"next: restore state.id from a copy, or keep the books elsewhere and start over: mv {place.folder}",
        )
    assert set(os.listdir(place.folder)) - {"exchange", "plans", "setup.lock"} == set(before)


@pytest.mark.parametrize("count", ["0", "5001", "99999", "999999999", "²", "-5", "", "A" * 3000])
def test_a_count_of_symbols_that_cannot_be_is_one_short_sentence(place: Bot, count: str) -> None:
    said = place.says("init", "--symbols", count)
    assert (said.code, said.err.startswith("error: "), "fault" in said.err) == (2, True, False)
    assert len(said.err) < 300
    assert not place.folder.exists()


def test_a_market_that_has_ended_is_not_waited_for(place: Bot) -> None:
    assert place.says("init", "--symbols", "2", "--sessions", "1").code == 0
    assert place.says("exchange", "tick", "close").code == 0
    for verb in ("trade-once", "why-no-orders"):
        assert "Next: The market ended with its last session. Create a new one: tradebot init" in place.says(verb).out
    assert place.json("trade-once")["not_run"]["remedy"].startswith("The market ended")
    refuses(place.says("exchange", "tick", "9999999h"), 2, "next: tradebot exchange tick next_open")


def test_a_mode_in_the_users_file_that_is_not_the_folders_is_refused(bot: Bot, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("mode: Paper\n")
    said = bot.says("status", "--config", str(config))
    assert said.code == 2
    assert f"{config} (mode:) says paper, but {bot.folder} was made for sandbox" in said.err
    config.write_text("mode: sandbox\n")
    assert bot.says("status", "--config", str(config)).code == 0


def keys(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    for name, value in (("ALPACA_KEY", key), ("ALPACA_SECRET", "s" * 40), ("UW_API_KEY", "u" * 36)):
        monkeypatch.setenv(name, value)


def test_paper_without_a_network_names_the_host_and_leaves_nothing_behind(
    place: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lost)
    keys(monkeypatch, "PK" + "0" * 18)
    said = place.says("init", "--mode", "paper")
    assert (said.code, place.folder.exists()) == (5, False)
    assert "no answer from paper-api.alpaca.markets: its name could not be looked up" in said.err
    assert "next: Check this machine's network" in said.err


@pytest.mark.parametrize("status", [401, 403])
def test_keys_that_the_venue_refuses_leave_nothing_behind(
    place: Bot, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    keys(monkeypatch, "PK" + "0" * 18)
    with serving() as venue:
        venue.answer(Scripted(status, {"message": "forbidden."}))
        with bent_to(venue.url) as turned:
            said = place.says("init", "--mode", "paper")
    assert turned == ["GET paper-api.alpaca.markets/v2/clock"]
    assert (said.code, place.folder.exists()) == (4, False)
    assert "next: Check ALPACA_KEY and ALPACA_SECRET" in said.err


def test_a_key_of_the_wrong_kind_leaves_nothing_behind(place: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    keys(monkeypatch, "AK" + "0" * 18)
    said = place.says("init", "--mode", "paper")
    assert (said.code, place.folder.exists(), "looks like a live key" in said.err) == (2, False, True)


def test_a_mode_that_the_environment_contradicts_makes_nothing(place: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_MODE", "paper")
    said = place.says("init", "--symbols", "2")
    assert (said.code, place.folder.exists()) == (2, False)
    assert "next: tradebot init --mode paper, or unset TRADING_MODE" in said.err


@pytest.mark.parametrize("verb", ["status", "why-no-orders", "serve"])
def test_a_folder_named_after_a_mode_is_not_made_as_a_sandbox(place: Bot, verb: str) -> None:
    assert "init --mode paper --state-dir paper" in place.says(verb, "--state-dir", "paper").err
    assert "init --state-dir mine" in place.says(verb, "--state-dir", "mine").err
    assert "init --state-dir 'my bot'\n" in place.says(verb, "--state-dir", "my bot").err


@pytest.mark.parametrize("verb", ["init", "doctor", "status", "demo", "halt"])
@pytest.mark.parametrize("below", ["", "/deeper"])
def test_a_file_in_the_place_of_the_folder_is_named_by_every_verb(place: Bot, verb: str, below: str) -> None:
    Path("taken").write_text("mine")
    said = place.says(verb, "--state-dir", f"taken{below}")
    assert (said.code, said.err) == (
        2,
        "error: taken is not a folder, but a folder must be there.\n"
        "  next: move it away: mv taken taken.aside, or name another folder with --state-dir\n",
    )


def test_a_profile_whose_strategy_is_not_installed_makes_nothing_and_names_the_next_command(
    place: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tradebot.adapters.plugins.plugin.installed_strategies", dict)
    refuses(
        place.says("init", "--profile", "rotation"),
        2,
        "profile rotation trades with the strategy rotation, which isn't installed",
        "install tradebot again",
    )
    assert not place.folder.exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ("--profile", "momentum"),
            "choose one of conservative_flow, flow, futures, intraday, legacy, opening_sweeps, overnight, policy, "
            "rotation, rotation_regimes",
        ),
        (("--profile", "futures", "--venue", "alpaca"), "profile futures is for ibkr, and you asked for alpaca"),
        (("--profile", "rotation", "--symbols", "3"), "profile rotation has its own symbols"),
        (("--profile", "rotation", "--config", "mine.yaml"), "mine.yaml is a configuration already"),
    ],
)
def test_a_profile_that_cannot_be_is_refused(place: Bot, arguments: tuple[str, ...], says: str) -> None:
    Path("mine.yaml").write_text("shadow: true\n")
    said = place.says("init", *arguments)
    assert (said.code, says in said.err, place.folder.exists()) == (2, True, False)


def test_a_profile_is_the_start_of_the_bots_own_configuration_with_its_comments(place: Bot) -> None:
    start, flags = (
        shipped_path("profiles") / "rotation.yaml",
        {"mode": "sandbox", "sandbox": {"seed": 3, "sessions": 1}},
    )
    with setting_up(place.folder, "init"):
        make(place.folder, load(start, {}, flags).settings, "user", flags, start=start)
    own = place.folder / "tradebot.yaml"
    assert start.read_text() in own.read_text()
    assert written_here(own)
    found = load(own, {}).settings
    assert (found.sandbox.seed, found.universe[-1], list(found.strategies.sections())) == (3, "TLT", ["rotation"])
    with closing(SqliteLedger.open(place.folder, read_only=True)) as ledger:
        accepted = ledger.baselines.last()
    assert accepted is not None
    assert accepted.values == effective(found)


def test_later_verbs_use_the_values_of_the_file_that_init_was_given(place: Bot) -> None:
    mine = Path("mine.yaml")
    mine.write_text("# why I hold seven\nlimits: {max_open_positions: 30}\nsandbox: {edge: 0.25}\n")
    made = place.says("init", "--symbols", "2", "--config", "mine.yaml")
    assert made.code == 0
    assert "tradebot.yaml in that folder, a copy of mine.yaml" in made.out
    own = place.folder / "tradebot.yaml"
    assert mine.read_text() in own.read_text(), "its comments are gone"
    assert mode_of(own) == 0o600
    mine.unlink()
    assert load(own, {}).settings.limits.max_open_positions == 30
    assert "nothing is looser" in place.says("live", "status").out


@pytest.mark.parametrize("options", [("--venue", "alpaca"), ("--venue", "alpaca", "--symbols", "2")])
def test_an_option_beside_a_file_gives_a_configuration_that_every_verb_reads(
    place: Bot, options: tuple[str, ...]
) -> None:
    Path("mine.yaml").write_text("limits: {max_open_positions: 30}\n")
    assert place.says("init", *options, "--config", "mine.yaml").code == 0
    found = load(place.folder / "tradebot.yaml", {}).settings
    assert (found.venue, found.limits.max_open_positions) == ("alpaca", 30)
    assert place.says("status").code == 0


def test_an_option_goes_over_the_section_of_the_file_that_init_was_given(place: Bot) -> None:
    Path("mine.yaml").write_text("sandbox: {edge: 0.25, seed: 3}\nlimits: {max_open_positions: 30}\n")
    assert place.says("init", "--symbols", "2", "--seed", "4", "--config", "mine.yaml").code == 0
    found = load(place.folder / "tradebot.yaml", {}).settings
    assert (found.sandbox.edge, found.sandbox.seed, found.limits.max_open_positions) == (0.25, 4, 30)
    assert len(found.universe) == 2


def test_a_file_is_not_copied_over_a_persons_own_and_never_with_a_key_in_it(
    place: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.folder.mkdir()
    own, mine = place.folder / "tradebot.yaml", Path("mine.yaml")
    own.write_text("shadow: true\n")
    mine.write_text("limits: {max_open_positions: 7}\n")
    said = place.says("init", "--config", "mine.yaml")
    assert (said.code, f"mv {own} {own}.mine" in said.err, own.read_text()) == (2, True, "shadow: true\n")
    own.unlink()
    monkeypatch.setenv("ALPACA_SECRET", "s3cr3t" * 7)
    mine.write_text(f"# {'s3cr3t' * 7}\nlimits: {{max_open_positions: 7}}\n")
    said = place.says("init", "--config", "mine.yaml")
    assert (said.code, "contains one of your keys" in said.err, own.exists()) == (2, True, False)


def test_a_dry_run_of_a_new_bot_names_what_is_missing_and_no_verb_that_knows_nothing_of_it(place: Bot) -> None:
    assert place.says("init", "--symbols", "2", "--sessions", "1").code == 0
    assert place.says("exchange", "tick", "open").code == 0
    assert place.says("exchange", "tick", "5m").code == 0
    refuses(place.says("trade-once", "--dry-run"), 2, "the calendar isn't stored yet", "next: tradebot reconcile")
    assert place.says("reconcile").code == 0
    shows(place.says("trade-once", "--dry-run"), 0, "Next: tradebot why-no-orders --dry explains it")
    assert place.shown("why-no-orders").count("This was a dry run at ") == 1
    assert (place.json("why-no-orders")["dry"] is None, place.json("why-no-orders", "--dry")["dry"] is None) == (
        False,
        False,
    )


def test_a_made_up_market_of_an_unknown_symbol_is_told(place: Bot) -> None:
    (said,) = place.json("init", "--symbols", "AAPL,ZZZZ,GLD", "--sessions", "1")["notes"]
    assert said.startswith("tradebot doesn't know ZZZZ: the market makes up prices")


def test_every_stamp_of_a_sandbox_is_trading_time(place: Bot) -> None:
    """A halt, its end, an accepted configuration and a note carry the exchange's time, and not this machine's."""
    assert place.says("init", "--symbols", "2", "--sessions", "2", "--start", "2025-03-03").code == 0
    assert place.says("exchange", "tick", "open").code == 0
    assert place.json("halt", "--reason", "look")["at"] == "2025-03-03T14:30:00Z"
    assert place.json("status")["trading_at"] == "2025-03-03T14:30:00Z"
    assert place.says("exchange", "tick", "5m").code == 0
    assert place.says("unhalt", "--override", "--reason", "looked", "--confirm", place.tail()).code == 0
    own = place.folder / "tradebot.yaml"
    own.write_text(f"{own.read_text()}limits: {{max_open_positions: 30}}\n")
    assert place.json("config", "accept", "--confirm", place.tail())["at"] == "2025-03-03T14:35:00Z"
    process.stop(place.folder / "exchange")
    assert place.json("halt")["at"] == "2025-03-03T14:35:00Z", "it has to ask a running exchange"
    days = {event["timestamp"][:10] for event in place.json("events")["events"]}
    assert days == {"2025-03-03"}


def test_help_names_every_profile(place: Bot) -> None:
    shown = " ".join(place.says("init", "--help").out.split())
    assert [name for name in profiles("") if name not in shown] == []


def test_books_of_a_margined_account_say_so(tmp_path: Path) -> None:
    figures = account(settlement=Settlement.MARGINED)
    prepare(tmp_path)
    made_books(tmp_path, load(None, {}).settings, "init", venue_clock(), figures)
    with closing(SqliteLedger.open(tmp_path)) as books:
        assert books.standing().settlement is Settlement.MARGINED


def test_the_profile_of_futures_begins_with_roots_and_narrow_limits(place: Bot) -> None:
    assert place.says("init", "--venue", "ibkr", "--profile", "futures").code == 0
    values = {one["key"]: one["value"] for one in place.json("config", "show")["values"]}
    assert values["universe"] == ["MES", "MNQ", "MGC", "6E"]
    most = ("max_contracts", "max_order_contracts", "max_session_entries")
    assert [values[f"limits.{name}"] for name in most] == [3, 2, 20]


def test_help_names_every_venue_and_every_shipped_profile() -> None:
    assert all(name in VENUES for name in venues._SHIPPED)
    assert all(re.search(rf"\b{name}\b", NAMES) for name in profiles(""))
