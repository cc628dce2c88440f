"""`tradebot init --wizard`: whatever is answered loads, and a wrong answer is asked again with the reason."""

import os
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from commands.init.answers import WizardAnswers, text_of
from commands.init.wizard import Terminal, ask_questions
from tests.kit.bot.folder import typed
from tradebot.adapters.text.yaml_loader import parse_yaml
from tradebot.app.settings import Loaded, load
from tradebot.errors import OperatorError

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
        "'two' is no percentage: type a number such as 2 or 0.5.",
        "not 0.02 (0.02 means 0.02%; two percent is 2).",
        "It has to be from 0.1% to 10%, not 50.",
        "1.234% has more than two decimals: type 1.23.",
        "A single trade would risk more than the 1% of a whole day: type less.",
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
    with pytest.raises(OperatorError, match="nothing was made"):
        ask_questions(TypedTerminal(["x"] * 20), alone)


@pytest.mark.parametrize(
    ("options", "says"),
    [((), "at a terminal, and there is none"), (("--symbols", "2"), "without them"), (("--mode", "paper"), "without")],
)
def test_wizard_without_a_terminal_or_beside_other_options_makes_nothing(
    alone: Path, capsys: pytest.CaptureFixture[str], options: tuple[str, ...], says: str
) -> None:
    said = typed(capsys, "init", "--wizard", *options, "--state-dir", str(alone))
    assert (said.code, says in said.err, alone.exists()) == (2, True, False)
