"""Strategies are asked while nobody waits for them: without the pass lock, and only if their answer is used."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from commands.score import run as score
from commands.shared.ask_strategies import StrategyReplies
from commands.shared.verb_options import Report
from commands.trade_once import run as trade_once
from tests.kit.bot.folder import Bot, log
from tests.kit.core.scene import wanted
from tests.kit.core.venue import opening
from tests.kit.strategies import install
from tradebot.adapters.plugins.confinement import descendants
from tradebot.adapters.state import state_locks
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.errors import DamagedBooksError, TemporaryError
from tradebot.model.record import Job
from tradebot.model.trading import TradingState
from tradebot.model.view import Needs, Open, StrategyView


class During:
    """A strategy that does something while it is asked, and wants AAPL."""

    name = "flow"
    needs = Needs(frozenset({"flow_alerts"}))
    times = ""

    def __init__(self, action: Callable[[], object] = lambda: None) -> None:
        self.action = action
        self.asked = 0

    def propose(self, _view: StrategyView) -> Sequence[Open]:
        self.asked += 1
        self.action()
        return [opening(wanted("AAPL"))]


@contextmanager
def asking(bot: Bot, strategy: During) -> Iterator[App]:
    with open_app(Options(str(bot.folder)), os.environ) as app:
        app.__dict__["strategies"] = (strategy,)
        yield app


def entries(app: App, *, force_slot: bool = False, dry_run: bool = False) -> Report:
    return trade_once.run(app, by="test", force_slot=force_slot, dry_run=dry_run)


def scores(app: App) -> Report:
    return score.run(app, by="test")


def test_exits_run_while_a_strategy_is_asked(trader: Bot) -> None:
    ran = []

    def exits() -> None:
        assert state_locks.holder(trader.folder) is None
        # A fork would share what SQLite holds in this process.
        command = [sys.executable, "-m", "tradebot", "evaluate-exits", "--state-dir", str(trader.folder)]
        done = subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)
        ran.append((done.returncode, done.stderr))

    with asking(trader, During(exits)) as app:
        report = entries(app)
    assert ran == [(0, "")]
    assert [row.symbol for row in report.data.rows] == ["AAPL"]


def test_score_holds_no_lock_while_strategies_are_asked(trader: Bot) -> None:
    held = []
    with asking(trader, During(lambda: held.append(state_locks.holder(trader.folder)))) as app:
        assert [row.symbol for row in scores(app).data.rows] == ["AAPL"]
        assert [claim.slot for claim in app.books.slot_claims(app.now().date()) if claim.job == Job.SCORE]
    assert held == [None]


def test_late_answer_of_a_strategy_is_refused(trader: Bot) -> None:
    with asking(trader, During(lambda: trader.says("exchange", "tick", "61s"))) as app:
        (row,) = entries(app, force_slot=True).data.rows
    (age,) = [decision for decision in row.decisions if decision.gate == "candidate_fresh"]
    assert (row.reason, age.observed, age.limit) == ("CANDIDATE_EXPIRED", 61.0, 60)
    assert not [line for line in log(trader.url) if line["event"] == "order_accepted"]


def test_strategies_are_not_asked_if_the_slot_is_taken_or_the_session_closed(trader: Bot) -> None:
    strategy = During()
    with asking(trader, strategy) as app:
        assert entries(app).data.orders == 1
        assert entries(app).data.reason == "SLOT_TAKEN"
        assert strategy.asked == 1
        entries(app, force_slot=True)
        entries(app, dry_run=True)
        assert strategy.asked == 3
        trader.says("exchange", "tick", "close")
        assert entries(app, force_slot=True).data.not_run.reason == "MARKET_CLOSED"
        assert strategy.asked == 3


def test_strategy_bug_halts_the_bot_and_uses_the_slot(trader: Bot) -> None:
    def bug() -> None:
        raise ZeroDivisionError

    with asking(trader, During(bug)) as app:
        with pytest.raises(ZeroDivisionError):
            entries(app)
        assert app.ledger.trading_state().state is TradingState.REDUCE_ONLY
        (last,) = app.facts.cycles(job=Job.TRADE_ONCE, last=1)
        assert str(last.job_decision and last.job_decision.reason) == "CUT_SHORT"
        assert [claim.job for claim in app.ledger.slot_claims(last.session)].count(Job.TRADE_ONCE) == 1


def test_unreadable_facts_end_the_pass_with_their_reason(trader: Bot) -> None:
    def busy() -> None:
        raise TemporaryError("the facts are in use")

    with asking(trader, During(busy)) as app:
        with pytest.raises(TemporaryError, match="in use"):
            entries(app)
        (last,) = app.facts.cycles(job=Job.TRADE_ONCE, last=1)
    assert last.job_decision is not None
    assert last.job_decision.observed == "the facts are in use"


COUNTING = """
self.asked = getattr(self, "asked", 0) + 1
if self.asked == 3:
    raise RuntimeError("enough")
return [Open("AAPL", Side.BUY, self.asked / 10)]"""


def test_plug_in_serves_all_and_ends_with_bot(trader: Bot, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(tmp_path, {"counting": COUNTING}, "counted")
    monkeypatch.syspath_prepend(tmp_path)
    file = trader.folder / "tradebot.yaml"
    file.write_text(file.read_text().replace("strategies: {", "strategies: {counting: {}, "))

    def asked(app: App) -> list[float | None]:
        data = entries(app, dry_run=True, force_slot=True).data
        scores = [row.score for row in data.rows if row.strategy == "counting"]
        assert ["enough" in str(row.decision.observed) for row in data.refused_strategies] == [True] * (not scores)
        return scores

    with open_app(Options(str(trader.folder)), os.environ) as app:
        before = descendants()
        assert [asked(app) for _ in range(4)] == [[0.1], [0.2], [], [0.1]]
        assert descendants() > before
    assert descendants() == before


def test_damaged_books_halt_the_bot_before_strategies_are_asked(trader: Bot) -> None:
    (trader.folder / "ledger.db").write_bytes(b"damaged")
    strategy = During()
    with asking(trader, strategy) as app, pytest.raises(DamagedBooksError, match="moved to"):
        entries(app)
    assert strategy.asked == 0
    assert not (trader.folder / "ARMED").exists()
    assert (trader.folder / "quarantine").exists()


def test_calendar_is_extended_before_strategies_are_asked(new_bot: Bot) -> None:
    new_bot.says("exchange", "tick", "33m")
    strategy = During()
    with asking(new_bot, strategy) as app:
        today = app.now().date()
        assert app.books.sessions(today, today) == ()
        entries(app)
        assert (strategy.asked, len(app.books.sessions(today, today))) == (1, 1)


def test_a_signal_is_not_kept_for_later() -> None:
    with pytest.raises(KeyboardInterrupt), StrategyReplies():
        raise KeyboardInterrupt
    with StrategyReplies() as asked:
        pass
    assert not asked
    assert asked.answer().candidates == ()
