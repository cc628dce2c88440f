"""Every screen reads well at 60, 80 and 120 columns and in a pipe: lines fit, words and numbers are whole."""

import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from commands.app import program
from commands.shared import verb_options
from commands.shared.light_helpers import WORD
from commands.shared.tables import DEEPEST, Screen
from commands.shared.verb_options import Report
from tests.kit.bot.folder import Bot, order_by_hand, second_session

WIDTHS = [60, 80, 120, None]
UNLABELLED = {"meaning", "did", "found", "strategy", "and", "note", "state"}
"""Words of headings that are not repeated where their cells stand under the row."""
PIPED = 100
"""The width where nobody says one."""
VERBS = (
    *("summary", "why-no-orders", "why-no-orders {symbol}", "why-no-orders --reason HALTED", "status", "positions"),
    *("orders --all", "fills", "pnl --by symbol", "schedule --next 5", "score", "score --explain {symbol}"),
    *("trade-once --dry-run", "evaluate-exits --dry-run", "fetch-flow --endpoint dark_pool", "reconcile", "audit"),
    *("health", "doctor", "live status", "config show limits --origin", "config check", "strategy list", "events"),
    *("journal verify", "backup --list", "exchange status", "exchange faults ready", "exchange faults"),
)


@pytest.fixture
def traded(folder: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    """Return the bot after all that can be shown: it holds, has traded, differs from its broker, and is halted."""
    bot = Bot(folder, capsys)
    if not bot.json("fills")["known"]:
        second_session(bot)
        assert bot.json("trade-once")["orders"] > 0
        bot.does("exchange tick 2m", "evaluate-exits")
        order_by_hand(bot.url, "MSFT", "1", "by-hand-1")
        bot.says("exchange", "tick", "3m")
        bot.says("halt", "--reason", "a reason of many words, which no column of any table holds in one line")
        bot.does("fetch-flow", "exchange faults add new-words")
        bot.says("trade-once", "--force-slot")
    return bot


def report_of(verb: str, bot: Bot, monkeypatch: pytest.MonkeyPatch) -> Report:
    """Run a verb and return its report, which is then shown at every width."""
    symbol = bot.json("fills")["fills"][0]["symbol"]
    kept: list[Report] = []
    with monkeypatch.context() as patch:
        # Verbs look it up when they finish. One that imported it would keep the replacement for good.
        patch.setattr(verb_options, "show", lambda report, *_: kept.append(report))
        bot.says(*verb.format(symbol=symbol).split())
    (report,) = kept
    return report


def shown(report: Report, monkeypatch: pytest.MonkeyPatch, width: int | None) -> str:
    """Return what a person sees at a width; None is a pipe, where nobody says one."""
    monkeypatch.delenv("COLUMNS") if width is None else monkeypatch.setenv("COLUMNS", str(width))
    screen = verb_options.console()
    with screen.capture() as text:
        report.render(screen, report.data)
    return text.get()


def words(text: str) -> set[str]:
    """Return the words and numbers of a screen; bars and lines of heights are neither."""
    return {word.rstrip(":") for word in text.split() if not set(word) <= set("▁▂▃▄▅▆▇█▒─")}


def too_wide(line: str, width: int) -> bool:
    """Return True for a line wider than the screen, unless a path or a command to copy makes it so."""
    longest = max([part.group().rstrip() for part in re.finditer(WORD, line)], key=len, default="")
    copied = "/" in longest or longest.startswith("tradebot ")
    return len(line) > width and not (copied and len(longest) > width - DEEPEST)


@pytest.mark.parametrize("verb", VERBS)
def test_every_screen_fits_and_breaks_no_word(traded: Bot, monkeypatch: pytest.MonkeyPatch, verb: str) -> None:
    report = report_of(verb, traded, monkeypatch)
    whole = words(shown(report, monkeypatch, 1000))
    for width in WIDTHS:
        text = shown(report, monkeypatch, width)
        assert [line for line in text.splitlines() if too_wide(line, width or PIPED)] == [], verb
        assert words(text) - whole == set(), "a word or a number was broken"
        assert whole - words(text) <= UNLABELLED, "something was cut off"
        assert "\x1b" not in text, "a pipe holds no colors"


def test_a_terminal_without_colors_is_sent_none(traded: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    report = report_of("why-no-orders", traded, monkeypatch)
    sent = {}
    for no_color in ("", "1"):
        monkeypatch.setenv("NO_COLOR", no_color)
        screen = Screen(width=80, force_terminal=True, color_system="standard", highlight=False)
        with screen.capture() as text:
            report.render(screen, report.data)
        sent[no_color] = bool(re.search(r"\x1b\[[\d;]*3\d", text.get()))
    assert sent == {"": True, "1": False}


def test_times_are_new_yorks_and_with_utc_they_are_utc(traded: Bot) -> None:
    at = datetime.fromisoformat(traded.json("status")["as_of"])
    shown = [traded.says("status", *flag).out for flag in ((), ("--utc",), ())]
    local = f"{at.astimezone(ZoneInfo('America/New_York')):%Y-%m-%d %H:%M:%S} ET"
    utc = f"{at:%Y-%m-%d %H:%M:%S} UTC"
    assert [(local in text, utc in text) for text in shown] == [(True, False), (False, True), (True, False)]
    checked = [traded.says("audit", *flag).out for flag in ((), ("--utc",))]
    assert [("UTC" in text, "ET" in text) for text in checked] == [(False, True), (True, False)]


def test_every_verb_takes_utc() -> None:
    every = list(verbs(program()))
    assert len(every) > 30
    assert all("--utc" in [name for option in verb.params for name in option.opts] for verb in every)


def verbs(group: Any) -> Iterator[Any]:
    for command in group.commands.values():
        yield from verbs(command) if hasattr(command, "commands") else [command]
