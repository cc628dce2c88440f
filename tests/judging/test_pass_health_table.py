"""The truth table of health: each part that freezes, fails or is missing leaves OK within its budget, and no other."""

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.core.evidence import BUDGETS, EVERY_S, MB, YESTERDAY, at, claim, cycle, made_at, note, past, slot
from tests.kit.values import NOW, SESSION, ago, books, fill
from tests.model.test_lifecycle import ENTRY, EXIT, order, record
from tradebot.judging import evidence as seen
from tradebot.judging.component_health import ModelSeen, ModelsSeen, late_s
from tradebot.judging.evidence import ImpossibleChange, impossible_changes
from tradebot.judging.judgment import HealthState, Judgment, permission, worst_state
from tradebot.judging.pass_health import TABLE, judge_passes, judge_subject
from tradebot.model.books import Books
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Gate
from tradebot.model.decision import Verdict as Answer
from tradebot.model.intent import IntentState
from tradebot.model.lifecycle import State as Stage
from tradebot.model.order import OrderStatus
from tradebot.model.position import FOREIGN, OwnedFill
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import Gap, Job, PositionDifference, StrategyRefusal
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission, ReconcileMark, TradingState, TradingStateRecord, as_missed

OK, FAILED, UNKNOWN = HealthState.OK, HealthState.FAILED, HealthState.UNKNOWN
DEGRADED, NOT_DUE = HealthState.DEGRADED, HealthState.NOT_DUE
BOUGHT, SOLD = fill(1), fill(2, side=Side.SELL)
ANOTHER = fill(3, side=Side.SELL)
KEY = ("flow", "AAPL")
FALLEN = Decision(Gate.MAX_DRAWDOWN, Answer.FAIL, Reason.DRAWDOWN_STAYS, Decimal("0.1234"), Decimal("0.1"))


def entering(*fills: OwnedFill) -> Books:
    promised = {ENTRY.client_order_id: record(ENTRY, IntentState.ACKED)}
    return books(*fills, orders=(order(ENTRY),), intents_by_id=promised)


@pytest.mark.parametrize(
    ("before", "pending", "leap"),
    [
        (books(), (), None),
        (books(BOUGHT), (SOLD,), None),
        (books(BOUGHT, SOLD), (ANOTHER,), ImpossibleChange(*KEY, Stage.CLOSED, Stage.OPEN)),
        (books(), (BOUGHT,), ImpossibleChange(*KEY, Stage.CLOSED, Stage.OPEN)),
        (entering(), (BOUGHT,), None),
        (entering(BOUGHT, SOLD), (fill(3),), None),
        (entering(), (BOUGHT, SOLD), None),
        (books(), (replace(BOUGHT, strategy=FOREIGN),), None),
    ],
)
def test_unexplained_fill_is_a_leap(
    before: Books, pending: tuple[OwnedFill, ...], leap: ImpossibleChange | None
) -> None:
    assert next(impossible_changes(before, pending), None) == leap


def test_states_of_the_books_include_what_is_on_its_way_and_what_is_over() -> None:
    assert books(BOUGHT, SOLD).states() == {KEY: Stage.CLOSED}
    assert entering().states() == {KEY: Stage.WORKING}
    assert replace(entering(), orders=(), intents=(record(ENTRY),)).states() == {KEY: Stage.INTENDED}
    exit_of_it = {EXIT.client_order_id: record(EXIT, IntentState.ACKED)}
    closing = books(BOUGHT, orders=(order(EXIT),), intents_by_id=exit_of_it)
    assert closing.states() == {KEY: Stage.CLOSING}
    filled = order(EXIT, OrderStatus.FILLED, 10)
    unbooked = replace(closing, orders=(filled,))
    assert unbooked.states() == {KEY: Stage.CLOSING}
    assert replace(unbooked, filled={filled.venue_id: Decimal(10)}).states() == {KEY: Stage.OPEN}


SHUT, BLOCKED = Reason.LIVE_NOT_ARMED, Reason.ACCOUNT_BLOCKED
DOOR = ((SHUT, "mode live"),)


@pytest.mark.parametrize(
    ("given", "blocks", "found", "reason"),
    [
        (Permission(DOOR), None, "LIVE_NOT_ARMED (mode live): no orders are sent, including exits", SHUT),
        (Permission(entries_closed=DOOR), (), "LIVE_NOT_ARMED (mode live): no entries are sent, exits continue", SHUT),
        (Permission(), ("x",), "ACCOUNT_BLOCKED (x): no orders are sent, including exits", BLOCKED),
        (Permission(), None, "orders may be sent", None),
        (Permission(), (), "orders may be sent", None),
    ],
)
def test_permission_names_each_closed_door_what_it_stops_and_its_remedy(
    given: Permission, blocks: tuple[str, ...] | None, found: str, reason: Reason | None
) -> None:
    judged = permission(given, NOW, blocks)
    state, remedy = (DEGRADED, REASONS[reason].remedy) if reason else (OK, "")
    assert (judged.state, judged.found, judged.next) == (state, found, remedy)
    assert judged.count == (1 if blocks is None else 2)


SLOTS = [ago(seconds) for seconds in (600, 300, 0)]
AGES = st.floats(min_value=-1_000, max_value=1_000)


def test_evidence_is_late_since_the_first_slot_after_it() -> None:
    assert late_s(ago(601), SLOTS, NOW) == 600
    assert late_s(ago(600), SLOTS, NOW) == 300
    assert late_s(ago(301), SLOTS, ago(250)) == 50
    assert late_s(ago(0), SLOTS, NOW + timedelta(hours=9)) == 0
    assert late_s(ago(900), [], NOW) == 0


@given(AGES, AGES, st.lists(AGES, max_size=5))
def test_lateness_grows_with_time_and_shrinks_with_newer_evidence(
    first: float, second: float, due: list[float]
) -> None:
    slots = sorted(ago(seconds) for seconds in due)
    older, newer = sorted((ago(first), ago(second)))
    assert late_s(newer, slots, NOW) <= late_s(older, slots, NOW)
    assert late_s(older, slots, NOW) <= late_s(older, slots, NOW + timedelta(seconds=1))


ALL_OK = dict.fromkeys(TABLE, OK)


def states(evidence: seen.HealthEvidence) -> dict[str, HealthState]:
    return {judgment.subject: judgment.state for judgment in judge_passes(evidence)}


def after(seconds: float) -> datetime:
    return NOW + timedelta(seconds=seconds)


def by_slots(job: Job) -> float:
    """Return by when a part must have failed whose evidence each pass of a job renews."""
    return EVERY_S[job] + BUDGETS.slot_s[job]


FREEZES: dict[str, float] = {
    "serve": BUDGETS.note_s,
    "exits": by_slots(Job.EVALUATE_EXITS),
    "entries": by_slots(Job.TRADE_ONCE),
    "flow": by_slots(Job.FETCH_FLOW),
    "scores": by_slots(Job.SCORE),
    "signals": by_slots(Job.FETCH_FLOW),
    "prices": by_slots(Job.EVALUATE_EXITS),
    "broker": by_slots(Job.EVALUATE_EXITS),
    "books": by_slots(Job.RECONCILE),
    "facts": by_slots(Job.EVALUATE_EXITS),
    "replay": by_slots(Job.EVALUATE_EXITS),
    "clock": by_slots(Job.EVALUATE_EXITS),
    "strategies": by_slots(Job.TRADE_ONCE),
    "stream": BUDGETS.lane_s,
}
"""The parts whose evidence grows old, each with the seconds within which that shows once nothing renews it.

What is left out is read again whenever somebody asks: it can't freeze, only fail or be unreadable, as the tables below.
"""
READ_ANEW = {
    *("config", "orders", "ledger", "journal", "calendar", "disk", "storage", "backup", "schedule", "chores", "halts"),
    *("notices", "chat", "parity", "models"),
}


def test_healthy_bot_is_ok_with_evidence_for_each_part() -> None:
    found = judge_passes(at(NOW))
    assert states(at(NOW)) == ALL_OK
    assert [judgment.subject for judgment in found if not judgment.count or judgment.next] == []
    assert worst_state(found) is OK


@pytest.mark.parametrize(("part", "within_s"), FREEZES.items())
def test_frozen_part_fails_within_its_budget_and_alone(part: str, within_s: float) -> None:
    frozen = {part: made_at(NOW)[part]}
    assert states(at(after(within_s), **frozen)) == ALL_OK
    assert states(at(after(within_s + 1), **frozen)) == ALL_OK | {part: FAILED}


def test_every_part_can_freeze_or_is_read_each_time() -> None:
    assert FREEZES.keys() | READ_ANEW == TABLE.keys()
    assert not FREEZES.keys() & READ_ANEW


@pytest.mark.parametrize("part", TABLE)
def test_part_without_evidence_is_unknown_alone(part: str) -> None:
    found = {judgment.subject: judgment for judgment in judge_passes(at(NOW, **{part: None}))}
    assert {name: judgment.state for name, judgment in found.items()} == ALL_OK | {part: UNKNOWN}
    assert found[part].count == 0
    assert found[part].next


@pytest.mark.parametrize("part", TABLE)
def test_unreadable_part_is_not_ok_and_says_why(part: str) -> None:
    unread = seen.UnreadablePart("the disk can't be read", "tradebot doctor")
    found = {judgment.subject: judgment for judgment in judge_passes(at(NOW, **{part: unread}))}
    expected = FAILED if TABLE[part].store else UNKNOWN
    assert {name: judgment.state for name, judgment in found.items()} == ALL_OK | {part: expected}
    assert (found[part].found, found[part].next) == ("the disk can't be read", "tradebot doctor")


def made_ago(days: int) -> ModelSeen:
    return ModelSeen("policy", "0" * 16, ago(days * 86_400), 45)


REDUCE = TradingStateRecord(TradingState.REDUCE_ONLY, "ann", "lunch", NOW)
NOBODYS = TradingStateRecord(TradingState.REDUCE_ONLY, "", "lost", None)
MISSED = replace(claim(Job.TRADE_ONCE, "open+1m"), by=as_missed("serve 7", Reason.ASLEEP))
READ, APART = cycle(at=ago(60), equity=Decimal(1)), cycle(at=ago(60), why=Reason.CLOCKS_DISAGREE)
BY_PRICES = cycle(at=ago(30), clock_ahead_s=-360.0)
LOST = replace(cycle(at=ago(60)), job_decision=Decision(Gate.JOB, Answer.FAIL, Reason.VENUE_UNREACHABLE, "timed out"))
REFUSED = cycle(
    Job.TRADE_ONCE,
    at=ago(60),
    refused_strategies=(StrategyRefusal("flow", Decision(Gate.STRATEGY, Answer.FAIL, Reason.STRATEGY_FAILED)),),
)
STORED = (seen.StoreEvidence("bars", 300 * MB, "rm bars.db"), seen.StoreEvidence("backups", 100 * MB, "rm -r"))
AUDIT = seen.ChoreEvidence("audit", ago(90), True, "exit 10, 2.0 s")
BACKUP = seen.ChoreEvidence("backup", ago(60), False, "ended after its limit of 300 seconds, 300.1 s")
GOING_ON = ("AAPL: a close by hand isn't finished",)
STUCK = StrategyRefusal("adopted", Decision(Gate.EXIT, Answer.UNKNOWN, Reason.INSTRUMENT_UNKNOWN), "AAPL")
FAILURES: list[tuple[str, Any, HealthState, str]] = [
    ("serve", seen.Serve(False, note(), 30, "serve 7", True), FAILED, "ended without recording why"),
    ("serve", seen.Serve(False, None, 30, "serve 7", True), DEGRADED, "stopped"),
    (
        "serve",
        seen.Serve(False, None, 30, "cron 9", False),
        OK,
        "other commands ran 30 slots",
    ),
    ("serve", seen.Serve(False, None, 0, "", False), UNKNOWN, "no slot was claimed"),
    ("serve", seen.Serve(True, None, 30, "serve 7", True), UNKNOWN, "recorded no status"),
    ("serve", seen.Serve(True, note(ago(31)), 30, "serve 7", True), FAILED, "hangs or is stopped"),
    ("serve", seen.Serve(True, note(lanes={}), 30, "serve 7", True), DEGRADED, "starting or ending"),
    ("serve", seen.Serve(False, note(lanes={}), 30, "serve 7", True), DEGRADED, "it was stopped"),
    (
        "serve",
        seen.Serve(False, note(lanes={}), 30, "cron 9", False),
        OK,
        "other commands ran 30 slots",
    ),
    ("serve", seen.Serve(False, note(lanes={}, troubles={"ended": "no key"}), 30, "cron 9", False), FAILED, "key"),
    (
        "serve",
        seen.Serve(True, note(lanes={"exits": ago(301), "flow": NOW}), 3, "", False),
        FAILED,
        "exits last ran",
    ),
    (
        "serve",
        seen.Serve(True, note(lanes={"exits": ago(-600), "flow": NOW}), 3, "", False),
        FAILED,
        "exits last ran 600 s ago, or the clock was set back",
    ),
    (
        "serve",
        seen.Serve(True, note(memory_bytes=221_000_000, settled_bytes=200_000_000), 3, "", False),
        DEGRADED,
        "it uses 221 MB of memory, and used at most 200 MB in its first week",
    ),
    ("serve", seen.Serve(True, note(memory_bytes=220_000_000, settled_bytes=200_000_000), 3, "", False), OK, ""),
    ("serve", seen.Serve(True, note(ready_at=None), 30, "serve 7", True), DEGRADED, "aren't compared yet"),
    ("serve", seen.Serve(True, note(troubles={"config": "bad"}), 3, "", False), DEGRADED, "config: bad"),
    ("config", seen.Config(200, "line 3 is no YAML"), DEGRADED, "entries are blocked: line 3 is no YAML"),
    ("exits", past(cycles=()), FAILED, "ran in 1 of 1 slot; finished 0 passes"),
    ("exits", past(cycles=[cycle(why=Reason.CUT_SHORT)]), FAILED, "finished 0 passes"),
    ("exits", past(cycles=[cycle(why=Reason.MARKET_CLOSED)]), FAILED, "finished 0 passes"),
    ("exits", past(claims=()), OK, "ran in 0 of 1 slot; finished 1 pass"),
    (
        "exits",
        past(cycles=[cycle(gaps=(Gap("flow", "AAPL", Decimal(10), ago(180), "suspended"),)), cycle(gaps=None)]),
        DEGRADED,
        "10 AAPL without a stop at the broker for 180 s (suspended)",
    ),
    (
        "exits",
        past(cycles=[cycle(at=ago(60), refused_strategies=(STUCK,)), cycle(why=Reason.MARKET_CLOSED)]),
        FAILED,
        "can't be closed: AAPL of adopted",
    ),
    ("exits", past(cycles=[cycle(at=ago(60), refused_strategies=(STUCK,)), cycle()]), OK, "finished 2 passes"),
    ("entries", past(cycles=()), FAILED, "finished 0 passes"),
    (
        "entries",
        past(cycles=[cycle(Job.TRADE_ONCE, closed=(FALLEN,))]),
        DEGRADED,
        "finished 1 pass; entries are blocked (DRAWDOWN_STAYS, 12.34% against 10.00%)",
    ),
    ("entries", past(cycles=[cycle(Job.TRADE_ONCE, at=ago(60), closed=(FALLEN,)), cycle(Job.TRADE_ONCE)]), OK, ""),
    ("entries", past(cycles=[cycle(Job.TRADE_ONCE)], claims=[MISSED]), OK, "ran in 0 of 1 slot"),
    ("signals", seen.ReplyEvidence(60, NOW, "premium is text"), DEGRADED, "premium is text"),
    ("prices", seen.PriceEvidence(30, NOW, 2, ("AAPL",)), DEGRADED, "none for AAPL"),
    ("prices", seen.PriceEvidence(30, NOW, 2, age_s=120), OK, "the oldest quote was 2 min old (limit: 2 min)"),
    ("prices", seen.PriceEvidence(30, NOW, 2, age_s=3660), DEGRADED, "the oldest quote was 61 min old (limit: 2 min)"),
    ("broker", past(cycles=[READ, LOST], compared=None), FAILED, "timed out"),
    ("broker", past(cycles=[READ, replace(LOST, at=ago(90))], compared=None), OK, "1 answer about"),
    ("broker", past(cycles=[READ, LOST]), OK, "2 answers about the account"),
    ("broker", past(cycles=[cycle()], compared=None), UNKNOWN, "nothing to examine"),
    ("books", ReconcileMark(ago(-6), 0, 0), FAILED, "dated 6 s after trading time"),
    ("books", ReconcileMark(ago(-5), 0, 0), OK, "agree"),
    ("books", ReconcileMark(NOW, 1, 2), DEGRADED, "2 findings, 1 keeps entries blocked"),
    ("orders", seen.OrderEvidence(90, 1, NOW), DEGRADED, "1 order with an unknown outcome"),
    ("orders", seen.OrderEvidence(90, 1, ago(601)), FAILED, "1 order with an unknown outcome"),
    ("orders", seen.OrderEvidence(90, 1, NOW, unfinished=GOING_ON), DEGRADED, "outcome; AAPL: a close by hand isn't"),
    ("orders", seen.OrderEvidence(90, 0, None, unfinished=GOING_ON), DEGRADED, "AAPL: a close by hand isn't finished"),
    (
        "orders",
        seen.OrderEvidence(90, 0, None, unbooked=("68 GOOGL bought by order a",), unbooked_at=ago(260)),
        DEGRADED,
        "68 GOOGL bought by order a: the broker's list of fills has lacked it for 4 min, so the fills aren't "
        "booked yet",
    ),
    ("config", seen.Config(200, without_sector=("ZZZZ",)), DEGRADED, "1 symbol without a sector, so not bought: ZZZZ"),
    ("calendar", seen.CalendarEvidence(4, NOW.date() + timedelta(days=6)), DEGRADED, "until 2026-11-22"),
    ("calendar", seen.CalendarEvidence(40, NOW.date() + timedelta(days=40), "broker closed"), FAILED, "broker closed"),
    ("calendar", seen.CalendarEvidence(40, NOW.date() + timedelta(days=40), "", "it closes early"), OK, "closes early"),
    ("prices", seen.PriceEvidence(1, NOW, 1, (), -0.3), OK, "the oldest quote was 0 s old"),
    ("clock", past(cycles=[APART]), FAILED, "two clocks are 12.0 s apart"),
    ("clock", past(cycles=[cycle(at=ago(60)), APART]), FAILED, "two clocks are 12.0 s apart"),
    ("clock", past(cycles=[APART, BY_PRICES]), FAILED, "two clocks are 360.0 s apart"),
    ("clock", past(cycles=[BY_PRICES, cycle(at=ago(20))]), OK, "two clocks agreed in 1 pass"),
    ("clock", past(cycles=[APART, cycle()]), OK, "two clocks agreed in 1 pass"),
    ("clock", past(cycles=[APART, cycle(why=Reason.MARKET_CLOSED)]), OK, "two clocks agreed in 1 pass"),
    ("clock", past(cycles=[cycle(at=ago(-360))]), FAILED, "dated 360 s after this machine's time"),
    ("clock", past(cycles=[cycle(why=Reason.CUT_SHORT)]), UNKNOWN, "nothing to examine"),
    ("replay", seen.Replays(30, NOW, 28, 2), DEGRADED, "28 of 30 passes kept; the last 2 have no record"),
    ("parity", seen.ParityEvidence(3, NOW.date(), "words", 2), DEGRADED, f"2 unexplained differences in {NOW.date()}"),
    ("models", ModelsSeen((made_ago(45),)), OK, "1 model unchanged since signing, the oldest made 45 days ago"),
    ("models", ModelsSeen((made_ago(1), made_ago(46))), DEGRADED, "was made 46 days ago; at most 45 are allowed"),
    ("models", ModelsSeen((replace(made_ago(1), refused="MODEL_CHANGED (x)"),)), DEGRADED, "MODEL_CHANGED (x)"),
    ("models", ModelsSeen((made_ago(1),), ("policy acts by its rule (MODEL_SLOW)",)), DEGRADED, "by its rule"),
    ("facts", past(cycles=()), UNKNOWN, "nothing to examine"),
    ("facts", past(cycles=[cycle(why=Reason.CUT_SHORT), cycle(Job.SCORE, at=ago(60))]), OK, "2 passes recorded"),
    ("disk", seen.Disk(199 * MB, 90_000 * MB, 200 * MB, 1_000_000), FAILED, "199 of 90,000 MB free"),
    ("disk", seen.Disk(9_000 * MB, 90_000 * MB, 200 * MB, 999), FAILED, "999 inodes"),
    ("disk", seen.Disk(9_000 * MB, 90_000 * MB, 200 * MB, None), OK, "9,000 of 90,000 MB free"),
    ("disk", seen.Disk(9_000 * MB, 90_000 * MB, 0, None, "nfs", "no locks", True), FAILED, "on nfs, no locks"),
    ("disk", seen.Disk(9_000 * MB, 90_000 * MB, 0, None, "tmpfs", "lost", False), DEGRADED, "on tmpfs, lost"),
    (
        "storage",
        seen.Storage(STORED, 400 * MB),
        OK,
        "400 MB (limit: 400 MB) in files that only you delete: bars 300, backups 100",
    ),
    ("storage", seen.Storage(STORED, 399 * MB), DEGRADED, "400 MB (limit: 399 MB)"),
    ("strategies", past(strategies=()), UNKNOWN, "none is in use"),
    ("strategies", past(cycles=()), FAILED, "not run yet"),
    ("strategies", past(cycles=[cycle(Job.TRADE_ONCE, why=Reason.MARKET_CLOSED)]), FAILED, "not run yet"),
    ("strategies", past(cycles=[REFUSED]), DEGRADED, "flow is BROKEN (STRATEGY_FAILED)"),
    ("strategies", past(cycles=[REFUSED, cycle(Job.TRADE_ONCE)]), OK, "flow answered"),
    (
        "strategies",
        past(cycles=[cycle(Job.TRADE_ONCE, code={"flow": "c3"})], tested={"flow": {"c2": "may", "c1": "june"}}),
        DEGRADED,
        "flow runs code c3, which no backtest here has used; the last one, june, used c1",
    ),
    (
        "strategies",
        past(cycles=[cycle(Job.TRADE_ONCE, code={"flow": "c2"})], tested={"flow": {"c2": "may", "c1": "june"}}),
        OK,
        "flow answered",
    ),
    ("strategies", past(cycles=[cycle(Job.TRADE_ONCE, code={"flow": "c3"})]), OK, "flow answered"),
    ("backup", seen.BackupEvidence(0, None, None, None, None), UNKNOWN, "there is none yet"),
    ("backup", seen.BackupEvidence(0, None, None, None, None, coming=NOW), NOT_DUE, "not due until 2026-11-16 17:00"),
    ("backup", seen.BackupEvidence(0, None, None, YESTERDAY, ago(7200)), NOT_DUE, "not due until 2026-11-16 15:00 UTC"),
    ("backup", seen.BackupEvidence(0, None, None, YESTERDAY, ago(7201)), FAILED, "there is none yet"),
    (
        "backup",
        seen.BackupEvidence(3, YESTERDAY, NOW, None, None, damaged=("a: bad", "b: c")),
        FAILED,
        "2 of 3 can't be restored: a",
    ),
    ("backup", seen.BackupEvidence(3, YESTERDAY, ago(90_000), NOW.date(), ago(7201)), FAILED, "the last of session"),
    ("backup", seen.BackupEvidence(3, YESTERDAY, ago(90_000), NOW.date(), ago(7200)), OK, "the last of session"),
    ("backup", seen.BackupEvidence(3, YESTERDAY, ago(90_000), YESTERDAY, ago(60_000)), OK, "the last of session"),
    (
        "backup",
        seen.BackupEvidence(3, None, None, None, None, archived_at=ago(7200)),
        OK,
        "; last archived 2 hours ago",
    ),
    ("backup", seen.BackupEvidence(3, None, None, None, None, archived_at=ago(7199)), OK, "; last archived 1 hour ago"),
    ("schedule", past(due={}), UNKNOWN, "no slot was due yet"),
    (
        "schedule",
        past(due={}, coming={Job.SCORE: slot(Job.SCORE, "open+30m", 0)}),
        NOT_DUE,
        "not due until 2026-11-16 15:00 UTC",
    ),
    ("schedule", past(claims=[MISSED]), DEGRADED, "5 of 5 slots missed; the last was "),
    ("chores", seen.ChoresEvidence(0, False, ()), HealthState.SKIPPED, "the timetable has no chores"),
    ("chores", seen.ChoresEvidence(5, False, (), NOW), NOT_DUE, "no chore was due yet; not due until 2026-11-16 15:00"),
    ("chores", seen.ChoresEvidence(5, True, ()), UNKNOWN, "0 of 5 chores succeeded"),
    (
        "chores",
        seen.ChoresEvidence(2, True, (AUDIT, BACKUP)),
        DEGRADED,
        "1 of 2 chores succeeded; backup at 2026-",
    ),
    ("chores", seen.ChoresEvidence(1, True, (BACKUP,)), DEGRADED, "UTC: ended after its limit"),
    ("stream", seen.Stream(NOW, "lost"), DEGRADED, "lost"),
    ("notices", seen.NoticeEvidence(2, (), 3, 0, "no answer in 30 s"), DEGRADED, "3 notices not sent yet"),
    ("notices", seen.NoticeEvidence(2, (), 1, 1, "no answer in 30 s"), FAILED, "1 notice given up: no answer in 30 s"),
    ("notices", seen.NoticeEvidence(2, ("desk",), 0, 0, ""), DEGRADED, "no address for desk"),
    ("chat", seen.Chat(False, False, ""), OK, "nobody is paired"),
    ("chat", seen.Chat(True, False, ""), DEGRADED, "the bot doesn't read the chat"),
    ("chat", seen.Chat(True, True, "status 500"), DEGRADED, "status 500"),
    ("halts", seen.Halts(REDUCE, "lunch"), DEGRADED, "by ann: lunch"),
    ("halts", seen.Halts(NOBODYS, "lost"), FAILED, "lost"),
    ("halts", seen.Halts(REDUCE, "lunch", ("drawdown",)), FAILED, "halted itself: drawdown"),
]


@pytest.mark.parametrize(("part", "evidence", "state", "said"), FAILURES)
def test_each_failure_shows_in_its_part_alone(part: str, evidence: Any, state: HealthState, said: str) -> None:
    found = {judgment.subject: judgment for judgment in judge_passes(at(NOW, **{part: evidence}))}
    assert {name: judgment.state for name, judgment in found.items()} == ALL_OK | {part: state}
    assert said in found[part].found
    assert bool(found[part].next) is state.is_finding


def test_failed_chore_names_the_command_that_repeats_it() -> None:
    (found,) = [
        each
        for each in judge_passes(at(NOW, chores=seen.ChoresEvidence(2, True, (AUDIT, BACKUP))))
        if each.subject == "chores"
    ]
    assert found.next == "tradebot events; then tradebot schedule run backup --again"


def test_remedy_for_storage_is_that_of_the_largest_store() -> None:
    found = {each.subject: each for each in judge_passes(at(NOW, storage=seen.Storage(STORED, MB)))}
    assert found["storage"].next == "rm bars.db, or raise storage.tell_mb"


def test_table_of_failures_covers_every_part_that_can_fail() -> None:
    assert TABLE.keys() - {part for part, *_ in FAILURES} == {"flow", "scores", "ledger", "journal"}, (
        "these only freeze, or can't be read"
    )


@pytest.mark.parametrize("part", [name for name, subject in TABLE.items() if subject.renewed_by])
def test_part_is_not_due_until_its_first_slot_may_have_ended(part: str) -> None:
    job = TABLE[part].renewed_by
    assert job is not None
    first, budget = after(600), timedelta(seconds=BUDGETS.slot_s[job])
    new = replace(at(NOW, **{part: None}), due={}, coming=dict.fromkeys(Job, first))
    begun = replace(new, now=first + budget, due={job: (first,)}, coming={})
    for evidence in (new, begun):
        found = judge_subject(part, evidence)
        assert (found.state, found.count, found.next, found.until) == (NOT_DUE, 0, "", first + budget)
    late = replace(begun, now=first + budget + timedelta(seconds=1))
    assert judge_subject(part, late).state is UNKNOWN
    assert judge_subject(part, replace(new, coming={})).state is UNKNOWN, "nobody knows when it is due"


@pytest.mark.parametrize("part", ["exits", "entries"])
def test_remedy_for_a_part_is_serve_while_passes_by_hand_are_refused(part: str) -> None:
    frozen = replace(at(NOW, **{part: past(cycles=())}), past=past())
    assert judge_subject(part, frozen).next == TABLE[part].next
    assert judge_subject(part, frozen).found.endswith("; nothing newer for 30 min, although it was due")
    closed = replace(frozen, past=past(now=SESSION.close, later=()))
    assert judge_subject(part, closed).next == "tradebot serve"
    assert judge_subject("books", replace(closed, parts={**closed.parts, "books": None})).next == "tradebot reconcile"


def test_pass_by_hand_on_a_holiday_fails_no_part() -> None:
    by_hand = [cycle(job, why=Reason.MARKET_CLOSED) for job in (Job.TRADE_ONCE, Job.EVALUATE_EXITS)]
    seen_then = past(due=dict.fromkeys(Job, ()), claims=(), cycles=by_hand)
    parts = dict.fromkeys(("entries", "exits", "strategies"), seen_then)
    holiday = replace(at(NOW, **parts), due={}, coming=dict.fromkeys(Job, after(600)))
    assert {judge_subject(part, holiday).state for part in parts} == {NOT_DUE}


def test_bot_with_nothing_due_is_ok_if_any_part_is() -> None:
    new = replace(at(NOW, **{name: None for name, subject in TABLE.items() if subject.renewed_by}), due={})
    assert worst_state(judge_passes(replace(new, coming=dict.fromkeys(Job, after(600))))) is OK
    assert worst_state(judge_passes(new)) is UNKNOWN


def test_evidence_does_not_age_while_no_slot_begins() -> None:
    night = NOW + timedelta(hours=15)
    by_day = seen.BackupEvidence(3, NOW.date(), NOW, NOW.date(), NOW)
    serve, stream = seen.Serve(True, note(night), 30, "serve 7", True), seen.Stream(night)
    assert states(replace(at(NOW, backup=by_day, serve=serve, stream=stream), now=night, at=night)) == ALL_OK


def test_evidence_of_yesterday_fails_soon_after_the_next_open() -> None:
    dead_since, opened = NOW - timedelta(hours=20), NOW
    evidence = at(NOW + timedelta(seconds=400), exits=past(dead_since))
    evidence = replace(
        evidence, due={job: tuple(slot for slot in due if slot >= opened) for job, due in evidence.due.items()}
    )
    assert states(evidence)["exits"] is FAILED


@given(
    st.sampled_from(sorted(FREEZES)),
    st.floats(min_value=0, max_value=100_000),
    st.floats(min_value=0, max_value=100_000),
)
def test_part_failed_by_age_stays_failed_until_renewed(part: str, first: float, more: float) -> None:
    frozen = {part: made_at(NOW)[part]}
    if states(at(after(first), **frozen))[part] is FAILED:
        assert states(at(after(first + more), **frozen))[part] is FAILED


@given(st.lists(st.sampled_from(list(HealthState))))
def test_overall_state_is_the_worst_of_all(found: list[HealthState]) -> None:
    together = worst_state(
        [Judgment("one", state, "looks", 1, "", "do" if state.is_finding else "") for state in found]
    )
    assert (together is OK) == (OK in found and not any(state.is_finding for state in found))
    assert FAILED not in found or together is FAILED


@pytest.mark.parametrize(
    ("symbol", "broker", "compared_s_ago", "state"),
    [("AAPL", "4", 60, DEGRADED), ("AAPL", "4", 0, OK), ("AAPL", "0", 60, OK), ("MSFT", "4", 60, OK)],
)
def test_an_entry_that_positions_prove_and_no_history_tells_of_is_told_of_orders_with_its_age(
    symbol: str, broker: str, compared_s_ago: float, state: HealthState
) -> None:
    differing = (PositionDifference("AAPL", Decimal(0), Decimal(broker)),)
    looked = past(cycles=[cycle(differing=differing)], compared=ReconcileMark(ago(compared_s_ago), 0, 0))
    orders = seen.OrderEvidence(90, 0, None, entering={symbol: ago(260)})
    found = judge_subject("orders", replace(at(NOW, orders=orders), past=looked))
    told = "broker's positions 4; the broker's history has lacked our order there for 4 min"
    assert (found.state, told in found.found, found.next.startswith("tradebot positions")) == (
        state,
        state is DEGRADED,
        state is DEGRADED,
    )


@pytest.mark.parametrize(
    ("opened_s_ago", "told", "state"),
    [(120, (), DEGRADED), (120, ("AAPL",), OK), (30, (), OK)],
    ids=["ended since", "told by the exit pass", "bought since"],
)
def test_a_stop_that_ended_since_the_last_exit_pass_is_told_of_orders(
    opened_s_ago: float, told: tuple[str, ...], state: HealthState
) -> None:
    gaps = tuple(Gap("flow", symbol, Decimal(4), ago(100), "canceled") for symbol in told)
    looked = past(cycles=[replace(cycle(), at=ago(60), gaps=gaps)])
    orders = seen.OrderEvidence(90, 0, None, bare={"AAPL": ago(opened_s_ago)})
    found = judge_subject("orders", replace(at(NOW, orders=orders), past=looked))
    assert (found.state, "AAPL" in found.found) == (state, state is DEGRADED)
