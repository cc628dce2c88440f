"""`tradebot init --wizard`: five questions at a terminal, and a commented configuration from the answers.

Nothing is written before the last answer, so stopping early leaves no files.
"""

import os
import sys
from collections.abc import Callable
from decimal import Decimal, InvalidOperation
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, TypeVar

from commands.init import making as init
from commands.init.answers import LEAST, LEAST_TRADE, MOST, WizardAnswers, plain_number, text_of
from commands.init.making import BotCreated, refuse_other_mode, render
from commands.init.profiles import MOST_NAMED
from commands.shared.light_helpers import clean, note, wrap_for
from commands.shared.universe import symbols_at
from commands.shared.verb_options import Report
from tradebot.adapters.state import state_folder
from tradebot.adapters.text.yaml_loader import parse_yaml
from tradebot.app.keys import FLOW_KEY
from tradebot.app.loading import Options, user_file
from tradebot.app.settings import Settings, load
from tradebot.app.venue_connection import secrets_for
from tradebot.app.venues import driver_for
from tradebot.errors import ExitCode, OperatorError, TradebotError, one_line, word
from tradebot.model.struct_tools import replace

if TYPE_CHECKING:
    from rich.console import Console


Answer = TypeVar("Answer")
MOST_TRIES = 20
"""How often a question is repeated before the wizard gives up."""
PLACES = {"1": "sandbox", "2": "paper", "sandbox": "sandbox", "paper": "paper"}
YES_NO = {"y": True, "yes": True, "n": False, "no": False}
MOST_TYPED = 200
"""The most symbols that an answer may have; more belong in a file that the setting `universe` names."""


class InvalidAnswer(Exception):  # noqa: N818 - it isn't an error of the program
    """An answer that isn't accepted, with the reason."""


class Terminal:
    """Asks at a terminal; questions go to stderr, separate from the result."""

    def ask(self, question: str) -> str:
        """Return the typed answer; raise OperatorError at the end of input."""
        print(wrap_for(question, sys.stderr), end=" ", file=sys.stderr, flush=True)
        try:
            line = sys.stdin.readline()
        except KeyboardInterrupt:
            print(file=sys.stderr)
            message = "interrupted: nothing was created"
            raise TradebotError(message, "tradebot init --wizard", code=ExitCode.INTERRUPTED) from None
        if not line:
            print(file=sys.stderr)
            raise OperatorError(
                "the answers ended before the last question: nothing was created", "tradebot init --wizard"
            )
        return line.strip()


def run(state_dir: str | None, flags: dict[str, Any], *, alone: bool) -> Report:
    """Ask the questions and create the bot. If that isn't possible, raise OperatorError and create nothing.

    `flags` override the answers. `alone` is False if other options conflict with the wizard.
    """
    if not alone:
        raise OperatorError(
            "--wizard asks for these settings, so it can't be combined with options that set them",
            "tradebot init --wizard, without them",
        )
    require_terminal()
    path = state_folder.resolve(state_dir, os.environ)
    init.refuse_marked(path)
    if (file := user_file(Options(state_dir), path, os.environ)) is not None:
        raise OperatorError(
            f"{file} is already a configuration, and the wizard would write another one",
            "tradebot init uses it; or move it away, then run the wizard again",
        )
    answers = ask_questions(Terminal(), path)
    with TemporaryDirectory() as folder:
        written = Path(folder) / "wizard.yaml"
        written.write_text(text_of(answers, _shipped_settings(answers.mode)), encoding="utf-8")
        report = init.run(state_dir, str(written), "user", {"mode": answers.mode, **flags})
    return replace(report, data=replace(report.data, copied_from=None), render=_render)


def _render(console: "Console", bot_created: "BotCreated") -> None:
    file = Path(bot_created.state_dir) / "tradebot.yaml"
    console.print(f"Your answers are in {file}, with comments that explain each setting.", markup=False)
    render(console, bot_created)


def require_terminal() -> None:
    """Raise OperatorError if stdin isn't a terminal."""
    if not sys.stdin.isatty():
        raise OperatorError(
            "the wizard needs a terminal to ask its questions, and there is none",
            "tradebot init, then tradebot config set KEY VALUE",
        )


def ask_questions(terminal: Terminal, path: Path) -> WizardAnswers:
    """Return the answers to all questions. After an invalid answer, the question is repeated with the reason."""
    shipped = _shipped_settings("sandbox")
    note("Five questions. Enter accepts the value in brackets, and Ctrl-C leaves everything as it is.")
    note("Each answer becomes settings with comments, which you can change later.\n")
    answers = WizardAnswers()

    def ask(question: str, read: Callable[[str], WizardAnswers]) -> WizardAnswers:
        return _ask_until_valid(terminal, question, lambda typed: _loading(read(typed)))

    account = f"an account at {shipped.capabilities.title}"
    answers = ask(
        f"1. Where: in the sandbox, on the embedded exchange (1), or on paper, with {account} (2)? [1]",
        lambda typed: replace(answers, mode=_mode(typed, path)),
    )
    answers = ask(
        f"2. Which symbols: names separated by commas, or a number of the shipped ones? [all {len(shipped.universe)}]",
        lambda typed: replace(answers, symbols=_symbols(typed, shipped)),
    )
    answers = ask(
        f"3. How much may the bot lose in a day, as a percentage of equity? [{plain_number(answers.day_percent)}]",
        lambda typed: _with_day(answers, typed),
    )
    answers = ask(
        f"   And how much on a single trade, at its stop? [{plain_number(answers.trade_percent)}]",
        lambda typed: replace(answers, trade_percent=_trade(typed, answers)),
    )
    answers = ask(
        "4. May it sell short: bet on falling prices with borrowed shares? [y]",
        lambda typed: replace(answers, short=_yes(typed)),
    )
    return ask(
        "5. May it hold positions overnight, when no stop can act? [y]",
        lambda typed: replace(answers, overnight=_yes(typed)),
    )


def _ask_until_valid(terminal: Terminal, question: str, read: Callable[[str], Answer]) -> Answer:
    for _ in range(MOST_TRIES):
        typed = terminal.ask(question)
        try:
            return read(typed)
        except InvalidAnswer as wrong:
            note(f"   {wrong}")
        except OperatorError as refused:
            note(f"   {clean(one_line(refused))}")
    raise OperatorError(f"no answer of {MOST_TRIES} was valid: nothing was created", "tradebot init --help")


def _loading(answers: WizardAnswers) -> WizardAnswers:
    """Return answers whose configuration loads; raise OperatorError with the contradiction otherwise."""
    values = parse_yaml(text_of(answers, _shipped_settings(answers.mode)))
    assert isinstance(values, dict), "the wizard writes NAME: VALUE lines"
    load(None, os.environ, {"mode": answers.mode}, values=values)
    return answers


def _shipped_settings(mode: str) -> "Settings":
    return load(None, {}, {"mode": mode}).settings


def _mode(typed: str, path: Path) -> str:
    mode = PLACES.get(typed.lower() or "1")
    if mode is None:
        raise InvalidAnswer(f"{word(typed)!r} is neither 1 (sandbox) nor 2 (paper).")

    refuse_other_mode(path, mode, None)
    if mode == "paper":
        try:
            secrets = secrets_for(_shipped_settings(mode), os.environ)
        except OperatorError as unread:
            raise InvalidAnswer(clean(one_line(unread))) from None
        needed = [key for key in driver_for(_shipped_settings(mode).venue).keys if key.secret]
        if not (secrets.uw_key and all(secrets.venue.get(key.field) for key in needed)):
            keys = ", ".join((*(key.names[0] for key in needed), FLOW_KEY))
            raise InvalidAnswer(
                f"Paper needs the keys of your account: set {keys} in the environment or in .env (docs/MODES.md says "
                "how), then start again; or answer 1."
            )
    return mode


def _symbols(typed: str, shipped: "Settings") -> tuple[str, ...]:
    universe = shipped.universe
    if not typed or typed.lower() == "all":
        return ()
    if typed.isascii() and typed.isdigit():
        if len(typed) > len(str(len(universe))) or not 1 <= int(typed) <= len(universe):
            raise InvalidAnswer(
                f"There are {len(universe)} shipped symbols: type 1 to {len(universe)}, or names such as AAPL,MSFT."
            )
        return tuple(universe[: int(typed)])

    names = symbols_at(None, ",".join(typed.replace(",", " ").split()))
    if not names:
        raise InvalidAnswer("Type names such as AAPL,MSFT, or a number.")
    if len(names) > MOST_TYPED:
        raise InvalidAnswer(
            f"{len(names)} names are too many to type: begin with fewer, and name a file later (universe: mine.csv)."
        )
    if unknown := [name for name in names if name not in shipped.sectors]:
        listed = ", ".join(map(clean, unknown[:MOST_NAMED])) + (", …" if len(unknown) > MOST_NAMED else "")
        note(
            f"   tradebot doesn't know {listed}: check the spelling. Add their sectors to the configuration that init "
            "creates."
        )
    return tuple(dict.fromkeys(names))


def _with_day(answers: WizardAnswers, typed: str) -> WizardAnswers:
    percent = _percent(typed, answers.day_percent, LEAST, MOST)
    return replace(answers, day_percent=percent, trade_percent=min(answers.trade_percent, percent))


def _trade(typed: str, answers: WizardAnswers) -> Decimal:
    percent = _percent(typed, answers.trade_percent, LEAST_TRADE, MOST)
    if percent > answers.day_percent:
        raise InvalidAnswer(
            f"A single trade can't risk more than a whole day ({plain_number(answers.day_percent)}%): type less."
        )
    return percent


def _percent(typed: str, usual: Decimal, least: Decimal, most: Decimal) -> Decimal:
    text = typed.removesuffix("%").strip()
    if not text and not typed:
        return usual
    try:
        percent = Decimal(text) if text.isascii() and "_" not in text and len(text) < 12 else Decimal("NaN")
    except InvalidOperation:
        percent = Decimal("NaN")
    if not percent.is_finite():
        raise InvalidAnswer(f"{word(typed)!r} isn't a percentage: type a number such as {plain_number(usual)} or 0.5.")
    if not least <= percent <= most:
        hint = " (0.02 means 0.02%; two percent is 2)" if 0 < percent < least else ""
        raise InvalidAnswer(
            f"It has to be from {plain_number(least)}% to {plain_number(most)}%, not {word(typed)}{hint}."
        )
    if percent != percent.quantize(LEAST_TRADE):
        raise InvalidAnswer(
            f"{plain_number(percent)}% has more than two decimals: type {plain_number(percent.quantize(LEAST_TRADE))}."
        )
    return percent


def _yes(typed: str) -> bool:
    answer = YES_NO.get(typed.lower() or "y")
    if answer is None:
        raise InvalidAnswer(f"{word(typed)!r} is neither yes nor no: type y or n.")
    return answer
