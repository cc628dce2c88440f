"""A pass that gives way to exits at any request ends its day as if nothing had come between; and exits wait for one."""

import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing

import pytest

from commands.doctor import rehearsals
from commands.evaluate_exits import run as evaluate_exits
from commands.reconcile import run as reconcile
from commands.trade_once import run as trade_once
from tests.faults.kills import FIRST, HALT, REFERENCE, SECOND, Campaign, Line, entries, exits, halted, reconciled
from tests.kit.bot.near import Verb
from tests.kit.bot.stage import End, Stage, StageBot, set_up
from tests.kit.waiting import until
from tests.suite.tiers import sized
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.state_locks import MOST_WAYS
from tradebot.app.wiring import App
from tradebot.errors import ExitCode, TradebotError
from tradebot.judging.judgment import HealthState as Verdict
from tradebot.model.account import BrokerView
from tradebot.model.decision import Decision
from tradebot.model.intent import Intent
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.trading import TradingState

SCRIPT: tuple[tuple[str, Line], ...] = (
    ("compare", reconciled),
    ("first entries", entries(FIRST)),
    ("tick", {"seconds": 60}),
    ("second entries", entries(SECOND)),
    ("tick", {"seconds": 60}),
    ("compare again", reconciled),
    ("exits", exits),
    (HALT, halted(TradingState.FLATTEN)),
    ("tick", {"seconds": 60}),
    ("last exits", exits),
    ("tick", {"seconds": 60}),
    ("last comparison", reconciled),
)


class Waiting:
    """Exits that fall due at the n-th moment at which a pass could give way to them, and what was asked by then."""

    def __init__(self, app: App, at: int) -> None:
        self.app, self.at = app, at
        self.asked = self.ran = 0
        self.is_due = False
        app.turns.due, app.turns.run_due = self.due, self.run

    def due(self) -> bool:
        if not self.is_due:
            self.asked += 1
            self.is_due = self.asked == self.at
        return self.is_due

    def run(self) -> None:
        assert state_locks.holder(self.app.folder.path) is None, "the pass gives way and keeps the lock"
        self.is_due = False
        self.ran += 1
        evaluate_exits.run(self.app, by="the exits", force_slot=True)


class GivingWay(Campaign):
    """The script, in which the bot with the number n gives way at the n-th chance of each of its passes."""

    script = SCRIPT

    def __init__(self, stage: Stage) -> None:
        super().__init__(stage, seed=0)
        self.most_chances = 0
        self.given: dict[str, int] = {}

    def _everybody(self, bots: list[StageBot], step: int, name: str, line: Callable[[StageBot], Verb]) -> None:
        for bot in bots:
            number = 0 if bot.name == REFERENCE else int(bot.name.removeprefix("way-"))
            with closing(bot.app()) as app:
                waiting = Waiting(app, number)
                self._expect(bot, End(line(bot)(app), ()))
            self.given[bot.name] = self.given.get(bot.name, 0) + waiting.ran
            self.most_chances = max(self.most_chances, waiting.asked if bot.name == REFERENCE else 0)
            self.tally.spans.setdefault(bot.name, [])


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with set_up() as stage:
        yield stage


@pytest.mark.campaign
def test_a_pass_that_gives_way_at_any_request_ends_its_day_as_if_undisturbed(stage: Stage) -> None:
    numbers = sized([1, 3, 8, 14], [*range(1, 41)])
    campaign = GivingWay(stage)
    campaign.play([stage.bot(REFERENCE), *(stage.bot(f"way-{number}") for number in numbers)])
    assert campaign.tally.problems == []
    assert campaign.most_chances < 40, "the campaigns don't try every chance"
    assert campaign.given[REFERENCE] == 0
    assert all(campaign.given[f"way-{number}"] for number in numbers if number <= campaign.most_chances)


def test_the_orders_sent_before_giving_way_are_in_the_record_of_the_pass(stage: Stage) -> None:
    bot = stage.bot("sent-before")
    with closing(bot.app()) as app:
        reconcile.run(app, by="test")
        waiting = Waiting(app, sys.maxsize)
        promise, promised = app.ledger.record_intent, list[Intent]()

        def and_then_exits(intent: Intent, verdicts: Sequence[Decision]) -> bool:
            promised.append(intent)
            waiting.is_due = len(promised) == 2
            return promise(intent, verdicts)

        app.ledger.record_intent = and_then_exits  # type: ignore[method-assign]
        trade_once.run(app, by="test", candidates=bot.candidates(FIRST))
        (cycle,) = app.facts.cycles(job=Job.TRADE_ONCE, last=9)
    assert waiting.ran == 1
    assert [record.terminal for record in cycle.candidates] == [None, None, None]
    posts = [event for event in stage.log() if event["event"] == "order_accepted" and event["account"] == bot.number]
    assert len(posts) == len({event["client_order_id"] for event in posts}) == 3


def test_a_pass_gives_way_so_often_and_then_its_record_says_so(stage: Stage) -> None:
    bot = stage.bot("too-often")
    wanted = bot.candidates(FIRST)
    with closing(bot.app()) as app:
        reconcile.run(app, by="test")
        waiting, reads = Waiting(app, sys.maxsize), app.reader.view

        def view() -> BrokerView:
            waiting.is_due = True
            return reads()

        app.reader.view = view  # type: ignore[method-assign]
        with pytest.raises(TradebotError, match=f"gave way to exit passes {MOST_WAYS} times") as caught:
            trade_once.run(app, by="test", candidates=wanted)
        (cycle,) = app.facts.cycles(job=Job.TRADE_ONCE, last=9)
    assert caught.value.code is ExitCode.ANOTHER_INSTANCE
    assert cycle.job_decision is not None
    assert (cycle.job_decision.reason, cycle.candidates) == (Reason.GAVE_WAY, ())
    with closing(bot.app()) as app:
        assert trade_once.run(app, by="test", candidates=wanted).data.orders == 3


def test_a_comparison_that_gives_way_goes_on_in_its_own_slot(stage: Stage) -> None:
    bot = stage.bot("own-slot")
    with closing(bot.app()) as app:
        waiting = Waiting(app, 4)
        reconcile.run(app, by="test")
        now = app.now()
        claims = [claim.slot for claim in app.ledger.slot_claims(now.date()) if claim.job == Job.RECONCILE]
    assert waiting.ran == 1
    assert len(claims) == 1, claims


@pytest.mark.sampled
def test_a_rehearsal_cancels_its_order_whenever_it_gives_way(stage: Stage) -> None:
    for number in range(1, 30, sized(10, 1)):
        bot = stage.bot(f"rehearsal-{number}")
        with closing(bot.app()) as app:
            reconcile.run(app, by="test")
            waiting = Waiting(app, number)
            placed, canceled = rehearsals.order_checks(app, "test")
            assert not app.ledger.orders(working=True)
        assert (placed.state, canceled.state) == (Verdict.OK, Verdict.OK), (number, placed, canceled)
        if not waiting.ran:
            return
    pytest.fail("more chances than were tried")


SLOW = "- {name: slow, when: {request: GET /v2/stocks/snapshots, nth: 1}, what: {hang: 2s, then: answer}}"


def test_exits_of_another_process_wait_for_one_request_and_entries_go_on_after_them(stage: Stage) -> None:
    bot = stage.bot("two-processes")
    with closing(bot.app()) as app:
        reconcile.run(app, by="test")
    stage.trouble(SLOW)
    entering = os.fork()
    if not entering:
        _leave(bot, lambda app: int(trade_once.run(app, by="entries", candidates=bot.candidates(FIRST)).exit_code))
    until(lambda: (state_locks.holder(bot.folder) or "").startswith("trade-once") and _asked(stage, bot))
    began = time.monotonic()
    exiting = os.fork()
    if not exiting:
        _leave(bot, lambda app: int(evaluate_exits.run(app, by="exits", force_slot=True).exit_code))
    ends = {pid: os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in (exiting, entering)}
    stage.trouble("")
    assert ends == {exiting: 0, entering: 0}
    assert time.monotonic() - began < state_locks.EXIT_WAIT_S
    with closing(bot.app()) as app:
        (trading,) = app.facts.cycles(job=Job.TRADE_ONCE, last=9)
        exits_at = [cycle.at for cycle in app.facts.cycles(job=Job.EVALUATE_EXITS, last=9)]
        gave_way = (bot.folder / "system_events.jsonl").read_text().count("gave_way")
    assert (len(exits_at), gave_way) == (1, 1)
    assert [record.terminal for record in trading.candidates] == [None, None, None]
    accepted = [
        e["client_order_id"] for e in stage.log() if e["event"] == "order_accepted" and e["account"] == bot.number
    ]
    assert len(accepted) == len(set(accepted)) == 3


def _leave(bot: StageBot, verb: Callable[[App], int]) -> None:
    """Be its own process, and end with what the verb ended with."""
    code = 99
    try:
        with closing(bot.app()) as app:
            code = verb(app)
    finally:
        os._exit(code)


def _asked(stage: Stage, bot: StageBot) -> bool:
    return any(event["event"] == "fault_fired" for event in stage.log())
