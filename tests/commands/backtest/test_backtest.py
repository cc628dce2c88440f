"""`tradebot backtest`: what it plays, says and keeps, and what it refuses."""

import json
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast
from unittest.mock import patch

import pytest

from commands.backtest import run_backtest
from commands.backtest.options import PlannedBacktest, plan_backtest, settings_of
from commands.backtest.report import EntryExclusion, first_difference, reasons_without_trades
from commands.backtest.run_options import BacktestOptions
from exchange.tests.kit.price_files import BY_NAME, Style, save, session_minutes
from tests.kit.backtest.playing import configured, generated, lines_of, rotation, traded_by, written
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Said, typed
from tests.kit.core.venue import Wanting
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.adapters.state.evidence import read_evidence
from tradebot.errors import ExitCode, OperatorError
from tradebot.lab.backtest.market import open_market_in_memory
from tradebot.lab.backtest.setup import MissingBars
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.flow import Intake
from tradebot.model.reasons import Reason
from tradebot.model.sentences import pluralize
from tradebot.model.struct_tools import replace
from tradebot.model.view import StrategyView, Target
from tradebot.ports.strategy import Strategy

MARKET = ("--sessions", "2", "--from", "2025-03-03", "--seed", "5")


class Declining(Wanting):
    """Says each time that it can't tell what it wants."""

    def propose(self, view: StrategyView) -> Decision:  # type: ignore[override]
        return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_DECLINED, "too hot")


class Player:
    """Types `tradebot backtest` in its own folder."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.state = folder / "state"
        self._file = configured(folder)
        self._capture = capture

    def plays(self, *words: str, market: tuple[str, ...] = MARKET) -> Said:
        return self.says("backtest", *market, "--config", str(self._file), *words)

    def says(self, *words: str) -> Said:
        return self.types(*words, "--state-dir", str(self.state))

    def types(self, *words: str) -> Said:
        return typed(self._capture, *words)

    def result(self, name: str) -> bytes:
        return (self.state / "backtests" / name / "result.json").read_bytes()


@pytest.fixture
def player(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Player:
    return Player(tmp_path, capsys)


def test_backtest_says_first_that_targets_were_not_held_and_keeps_it_for_the_page(player: Player) -> None:
    wants = [Target(symbol, weight=Decimal("0.5")) for symbol in ("AAPL", "MSFT")]
    with traded_by(lambda: [Wanting(*wants)]):
        said = player.plays("--name", "wants")
    first = said.out.partition("\n")[2].lstrip()
    assert first.startswith("Targets   reached in 0 of 2 rebalances\n            stopped by ")
    kept = json.loads(player.result("wants"))["result"]["targets"]
    assert (kept["reached"], kept["rebalances"], kept["fitting"]["limits.max_gross_fraction"]) == (0, 2, "1.03")
    with traded_by(lambda: [Wanting(*wants)]):
        assert "Targets" not in player.plays("--name", "counts", "--recorder", "counts").out


def test_backtest_says_first_whose_answers_were_refused_and_why(player: Player) -> None:
    with traded_by(lambda: [Wanting(Target("AAPL", weight=Decimal(99)))]):
        said = player.plays("--name", "refused", "--recorder", "counts")
    first = " ".join(said.out.partition("\n")[2].partition("Return")[0].split())
    assert first.startswith("Refused answers of momentum; the first, on 2025-03-03 09:32:00 ET, for STRATEGY_INVALID: ")
    assert "'AAPL': its weight is not a Decimal between -10 and 10 Nothing was traded:" in first
    (kept,) = json.loads(player.result("refused"))["result"]["refused"]
    assert (kept["strategy"], kept["reason"]) == ("momentum", "STRATEGY_INVALID")
    with traded_by(lambda: [Declining()]):
        assert "Refused" not in player.plays("--name", "declined").out


def test_backtest_without_a_trade_says_why_and_from_when_on_needs_are_met() -> None:
    data = SimpleNamespace(
        result=SimpleNamespace(fills=0),
        passed_over=[EntryExclusion("rotation", "RANKED_TOO_FEW", 672)],
        ended={"SENT": 2},
        waits=[
            MissingBars("rotation", "XLC", 127, "1Day", date(2018, 12, 18)),
            MissingBars("rotation", None, 127, "1Day", None),
        ],
    )
    first, *lines = reasons_without_trades(cast("Any", data))
    assert first == "Nothing was traded:"
    assert lines[0].startswith("  RANKED_TOO_FEW (rotation, 672 passes): The strategy ranks symbols")
    assert lines[1:] == [
        "  SENT (2 candidates): no order was filled.",
        "  rotation needs 127 bars of 1Day; XLC has that many from 2018-12-18 on.",
        "  rotation needs 127 bars of 1Day; its first symbol has that many in none of these sessions.",
    ]
    data.result.fills = 1
    assert list(reasons_without_trades(cast("Any", data))) == []


def test_what_differs_is_shown_by_the_field_and_not_by_two_halves_that_look_alike() -> None:
    text = (
        "CandidateRecord(candidate=Candidate(symbol='AAPL', score=0.5, at=(2025, 3, 3)), note='" + 300 * "x" + "', {})"
    )
    assert first_difference(text.format("price=1.5"), text.format("price=1.25")) == ("price=1.5", "price=1.25")
    assert first_difference(text.replace("0.5", "0.51"), text.replace("0.5", "0.52")) == ("score=0.51", "score=0.52")
    nested = text.replace("(2025, 3, 3)", "(2025, 3, 4)")
    assert first_difference(text, nested) == ("at=(2025, 3, 3)", "at=(2025, 3, 4)")
    assert first_difference("nothing", "5 USD") == ("nothing", "5 USD")
    assert first_difference(text, "nothing")[1] == "nothing"


def test_backtest_that_halted_says_first_until_when_and_which_settings_let_it_go_on(
    player: Player, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"LIMITS__MAX_DAILY": "0.005", "HALTS__DAILY": "0.01"}.items():
        monkeypatch.setenv(f"TRADEBOT_{name}_LOSS_FRACTION", value)

    def first(*words: str) -> str:
        said = player.says("backtest", *rotation(tmp_path), *words)
        return " ".join(said.out.partition("\n")[2].partition("Return")[0].split())

    why = r"Targets reached in 1 of 1 rebalance Halted 2025-03-06 .* ET: DAILY_LOSS_HALT: 0.0\d+ against 0.01"
    nobody = (
        " The halt was never ended, so no position was opened after it. To continue after it: loosen "
        r"halts.daily_loss_fraction, or let the backtest end it after some sessions \(backtest.unhalt_after_sessions\)."
    )
    assert re.fullmatch(why + nobody, first("--name", "halted"))
    monkeypatch.setenv("TRADEBOT_BACKTEST__UNHALT_AFTER_SESSIONS", "1")
    assert re.match(f"{why}, until a person ended it on 2025-03-07 09:30:00 ET", first("--name", "ended"))


def test_backtest_reports_what_was_played_assumed_and_unknowable(player: Player) -> None:
    with traded_by():
        said = player.plays("--name", "first", "--cost", "commission_bps=10", "--cost", "slippage_bps=5", "--explain")
    assert said.code == 0, said.err + said.out
    lines = said.out.splitlines()
    assert lines[0] == "Backtest first: 2025-03-03 to 2025-03-04, 2 sessions, 1,560 bars of 2 symbols"
    assert lines[1].startswith("  Return    -")
    flat = " ".join(said.out.split())
    assert re.search(
        r"Traded by whims; settings: .* Took [\d.]+ s: [\d,.]+ sessions/s, [\d,]+ bars/s; \d+ of [\d,]+ passes", flat
    )
    for part in (
        "fill next-bar optimistic:",
        "slippage 5 bps for orders that don't rest at their limit",
        "commission 10 bps",
        "they are made up, so the result says nothing about real markets",
        "margin interest 7% a year",
        "borrow fee 0.3% a year",
        "cash interest none pessimistic: cash earns nothing",
        "halts drawdown 10%, daily loss 4%",
        "the ledger and the exchange's account agree to the cent",
        "What this backtest can't know Only",
        "fees -",
    ):
        assert part in flat, part
    assert f"tradebot report --state-dir {player.state}/backtests/first" in flat
    assert player.says("report").code == ExitCode.USAGE, "the bot's own folder isn't one"


def test_picture_and_page_of_a_backtest_name_it(player: Player, tmp_path: Path) -> None:
    picture, page = tmp_path / "curve.svg", tmp_path / "page.html"
    with traded_by():
        said = player.plays("--cost", "commission_bps=10", "--plot", str(picture), "--html", str(page))
    assert said.code == 0, said.err + said.out
    assert said.out.splitlines()[-2:] == [f"Written: {picture}", f"Written: {page}"]
    assert {"growth", "drawdown"} <= set(re.findall(r">([^<>]+)</text>", picture.read_text()))
    text = page.read_text()
    assert '<p class="eyebrow">What a backtest earned</p>' in text
    assert '<th scope="row">commission</th><td class="words" data-label="value">10 bps</td>' in text
    assert '<strong class="down">they are made up, so the result says nothing about real markets</strong>' in text
    assert "It was halted" not in text
    assert "<h2>What the refusals were worth" not in text
    assert str(tmp_path) not in text


def test_finished_backtest_is_an_ordinary_folder_and_reproducible(player: Player) -> None:
    with traded_by():
        assert player.plays("--name", "one").code == 0
        assert player.plays("--name", "other", "--every-pass").code == 0
    one, other = (json.loads(player.result(name)) for name in ("one", "other"))
    assert (other.pop("every_pass"), one) == (True, other)
    folders = [player.state / "backtests" / name for name in ("one", "other")]
    journals = [(folder / "journal.jsonl").read_bytes() for folder in folders]
    assert journals[0] == journals[1]
    assert json.loads(player.result("one"))["complete"]
    assert len((player.state / "backtests" / "trials.jsonl").read_text().splitlines()) == 2
    with traded_by():
        data = player.plays("--name", "third", "--json").data
    assert data["trials"] == {"whims": 1}, "the same settings are one trial, however often they are played"
    (account,) = player.types("report", str(player.state / "backtests" / "third"), "--json").data["accounts"]
    ends = [account["earned"]["end_usd"], account["curve"][-1]["equity_usd"]]
    assert [Decimal(end) for end in ends] == [Decimal(data["result"]["end_usd"])] * 2, "screen and page agree"


@pytest.mark.parametrize("level", ["counts", "none"])
def test_why_no_orders_says_what_was_not_recorded(player: Player, level: str) -> None:
    with traded_by():
        ended = player.plays("--name", "one", "--recorder", level, "--json").data["ended"]
    place = ("--state-dir", str(player.state / "backtests" / "one"))
    said, of_symbol = player.types("why-no-orders", *place), player.types("why-no-orders", "AAPL", *place)
    of_reason = player.types("why-no-orders", "--reason", "SLOT_TAKEN", *place)
    assert (said.code, of_reason.code) == (0 if level == "counts" else 10, ExitCode.USAGE)
    what = "This backtest recorded no candidates (--recorder none)."
    if level == "counts":
        refused = ", ".join(f"{count:,} {reason}" for reason, count in ended.items() if reason != "SENT")
        count = sum(ended.values()) - ended["SENT"]
        what = "This backtest recorded only candidates for which an order was sent (--recorder counts). "
        what += f"{pluralize(count, 'other was', 'others were')} refused in all: {refused}."
        assert "Left out: This backtest recorded" in said.out
    for one in (said.out, of_symbol.out, of_reason.err):
        assert what in " ".join(one.split())
    health, status = player.types("health", *place), player.types("status", *place)
    assert (health.code, "Health OK: 6 of 6 parts are OK" in health.out) == (0, True), "nothing is due anymore"
    assert (status.code, "Health OK: 6 of 6 parts are OK\n" in status.out) == (0, True)
    assert "no end is recorded yet" not in status.out, "the run has ended"


def test_a_run_is_not_replaced_unless_that_is_asked_for(player: Player) -> None:
    with traded_by():
        assert player.plays("--name", "one").code == 0
        refuses(player.plays("--name", "one"), ExitCode.USAGE, "already has this run", "--force")
        assert player.plays("--name", "one", "--force").code == 0
    (player.state / "backtests" / "mine").mkdir()
    with traded_by():
        assert "isn't a backtest" in player.plays("--name", "mine", "--force").err


def test_without_a_name_the_same_inputs_have_the_same_name(player: Player) -> None:
    with traded_by():
        first, again = player.plays("--json"), player.plays("--json")
        other = player.plays("--seed", "6", "--json", market=MARKET[:4])
    assert first.data["name"].startswith("flow-")
    assert "already has this run" in again.out
    assert other.data["name"] != first.data["name"]


def test_flow_of_the_past_is_what_a_bot_fetched(player: Player, tmp_path: Path) -> None:
    at = datetime(2025, 3, 3, 15, tzinfo=UTC)
    with closing(SqliteFacts(tmp_path, MemoryEvents(), at)) as bot:
        bot.store(Intake("flow_alerts", "AAPL", at, 0, (), 0, 0, ()))
    said = player.plays("--flow", str(tmp_path), "--symbols", "AAPL", "--json")
    assert said.code == 0, said.err + said.out
    told = {one["name"]: one for one in said.data["assumptions"]}
    expected = "as a bot fetched it from 2025-03-03 to 2025-03-03; each reply is known from its arrival on"
    assert told["flow"]["value"] == expected
    cut = player.plays(
        "--flow", str(tmp_path), "--symbols", "AAPL", "--check-lookahead", "--cuts", "2", "--force", "--every-pass"
    )
    assert cut.code == 0, cut.err + cut.out
    other = player.plays(
        "--flow", str(tmp_path), "--symbols", "AAPL", market=("--sessions", "1", "--from", "2025-03-10")
    )
    assert "has flow from 2025-03-03 to 2025-03-03, but none in the sessions to run" in " ".join(other.err.split())


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (("--cost", "luck=1"), "--cost luck=1 names no cost", "commission_bps"),
        (("--cost", "commission_bps=-1"), "commission_bps", ""),
        (("--fill", "magic"), "sandbox.fill.model", "next-open"),
        (("--recorder", "some"), "--recorder some isn't one of none or counts or full", "--recorder none"),
        (("--equity-at", "dawn"), "--equity-at dawn isn't one of", "--equity-at market"),
        (("--to", "2025-03-02"), "--from 2025-03-03 is after --to 2025-03-02", "--from 2025-03-02"),
        (("--from", "yesterday"), "--from yesterday is not a date", "write --from"),
        (("--bars", "nowhere.csv", "--bar-stamp", "start"), "nowhere.csv: no such file", "ls ."),
        (("--flow", "nowhere"), "nowhere has no fetched flow", "give the folder of a bot that fetches flow"),
        (("--name", "../up"), "a run can't be called ../up", "use letters"),
        (("--profile", "magic"), "there is no profile 'magic'", "choose one of"),
        (("--plot", "curve.pdf"), "curve.pdf is neither .svg nor .png", "--plot curve.svg"),
        (("--html", "-"), "a page can't go to stdout", "--html report.html"),
        (("--check-lookahead", "--recorder", "none"), "compares every decision", "leave out --recorder"),
    ],
)
def test_wrong_options_are_refused_with_hints(player: Player, words: tuple[str, ...], message: str, hint: str) -> None:
    said = player.plays(*words)
    assert said.code == ExitCode.USAGE
    assert message in said.err.replace("\n", " ")
    assert hint in said.err
    assert not (player.state / "backtests").exists()


def test_strategy_that_is_not_installed_is_named_by_its_section(player: Player, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("strategies: {mine: {strategy: gone}}\n")
    said = player.says("backtest", *MARKET, "--symbols", "AAPL", "--config", str(own))
    refuses(said, ExitCode.USAGE, "strategies.mine is configured, but no strategy named gone is installed")


def test_configured_values_override_the_backtests_assumptions(player: Player, tmp_path: Path) -> None:
    own = tmp_path / "own.yaml"
    own.write_text("sandbox: {costs: {margin_rate: 0.04}}\n")
    with traded_by():
        said = player.says(
            "backtest", *MARKET, "--symbols", "AAPL", "--config", str(own), "--cost", "borrow_fee_rate=0", "--explain"
        )
    flat = " ".join(said.out.split())
    assert "margin interest 4% a year" in flat, said.err + said.out
    assert "borrow fee none optimistic for shorts" in flat


THANKSGIVING = date(2026, 11, 26)


@pytest.fixture
def wish(tmp_path: Path) -> BacktestOptions:
    market = open_market_in_memory(generated(THANKSGIVING, 3, "MES", "GC")).market()
    path = written(tmp_path / "bars.csv", lines_of(market, ["MESZ6"], (0, 1, 2)))
    return BacktestOptions(state_dir=str(tmp_path / "bot"), profile="futures", bars=str(path), bar_stamp="start")


def test_file_of_contracts_is_played_in_sessions_of_globex(wish: BacktestOptions) -> None:
    made = plan_backtest(wish)
    assert (made.plan.spec.start, made.plan.spec.sessions) == (THANKSGIVING, 3)
    assert (made.plan.settings.universe, made.market.unused, made.market.lacking) == (["MES"], "", "")
    assert settings_of(wish).universe == ["MES"]


def test_days_are_chosen_among_those_of_the_file(wish: BacktestOptions) -> None:
    made = settings_of(replace(wish, first=date(2026, 11, 28)))
    assert (made.sandbox.start, made.sandbox.sessions) == (date(2026, 11, 30), 1)
    with pytest.raises(OperatorError, match="has bars from 2026-11-26 to 2026-11-30"):
        settings_of(replace(wish, last=date(2027, 1, 4)))


def test_generated_market_up_to_a_date_has_the_sessions_of_its_venue() -> None:
    # New York is closed on Thanksgiving, and Globex isn't.
    asked = BacktestOptions(first=date(2026, 11, 25), last=date(2026, 11, 27))
    sessions = {name: settings_of(replace(asked, profile=name)).sandbox.sessions for name in ("futures", "flow")}
    assert sessions == {"futures": 3, "flow": 2}


def test_a_symbol_without_a_sector_is_told_with_the_nearest_that_has_one(capsys: pytest.CaptureFixture[str]) -> None:
    plan_backtest(BacktestOptions(symbols="APPL,MSFT", sessions=1))
    told = capsys.readouterr().err
    assert "APPL has no sector in the configuration" in told
    assert "did you mean AAPL" in told
    assert "MSFT" not in told
    plan_backtest(BacktestOptions(profile="futures", symbols="ES", sessions=1))
    assert not capsys.readouterr().err


def test_published_file_says_itself_what_its_shape_knows_and_is_asked_for_the_rest(tmp_path: Path) -> None:
    path = save(tmp_path, BY_NAME["metatrader"], session_minutes(390), Style(separator="\t"), daily=False)
    wish = BacktestOptions(state_dir=str(tmp_path / "bot"), symbols="AAPL", bars=str(path))
    with pytest.raises(OperatorError, match="nothing names the symbol") as asked:
        plan_backtest(wish)
    assert asked.value.hint == "write --bars-as symbol=SYMBOL"
    with pytest.raises(OperatorError, match="names no zone"):
        plan_backtest(replace(wish, bars_as=("symbol=AAPL",)))
    made = plan_backtest(replace(wish, bars_as=("symbol=aapl", "zone=America/New_York")))
    assert (made.plan.spec.source, made.plan.spec.bar_stamp) == ("csv", "start")
    bars = made.market.market().day("AAPL", 0).bars
    assert (len(bars), bars[0].open, bars[-1].close, made.market.unused) == (390, 2_300_000, 2_339_400, "")
    with pytest.raises(OperatorError, match="is not an option for reading a file"):
        plan_backtest(replace(wish, bars_as=("symbl=AAPL",)))


@contextmanager
def interrupted_before(play: int) -> Iterator[None]:
    """Interrupt as soon as strategies are loaded for this play; those of the run itself are loaded for two."""
    usual, loads = run_backtest.load_strategies, 0

    @contextmanager
    def loaded(planned: PlannedBacktest, **_: object) -> Iterator[Sequence[Strategy]]:
        nonlocal loads
        loads += 1
        if loads == play:
            raise KeyboardInterrupt
        with usual(planned) as strategies:
            yield strategies

    with patch.object(run_backtest, "load_strategies", loaded):
        yield


def test_rotation_is_played_dearer_later_and_in_each_session(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, words = ("--state-dir", str(tmp_path / "state")), rotation(tmp_path)
    said = typed(capsys, "backtest", *words, "--name", "r", "--cost", "commission_bps=10", "--sensitivity", *place)
    assert said.code == 0, said.err + said.out
    assert "Played again" in said.out
    assert "isn't played" not in said.out
    folder = tmp_path / "state" / "backtests" / "r"
    kept = read_evidence(folder)
    found = {one.name: one for one in kept.variants}
    assert list(found)[:3] == ["costs x2", "a session later", "first session of month"]
    assert [one.sessions for one in kept.variants] == [8] * 23
    first, later = found["first session of month"].total_return, found["a session later"].total_return
    assert found["costs x2"].total_return < first
    assert later == found["2nd session of month"].total_return != first
    assert found["21st session of month"].total_return == found["19th session of month"].total_return
    report = typed(capsys, "report", "--state-dir", str(folder))
    assert "costs x2" in report.out
    assert "SPY" in report.out.split("Returns")[1].splitlines()[0]


def test_an_interrupt_keeps_the_variants_that_are_done_and_resume_plays_the_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place, words = ("--state-dir", str(tmp_path / "state")), rotation(tmp_path)
    play = ("backtest", *words, "--name", "r", "--sensitivity", *place)
    folder = tmp_path / "state" / "backtests" / "r"
    with interrupted_before(5):
        said = typed(capsys, *play)
    assert said.code == ExitCode.INTERRUPTED
    # The first session is the run itself, and the second one is the session later.
    assert "Stopped after 4 of 23 variants. The backtest and these variants are kept." in " ".join(said.err.split())
    assert "to continue, run the same command with --resume" in said.err
    done = read_evidence(folder).variants
    names = [one.name for one in done]
    assert names == ["costs x2", "a session later", "first session of month", "2nd session of month"]
    before = (folder / "result.json").read_bytes(), (folder / "journal.jsonl").read_bytes()
    with interrupted_before(5):
        # Strategies are loaded for the run, which is over, and then for each variant that is played.
        again = typed(capsys, *play, "--resume")
    assert "Stopped after 6 of 23 variants." in again.err
    assert read_evidence(folder).variants[:4] == done
    other_run = "the checkpoint belongs to other settings", "the same command with --force instead of --resume"
    refuses(typed(capsys, *play, "--resume", "--cash", "50000"), ExitCode.USAGE, *other_run)
    whole = typed(capsys, *play, "--resume", "--json").data
    assert whole["speed"]["sessions"] == 0, "the backtest itself isn't played again"
    assert len(read_evidence(folder).variants) == 23
    assert ((folder / "result.json").read_bytes(), (folder / "journal.jsonl").read_bytes()) == before
    assert not folder.with_name("r.checkpoint").exists()
    assert "already has this run" in typed(capsys, *play, "--resume").err


def test_variant_that_cannot_be_played_is_explained(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("--sessions", "1", "--seed", "5", "--config", str(configured(tmp_path)), "--sensitivity")
    with traded_by():
        said = typed(capsys, "backtest", *words, "--state-dir", str(tmp_path / "state"))
    assert said.code == 0, said.err
    flat = " ".join(said.out.split())
    assert "A day's delay isn't played: whims may trade in every session." in flat
    assert "Other sessions of the month aren't played" in flat
    assert "costs x2" in flat
