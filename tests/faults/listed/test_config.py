"""Faults 1 to 22: configurations that nobody can have meant. None is traded by; each says what to mend."""

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from commands.evaluate_exits import run as evaluate_exits
from tests.kit.bot.folder import Bot
from tests.kit.bot.real_money import writes
from tradebot.adapters.state import halt_switch
from tradebot.app.loading import Options
from tradebot.app.settings import Loaded, load
from tradebot.app.wiring import open_app
from tradebot.errors import ExitCode, OperatorError
from tradebot.model.trading import TradingState


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    """Return where a person's own configuration stands."""
    return tmp_path / "mine.yaml"


def loaded(mine: Path, text: str) -> Loaded:
    """Return the settings with a person's own configuration."""
    mine.write_text(text)
    return load(mine, {})


def refused(bot: Bot, mine: Path, text: str | bytes, *words: str) -> None:
    """Hold that a pass by this configuration is refused with its file's name, these words and a next step."""
    mine.write_bytes(text.encode() if isinstance(text, str) else text)
    ended = bot.says("trade-once", "--config", str(mine))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("error: ")
    for word in (*words, "\n  next: "):
        assert word in ended.err
    assert writes(bot.folder) == []


def under(name: str, value: str) -> str:
    """Return YAML that gives a setting of a dotted name this value."""
    sections = [f"{'  ' * depth}{section}:" for depth, section in enumerate(name.split("."))]
    return "\n".join(sections) + f" {value}\n"


def test_fault_001_empty_file(bot: Bot, mine: Path) -> None:
    """Exit 2 naming the file; `halt` works all the same, because it reads no configuration."""
    refused(bot, mine, "", str(mine), "the file is empty")
    own = bot.folder / "tradebot.yaml"
    kept = own.read_text()
    own.write_text("")
    assert bot.says("halt").code == 0
    assert halt_switch.read(bot.folder).state is TradingState.REDUCE_ONLY
    own.write_text(kept)


def test_fault_002_only_comments(bot: Bot, mine: Path) -> None:
    """Exit 2: a file without a single setting is not a configuration."""
    refused(bot, mine, "# limits:\n#   max_open_positions: 3\n", str(mine), "the file is empty")


def test_fault_003_tab_indentation(bot: Bot, mine: Path) -> None:
    """Exit 2 with line and column, saying that the tab has to be replaced."""
    refused(bot, mine, "limits:\n\tmax_open_positions: 3\n", str(mine), "line 2, column 1", "replace the tab")


@pytest.mark.parametrize(
    "text", ["shadow: true\nshadow: false\n", "limits: {cooldown_s: 1, cooldown_s: 2}\n"], ids=["top", "inside"]
)
def test_fault_004_duplicate_key(bot: Bot, mine: Path, text: str) -> None:
    """Exit 2 with the line of the second one; neither value is used."""
    refused(bot, mine, text, str(mine), "is set twice")


def test_fault_005_unknown_key(bot: Bot, mine: Path) -> None:
    """Exit 2 naming the closest known key."""
    refused(bot, mine, "limits: {max_postion: 3}\n", "limits.max_postion", "did you mean max_open_positions?")


@pytest.mark.parametrize("number", ["no", "off", "1_000", "0o17", "017", "0x10", "1e3", "1:30", "true", "\uff11"])
def test_fault_006_words_and_odd_numbers_as_numbers(mine: Path, number: str) -> None:
    """Exit 2: only plain digits count as a number, so none can be misread."""
    limits = f"limits: {{cooldown_s: {number}, max_order_notional_usd: {number}}}"
    with pytest.raises(OperatorError) as caught:
        loaded(mine, f"{limits}\nunusual_whales: {{poll_s: {{iv_rank: {number}}}}}\n")
    assert caught.value.code is ExitCode.USAGE
    assert [name in caught.value.message for name in ("cooldown_s", "max_order_notional_usd", "iv_rank")] == [True] * 3
    with pytest.raises(OperatorError, match=r"limits\.cooldown_s \(environment: TRADEBOT_LIMITS__COOLDOWN_S\)"):
        load(None, {"TRADEBOT_LIMITS__COOLDOWN_S": number})


def test_fault_007_a_billion_laughs(bot: Bot, mine: Path) -> None:
    """Exit 2 at once: aliases are not resolved, so nothing can grow."""
    lines = ["a: &a [lol, lol]"]
    lines += [f"{new}: &{new} [{', '.join([f'*{old}'] * 9)}]" for old, new in zip("abcdefgh", "bcdefghi", strict=True)]
    refused(bot, mine, "\n".join(lines) + "\n", "line 2", "aliases are not read")


def test_fault_008_ten_megabytes(bot: Bot, mine: Path) -> None:
    """Exit 2 after the first megabyte; the rest is never read."""
    refused(bot, mine, b"# filler\n" * 1_200_000, str(mine), "is larger than 1000000 bytes")


def test_fault_009_utf_16_and_a_byte_order_mark(bot: Bot, mine: Path) -> None:
    """UTF-16 is exit 2; a byte order mark before UTF-8 is fine."""
    refused(bot, mine, "shadow: false\n".encode("utf-16"), str(mine), "not UTF-8 text")
    assert loaded(mine, "\ufefflimits: {cooldown_s: 7}\n").settings.limits.cooldown_s == 7


def test_fault_010_nul_byte(bot: Bot, mine: Path) -> None:
    """Exit 2 with the position of the character."""
    refused(bot, mine, "limits: {cooldown_s: 6\x000}\n", str(mine), "control characters are not allowed")


@pytest.mark.parametrize("number", ["NaN", ".nan", "Infinity", ".inf", "-.inf", "inf"])
def test_fault_011_a_limit_that_is_not_finite(bot: Bot, mine: Path, number: str) -> None:
    """Exit 2 naming the limit: a limit that nothing can exceed is no limit."""
    refused(bot, mine, under("limits.max_order_notional_usd", number), "limits.max_order_notional_usd")


@pytest.mark.parametrize("name", ["limits.max_open_positions", "limits.max_symbol_fraction", "exits.time_exit_s"])
def test_fault_012_negative_limit(bot: Bot, mine: Path, name: str) -> None:
    """Exit 2 naming the limit and what it must be above."""
    refused(bot, mine, under(name, "-1"), f"{name} ({mine})", "greater than")


def test_fault_013_a_percentage_for_a_fraction(bot: Bot, mine: Path) -> None:
    """Exit 2: 25 is not a fraction of equity; 0.25 is."""
    refused(
        bot, mine, under("limits.max_sector_fraction", "25"), "limits.max_sector_fraction", "less than or equal to 10"
    )
    assert str(loaded(mine, under("limits.max_sector_fraction", "0.25")).settings.limits.max_sector_fraction) == "0.25"


def test_fault_014_halt_limit_below_plan_limit(bot: Bot, mine: Path) -> None:
    """Exit 2 with a scenario in which the bot would halt itself."""
    text = under("halts.daily_loss_fraction", "0.01")
    refused(bot, mine, text, "max_daily_loss_fraction 0.02", "halts.daily_loss_fraction 0.01")


def test_fault_015_halt_limit_equal_to_plan_limit(bot: Bot, mine: Path) -> None:
    """Exit 2: the limit that halts must be above the one that only refuses."""
    refused(bot, mine, under("halts.daily_loss_fraction", "0.02"), "halts.daily_loss_fraction 0.02")


def test_fault_016_all_limits_absent(bot: Bot, mine: Path) -> None:
    """A missing or empty section keeps every shipped limit; a limit set to null is exit 2, never no limit."""
    shipped = load(None, {}).settings.limits
    assert loaded(mine, "shadow: false\n").settings.limits == shipped
    assert loaded(mine, "limits: {}\n").settings.limits == shipped
    refused(bot, mine, "limits:\n", f"limits ({mine})")


def test_fault_017_a_list_where_a_mapping_is_expected(bot: Bot, mine: Path) -> None:
    """Exit 2 naming the section, or the file if all of it is a list."""
    refused(bot, mine, "limits: [1, 2]\n", f"limits ({mine})", "must be a section with its own KEY: VALUE lines")
    refused(bot, mine, "- limits\n", str(mine), "the file is a list, not NAME: VALUE lines")


def test_fault_018_symbols_that_yaml_takes_for_truths(mine: Path) -> None:
    """They are symbols: NO and ON are read as words, not as truth values."""
    settings = loaded(mine, "universe: [NO, ON, TRUE, Y, OFF]\nsectors: {NO: index, TRUE: index}\n").settings
    assert settings.universe == ["NO", "ON", "TRUE", "Y", "OFF"]
    assert (settings.sectors["NO"], settings.sectors["TRUE"]) == ("index", "index")


@pytest.fixture
def _in_another_zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "EST")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.usefixtures("_in_another_zone")
def test_fault_019_time_zone_est(bot: Bot, mine: Path) -> None:
    """Exit 2: there is no such setting, and the machine's own time zone changes nothing either."""
    refused(bot, mine, "timezone: EST\n", "timezone", "no such setting")
    shown = bot.json("schedule")
    os.environ["TZ"] = "Asia/Tokyo"
    time.tzset()
    assert bot.json("schedule") == shown


@pytest.mark.parametrize("times", ["35 9 * * 1-5", "'*/5 9-16 * * 1-5'", "every monday"])
def test_fault_020_weekdays_of_a_crontab(bot: Bot, mine: Path, times: str) -> None:
    """Exit 2 with the allowed forms: times count from a session's open or close, so no weekdays are needed."""
    refused(bot, mine, under("timetable.trade-once", times), "is not a time", "every 5m from open+2m until close-15m")


@pytest.mark.parametrize("name", ["limits.max_open_positions", "limits.max_order_fraction", "alpaca.url"])
def test_fault_021_a_variable_that_is_not_set(bot: Bot, mine: Path, name: str) -> None:
    """Exit 2 showing the text as written: variables of the environment are never expanded."""
    refused(bot, mine, under(name, "${MAX_OF_MINE}"), name, "${MAX_OF_MINE}")


def test_fault_022_configuration_changes_while_a_pass_runs(bot: Bot) -> None:
    """The running pass finishes with its settings; a new one that can't be read is exit 2, but exits continue."""
    own = bot.folder / "tradebot.yaml"
    kept = own.read_text()
    with open_app(Options(str(bot.folder)), os.environ) as app:
        before = app.settings
        own.write_text(kept.replace("min_score: 0.01", "min_score: -1"))
        ended = evaluate_exits.run(app, by="test")
        assert (ended.exit_code, app.settings) == (ExitCode.DONE, before)
    for verb, code in (("trade-once", 2), ("evaluate-exits", 0)):
        said = bot.says(verb)
        assert (said.code, "limits.min_score" in said.err) == (code, True)
    own.write_text(kept)
    assert bot.says("evaluate-exits").code == 0
