"""The demo: one command from nothing to a session whose books agree, or say that they do not."""

import json
import os
import subprocess
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from commands.demo import run as demo
from commands.demo.report import _exits, _print_earnings
from commands.demo.run_comparison import (
    FILE,
    DemoRun,
    RunOutcome,
    compare_with_previous,
    last_run,
    render,
    run_of,
    store_run,
)
from commands.init.making import copy_for_demo
from commands.shared.verb_options import console
from tests.desk.test_proposals import Answering, holding_microsoft, world
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import typed
from tests.kit.bot.forked import run
from tests.kit.core.scene import call, trade_once
from tests.kit.values import SESSION
from tradebot.adapters.state import state_folder, state_locks
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.app import sandbox
from tradebot.app.loading import Options
from tradebot.app.settings import load
from tradebot.app.wiring import open_app
from tradebot.model.struct_tools import replace
from tradebot.model.view import Close, Needs
from tradebot.views.trades.pnl import NOT_KNOWN

MINUTES = "20"
SCREENS = {
    "status": "positions, health",
    "positions": " position",
    "trades": " trades at",
    "pnl": "Profit ",
    "report": "Profit ",
    "summary": "What needs you",
    "audit": " to fix",
    "learn": "Learned from ",
    "health": "OK",
    "why-no-orders": "candidates",
    "why-no-orders SPY": "SPY",
}
"""The verbs that people look at most, and what their first lines say."""
EASY = {"TRADEBOT_LIMITS__MIN_SCORE": "0.05", "TRADEBOT_STRATEGIES__FLOW__MIN_CLUSTER": "1"}
"""Settings under which something is traded, noise or not."""
SELDOM = {
    "TRADEBOT_TIMETABLE__EVALUATE_EXITS": "every 15m from open+1m until close",
    "TRADEBOT_TIMETABLE__SCORE": "every 60m from open+2m until close",
}
"""A long day in a short time."""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, subprocess.CompletedProcess[str]]]:
    folder = tmp_path_factory.mktemp("demo")
    arguments = ["demo", "--minutes", MINUTES, "--edge", "0"]
    yield folder, run(arguments, first=lambda: os.chdir(folder), COLUMNS="100", **EASY)
    sandbox.stop(folder / "state" / "exchange")


def test_it_plays_a_session_and_says_the_books_agree(played: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    _, done = played
    assert done.returncode == 0, done.stderr
    assert f"{MINUTES} minutes, 20 symbols, seed 7" in done.stdout
    assert "The generated flow is noise" in done.stdout
    assert "the ledger and the exchange's account agree to the cent" in done.stdout


def test_the_commands_that_it_proposes_work(
    played: tuple[Path, subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, done = played
    monkeypatch.chdir(folder)
    proposed = [
        line.partition("tradebot ")[2].split()
        for line in done.stdout.partition("Try next")[2].splitlines()
        if line.strip()
    ]
    assert len(proposed) == 3
    for arguments in proposed:
        if arguments[0] != "demo":  # that one is this very test again
            again = typed(capsys, *arguments)
            assert again.code in {0, 10}, again.err
            assert again.out.strip()


def test_its_orders_are_those_that_the_list_of_orders_shows(
    played: tuple[Path, subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, done = played
    monkeypatch.chdir(folder)
    orders = json.loads(typed(capsys, "orders", "--all", "--last", "500", "--json").out)["data"]["orders"]
    (line,) = (line for line in done.stdout.splitlines() if line.startswith("Orders    "))
    counts = Counter(order["status"] for order in orders)
    assert sorted(line.removeprefix("Orders    ").partition(";")[0].split(", ")) == sorted(
        f"{count:,} {status}" for status, count in counts.items()
    )


def test_it_leaves_a_bot_of_the_users_untouched(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert typed(capsys, "init", "--symbols", "2").code == 0
    before = sorted((path.name, path.stat().st_mtime_ns) for path in (here / "state").iterdir())
    refuses(
        typed(capsys, "demo", "--minutes", "3"),
        2,
        "is the folder of a bot of yours",
        "tradebot demo --state-dir state/demo\n",
    )
    assert sorted((path.name, path.stat().st_mtime_ns) for path in (here / "state").iterdir()) == before
    sandbox.stop(here / "state" / "exchange")


def test_a_second_demo_at_the_same_time_leaves_with_the_code_of_another_instance(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (here / "state").mkdir()
    with state_locks.hold(here / "state", "demo", name=state_locks.SETUP_LOCK):
        for verb in (("demo", "--minutes", "3"), ("init",)):
            refuses(typed(capsys, *verb), 6, "demo, process")
    assert not (here / "state" / "state.id").exists()


@pytest.mark.campaign
def test_a_demo_takes_the_place_of_another_uses_what_a_person_edited_and_plays_a_half_day_to_its_close(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, times in SELDOM.items():
        monkeypatch.setenv(name, times)
    assert typed(capsys, "demo", "--minutes", "1", "--symbols", "2").code == 0
    edited = here / "state" / "tradebot.yaml"
    edited.write_text("limits: {max_symbol_entries: 3}  # mine\n")
    said = typed(capsys, "demo", "--start", "2026-11-27", "--symbols", "1")
    assert "210 minutes, 1 symbol" in said.out
    assert "Settings  state/tradebot.yaml" in said.out
    again = typed(capsys, "demo", "--minutes", "3", "--symbols", "2", "--json")
    printed = json.loads(again.out)
    assert (again.code, again.err, printed["schema"], printed["mode"]) == (0, "", "tradebot.demo/1", "sandbox")
    data = printed["data"]
    assert (data["minutes"], data["symbols"], edited.read_text()) == (3, 2, "limits: {max_symbol_entries: 3}  # mine\n")
    assert data["funnel"]["candidates"] == data["funnel"]["orders"] + sum(r["count"] for r in data["funnel"]["reasons"])
    sandbox.stop(here / "state" / "exchange")


@pytest.mark.campaign
def test_loop_of_trying_shows_what_each_change_came_to(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    play = ("demo", "--symbols", "2", "--minutes", "8", "--set", "strategies.flow.min_cluster=1")
    first = typed(capsys, *play, "--json")
    assert (first.code, first.data["beside"], first.data["configuration"]) == (0, None, None)
    assert typed(capsys, "config", "set", "limits.max_open_positions", "5").code == 0
    second = typed(capsys, *play, "--sessions", "2", "--set", "strategies.flow.limits.min_score=0.3", "--json").data
    assert [row["minutes"] for row in second["sessions"]] == [8, 8]
    assert {row["name"]: row["values"] for row in second["beside"]["settings"]} == {
        "limits.max_open_positions": ["20", "5"],
        "strategies.flow.limits.min_score": ["0.2", "0.3"],
        "played.sessions": ["1", "2"],
    }
    assert second["beside"]["last"]["candidates"] == first.data["funnel"]["candidates"]
    assert second["beside"]["now"]["candidates"] == second["funnel"]["candidates"] > first.data["funnel"]["candidates"]
    # The verbs that look at the run go by its options, and by the person's own file.
    rows = {row["key"]: row for row in typed(capsys, "config", "diff", "--json").data["defaults"]}
    for key, value, origin in (
        ("strategies.flow.min_cluster", 1, "state/demo.yaml"),
        ("limits.max_open_positions", 5, "state/tradebot.yaml"),
    ):
        assert (rows[key]["value"], rows[key]["origin"]) == (value, origin)
    assert "Permission open" in typed(capsys, "status").out
    assert (here / "state" / "tradebot.yaml").read_text() == "limits:\n  max_open_positions: 5\n"
    sandbox.stop(here / "state" / "exchange")


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--set", "limits.max_open_positionz=3"), "did you mean max_open_positions?"),
        (("--set", "limits.max_open_positions"), "isn't KEY=VALUE"),
        (("--set", "limits.max_open_positions=2"), "max_new_entries 5 is above max_open_positions 2"),
        (("--set", "shadow=true"), "always sends orders"),
        (("--set", "venue=kraken_futures"), "tradebot demo --venue NAME"),
        (("--set", "sandbox.seed=8", "--seed", "9"), "set the same setting"),
        (("--set", "sandbox.seed=8", "--set", "sandbox.seed=9"), "sandbox.seed is set twice"),
        (("--strategy", "nothing"), "no strategy named nothing is installed"),
        (("--strategy", "rotation", "--set", "strategies.rotation.tops=1"), "tops"),
        (("--sessions", "0"), "--sessions"),
        (("--seed", "-1"), "seed"),
    ],
)
def test_wrong_option_leaves_the_earlier_demo_alone(
    played: tuple[Path, subprocess.CompletedProcess[str]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    says: str,
) -> None:
    monkeypatch.chdir(played[0])
    kept = (played[0] / "state" / "demo.json").read_bytes()
    refuses(typed(capsys, "demo", *options), 2, says)
    assert (played[0] / "state" / "demo.json").read_bytes() == kept
    assert (played[0] / "state" / "state.id").exists()


def test_strategy_that_trades_alone_begins_with_its_profile_and_keeps_what_is_set() -> None:
    flags = demo._with_settings({"mode": "sandbox"}, ["strategies.rotation.top=2"])
    settings = load(None, {}, demo._with_strategy(None, flags, "rotation")).settings
    assert list(settings.strategies.sections()) == ["rotation"]
    assert (settings.strategies.in_use()["rotation"]["top"], settings.strategies.flow) == (2, None)
    own = load(None, {}, demo._with_strategy(None, {"mode": "sandbox"}, "flow")).settings
    assert list(own.strategies.sections()) == ["flow"]


def test_configuration_of_another_bot_is_copied_whatever_its_mode_and_yields_to_the_folders_own(tmp_path: Path) -> None:
    paper, state = tmp_path / "paper.yaml", tmp_path / "state"
    paper.write_text("# Mine.\nmode: paper\nlimits: {cooldown_s: 90}\n")
    state.mkdir()
    assert demo._configuration(state, str(paper)) == (paper, paper)
    copy_for_demo(state, paper)
    assert load_yaml(state / "tradebot.yaml") == {"limits": {"cooldown_s": 90}}
    assert demo._configuration(state, None) == (state / "tradebot.yaml", None)
    state_folder.create(state, "sandbox", "SBOX1", "demo", datetime.now(UTC))
    assert demo._configuration(state, None) == (None, None), "the copy belongs to the earlier demo"
    (state / "tradebot.yaml").write_text("limits: {cooldown_s: 120}\n")
    assert demo._configuration(state, None) == (state / "tradebot.yaml", None)


def test_one_wrong_fill_is_seen_and_fails_the_demo(played: tuple[Path, subprocess.CompletedProcess[str]]) -> None:
    state = played[0] / "state"
    with open_app(Options(str(state)), os.environ) as app:
        session = app.ledger.sessions(app.now().date(), app.now().date())[0]
        assert app.ledger.fills(), "nothing was traded, so nothing can be corrupted"
        whole = [demo.PlayedSession(session, int(MINUTES), app.reader.view().account.equity)]
        assert demo.report(app, whole, 0.0).exit_code == 0

    with open_app(Options(str(state)), os.environ) as app, app.ledger.file.write():
        database = app.ledger.file.database
        sequence, body = database.execute("SELECT sequence, body FROM fills ORDER BY sequence LIMIT 1").fetchone()
        fill = json.loads(body)
        fill["fill"]["price"] = str(float(fill["fill"]["price"]) + 0.01)
        database.execute("UPDATE fills SET body = ? WHERE sequence = ?", (json.dumps(fill), sequence))

    with open_app(Options(str(state)), os.environ) as app:
        report = demo.report(app, whole, 0.0)
    assert report.exit_code == 1
    differences = " ".join(report.data.differences)
    assert "cash account" in differences
    assert "equity" in differences


@pytest.mark.parametrize(("told_after_s", "waited"), [(30, ["sleep 30.0"]), (0, [])])
def test_books_are_compared_once_the_venue_has_told_what_became_of_the_last_orders(
    told_after_s: int, waited: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    done = list[str]()
    app = SimpleNamespace(
        engine=SimpleNamespace(tick_to=done.append, sleep=lambda seconds: done.append(f"sleep {seconds}")),
        settings=SimpleNamespace(
            sandbox=SimpleNamespace(sessions=5, source="generated"),
            capabilities=SimpleNamespace(tells_ends_after=timedelta(seconds=told_after_s)),
        ),
        now=lambda: SESSION.open,
        ensure_calendar=lambda now: None,
        reader=SimpleNamespace(view=lambda: SimpleNamespace(account=SimpleNamespace(equity=1))),
        ledger=None,
        day=None,
    )
    played = SimpleNamespace(run=lambda minute: done.append("minute"), meanwhile=None)
    monkeypatch.setattr("commands.demo.run.DemoSession", lambda *_: played)
    monkeypatch.setattr("commands.reconcile.run.run", lambda *_, **__: done.append("compare"))
    monkeypatch.setattr("commands.demo.run.session_of", lambda *_: SESSION)
    assert len(demo.play(app, 2, 1, lambda *_: None)) == 2  # type: ignore[arg-type]
    assert done == ["open", "minute", "compare", "next_open", "minute", *waited, "compare"]


@pytest.mark.parametrize("words", SCREENS)
def test_screen_answers_first_and_fits_a_terminal_and_explains_itself_if_asked(
    played: tuple[Path, subprocess.CompletedProcess[str]],
    words: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    command = [*words.split(), "--state-dir", str(played[0] / "state")]
    short = typed(capsys, *command).out.splitlines()
    assert (len(short) <= 40, SCREENS[words] in "\n".join(short[:5])) == (True, True), "\n".join(short)
    if words not in ("positions", "health", "why-no-orders"):
        assert len(typed(capsys, *command, "--explain").out.splitlines()) > len(short)


@pytest.mark.parametrize(("component", "says"), [("flow", True), (NOT_KNOWN, False)])
def test_what_spoke_for_an_entry_is_told_only_if_the_strategy_has_scores(component: str, says: bool) -> None:
    trade = SimpleNamespace(symbol="MESZ6", side="long", reason="stop_loss", net_usd=Decimal(-5), component=component)
    row = SimpleNamespace(name=component, total_usd=Decimal(-5))
    earned: Any = SimpleNamespace(closed=1, won=0, best=trade, worst=None, by_reason=(row,), by_component=(row,))
    console = Console(file=StringIO(), width=100)
    _print_earnings(console, earned)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert ("entered for" in text) is says
    assert "MESZ6 long, stop_loss" in text


def test_a_strategys_own_words_are_a_reason_like_any_other() -> None:
    scene, _ = holding_microsoft()
    asked = Answering([Close("MSFT", " the month is over\n")], needs=Needs(lots=True))
    trade_once(world(scene, asked), call(slot="open+31m"))
    sale = scene.venue.submitted[-1]
    assert sale.why == "the month is over", "without the white space around it"
    scene.venue.fill(sale.client_order_id, "100.05")
    scene.later(60)
    trade_once(world(scene), call(slot="open+32m"))
    app: Any = SimpleNamespace(ledger=scene.ledger, ledger_view=scene.ledger)
    assert _exits(app, SESSION) == {"the month is over": 1}


OUTCOME = RunOutcome(
    candidates=1500, orders=20, fills=32, closed=12, won=8, open_positions=8, result_usd=Decimal("174.49"),
    refused={"SCORE_BELOW_MIN": 62, "COOLDOWN": 3},
)  # fmt: skip
PLAYED = {"sessions": 1, "minutes": 390}


def ran(outcome: RunOutcome = OUTCOME, played: dict[str, int] | None = None, **flags: object) -> DemoRun:
    return run_of(load(None, {}, flags).settings, played or PLAYED, outcome)


def test_changed_settings_and_their_outcome_are_shown_with_the_change(capsys: pytest.CaptureFixture[str]) -> None:
    now = replace(OUTCOME, orders=9, result_usd=Decimal("80"), refused={"SCORE_BELOW_MIN": 62, "MAX_OPEN_POSITIONS": 4})
    data = compare_with_previous(ran(), ran(now, limits={"max_open_positions": 5}))
    assert [(one.name, one.values) for one in data.settings] == [("limits.max_open_positions", ("20", "5"))]
    render(console(), data)
    rows = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    for row in (
        "limits.max_open_positions 20 5",
        "candidates 1,500 1,500",
        "orders 20 9 -11",
        "result USD +174.49 +80.00 -94.49",
        "SCORE_BELOW_MIN 62 62",
        "COOLDOWN 3 0 -3",
        "MAX_OPEN_POSITIONS 0 4 +4",
        "One of them closed only 12 trades, so a difference may well be chance.",
    ):
        assert row in rows


def test_the_same_run_again_shows_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    render(console(), compare_with_previous(ran(), ran()))
    assert capsys.readouterr().out == ""


def test_a_difference_that_settings_dont_explain_is_said() -> None:
    other_market = ran(limits={"max_open_positions": 5}, sandbox={"seed": 9, "sessions": 3})
    assert compare_with_previous(ran(), other_market).cautions[0].startswith("They differ in sandbox.seed too")
    assert not compare_with_previous(ran(), ran(limits={"max_open_positions": 5})).cautions[0].startswith("They differ")


def test_another_strategy_is_one_row_and_not_one_for_each_setting(capsys: pytest.CaptureFixture[str]) -> None:
    data = compare_with_previous(ran(), ran(strategies={"flow": None, "mine": {}}))
    assert len(data.settings) > 20
    render(console(), data)
    assert "strategies.flow  " in (shown := capsys.readouterr().out)
    assert "strategies.flow.min_cluster" not in shown


def test_a_kept_run_is_the_last_one_and_a_damaged_or_missing_one_is_none(tmp_path: Path) -> None:
    assert last_run(tmp_path) is None
    store_run(tmp_path, ran())
    assert last_run(tmp_path) == ran()
    for damage in ("", "{", '{"settings": {}}', '{"settings": {"a": 1}, "outcome": {}}', "\udcff"):
        (tmp_path / FILE).write_text(damage, errors="surrogateescape")
        assert last_run(tmp_path) is None
