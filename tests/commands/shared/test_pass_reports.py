"""A slot is used up by a pass that ends, not by one that cannot begin or is killed.

A pass at work when its process is asked to end sends nothing further, but ends what it is in the middle of.
"""

from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.evaluate_exits.run import run as evaluate_exits
from commands.shared.ask_strategies import under_pass_lock
from commands.shared.pass_reports import begin, is_pass_unfinished, record_begun_pass
from commands.trade_once.run import run as trade_once
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tradebot.adapters.state.state_locks import ExitPriority
from tradebot.app.loading import Options
from tradebot.app.wiring import App, open_app
from tradebot.errors import ExitCode, TradebotError
from tradebot.judging.pass_health import is_finished
from tradebot.model.record import Job
from tradebot.ports.world import Call
from tradebot.venues.alpaca.reader import AlpacaReader


def claimed(app: App, job: Job) -> Call:
    call, _ = begin(app, job, "test")
    assert isinstance(call, Call), call
    return call


def test_pass_that_cannot_begin_claims_no_slot(trader: Bot, tmp_path: Path) -> None:
    settings = (trader.folder / "tradebot.yaml").read_text()
    away = tmp_path / "away.yaml"
    away.write_text(settings.replace("strategies: {", "strategies: {not_installed: {}, "))
    refuses(trader.says("trade-once", "--config", str(away)), ExitCode.USAGE, "not_installed")
    assert trader.json("trade-once")["not_run"] is None
    # An answer about a taken slot is of another shape than a pass, and has the reason itself.
    assert trader.json("trade-once")["reason"] == "SLOT_TAKEN"


def test_killed_pass_resumes_in_its_slot_and_proves_no_health(trader: Bot) -> None:
    with open_app(Options(str(trader.folder)), {}) as app:
        now = app.now()
        call = claimed(app, Job.EVALUATE_EXITS)
        assert is_pass_unfinished(app, call, now), "a claim without a record has done nothing yet"
        with pytest.raises(KeyboardInterrupt), record_begun_pass(app, call, now, dry_run=False):
            raise KeyboardInterrupt
        assert is_pass_unfinished(app, call, now)
        assert claimed(app, Job.EVALUATE_EXITS) == call
        assert [is_finished(cycle) for cycle in app.facts.passes(now) if cycle.id == call.cycle_id] == [False]
    assert trader.json("evaluate-exits")["not_run"] is None
    assert trader.json("evaluate-exits")["reason"] == "SLOT_TAKEN"


def test_reconcile_after_a_kill_gets_an_extra_slot(trader: Bot) -> None:
    with open_app(Options(str(trader.folder)), {}) as app:
        first = claimed(app, Job.RECONCILE)
        assert not is_pass_unfinished(app, first, app.now())
        assert claimed(app, Job.RECONCILE).slot != first.slot


def test_a_pass_reads_each_clock_once_and_again_after_copying_the_books(
    new_bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    for step in ("close", "next_open", "30m"):
        assert new_bot.says("exchange", "tick", step).code == ExitCode.DONE
    read = Counter[str]()

    def counted(name: str, ask: Callable[..., object]) -> Callable[..., object]:
        def asked(*given: object) -> object:
            read[name] += 1
            return ask(*given)

        return asked

    for owner, name in ((AlpacaReader, "clock"), (App, "second_time")):
        monkeypatch.setattr(owner, name, counted(name, getattr(owner, name)))
    with open_app(Options(str(new_bot.folder)), {}) as app:
        found = list[tuple[int, int]]()
        for run in (evaluate_exits, evaluate_exits, trade_once):
            read.clear()
            assert run(app, by="test", force_slot=bool(found)).data.not_run is None
            found.append((read["clock"], read["second_time"]))
    # The first pass after a session copies the books. Entries ask the strategies before the lock.
    assert found == [(2, 2), (1, 1), (2, 2)]


@pytest.fixture
def app(tmp_path: Path) -> Any:
    (tmp_path / "state.id").write_text("{}")
    return SimpleNamespace(turns=ExitPriority(tmp_path), pass_lock=lambda verb, **_: nullcontext())


def test_pass_that_gives_way_ends_at_its_next_request(app: Any) -> None:
    sent = list[str]()

    def work() -> None:
        for order in ("first", "second"):
            app.turns.give_way()
            with app.turns.without_yielding():
                app.turns.give_way()
                sent.append(order)
                app.turns.ends = lambda: True
                app.turns.give_way()

    with pytest.raises(TradebotError, match="trade-once was stopped by a signal before it was done"):
        under_pass_lock(cast(App, app), "trade-once", work)
    assert sent == ["first"]
