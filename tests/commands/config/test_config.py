"""`tradebot config`: every value with its source, and a file tried before it is used.

What was accepted holds: a configuration that vanished, or says more, blocks entries until somebody accepts it.
"""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.kit.bot.ending import refuses, shows
from tests.kit.bot.folder import PROGRAM, Bot, Said, log, made, second_session, typed
from tests.kit.bot.state import accept
from tests.kit.ledgers import forget_accepted
from tradebot.__main__ import main
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.app.baseline import effective
from tradebot.model.trading import Baseline


def test_one_value_or_section_is_shown_alone(bot: Bot) -> None:
    assert bot.shown("config", "show", "limits.min_coverage", "--origin") == (
        "name                 value  from\nlimits.min_coverage  0.1    STATE/tradebot.yaml"
    )
    keys = {row["key"] for row in bot.json("config", "show", "exits")["values"]}
    assert {key.partition(".")[0] for key in keys} == {"exits"}


def test_an_unknown_name_is_an_error_that_names_the_nearest(bot: Bot) -> None:
    expected = "did you mean limits.min_score or strategies.flow.limits.min_score?"
    assert expected in bot.says("config", "show", "min_score").err
    assert "did you mean limits.cooldown_s" in bot.says("config", "show", "limits.cooldwn").err
    assert bot.says("config", "show", "zzz").code == 2


def test_without_a_bot_the_shipped_values_are_shown(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["config", "show", "limits.cooldown_s"]) == 0
    assert capsys.readouterr().out.startswith("There is no bot here, so these are the shipped values.")
    assert main(["config", "check"]) == 0
    assert list(here.iterdir()) == []


def test_config_check_lists_what_a_file_changes(bot: Bot, tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("limits: {max_open_positions: 8, cooldown_s: 60}\n")
    said = bot.says("config", "check", str(path), "--json")
    assert (said.code, said.data["changes"]) == (
        0,
        [{"key": "limits.max_open_positions", "shipped": 20, "value": 8, "origin": str(path)}],
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("limits: {max_open_positionz: 3}", "did you mean max_open_positions?"),
        ("limits: {max_order_fraction: 0.5}", "is above"),
        ("limits: [1", "line 1"),
        (
            "strategies: {gone: {}}",
            "installed: flow, futures, legacy, policy, rotation, smart_money; install its package, or set "
            "strategies.gone: null",
        ),
    ],
)
def test_config_check_says_why_a_file_is_refused(bot: Bot, tmp_path: Path, text: str, says: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(text)
    said = bot.says("config", "check", str(path))
    assert (said.code, says in said.err, bot.says("config", "check").code) == (2, True, 0)


def test_config_check_reads_standard_input(bot: Bot) -> None:
    command = [str(PROGRAM), "config", "check", "-", "--json", "--state-dir", str(bot.folder)]
    done = subprocess.run(command, input="limits: {cooldown_s: 90}", capture_output=True, text=True, check=False)
    (change,) = json.loads(done.stdout)["data"]["changes"]
    assert (done.returncode, change["key"], change["value"]) == (0, "limits.cooldown_s", 90)


def test_config_check_finds_a_symbol_that_can_never_be_bought(bot: Bot, tmp_path: Path) -> None:
    (tmp_path / "screen.csv").write_text(
        "ticker,sector,issue_type\nAAPL,Technology,Common Stock\nXBI,,ETF\nSPX,,Index\n"
    )
    path = tmp_path / "mine.yaml"
    path.write_text("universe: screen.csv\n")
    shows(
        bot.says("config", "check", str(path)),
        10,
        "SPX is left out of the universe: it can't be bought",
        "1 symbol of the universe has no sector and can never be bought: XBI",
        "Next: correct symbols that are misspelled or that the broker doesn't list; give each of the others a "
        "sector, such as sectors: {XBI: technology}",
    )
    path.write_text("universe: screen.csv\nsectors: {XBI: healthcare}\n")
    assert bot.says("config", "check", str(path)).code == 0
    path.write_text("venue: ibkr\nuniverse: [ES]\n")
    assert "never be bought" not in bot.says("config", "check", str(path)).out


LIMIT = "TRADEBOT_LIMITS__MAX_ORDER_NOTIONAL_USD"


@pytest.fixture(scope="module")
def shadow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a bot that was accepted in shadow, with orders of at most 500 USD."""
    with made(tmp_path_factory.mktemp("accept") / "state", "--shadow") as folder:
        own = folder / "tradebot.yaml"
        own.write_text(own.read_text().replace("limits: {", "limits: {max_order_notional_usd: 500, ", 1))
        accept(folder)
        yield folder


def orders(bot: Bot) -> list[dict[str, str]]:
    sent = [e for e in log(bot.url) if e["event"] == "request" and (e["method"], e["path"]) == ("POST", "/v2/orders")]
    return [json.loads(event["body"]) for event in sent]


def fingerprint(bot: Bot) -> str:
    ledger = SqliteLedger.open(bot.folder, read_only=True)
    found = ledger.baselines.last()
    ledger.close()
    assert found is not None
    return found.fingerprint


def test_vanished_configuration_keeps_shadow_and_limits(
    shadow: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    bot = Bot(shadow, capsys)
    second_session(bot)
    assert bot.json("trade-once")["refused"]["SHADOW"] > 0
    (shadow / "tradebot.yaml").unlink()
    for name, value in (("MIN_SCORE", "0.01"), ("MIN_COVERAGE", "0.1")):
        monkeypatch.setenv(f"TRADEBOT_LIMITS__{name}", value)
        monkeypatch.setenv(f"TRADEBOT_STRATEGIES__FLOW__LIMITS__{name}", value)
    said = bot.says("trade-once", "--force-slot", "--json")
    assert (said.code, said.data["orders"], set(said.data["refused"])) == (3, 0, {"SHADOW_LIFTED"})
    assert bot.says("evaluate-exits", "--force-slot").code == 0
    assert orders(bot) == []
    why = bot.json("why-no-orders")
    assert "tradebot config accept" in why["explanation"]["remedy"]
    assert why["now"] is None, "the pass has met the same doors"
    shown = " ".join(bot.says("status").out.split())
    assert "shadow was accepted as true and is false (release default: base.yaml)" in shown
    assert "limits.max_order_notional_usd was accepted as 500 and is 10000 (release default: base.yaml)" in shown
    assert "CONFIG_LOOSENED" in json.dumps([bot.json("audit"), bot.json("doctor", "--offline")])


def test_config_accept_shows_confirms_and_records_once(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    assert copy.says("halt").code == 0
    nothing = copy.says("config", "accept")
    assert nothing.code == 0
    assert nothing.out.strip() == "Nothing to accept: no setting has changed since the last acceptance."
    before = fingerprint(copy)
    monkeypatch.setenv(LIMIT, "10001")
    monkeypatch.setenv("TRADEBOT_EXITS__TIME_EXIT_S", "7200")
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_CLOCK_SKEW_S", "1")
    assert copy.says("config", "accept").code == 2
    assert copy.says("config", "accept", "--confirm", "nope").code == 3
    assert fingerprint(copy) == before
    done = copy.says("config", "accept", "--confirm", copy.tail())
    assert done.code == 0
    assert "limits.max_order_notional_usd  looser   10000     10001  environment: " in done.err
    assert "exits.time_exit_s              looser   14400     7200   environment: " in done.err
    assert "limits.max_clock_skew_s        tighter  5         1      environment: " in done.err
    assert "is in force from now on: 2 looser, 1 tighter" in done.out
    assert fingerprint(copy) != before
    again = copy.json("config", "accept")
    assert (again["accepted"], again["differences"], again["fingerprint"]) == (False, [], fingerprint(copy))
    assert copy.json("events", "--last", "1")["events"][0]["event_type"] == "config_accepted"


def test_config_accept_document_lists_each_difference(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(LIMIT, "10001")
    checked = copy.json("config", "check")
    done = copy.json("config", "accept", "--confirm", copy.tail())
    (told,) = done["differences"]
    values = {"name": "limits.max_order_notional_usd", "approved": "10000", "now": "10001"}
    assert told == values | {"origin": f"environment: {LIMIT}", "looser": True, "known": True, "given": True}
    assert checked["differences"] == [told]
    assert (done["accepted"], copy.json("config", "check")["differences"]) == (True, [])


def test_config_show_origin_marks_what_is_not_accepted(copy: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "accepted as" not in copy.says("config", "show", "limits", "--origin").out
    monkeypatch.setenv(LIMIT, "10001")
    said = copy.says("config", "show", "limits.max_order_notional_usd", "--origin").out
    assert f"environment: {LIMIT}; looser, accepted as 10000" in " ".join(said.split())
    assert "limits.max_order_notional_usd was accepted as 10000 and is 10001" in copy.says("config", "check").out


def test_entries_stay_closed_until_a_first_approval(trader: Bot) -> None:
    forget_accepted(trader.folder)
    assert (
        "CONFIG_NOT_ACCEPTED (no accepted configuration is on record): no entries are sent" in trader.says("status").out
    )
    closed = trader.says("trade-once", "--json")
    assert (closed.code, set(closed.data["refused"])) == (3, {"CONFIG_NOT_ACCEPTED"})
    assert trader.says("evaluate-exits").code == 0
    done = trader.json("config", "accept", "--confirm", trader.tail())
    assert (done["accepted"], done["before"], done["differences"]) == (True, None, [])
    assert trader.json("trade-once", "--force-slot")["orders"] > 0


@pytest.mark.parametrize(
    ("name", "word", "code"),
    [
        ("TRADEBOT_MODE", "paper", 2),
        ("MODE", "paper", 2),
        ("MODE", " Live ", 2),
        ("MODE", "sandbox", 0),
        ("MODE", "production", 0),
        ("TRADEBOT_MODE", "sandbox", 0),
    ],
)
def test_another_mode_is_refused(copy: Bot, monkeypatch: pytest.MonkeyPatch, name: str, word: str, code: int) -> None:
    monkeypatch.setenv(name, word)
    said = copy.says("status")
    assert said.code == code
    shown = repr(word.lower()) if word != word.strip() else word
    assert (f"{name} says {shown}, but " in said.err) is bool(code)


def test_serve_compares_each_pass_with_the_last_approval(trader: Bot) -> None:
    """Another process accepts less while this one runs: the pass after that opens nothing."""
    from commands.trade_once import run as trade_once
    from tradebot.app.loading import Options
    from tradebot.app.wiring import open_app

    with open_app(Options(str(trader.folder)), {}) as app:
        assert not app.permission.entries_closed
        tighter = effective(app.settings)
        tighter["limits"]["max_order_notional_usd"] = "400"
        ledger = SqliteLedger.open(trader.folder)
        ledger.baselines.approve(Baseline(tighter, "ann/1", app.now()))
        ledger.close()
        assert trade_once.run(app, by="serve").exit_code == 3
    assert orders(trader) == []


def test_config_set_says_what_loosening_closes_and_accepting_opens_it(copy: Bot) -> None:
    own = copy.folder / "tradebot.yaml"
    before = own.read_text()
    said = copy.says("config", "set", "limits.max_order_notional_usd", "10001")
    assert said.code == 0, said.err
    assert "1 setting is looser than accepted, so entries are blocked:" in said.out
    assert "limits.max_order_notional_usd was accepted as 10000 and is 10001" in said.out
    assert "Next: tradebot config accept" in " ".join(said.out.split()).replace(str(PROGRAM), "tradebot")
    assert "CONFIG_LOOSENED" in copy.says("status").out
    diff = copy.json("config", "diff")
    assert [row["name"] for row in diff["accepted"]["differences"]] == ["limits.max_order_notional_usd"]
    (row,) = [row for row in diff["defaults"] if row["key"] == "limits.max_order_notional_usd"]
    assert (row["shipped"], row["value"], row["origin"]) == ("10000", "10001", str(own))
    assert copy.says("config", "accept", "--confirm", copy.tail()).code == 0
    assert "CONFIG_LOOSENED" not in copy.says("status").out
    assert "Nothing differs from what" in copy.says("config", "diff").out
    assert copy.json("config", "set", "limits.max_order_notional_usd", "2000")["looser"] == []
    # Every character of the file that was there before is there still.
    limits, _, rest = before.partition("limits: {")
    assert (
        own.read_text()
        == f"{limits}limits: {{{rest.partition('}')[0]}, max_order_notional_usd: 2000}}" + (rest.partition("}")[2])
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("mode", "live"), "a bot's mode can't change"),
        (("venue", "kraken_futures"), "was made for alpaca"),
        (("strategies.flow.limits.min_score", "high"), "must be a number"),
    ],
)
def test_config_set_refuses_what_the_bots_verbs_would_refuse(copy: Bot, words: tuple[str, str], says: str) -> None:
    before = (copy.folder / "tradebot.yaml").read_bytes()
    refuses(copy.says("config", "set", *words), 2, says)
    assert (copy.folder / "tradebot.yaml").read_bytes() == before


def test_config_set_makes_the_file_of_a_bot_that_has_none(copy: Bot) -> None:
    (copy.folder / "tradebot.yaml").unlink()
    said = copy.says("config", "set", "limits.cooldown_s", "90", "sandbox.seed", "9")
    assert said.code == 0
    assert (copy.folder / "tradebot.yaml").read_text() == "limits:\n  cooldown_s: 90\nsandbox:\n  seed: 9\n"
    assert "this bot's market stays" in copy.says("config", "set", "sandbox.seed", "8").out


MINE = """\
# My limits.
limits:
  max_open_positions: 8   # as many as I can watch
"""


@pytest.fixture
def mine(here: Path) -> Path:
    path = here / "mine.yaml"
    path.write_text(MINE)
    return path


def set_to(capsys: pytest.CaptureFixture[str], *words: str) -> Said:
    return typed(capsys, "config", "set", *words, "--config", "mine.yaml")


def test_value_changes_with_its_comment_shown_as_a_difference(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = set_to(capsys, "limits.max_open_positions", "6")
    assert said.code == 0, said.err
    assert mine.read_text() == MINE.replace("8 ", "6 ")
    assert "-  max_open_positions: 8   # as many as I can watch\n+  max_open_positions: 6 " in said.out
    assert "limits.max_open_positions: 8 before, 6 now" in said.out
    shows(set_to(capsys, "limits.max_open_positions", "6"), 0, "already has these values, so there is nothing to write")


def test_dry_run_shows_the_difference_and_writes_nothing(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = mine.stat()
    said = set_to(capsys, "limits.cooldown_s", "90", "--dry-run", "--json")
    assert (said.code, said.data["written"], said.data["dry_run"]) == (0, False, True)
    assert said.data["lines"][-1] == "+  cooldown_s: 90"
    assert said.data["changes"] == [{"key": "limits.cooldown_s", "value_before": 60, "value": 90}]
    assert (mine.read_text(), mine.stat().st_mtime_ns, os.listdir()) == (MINE, before.st_mtime_ns, ["mine.yaml"])


def test_settings_that_need_each_other_are_set_at_once(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ("limits.max_open_positions", "2")
    alone = set_to(capsys, *words)
    assert (alone.code, mine.read_text()) == (2, MINE)
    assert "max_new_entries 5 is above max_open_positions 2" in alone.err
    assert "also change the other settings that the error names, in one command: KEY VALUE KEY VALUE" in alone.err
    more = ("limits.max_new_entries", "2", "strategies.flow.limits.max_new_entries", "2")
    assert set_to(capsys, *words, *more).code == 0
    assert mine.read_text().endswith("strategies:\n  flow:\n    limits:\n      max_new_entries: 2\n")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("limits.max_open_positionz", "3"), "there is no such setting; did you mean max_open_positions?"),
        (("limitz.max_open_positions", "3"), "there is no such setting; did you mean limits?"),
        (("max_open_positions", "3"), "max_open_positions belongs under limits"),
        (("limits.max_open_positions", "lots"), "must be a whole number, not 'lots'"),
        (("limits.max_open_positions", "0"), "must be greater than or equal to 1, not 0"),
        (("limits.max_open_positions", "[5"), "limits.max_open_positions: the value isn't valid YAML"),
        (("strategies.nothing.x", "1"), "no strategy with this name is installed"),
        (("mode", "lime"), "mode 'lime' is not one of sandbox, paper, live"),
        (("limits.max_open_positions.x", "1"), "limits.max_open_positions is '8' there, so it has no named settings"),
        (("limits.max_open_positions",), "has no value: settings are written as KEY VALUE"),
        (("limits.max_open_positions=5",), "next: tradebot config set limits.max_open_positions 5"),
        (("limits.cooldown_s", "61", "limits.cooldown_s", "62"), "limits.cooldown_s is set twice"),
    ],
)
def test_mistake_is_refused_with_what_is_allowed_and_nothing_is_written(
    mine: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    said = set_to(capsys, *words)
    assert (said.code, mine.read_text(), os.listdir()) == (2, MINE, ["mine.yaml"])
    assert says in said.err.replace(".venv/bin/", "")


def test_value_that_a_variable_says_too_is_written_and_the_one_that_counts_is_named(
    mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADEBOT_LIMITS__MAX_OPEN_POSITIONS", "7")
    said = set_to(capsys, "limits.max_open_positions", "6")
    assert (said.code, "max_open_positions: 6" in mine.read_text()) == (0, True)
    variable = "environment: TRADEBOT_LIMITS__MAX_OPEN_POSITIONS"
    assert f"limits.max_open_positions stays 7, because {variable} overrides the file" in said.out


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("limits.cooldown_s", "90"), "A running serve uses the change after a reload (kill -HUP)."),
        (("health.ports", "[8081]"), "uses the new health.ports only after a restart; a reload isn't enough."),
        (
            ("health.ports", "[8081]", "limits.cooldown_s", "90"),
            "uses the new health.ports only after a restart, and the others after a reload (kill -HUP).",
        ),
    ],
)
def test_setting_says_whether_serve_takes_it_over_by_a_reload_or_a_restart(
    mine: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], says: str
) -> None:
    assert says in " ".join(set_to(capsys, *words).out.split())


def test_file_that_doesnt_load_can_be_cured(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.write_text(MINE + "shadow: perhaps\n")
    assert set_to(capsys, "limits.cooldown_s", "90").code == 2
    assert set_to(capsys, "shadow", "true").code == 0
    assert mine.read_text() == MINE + "shadow: true\n"


def test_broken_read_only_or_missing_files_say_what_to_do(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    mine.write_text("limits: [1\n")
    assert "mine.yaml: line 2" in set_to(capsys, "shadow", "true").err
    mine.chmod(0o444)
    assert f"chmod u+w {mine}" in set_to(capsys, "shadow", "true").err
    refuses(typed(capsys, "config", "set", "shadow", "true"), 2, "there is no bot here", "--config mine.yaml")


def test_a_key_is_never_written(
    mine: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALPACA_SECRET", "s3cr3t" * 6)
    said = set_to(capsys, "sandbox.path", "s3cr3t" * 6)
    assert (said.code, mine.read_text()) == (2, MINE)
    assert "s3cr3t" not in said.err + said.out
