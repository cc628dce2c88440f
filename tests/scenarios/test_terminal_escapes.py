"""Text of others on a terminal: it moves no cursor, sets no title, hides nothing and breaks no verb."""

import io
from collections.abc import Iterator
from contextlib import closing, redirect_stderr
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.markup import escape
from rich.table import Table

from commands.shared.error_boundary import run_command
from commands.shared.light_helpers import clean_lines, note, print_error
from commands.shared.verb_options import console
from tests.commands.test_completion import offered
from tests.kit.bot.folder import Bot, Said, made
from tests.kit.rows import FAILED, PASSED, make_cycle, make_fill, make_intent, make_order
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.events import JsonlEvents
from tradebot.errors import OperatorError, TradebotError
from tradebot.model.event import Severity, SystemEvent
from tradebot.model.order import OrderStatus, Reply, WriteOutcome
from tradebot.model.position import FOREIGN
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace
from tradebot.model.trading import TradingState, TradingStateRecord

MARK = "HoStIlE"
HOSTILE = (
    f"{MARK}\x1b]0;owned\x07\x1b[2J\x9b31m\u202e\u2066\x7f\x00\r[/red][bold][nonsense]:bomb:\n=1+1 tradebot status"
)
"""A title, a cleared screen, a C1 control, a turned direction, markup that ends nothing, an emoji, a line end."""
LOOKS = (
    *("status", "summary", "positions", "orders --all", "fills", "events", "why-no-orders", "why-no-orders AAPL"),
    *("audit", "doctor --offline", "live status", "schedule", "config show", "config check", "strategy list", "score"),
    *("journal verify", "backup --list", "recover", "reconcile", "evaluate-exits --force-slot", "unhalt"),
    *("trade-once --force-slot", "flatten --all --dry-run", "score --explain AAPL", "why-no-orders --reason HALTED"),
)
TOLD = ("status", "positions", "orders --all", "fills", "events", "unhalt")
"""Those that repeat what is planted below."""
WORDS = (
    *("adopt", "flatten", "why-no-orders", "config show", "journal verify", "restore", "exchange faults show"),
    *("exchange tick", "exchange reset", "trade-once --candidates", "completion", "nonsense", "halt --nonsense"),
    *("init --symbols", "init --mode", "why-no-orders --since", "why-no-orders --reason", "recover --accept"),
    *("status --config", "unhalt --confirm", "doctor --nonsense", "score --explain", "reconcile --apply"),
)
"""Verbs that take a word of whoever types, or of a script that pastes it."""


def controls(said: Said) -> set[str]:
    return {letter for letter in said.out + said.err if letter != "\n" and not letter.isprintable()}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield a folder whose very name is hostile, of a bot whose books, facts and events are full of such text."""
    place = tmp_path_factory.mktemp("foreign") / HOSTILE.replace("/", "|").replace("\x00", "")
    with made(place) as path:
        planted(path, datetime.now(UTC))
        yield path


def planted(folder: Path, now: datetime) -> None:
    with closing(SqliteLedger.open(folder)) as ledger:
        ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, HOSTILE, HOSTILE, now))
        intent = make_intent(symbol=HOSTILE)
        ledger.record_intent(intent, (PASSED, replace(FAILED, observed=HOSTILE)))
        ledger.record_outcome(intent.client_order_id, Reply(WriteOutcome.REJECTED, None, HOSTILE, HOSTILE), now)
        rested = replace(make_order("v2", OrderStatus.NEW), symbol=HOSTILE, client_order_id=HOSTILE)
        ledger.apply_orders([rested], now)
        fill = replace(make_fill().fill, activity_id=HOSTILE, symbol=HOSTILE, quantity=Decimal(2))
        ledger.apply_fills([replace(make_fill(), strategy=HOSTILE, fill=fill)], now)
        ledger.apply_fills([replace(make_fill(), strategy=FOREIGN, fill=replace(fill, activity_id="b"))], now)
    events = JsonlEvents(folder / "system_events.jsonl")
    events.emit(SystemEvent(now, HOSTILE, HOSTILE, Severity.ERROR, HOSTILE, {HOSTILE: HOSTILE}))
    with closing(SqliteFacts(folder, events, now)) as facts:
        for job in (Job.TRADE_ONCE, Job.EVALUATE_EXITS):
            cycle = make_cycle(f"{job}.x", now, job)
            way = cycle.candidates[0]
            candidate = replace(way.candidate, strategy=HOSTILE)
            told = (replace(FAILED, observed=HOSTILE, limit=HOSTILE),)
            facts.record(replace(cycle, slot=HOSTILE, candidates=(replace(way, candidate=candidate, decisions=told),)))


@pytest.fixture
def hostile(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> Bot:
    monkeypatch.setenv("USER", HOSTILE.replace("\x00", ""))
    return bot


def test_a_halt_repeats_neither_reason_nor_name_as_they_are(hostile: Bot) -> None:
    said = hostile.says("halt", "--reason", HOSTILE)
    assert (MARK in said.out, controls(said)) == (True, set())


@pytest.mark.parametrize("line", LOOKS)
def test_what_is_shown_is_text_whatever_the_books_hold(hostile: Bot, line: str) -> None:
    said = hostile.says(*line.split())
    assert (controls(said), "bug in tradebot" in said.err) == (set(), False), said.err
    assert MARK in said.out + said.err or line not in TOLD


@pytest.mark.parametrize("line", TOLD)
def test_a_document_has_escapes_of_its_own(hostile: Bot, line: str) -> None:
    document = hostile.says(*line.split(), "--json")
    assert (controls(document), MARK in document.out) == (set(), True)


@pytest.mark.parametrize("line", WORDS)
def test_a_word_that_somebody_typed_is_repeated_as_text(hostile: Bot, line: str) -> None:
    said = hostile.says(*line.split(), HOSTILE.replace("\x00", ""))
    assert said.code
    assert (controls(said), "bug in tradebot" in said.err) == (set(), False), said.err


def test_the_name_of_a_file_of_candidates_and_its_lines_are_text(hostile: Bot, tmp_path: Path) -> None:
    path = tmp_path / HOSTILE.replace("/", "|").replace("\x00", "")
    path.write_text('{"symbol": "\\u001b[2J[/b]", "side": "\\u202e", "score": "\\u0007"}\n\x1b[31m\n')
    said = hostile.says("trade-once", "--force-slot", "--candidates", str(path))
    assert (said.code, controls(said), "bug in tradebot" in said.err) == (2, set(), False), said.err


def test_a_shell_is_offered_no_name_that_cannot_be_typed(
    hostile: Bot, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TRADEBOT_STATE", str(hostile.folder))
    assert offered(hostile, "tradebot flatten ", monkeypatch, capsys) == []


def test_a_fault_is_traced_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    def work() -> int:
        raise ZeroDivisionError(HOSTILE)

    run_command(work, ["--debug", "status"])
    said = Said(1, *capsys.readouterr())
    assert ("Traceback" in said.err, MARK in said.err, controls(said)) == (True, True, set())


@given(st.text(max_size=60))
def test_no_text_gets_past_any_way_to_a_terminal(text: str) -> None:
    screen = console()
    table = Table(title=escape(text))
    table.add_column(escape(text))
    table.add_row(escape(text))
    with screen.capture() as shown:
        screen.print(text, markup=False)
        screen.print(f"[bold]{escape(text)}[/bold]")
        screen.print(table)
    with redirect_stderr(io.StringIO()) as complained:
        note(text)
        print_error(TradebotError(text, text))
        print_error(OperatorError(text, text))
    assert controls(Said(0, shown.get(), complained.getvalue())) == set()


@given(st.text())
def test_cleaning_keeps_lines_and_lengths(text: str) -> None:
    assert [len(line) for line in clean_lines(text).split("\n")] == [len(line) for line in text.split("\n")]
    assert clean_lines(clean_lines(text)) == clean_lines(text)
