"""Rehearse what can only be shown by doing it: one order that can't fill, and a learned policy's session."""

import resource
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from math import ceil
from typing import TYPE_CHECKING, NamedTuple, TypeVar

from commands.doctor.machine import CheckResult, attempt, bad, failed_check, ok, skip, warn
from commands.evaluate_exits import run as evaluate_exits
from commands.model.run import model_rows
from commands.reconcile import run as reconcile
from commands.serve.watchdog_thread import MB, SHORT_FROM
from commands.shared.ask_strategies import under_pass_lock
from commands.shared.calendar import require
from commands.shared.verb_options import progress_bar
from commands.strategy.trial import open_generated, with_strategy_alone
from commands.trade_once import run as trade_once
from jobs.slot_claims import claim_by_hand
from tradebot.adapters.plugins.plugin import close
from tradebot.app.wiring import App
from tradebot.desk.strategy_views import ViewBuilder
from tradebot.errors import ExitCode, OperatorError, TradebotError
from tradebot.judging.judgment import Judgment
from tradebot.model.decision import Decision
from tradebot.model.reasons import REASONS
from tradebot.model.record import Job
from tradebot.model.sentences import pluralize
from tradebot.model.trading import Mode
from tradebot.orders.rehearsal import RehearsalProgress, rehearse
from tradebot.ports.world import Call
from tradebot.strategies.settings import POLICY
from tradebot.timetable.job_times import parse
from tradebot.timetable.sessions import session_of, slots

if TYPE_CHECKING:
    from datetime import date

T = TypeVar("T")
PAUSES_S = (*[0.25] * 8, *[1.0] * 12)
"""The waits between lookups of the test order, in seconds; the last one is repeated.

A venue's history may lag by ten seconds, and only the history proves that an order has ended.
"""
NOT_WORKING = skip("no test order is known to be working")
LOOK_IT_UP = "Run tradebot reconcile to look it up, and cancel it at the broker if it is still working"


def require_play_money(app: "App") -> None:
    """Raise OperatorError, exit 3, for real money and in shadow mode, which sends no orders."""
    if app.mode is Mode.LIVE:
        raise OperatorError(
            "doctor --order places an order, and this bot trades real money",
            "run tradebot doctor without --order; try --order on paper or in the sandbox",
            code=ExitCode.REFUSED,
        )
    if app.settings.shadow:
        raise OperatorError(
            "doctor --order places an order, and in shadow mode no orders are sent",
            "run tradebot doctor without --order",
            code=ExitCode.REFUSED,
        )


def order_checks(app: "App", by: str) -> tuple[Judgment, ...]:
    """Place the test order and cancel it; return a judgment of each step."""
    try:
        progress = _rehearse(app, by)
    except TradebotError as error:
        return failed_check(error).about("order"), NOT_WORKING.about("cancel")
    if progress is None:
        fix = (
            "Try again while the market is open (sandbox: tradebot exchange tick open, then tradebot exchange tick 5m)"
        )
        none = bad("no symbol is free for a test order: each has a position, an order or no quote", fix, "quotes", 0)
        return none.about("order"), skip("no order was placed").about("cancel")
    return _check_placed(progress).about("order"), _check_canceled(progress).about("cancel")


def _rehearse(app: "App", by: str) -> "RehearsalProgress | None":
    def under_lock(step: "Callable[[], T]") -> "T":
        return under_pass_lock(app, "doctor --order", step)

    def claim() -> "Call":
        clock = app.reader.clock()
        require(clock, app.second_time(), app.settings)
        app.ensure_calendar(clock.now)
        return claim_by_hand(app.ledger, Job.TRADE_ONCE, "doctor", clock.now, app.day, by)

    call = under_lock(claim)
    pauses = iter(PAUSES_S)

    def pause() -> None:
        seconds = next(pauses, PAUSES_S[-1])
        # In the sandbox, time stands still unless something advances it.
        (app.let_pass if app.mode is Mode.SANDBOX else time.sleep)(seconds)

    return rehearse(app.world(proposing=False), call, pause, under_lock)


def _check_placed(progress: "RehearsalProgress") -> CheckResult:
    intent = progress.intent
    what = f"buy {intent.quantity} {intent.instrument.symbol} at {intent.limit_price}, id {intent.client_order_id}"
    if not progress.sent.passed:
        return bad(f"{what}: {_words(progress.sent)}", _remedy(progress.sent), "answer")
    if progress.working is None:
        return bad(f"{what}: accepted, but not found by its id afterward", LOOK_IT_UP, "answers", 2)
    return ok(f"{what}: recorded, sent, and {progress.working.status} at the broker", "answers", 2)


def _check_canceled(progress: "RehearsalProgress") -> CheckResult:
    if progress.cancelled is None:
        return NOT_WORKING
    if not progress.cancelled.passed:
        return bad(_words(progress.cancelled), LOOK_IT_UP, "answer")
    ended = progress.ended
    if ended is None or not ended.status.terminal:
        status_text = ended.status if ended else "nothing"
        return warn(f"requested; the broker still says {status_text}", LOOK_IT_UP, "answers", 2)
    evidence = f"{ended.status} at the broker, {ended.filled_quantity} filled"
    if ended.filled_quantity:
        fix = "See tradebot positions: the exit rules apply to it, as to any position"
        return bad(evidence, fix, "answers", 2)
    return ok(evidence, "answers", 2)


def _words(decision: "Decision") -> str:
    return f"{decision.reason}" + (f" ({decision.observed})" if decision.observed else "")


def _remedy(decision: "Decision") -> str:
    assert decision.reason is not None, "a failure has a reason"
    return REASONS[decision.reason].remedy


USUAL_LIMIT_MS = 100
"""How long a decision may take, from a bar's close to its order, if the settings have no limit."""
PERCENTILE = 0.99
BY = "doctor --policy"


def require_policy(app: "App", name: str) -> None:
    """Raise OperatorError if no learned policy of this name is in use."""
    policies = [used for used, installed in app.settings.strategies.installed_as().items() if installed == POLICY]
    if name not in policies:
        there = f"learned policies in use: {', '.join(policies)}" if policies else "no learned policy is in use"
        raise OperatorError(f"{name} isn't a learned policy that this bot uses; {there}", "tradebot strategy list")


def policy_checks(app: "App", name: str, *, offline: bool) -> Iterator[Judgment]:
    """Yield the rows about a learned policy: its models, features, decision time, memory and last session."""
    yield attempt("policy model", partial(_check_models, app, name))
    if offline:
        yield skip("its features need bars, which may have to be fetched").about("policy features")
    else:
        yield attempt("policy features", partial(_check_features, app, name))
    try:
        with progress_bar(f"rehearsing a session of {name}") as watch:
            rehearsal = rehearse_session(app, name, watch)
    except (TradebotError, OSError) as error:
        yield failed_check(error).about("policy decision")
        yield skip("no session could be rehearsed").about("policy memory")
    else:
        limit_ms = app.settings.limits.max_decision_ms or USUAL_LIMIT_MS
        yield judge_decision_time(limit_ms, name, rehearsal).about("policy decision")
        yield judge_memory(app.settings.serve.max_memory_mb, rehearsal).about("policy memory")
    yield attempt("policy last session", partial(_check_last_session, app, name))


def _check_models(app: "App", name: str) -> CheckResult:
    """Test each of the policy's models: its signature, and its answers to its stored observations."""
    rows = [row for row in model_rows(app) if row.strategy == name and row.acts]
    if not rows:
        fix = f"Add a signed model to strategies.{name}.models: docs/POLICIES.md"
        return bad("it has no model, so only a rule could trade", fix, "models", 0)
    refused = next((row for row in rows if row.reason), None)
    if refused:
        return bad(f"{refused.id}: {refused.reason} ({refused.found})", refused.next, "models", len(rows))
    slowest = max(row.longest_ms or 0.0 for row in rows)
    return ok(f"signed, answers as stored; the slowest answer took {slowest:g} ms", "models", len(rows))


def _check_features(app: "App", name: str) -> CheckResult:
    """Compute the policy's features from the bars that the bot has now."""
    world = app.world(dry_run=True, asking=True)
    strategy = next(each for each in world.strategies if each.name == name)
    try:
        inputs = ViewBuilder(world, app.now(), (strategy,)).of(strategy)
        needed = [feature for need in strategy.needs.features for feature in need.names]
    finally:
        close(world.strategies)
    why = inputs.unmet or next((refusal.decision for refusal in inputs.left_out), None)
    if why is not None and why.reason is not None:
        symbols = ", ".join(str(refusal.symbol) for refusal in inputs.left_out)
        finding = f"{symbols or 'every symbol'}: {_words(why)}"
        return bad(finding, REASONS[why.reason].remedy, "features", len(needed))
    if not needed:
        return skip("no model says which features it needs")
    return ok(f"all present for {', '.join(inputs.view.universe)}", "features", len(needed))


class SessionRehearsal(NamedTuple):
    """How a policy's session on a generated market went.

    It has the duration in seconds of each pass in which the policy decided. It also has the highest memory use in
    bytes, both of this process and of the largest process that it started.
    """

    session: "date"
    passes: int
    took_s: tuple[float, ...]
    orders: int
    own_bytes: int
    child_bytes: int


def rehearse_session(app: "App", name: str, watch: Callable[[int, int], None]) -> SessionRehearsal:
    """Let a policy trade the first session of a temporary bot with this bot's settings, as `serve` would.

    The time of a pass is measured from the bar's close, when it starts, until its last order is sent. The comparison
    and the exits before it aren't included. `watch` is called with the number of finished slots and the total.
    """
    took_s, orders = list[float](), 0
    with open_generated(with_strategy_alone(app.loaded, name, ()), 0) as rehearsed:
        session = session_of(rehearsed.ledger_view, rehearsed.now(), rehearsed.day)
        assert session is not None, "a generated market is open once it has opened"
        own = rehearsed.rules.of(name).times or rehearsed.strategies[0].times
        times = parse(own, rehearsed.day) if own else rehearsed.settings.timetable[Job.TRADE_ONCE]
        due = [slot.start for slot in slots(Job.TRADE_ONCE, times, session)]
        for number, start in enumerate(due):
            watch(number, len(due))
            rehearsed.engine.sleep((start - rehearsed.now()).total_seconds())
            reconcile.run(rehearsed, by=BY)
            evaluate_exits.run(rehearsed, by=BY, force_slot=True)
            began = time.perf_counter()
            data = trade_once.run(rehearsed, by=BY, force_slot=True).data
            elapsed_s = time.perf_counter() - began
            if isinstance(data, trade_once.EntriesData) and data.candidates:
                took_s.append(elapsed_s)
                orders += data.orders
    # The kernel counts in KiB, and macOS in bytes.
    unit = 1 if sys.platform == "darwin" else 1024
    peaks = (resource.getrusage(who).ru_maxrss * unit for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return SessionRehearsal(session.date, len(due), tuple(took_s), orders, *peaks)


def judge_decision_time(limit_ms: int, name: str, rehearsal: SessionRehearsal) -> CheckResult:
    """Compare the 99th percentile of the decision times with the limit."""
    ordered = sorted(rehearsal.took_s)
    if not ordered:
        finding = f"it made no decision in {pluralize(rehearsal.passes, 'slot')} of a generated session"
        return bad(finding, f"tradebot strategy test {name}", "rehearsed slots", rehearsal.passes)
    usual_ms, late_ms = (ordered[ceil(len(ordered) * share) - 1] * 1000 for share in (0.5, PERCENTILE))
    finding = (
        f"from bar to order: 99% within {late_ms:.0f} ms (limit: {limit_ms} ms), half within {usual_ms:.0f} ms; "
        f"{pluralize(rehearsal.orders, 'order')} sent to the embedded exchange"
    )
    if late_ms > limit_ms:
        fix = "Use a smaller model or a faster machine; stop other programs and run this again"
        return bad(finding, fix, "decisions of a rehearsed session", len(ordered))
    return ok(finding, "decisions of a rehearsed session", len(ordered))


def judge_memory(limit_mb: int, rehearsal: SessionRehearsal) -> CheckResult:
    """Compare the memory of a rehearsal with what `serve` may use."""
    own_mb, child_mb = rehearsal.own_bytes / MB, rehearsal.child_bytes / MB
    used = f"at most {own_mb:,.0f} MB in the bot's process and {child_mb:,.0f} MB in one that it started"
    finding = f"{used}; serve may use {limit_mb:,} MB"
    if own_mb > limit_mb:
        return bad(finding, "Raise serve.max_memory_mb", "processes", 2)
    if own_mb > limit_mb * SHORT_FROM:
        fix = "Raise serve.max_memory_mb; at 80% serve does less, and health is DEGRADED"
        return warn(finding, fix, "processes", 2)
    return ok(finding, "processes", 2)


def _check_last_session(app: "App", name: str) -> CheckResult:
    """Read how the policy decided in the last session that has entry passes."""
    last = app.existing_facts.last_passes(Job.TRADE_ONCE, 1) if app.existing_facts else ()
    if not last:
        return skip("no entry pass is recorded yet")
    day = last[-1].session
    passes = [
        cycle for cycle in app.facts.cycles(job=Job.TRADE_ONCE, since=app.day.begins(day)) if cycle.session == day
    ]
    records = [record for cycle in passes for record in cycle.candidates if record.candidate.strategy == name]
    refusals = [refusal for cycle in passes for refusal in cycle.refused_strategies if refusal.strategy == name]
    orders = sum(record.terminal is None for record in records)
    finding = (
        f"{day}: {pluralize(len(records), 'decision')}, {pluralize(orders, 'order')}, "
        f"{pluralize(len(refusals), 'refusal')} of the policy"
    )
    if refusals:
        reason = refusals[-1].decision.reason
        fix = REASONS[reason].remedy if reason else "tradebot why-no-orders"
        return warn(f"{finding}; the last one: {_words(refusals[-1].decision)}", fix, "passes", len(passes))
    if not records:
        return warn(finding, f"tradebot schedule shows when {name} is due", "passes", len(passes))
    return ok(finding, "passes", len(passes))
