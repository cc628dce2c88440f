"""`tradebot init`: what it makes, what it leaves untouched, and what it does where another run was cut short.

`tradebot init`: what the market leaves out of its files is told, and what came after a close can be reached.

`tradebot init --wizard`: whatever is answered loads, and a wrong answer is asked again with the reason.
"""

import json
import os
import socket
from collections.abc import Iterator, Sequence
from contextlib import closing
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.init.answers import WizardAnswers, text_of
from commands.init.making import _make as made_books
from commands.init.making import create_bot, setting_up, written_here
from commands.init.wizard import Terminal, ask_questions
from exchange.tests.kit.price_files import BY_NAME, Style, save, session_minutes
from papervenue import process
from papervenue.market.spec import Reading
from papervenue.state import read_market
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import Bot, typed
from tests.kit.bot.real_money import bent_to
from tests.kit.fakes.scripted import Scripted, serving
from tests.kit.rows import ACCOUNT, NOW, make_intent
from tests.kit.values import account, venue_clock
from tradebot.__main__ import main
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.state_folder import prepare
from tradebot.adapters.text.yaml_loader import parse_yaml
from tradebot.app.baseline import effective
from tradebot.app.settings import Loaded, load, shipped_path
from tradebot.errors import OperatorError
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
    assert f"{place.folder} is neither empty nor a state folder: it contains notes.txt." in said.err
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
    assert "(moves unused books aside, and leaves used books alone)" in place.says("status").err
    refuses(place.says("init", "--symbols", "2"), 0, f"were moved to {place.folder}/aside-1")
    assert (place.folder / "aside-1" / "ledger.db").exists()
    assert place.says("status").code == 0


@pytest.mark.parametrize("lost", ["state.id", "journal.jsonl", "ledger.db"])
def test_books_in_use_whose_marker_is_lost_are_never_moved(place: Bot, lost: str) -> None:
    place.folder.mkdir()
    ledger = SqliteLedger.create(place.folder, ACCOUNT, NOW)
    ledger.record_intent(make_intent(), ())
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
    place.does("init --symbols 2 --sessions 1", "exchange tick close")
    for verb in ("trade-once", "why-no-orders"):
        assert "Next: The market ended with its last session. Create a new one: tradebot init" in place.says(verb).out
    assert place.json("trade-once")["not_run"]["remedy"].startswith("The market ended")
    refuses(place.says("exchange", "tick", "9999999h"), 2, "next: tradebot exchange tick next_open")


def test_a_mode_in_the_users_file_that_is_not_the_folders_is_refused(bot: Bot, tmp_path: Path) -> None:
    config = tmp_path / "mine.yaml"
    config.write_text("mode: Paper\n")
    said = bot.says("status", "--config", str(config))
    assert said.code == 2
    assert f"{config} (mode:) says paper, but {bot.folder} was created for sandbox" in said.err
    config.write_text("mode: sandbox\n")
    assert bot.says("status", "--config", str(config)).code == 0


def keys(monkeypatch: pytest.MonkeyPatch, key: str) -> None:
    for name, value in (("ALPACA_KEY", key), ("ALPACA_SECRET", "s" * 40), ("UW_API_KEY", "u" * 36)):
        monkeypatch.setenv(name, value)


def test_paper_without_network_names_the_host_and_leaves_nothing(place: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> Any:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", lost)
    keys(monkeypatch, "PK" + "0" * 18)
    said = place.says("init", "--mode", "paper")
    assert (said.code, place.folder.exists()) == (5, False)
    assert "no answer from paper-api.alpaca.markets: its name could not be looked up" in said.err
    assert "next: Check this machine's network" in said.err


@pytest.mark.parametrize("status", [401, 403])
def test_keys_the_venue_refuses_leave_nothing_behind(place: Bot, monkeypatch: pytest.MonkeyPatch, status: int) -> None:
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


def test_a_profile_without_its_strategy_makes_none_and_says_next(place: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
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
        (("--profile", "futures", "--venue", "alpaca"), "profile futures is for ibkr, but you asked for alpaca"),
        (("--profile", "rotation", "--symbols", "3"), "profile rotation has its own symbols"),
        (("--profile", "rotation", "--config", "mine.yaml"), "mine.yaml is already a configuration"),
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
        create_bot(place.folder, load(start, {}, flags).settings, "user", flags, start=start)
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


def test_an_option_goes_over_the_section_of_the_file_that_init_was_given(place: Bot) -> None:
    Path("mine.yaml").write_text("sandbox: {edge: 0.25, seed: 3}\nlimits: {max_open_positions: 30}\n")
    assert place.says("init", "--symbols", "2", "--seed", "4", "--config", "mine.yaml").code == 0
    found = load(place.folder / "tradebot.yaml", {}).settings
    assert (found.sandbox.edge, found.sandbox.seed, found.limits.max_open_positions) == (0.25, 4, 30)
    assert len(found.universe) == 2


def test_a_file_is_not_copied_over_ones_own_and_never_with_a_key(place: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
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
    place.does("init --symbols 2 --sessions 1", "exchange tick open", "exchange tick 5m")
    refuses(place.says("trade-once", "--dry-run"), 2, "the calendar isn't stored yet", "next: tradebot reconcile")
    assert place.says("reconcile").code == 0
    shows(place.says("trade-once", "--dry-run"), 0, "Next: tradebot why-no-orders --dry explains this dry run")
    assert place.shown("why-no-orders").count("This was a dry run at ") == 1
    expected = (False, False)
    assert (place.json("why-no-orders")["dry"] is None, place.json("why-no-orders", "--dry")["dry"] is None) == expected


def test_a_made_up_market_of_an_unknown_symbol_is_told(place: Bot) -> None:
    (said,) = place.json("init", "--symbols", "AAPL,ZZZZ,GLD", "--sessions", "1")["notes"]
    assert said.startswith("tradebot doesn't know ZZZZ: the market makes up prices")


def test_a_venue_that_lists_its_own_symbols_makes_up_none(place: Bot) -> None:
    assert place.json("init", "--venue", "ibkr", "--symbols", "ES")["notes"] == []


def test_every_stamp_of_a_sandbox_is_trading_time(place: Bot) -> None:
    """A halt, its end, an accepted configuration and a note carry the exchange's time, and not this machine's."""
    place.does("init --symbols 2 --sessions 2 --start 2025-03-03", "exchange tick open")
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


def test_books_of_a_margined_account_say_so(tmp_path: Path) -> None:
    figures = account(settlement=Settlement.MARGINED)
    prepare(tmp_path)
    made_books(tmp_path, load(None, {}).settings, "init", venue_clock(), figures)
    with closing(SqliteLedger.open(tmp_path)) as books:
        assert books.account_state().settlement is Settlement.MARGINED


def test_the_profile_of_futures_begins_with_roots_and_narrow_limits(place: Bot) -> None:
    assert place.says("init", "--venue", "ibkr", "--profile", "futures").code == 0
    values = {one["key"]: one["value"] for one in place.json("config", "show")["values"]}
    assert values["universe"] == ["MES", "MNQ", "MGC", "6E"]
    most = ("max_contracts", "max_order_contracts", "max_session_entries")
    assert [values[f"limits.{name}"] for name in most] == [3, 2, 20]


PRINT = {
    "ticker": "AAPL", "executed_at": "2025-03-03T15:00:00Z", "size": 500, "volume": 9, "price": "200",
    "nbbo_bid": "199.9", "nbbo_ask": "200.1", "canceled": False, "tracking_id": 1, "trade_settlement": "regular",
    "ext_hour_sold_codes": None, "sale_cond_codes": None, "trade_code": None, "market_center": "L",
}  # fmt: skip
PRINTS = [PRINT | {"executed_at": "2025-03-03T21:30:10Z", "premium": "100000"}, PRINT | {"premium": None}]
BARS = """ts,symbol,open,high,low,close,volume
2025-03-03 09:31:00,AAPL,100,101,99,100.5,1000
2025-03-03 09:32:00,AAPL,100,101,99,text,1000
"""
DAYS = """date,symbol,open,high,low,close,volume
2025-02-28,AAPL,98,98,96,97,2000
2025-03-03,AAPL,99.5,101,98.5,99,4000
2025-03-04,AAPL,101,103,101,102,6000
2025-03-08,AAPL,101,103,101,102,6000
"""


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    assert main([*arguments, "--json"]) == 0
    told: dict[str, object] = json.loads(capsys.readouterr().out)["data"]
    return told


def test_captured_flow_brings_session_and_command_to_its_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    captures, state = tmp_path / "captures", str(tmp_path / "state")
    captures.mkdir()
    answer = {"endpoint": "/api/darkpool/AAPL", "captured_at": "2025-03-03T22:00:00", "response": {"data": PRINTS}}
    (captures / "prints.json").write_text(json.dumps(answer))
    made = said(capsys, "init", "--symbols", "AAPL", "--flow-folder", str(captures), "--state-dir", state)
    try:
        assert made["now"] == "2025-03-03T14:00:00Z"
        assert made["notes"] == [
            "the market begins on 2025-03-03, the session in the captured flow",
            "captured flow: 2 rows in the sessions from 2025-03-03 to 2025-03-07: 2025-03-03 2",
            "some of the flow was captured after the close; to reach all of it: "
            f"tradebot exchange tick 2025-03-03T21:31:00Z --state-dir {state}",
        ]
        said(capsys, "exchange", "tick", "2025-03-03T21:31:00Z", "--state-dir", state)
        fetched = said(capsys, "fetch-flow", "--state-dir", state)
        (prints,) = [row for row in fetched["endpoints"] if row["endpoint"] == "dark_pool"]  # type: ignore[attr-defined]
        assert (prints["received"], prints["kept"]) == (2, 1)
    finally:
        process.stop(tmp_path / "state" / "exchange")


def test_rows_bars_lose_are_counted_with_reason_and_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bars, state = tmp_path / "bars.csv", str(tmp_path / "state")
    bars.write_text(BARS)
    made = said(capsys, "init", "--bars", str(bars), "--bar-stamp", "end", "--state-dir", state)
    process.stop(tmp_path / "state" / "exchange")
    assert made["notes"] == ["skipped 1 row of the recorded bars: 1 not a number (first in line 3)"]


def test_market_of_published_file_is_remade_as_it_was_read(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = save(tmp_path, BY_NAME["dukascopy"], session_minutes(390), Style("UTC"), daily=False)
    flags = ("init", "--bars", str(path), "--bars-as", "symbol=AAPL", "--symbols", "AAPL")
    made = said(capsys, *flags, "--state-dir", str(tmp_path / "state"))
    process.stop(tmp_path / "state" / "exchange")
    assert (made["now"], made["symbols"], made["notes"]) == ("2026-11-13T14:00:00Z", 1, [])
    spec = read_market(tmp_path / "state" / "exchange").spec
    assert (spec.bar_stamp, spec.reading) == ("start", Reading(symbol="AAPL"))
    assert "symbol: AAPL" in (tmp_path / "state" / "tradebot.yaml").read_text()


def test_daily_bars_are_known_by_columns_and_begin_as_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    days, state = tmp_path / "days.csv", str(tmp_path / "state")
    days.write_text(DAYS)
    flags = ("init", "--bars", str(days), "--state-dir", state)
    assert main([*flags, "--bar-stamp", "end"]) == 2
    assert capsys.readouterr().err == (
        f"error: {days} holds daily bars, which have no stamp of a minute\n  next: leave out --bar-stamp\n"
    )
    assert main([*flags, "--start", "2026-01-02"]) == 2
    assert "no usable bar from 2026-01-02 on" in capsys.readouterr().err
    made = said(capsys, *flags, "--start", "2025-03-01")
    process.stop(tmp_path / "state" / "exchange")
    assert (made["now"], made["symbols"]) == ("2025-03-03T14:00:00Z", 1)
    assert made["notes"] == ["skipped 1 row of the recorded bars: 1 not a session (first in line 5)"]
    minutes = tmp_path / "tradebot.yaml"
    minutes.write_text(f"sandbox: {{source: csv, path: {days}, bar_stamp: start}}\n")
    assert main(["init", "--config", str(minutes), "--state-dir", str(tmp_path / "other")]) == 2
    refused = capsys.readouterr().err
    assert "its bars are daily" in refused
    assert "next: set sandbox.source to daily" in refused


SYMBOLS = st.sampled_from(["AAPL", "SPY", "XOM", "ZZZZ", "BRK.B", "NO", "Q1", "ON", "TRUE", "A", "F"])


@st.composite
def answers(draw: st.DrawFn) -> WizardAnswers:
    day = draw(st.decimals("0.1", 10, places=2))
    return WizardAnswers(
        mode=draw(st.sampled_from(["sandbox", "paper"])),
        symbols=tuple(draw(st.lists(SYMBOLS, unique=True, max_size=8))),
        day_percent=day,
        trade_percent=draw(st.decimals("0.01", day, places=2)),
        short=draw(st.booleans()),
        overnight=draw(st.booleans()),
    )


def loaded(given: WizardAnswers) -> Loaded:
    text = text_of(given, load(None, {}, {"mode": given.mode}).settings)
    values = parse_yaml(text)
    assert isinstance(values, dict)
    assert max(map(len, text.splitlines())) <= 120
    return load(None, {}, {"mode": given.mode}, values=values)


@settings(max_examples=settings().max_examples // 4)
@given(answers())
def test_whatever_is_answered_loads_and_means_what_was_said(given: WizardAnswers) -> None:
    made = loaded(given).settings
    flow, limits = made.strategies.flow, made.limits
    assert flow is not None
    assert made.mode == given.mode
    assert tuple(made.universe) == given.symbols or not given.symbols
    assert set(made.universe) <= made.sectors.keys(), "a symbol without a sector is never bought"
    assert limits.max_daily_loss_fraction == given.day_percent / 100
    assert limits.max_risk_fraction == given.trade_percent / 100
    assert flow.long_only is not given.short
    ends = [rule for rule in flow.exits or () if "end_of_day" in str(rule)]
    assert (bool(ends), flow.exits is None) == (not given.overnight, given.overnight)
    # A full order whose stop is hit loses no more than a trade may, as far as thousandths of equity can say that.
    at_stop = made.limits_of("flow").max_order_fraction * made.exits.stop_loss_fraction
    assert at_stop <= max(given.trade_percent / 100, Decimal("0.00002"))


def test_the_usual_answers_are_no_looser_than_what_is_shipped() -> None:
    usual, shipped = loaded(WizardAnswers()).settings.limits_of("flow"), load(None, {}).settings.limits_of("flow")
    for name in ("max_daily_loss_fraction", "max_gross_fraction", "max_symbol_fraction", "max_order_fraction"):
        assert getattr(usual, name) == getattr(shipped, name)


class TypedTerminal(Terminal):
    """Types these lines, and keeps what it was asked."""

    def __init__(self, lines: Sequence[str]) -> None:
        self.lines = list(lines)
        self.asked: list[str] = []

    def ask(self, question: str) -> str:
        self.asked.append(question)
        return self.lines.pop(0)


@pytest.fixture
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith(("ALPACA_", "APCA_", "TRADEBOT_", "UW_"))]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "bot"


def test_enter_takes_what_stands_in_brackets(alone: Path) -> None:
    assert ask_questions(TypedTerminal([""] * 6), alone) == WizardAnswers()


def test_wrong_answers_are_asked_again_with_the_reason(alone: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = TypedTerminal(
        [
            *("3", "2", "sandbox"),
            *("0", "21", "A!", "²", "aapl msft,ZZZZ"),
            *("two", "0.02", "50", "1.234", "1e999", "1 %"),
            *("2", "-1", "0.05"),
            *("maybe", "N"),
            *("nein", "no"),
        ]
    )
    given = ask_questions(script, alone)
    expected = WizardAnswers(
        "sandbox", ("AAPL", "MSFT", "ZZZZ"), Decimal(1), Decimal("0.05"), short=False, overnight=False
    )
    assert (given, script.lines) == (expected, [])
    said = capsys.readouterr().err
    for reason in (
        "'3' is neither 1 (sandbox) nor 2 (paper).",
        "Paper needs the keys of your account: set ALPACA_KEY, ALPACA_SECRET, UW_API_KEY in",
        "There are 20 shipped symbols: type 1 to 20",
        "must be a symbol in capital letters",
        "tradebot doesn't know ZZZZ: check the spelling.",
        "'two' isn't a percentage: type a number such as 2 or 0.5.",
        "not 0.02 (0.02 means 0.02%; two percent is 2).",
        "It has to be from 0.1% to 10%, not 50.",
        "1.234% has more than two decimals: type 1.23.",
        "A single trade can't risk more than a whole day (1%): type less.",
        "'maybe' is neither yes nor no: type y or n.",
    ):
        assert reason in said


def test_paper_is_taken_with_keys_and_a_mode_of_the_environment_counts(
    alone: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("ALPACA_KEY", "ALPACA_SECRET", "UW_API_KEY"):
        monkeypatch.setenv(name, "k" * 30)
    assert ask_questions(TypedTerminal(["2", *[""] * 5]), alone).mode == "paper"
    monkeypatch.setenv("TRADING_MODE", "paper")
    assert ask_questions(TypedTerminal(["1", "2", *[""] * 5]), alone).mode == "paper"
    assert "TRADING_MODE says paper" in capsys.readouterr().err


def test_endless_wrong_answers_end_the_wizard(alone: Path) -> None:
    with pytest.raises(OperatorError, match="nothing was created"):
        ask_questions(TypedTerminal(["x"] * 20), alone)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ((), "a terminal to ask its questions, and there is none"),
        (("--symbols", "2"), "without them"),
        (("--mode", "paper"), "without"),
    ],
)
def test_wizard_without_a_terminal_or_beside_other_options_makes_nothing(
    alone: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    said = typed(capsys, "init", "--wizard", *options, "--state-dir", str(alone))
    assert (said.code, says in said.err, alone.exists()) == (2, True, False)
