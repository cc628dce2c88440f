"""`tradebot strategy`, and a plug-in's whole way: written, installed elsewhere, turned on, trading, misbehaving."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from commands.strategy.run import in_words, needs_row
from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import UNIVERSE, Bot, log, second_session, typed
from tests.kit.bot.state import accept
from tests.kit.strategies import WELL, install
from tradebot.__main__ import main
from tradebot.adapters.state.evidence import TRIALS
from tradebot.app import sandbox
from tradebot.model.series import PriceKind
from tradebot.model.view import BarNeed, Needs

BAD = {
    "raising": "raise RuntimeError('no [bold]mood[/bold] today')",
    "hanging": "import time\ntime.sleep(600)",
    "nan": "return [replace(found, score=float('nan')) for found in self.well(view)]",
    "million": "return [next(self.well(view))] * 1_000_000",
    "changing": "view.facts.clear()\nimport msgspec\nmsgspec.structs.force_setattr(view, 'universe', ())\nreturn []",
}
YAML = [(name, "can't be a strategy's name") for name in ("null", "none", "true", "false")]


def run(*command: str, cwd: Path, **environ: str) -> str:
    done = subprocess.run(
        command, cwd=cwd, env={**os.environ, **environ}, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write a strategy in its own folder, and install it with pip into another, as beside the bot."""
    folder = tmp_path_factory.mktemp("elsewhere")
    assert main(["strategy", "new", "leaning", "--path", str(folder / "leaning"), "--json"]) == 0
    install = [sys.executable, "-m", "pip", "install", "-q", "--disable-pip-version-check", "--no-index"]
    run(*install, "--no-build-isolation", "--no-deps", "--target", "site", "./leaning", cwd=folder)
    return folder


@pytest.fixture(scope="module")
def misbehaving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Install a package whose strategies each do another wrong thing, and one that is well."""
    folder = tmp_path_factory.mktemp("misbehaving")
    install(folder, {**BAD, "well": WELL}, "misbehaving")
    return folder


def test_a_new_package_holds_a_strategy_its_test_and_how_to_go_on(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["strategy", "new", "mean_reversion"]) == 0
    out = capsys.readouterr().out
    files = sorted(str(path.relative_to(here)) for path in here.rglob("*") if path.is_file())
    assert files == [
        "mean_reversion/README.md",
        "mean_reversion/pyproject.toml",
        "mean_reversion/tests/test_mean_reversion.py",
        "mean_reversion/tradebot_mean_reversion/__init__.py",
        "mean_reversion/tradebot_mean_reversion/strategy.py",
    ]
    assert "pip install --no-build-isolation --no-deps -e mean_reversion" in out
    assert "strategies: {mean_reversion: {}}" in out
    assert "class MeanReversionStrategy:" in (here / "mean_reversion/tradebot_mean_reversion/strategy.py").read_text()


def test_what_is_held_for_a_month_is_not_closed_by_the_accounts_exits(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["strategy", "new", "rising", "--kind", "target"]) == 0
    expected = "strategies: {rising: {exits: [], wants: {symbol_fraction: 0.34, gross_fraction: 1, positions: 3}}}"
    assert expected in capsys.readouterr().out
    assert "`strategies: {flow: null, rising: {exits: [], wants: {" in Path("rising/README.md").read_text()


def test_each_kind_passes_its_own_test_under_names_that_its_template_uses_too(tmp_path: Path) -> None:
    names = (("settings", "flow"), ("class", "flow"), ("series", "bars"), ("mapping", "bars"), ("target", "target"))
    for name, kind in names:
        assert main(["strategy", "new", name, "--kind", kind, "--path", str(tmp_path / name), "--json"]) == 0
    said = run(
        *(sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--import-mode=importlib"),
        *(f"{name}/tests" for name, _ in names),
        cwd=tmp_path,
        PYTHONPATH=os.pathsep.join(str(tmp_path / name) for name, _ in names),
        PYTEST_DISABLE_PLUGIN_AUTOLOAD="1",
    )
    assert f"{3 + 3 + 5 + 5 + 3} passed" in said


def test_strategy_template_imports_from_the_ports_alone(tmp_path: Path) -> None:
    # The one for bars shows two forms of the same answer.
    for kind, most_lines in {"flow": 75, "bars": 95, "target": 75}.items():
        assert main(["strategy", "new", "mine", "--kind", kind, "--path", str(tmp_path / kind), "--json"]) == 0
        strategy = (tmp_path / kind / "tradebot_mine" / "strategy.py").read_text()
        assert re.findall(r"^from (tradebot[\w.]*)", strategy, re.MULTILINE) == ["tradebot.ports"]
        assert len(strategy.splitlines()) <= most_lines


@pytest.mark.parametrize(
    ("name", "said"),
    [("Momentum", "lowercase"), ("../x", "lowercase"), ("x" * 21, "lowercase"), ("flow", "already installed"), *YAML],
)
def test_invalid_strategy_name_is_refused(name: str, said: str, here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["strategy", "new", name]) == 2
    assert said in capsys.readouterr().err
    assert list(here.iterdir()) == []


def test_new_strategy_refuses_a_folder_that_is_not_empty(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "mine.txt").write_text("kept")
    for path in (tmp_path, tmp_path / "mine.txt"):
        assert main(["strategy", "new", "leaning", "--path", str(path)]) == 2
        assert "next: name another folder" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_list_needs_no_bot(here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("TRADEBOT_STATE", raising=False)
    assert main(["strategy", "list"]) == 0
    shown = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert shown[0] == "strategy package runs in asked state"
    assert shown[-1] == "To write your own: tradebot strategy new NAME"
    assert "flow tradebot 0.1.0 this process every entry pass ok" in shown
    assert "flow: needs flow (dark_pool, flow_alerts, insider, oi_change, options_volume, risk_reversal)" in shown


def test_a_plug_in_from_elsewhere_trades_alike(trading: Bot, elsewhere: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(elsewhere / "site")
    rows = {row["name"]: row for row in trading.json("strategy", "list")["rows"]}
    flow, leaning = rows["flow"], rows["leaning"]
    assert (flow["own_process"], flow["state"], flow["protections"]) == (False, "ok", None)
    assert (leaning["own_process"], leaning["state"], leaning["protections"] is None) == (True, "off", False)
    monkeypatch.setenv("TRADEBOT_STRATEGIES__FLOW", "null")
    monkeypatch.setenv("TRADEBOT_STRATEGIES__LEANING__LOOKBACK_S", "7200")
    monkeypatch.setenv("TRADEBOT_STRATEGIES__LEANING__MIN_PREMIUM_USD", "1")
    accept(trading.folder)
    done = trading.json("trade-once", "--force-slot")
    assert done["refused_strategies"] == []
    sent = [row["client_order_id"] for row in done["rows"] if row["reason"] is None]
    assert sent, done["refused"]
    assert all(".LEANI." in name for name in sent)
    told = json.dumps(log(trading.url))
    assert all(told.count(f'"{name}"') for name in sent)
    source = elsewhere / "site" / "tradebot_leaning" / "strategy.py"
    tested = {"strategy": "leaning", "digest": "a", "name": "june", "sharpe": None, "code": leaning["code"]}
    (trading.folder / "backtests").mkdir()
    (trading.folder / "backtests" / TRIALS).write_text(f"{json.dumps(tested)}\n")
    assert f"leaning runs code {leaning['code']}, as backtest june did." in trading.says("strategy", "list").out
    assert "which no backtest here has used;" not in trading.says("status").out
    with source.open("a") as file:
        file.write("# a sign was flipped here\n")
    trading.json("trade-once", "--force-slot")
    for verb in (["status"], ["strategy", "list"]):
        said = " ".join(trading.says(*verb).out.split())
        assert f"which no backtest here has used; the last one, june, used {leaning['code']}" in said
        assert "tradebot backtest" in said


@pytest.mark.campaign
def test_misbehaving_plugin_costs_only_its_own_passes(
    trading: Bot, misbehaving: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(misbehaving)
    config = trading.folder / "all.yaml"
    section = ", ".join(f"{name}: {{}}" for name in (*BAD, "well"))
    # Time enough for those that are well, on a machine that is busy.
    lines = (f"universe: [{UNIVERSE}]", "plugins: {timeout_s: 4}", f"strategies: {{{section}}}")
    config.write_text("\n".join(lines) + "\n")
    done = trading.json("trade-once", "--force-slot", "--config", str(config))
    refused = {r["strategy"]: r["decision"]["reason"] for r in done["refused_strategies"]}
    assert refused == {
        "raising": "STRATEGY_FAILED",
        "hanging": "STRATEGY_TIMEOUT",
        "nan": "STRATEGY_INVALID",
        "million": "STRATEGY_TOO_MANY",
    }
    config.write_text(f"universe: [{UNIVERSE}]\nstrategies: {{raising: {{}}, well: {{}}}}\n")
    said = trading.says("score", "--config", str(config))
    shown = said.out
    assert said.code == 0, said.err
    assert re.search(r"^AAPL +well +\+0\.900 +100% +· +· +· +· +· +candidate", shown, re.MULTILINE), shown
    assert (
        "Strategy raising is BROKEN: STRATEGY_FAILED (RuntimeError: no [bold]mood[/bold] today (misbehaving.py" in shown
    )
    # The flow strategy and the one that is well looked at each of the four symbols.
    assert done["candidates"] == 8
    events = [json.loads(line) for line in (trading.folder / "system_events.jsonl").read_text().splitlines()]
    assert {e["details"]["strategy"] for e in events if e["event_type"] == "proposal_refused"} == set(refused)
    why = trading.json("why-no-orders")
    assert set(refused.values()) <= {row["reason"] for row in why["explanation"]["funnel"]["reasons"]}


def test_strategy_list_shows_faults_and_remedies(trading: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, {"raising": BAD["raising"], "well": WELL}, "misbehaving")
    monkeypatch.syspath_prepend(tmp_path)
    config = trading.folder / "one.yaml"
    config.write_text("strategies: {raising: {}, gone: {}, well: {surprise: 1}}\n")
    said = trading.says("strategy", "list", "--config", str(config))
    assert said.code == 10
    assert "raising: RuntimeError: no [bold]mood[/bold] today (misbehaving.py line" in said.out
    assert "AssertionError: {'surprise': 1}" in said.out
    assert "gone: configured, but no installed package provides it." in said.out
    row = next(r for r in trading.json("strategy", "list")["rows"] if r["name"] == "well")
    assert set(row["protections"]) == {"files", "names", "processes", "network", "leftovers"}
    reached = "can't reach your keys" if all(row["protections"].values()) else "can "
    assert f"well: {reached}" in said.out


def test_a_strategy_that_raises_on_real_facts_alone_is_broken_on_every_screen(
    trading: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, {"picky": "assert not view.facts, 'facts'\nreturn []"}, "picking")
    monkeypatch.syspath_prepend(tmp_path)
    config = ("--config", str(tmp_path / "mine.yaml"))
    Path(config[1]).write_text("strategies: {picky: {}}\n")
    assert "BROKEN" not in trading.says("strategy", "list", *config).out
    sent = trading.says("trade-once", "--force-slot", *config)
    assert "Strategy picky is BROKEN: STRATEGY_FAILED (AssertionError: facts" in sent.out
    why = trading.json("why-no-orders", *config)["explanation"]
    assert "Strategy picky is broken: STRATEGY_FAILED" in why["sentence"]
    status = trading.json("status", *config)
    assert "sent; strategy picky is BROKEN (STRATEGY_FAILED)" in json.dumps(status["passes"])
    (part,) = (part for part in status["health"] if part["subject"] == "strategies")
    assert (part["state"], part["found"]) == ("DEGRADED", "picky is BROKEN (STRATEGY_FAILED)")
    assert "picky is BROKEN (STRATEGY_FAILED)" in trading.says("status", *config).out
    listed = trading.says("strategy", "list", *config)
    assert (listed.code, "BROKEN: STRATEGY_FAILED" in listed.out) == (10, True)
    assert "picky: in the last pass of trade-once: AssertionError: facts" in listed.out


def test_what_a_plug_in_was_told_wrong_is_said_without_the_words_of_a_validator(
    trading: Bot, elsewhere: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(elsewhere / "site")
    config = tmp_path / "mine.yaml"
    config.write_text("strategies: {leaning: {lookback_s: soon}}\n")
    shown = trading.says("strategy", "list", "--config", str(config)).out
    assert "ValidationError: lookback_s must be a whole number" in shown
    assert "pydantic" not in shown


def test_the_only_strategy_that_is_gone_stops_entries_with_a_sentence_and_no_exit(trading: Bot) -> None:
    config = trading.folder / "gone.yaml"
    config.write_text("strategies: {flow: null, gone: {}}\n")
    refuses(trading.says("trade-once", "--force-slot", "--config", str(config)), 2, "strategies.gone is configured")
    for verb in ("evaluate-exits", "fetch-flow"):
        assert trading.says(verb, "--force-slot", "--config", str(config)).code == 0


def test_needs_are_told_with_the_price_and_the_fewest_bars() -> None:
    need = BarNeed("4Hour", 600, least=250, price=PriceKind.SPOT)
    assert in_words(needs_row(Needs(bars=(need,)))) == "the last 600 4Hour bars (at least 250) by the spot price"


FOUR = sorted(UNIVERSE.split(","))


def books(bot: Bot) -> Mapping[str, object]:
    names = ("journal.jsonl", "ledger.db", "facts.db", "system_events.jsonl")
    files = {name: (bot.folder / name).read_bytes() for name in names if (bot.folder / name).exists()}
    return {**files, "log": log(bot.url)}


def test_strategy_test_wants_what_a_pass_does_and_leaves_no_trace(trading: Bot) -> None:
    before = books(trading)
    tried = trading.json("strategy", "test", "flow")
    assert books(trading) == before
    assert (tried["data"], tried["seed"], tried["own_process"], tried["refusal"]) == ("recorded", None, False, None)
    scored = {row["symbol"]: (row["side"], row["score"]) for row in trading.json("score")["rows"]}
    assert {want["symbol"]: (want["side"], want["score"]) for want in tried["wants"]} == scored
    assert any(want["components"] for want in tried["wants"])
    assert (tried["repeats"], tried["cost"]["again"]) == (True, 4)
    expected = ["dark_pool", "flow_alerts", "insider", "oi_change", "options_volume", "risk_reversal"]
    assert tried["needs"]["facts"] == expected


def test_it_shows_each_want_or_why_the_strategy_declines_it(trading: Bot) -> None:
    shown = trading.says("strategy", "test", "flow", "--symbols", "msft, AAPL").out
    assert re.search(r"^Sees +2 symbols$", shown, re.MULTILINE)
    assert re.search(r"^Asked +every entry pass$", shown, re.MULTILINE)
    assert re.search(r"^(AAPL|MSFT) +open +(buy|sell) +[+-]0\.\d{3} +\d+%", shown, re.MULTILINE)
    assert re.search(r"^Cost +first answer [\d.e-]+ ms; run again, [\d.e-]+ ms \(median of 4\)$", shown, re.MULTILINE)


def test_what_a_strategy_declines_is_counted_with_its_numbers(trading: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADEBOT_STRATEGIES__FLOW__MIN_CLUSTER", "1000")
    shown = trading.says("strategy", "test", "flow").out
    assert "Answer    4 wants: 0 for the gates, 4 declined by the strategy itself" in shown
    assert re.search(r"declined: CLUSTER_TOO_SMALL \d+ alerts? against 1,?000 alerts", " ".join(shown.split()))


def test_a_moment_of_the_past_knows_only_what_was_known_then(trading: Bot) -> None:
    now, before = (trading.json("strategy", "test", "flow", *at)["wants"] for at in ((), ("--at", "2026-11-17 09:31")))
    assert max(want["coverage"] for want in now) > 0.5
    assert {want["coverage"] for want in before} == {0.0}
    refuses(trading.says("strategy", "test", "flow", "--at", "noon"), 2, "'noon' is not a date and time")


def test_without_a_bot_it_sees_generated_facts_and_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    stopped, stop = list[Path](), sandbox.stop

    def stopping(folder: Path) -> None:
        stopped.append(folder)
        stop(folder)

    monkeypatch.setattr(sandbox, "stop", stopping)
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("TRADEBOT_STATE", raising=False)
    said = typed(capsys, "strategy", "test", "flow", "--symbols", UNIVERSE, "--json")
    tried = said.data
    assert (said.code, tried["data"], tried["seed"]) == (0, "generated", 7)
    assert sorted(want["symbol"] for want in tried["wants"]) == FOUR
    assert max(want["coverage"] for want in tried["wants"]) > 0.5
    assert list(tmp_path.iterdir()) == []
    assert [folder.exists() for folder in stopped] == [False]
    refuses(typed(capsys, "strategy", "test", "flow", "--at", "2026-11-16 11:30"), 2, "--at needs a bot")


@pytest.mark.campaign
def test_a_plug_in_that_is_off_is_tried_and_one_that_errs_is_refused_with_its_reason(
    trading: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slow = "import time\ntime.sleep(0.3)\nreturn list(self.well(view))"
    moody = "import random\nreturn [replace(one, score=random.random()) for one in self.well(view)]"
    install(
        tmp_path,
        {"well": WELL, "slow": slow, "raising": "raise RuntimeError('no [bold]mood[/bold]')", "moody": moody},
        "trying",
    )
    monkeypatch.syspath_prepend(tmp_path)
    well = trading.json("strategy", "test", "well")
    assert ([want["score"] for want in well["wants"]], well["own_process"]) == ([0.9] * 4, True)
    cost = trading.json("strategy", "test", "slow")["cost"]
    assert cost["first_s"] > cost["later_s"] >= 0.3
    shows(
        trading.says("strategy", "test", "raising"),
        10,
        "Answer    refused: STRATEGY_FAILED",
        "RuntimeError: no [bold]mood[/bold] (trying.py line",
    )
    shows(trading.says("strategy", "test", "moody"), 10, "gave a different answer in a second run")
    refuses(trading.says("strategy", "test", "nobody"), 2, "no strategy named nobody is installed")


def test_an_answer_beyond_its_section_is_refused(trading: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = "from decimal import Decimal\nreturn [Target(s, Decimal('0.01')) for s in view.universe]"
    install(tmp_path, {"wide": f"from tradebot.ports import Target\n{body}"}, "wide")
    monkeypatch.syspath_prepend(tmp_path)
    for name, value in {"SYMBOL_FRACTION": "0.01", "GROSS_FRACTION": "1", "POSITIONS": "4"}.items():
        monkeypatch.setenv(f"TRADEBOT_STRATEGIES__WIDE__WANTS__{name}", value)
    assert len(trading.json("strategy", "test", "wide")["wants"]) == 4
    monkeypatch.setenv("TRADEBOT_STRATEGIES__WIDE__WANTS__POSITIONS", "3")
    said = trading.says("strategy", "test", "wide")
    assert said.code == 10
    assert "its targets ask for 4 symbols, but its section declares wants.positions: 3" in " ".join(said.out.split())


def test_a_symbol_without_the_bars_it_needs_is_left_out_with_the_numbers(
    trading: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    bodies = {
        f"needs{depth}": f"return [Open(s, Side.BUY, 0.5) for s in view.universe if len(view.bars(s)) == {depth}]"
        for depth in (20, 999)
    }
    install(tmp_path, bodies, "bars", needs={name: f'BarNeed("1Day", {name[5:]})' for name in bodies})
    monkeypatch.syspath_prepend(tmp_path)
    fed = trading.json("strategy", "test", "needs20")
    assert (sorted(fed["universe"]), fed["left_out"], len(fed["wants"])) == (FOUR, [], 4)
    assert [(need["timeframe"], need["depth"]) for need in fed["needs"]["bars"]] == [("1Day", 20)]
    hungry = trading.says("strategy", "test", "needs999")
    assert hungry.code == 0
    assert re.search(r"^Sees +0 symbols; 4 symbols left out$", hungry.out, re.MULTILINE)
    assert re.search(r"^  BARS_MISSING \d+ bars against 999 bars: AAPL, MSFT, NVDA, AMZN$", hungry.out, re.MULTILINE)


@pytest.mark.campaign
def test_plugin_that_never_answers_is_ended_and_told_its_time_limit(
    trading: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install(tmp_path, {"hanging": "import time\ntime.sleep(600)"}, "hanging")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("TRADEBOT_PLUGINS__TIMEOUT_S", "1.5")
    tried = trading.json("strategy", "test", "hanging")
    refusal = tried["refusal"]
    assert (refusal["reason"], refusal["limit"], tried["cost"]["again"]) == ("STRATEGY_TIMEOUT", 1.5, 0)


@pytest.fixture
def trading(folder: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return a bot half an hour into its second session."""
    bot = Bot(folder, capsys)
    if not (folder / "facts.db").exists():
        second_session(bot)
    return bot
