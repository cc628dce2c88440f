"""The rules that halt the bot. Each is one predicate with two uses: a gate on every entry, and a monitor on every pass.

A monitor that fails halts the bot until a person ends the halt; a gate that fails refuses one order. An UNKNOWN never
halts, because a venue that doesn't answer for a moment is no reason to call a person. As a gate, it still blocks
entries.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from decimal import Decimal

from tradebot.gates.ask import ACCOUNT, AccountAsk
from tradebot.gates.expiry import none_overdue
from tradebot.gates.gate_declarations import CLOSING, QUIET, GateSettings, Question
from tradebot.gates.margin import maintenance_halt, margin_halt
from tradebot.gates.portfolio_limits import check_drawdown, daily_loss_halt, equity_floor_halt, share
from tradebot.gates.shared_gates import answer
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk, RiskBook
from tradebot.model.limits import HaltRules
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Override, TradingState, TradingStateRecord, own_halts

BY_ITSELF = "tradebot"
"""The recorded author of a halt that the bot set itself."""
STORMS = frozenset({Reason.REJECT_STORM, Reason.UNKNOWN_STORM})

CLEARED_BY = {
    Reason.DAILY_LOSS_HALT: "which clears in the next session",
    Reason.DRAWDOWN_REACHED: "which needs unhalt --override (drawdown is then measured from the current equity on)",
    Reason.EQUITY_FLOOR_HALT: "which clears when equity is above halts.min_equity_usd again, or if that is lowered",
    Reason.MARGIN_HALT: "which clears when initial margin is below halts.margin_fraction of equity again",
    Reason.MAINTENANCE_HALT: "which clears when maintenance margin is below halts.maintenance_fraction of equity again",
    Reason.CONTRACT_OVERDUE: "which clears when the contract isn't held any more",
    Reason.POSITIONS_HALT: "which clears when fewer positions than halts.positions are open, or if that is raised",
    Reason.SYMBOL_HALT: "which clears when each position is below halts.symbol_fraction of equity again",
    Reason.REJECT_STORM: "which clears after halts.storm_window_s",
    Reason.UNKNOWN_STORM: "which clears after reconcile has looked the orders up, or after halts.storm_window_s",
    Reason.SECOND_WRITER: "which clears when the other copy's orders have ended, or needs unhalt --override if one"
    " has filled or has our id",
    Reason.BOOKS_OLD: "which needs reconcile --apply PLAN to take those orders over",
    Reason.VENUE_DRIFT: "which clears when the broker's replies can be read again",
    Reason.PASS_FAULT: "which needs a person to read the error",
    Reason.CRASH_LOOP: "which needs a person to see why serve ended",
}
"""The remedy of each cause of a halt. None needs an entry, which a halted bot can't send."""


def refusals(desk: Desk, halts: HaltRules) -> Decision:
    """Compare how many orders the venue rejected within the window with the limit."""
    count, limit = _within(desk.halt_evidence.refused, desk, halts, Reason.REJECT_STORM), halts.rejects
    return answer(Gate.REFUSALS, count < limit, Reason.REJECT_STORM, count, limit)


def check_unanswered_orders(desk: Desk, halts: HaltRules) -> Decision:
    """Compare how many orders within the window still have no answer with the limit."""
    count, limit = _within(desk.halt_evidence.unanswered, desk, halts, Reason.UNKNOWN_STORM), halts.unknowns
    return answer(Gate.UNANSWERED, count < limit, Reason.UNKNOWN_STORM, count, limit)


def second_writer(desk: Desk) -> Decision:
    """Fail if someone else has placed orders with our mark."""
    unknown = desk.halt_evidence.unknown_orders
    return answer(Gate.SECOND_WRITER, not unknown, Reason.SECOND_WRITER, ", ".join(unknown[:3]) or len(unknown), 0)


def books_old(desk: Desk) -> Decision:
    """Fail if the account has orders of the bot that these books don't contain: the books are then too old."""
    forgotten_orders = desk.halt_evidence.forgotten
    return answer(
        Gate.BOOKS_OLD,
        not forgotten_orders,
        Reason.BOOKS_OLD,
        ", ".join(forgotten_orders[:3]) or len(forgotten_orders),
        0,
    )


def venue_drift(desk: Desk, halts: HaltRules) -> Decision:
    """Compare how many of the venue's rows couldn't be parsed with the limit."""
    count, limit = desk.halt_evidence.unreadable, halts.unreadable_rows
    return answer(Gate.VENUE_DRIFT, count < limit, Reason.VENUE_DRIFT, count, limit)


def positions_halt(book: RiskBook, halts: HaltRules) -> Decision | None:
    """Compare the number of positions with the number that halts the bot; unfilled orders don't count."""
    if halts.positions is None:
        return None
    position_count = len(book.held | book.foreign)
    return answer(
        Gate.POSITIONS_HELD, position_count < halts.positions, Reason.POSITIONS_HALT, position_count, halts.positions
    )


def symbol_halt(book: RiskBook, halts: HaltRules) -> Decision | None:
    """Compare our largest position with the size that halts the bot, as a share of equity."""
    limit = halts.symbol_fraction
    if limit is None:
        return None
    worth = defaultdict[str, Decimal](Decimal)
    for stake in book.stakes:
        worth[stake.symbol] += stake.usd if stake.held else 0
    decision = share(book, Gate.LARGEST_POSITION, Reason.SYMBOL_HALT, max(worth.values(), default=Decimal(0)), limit)
    at_limit = decision.passed and decision.observed == limit
    return replace(decision, verdict=Verdict.FAIL, reason=Reason.SYMBOL_HALT) if at_limit else decision


def monitors(desk: Desk, halts: HaltRules) -> tuple[Decision, ...]:
    of_book = (equity_floor_halt, margin_halt, maintenance_halt, positions_halt, symbol_halt)
    optional = (none_overdue(desk), *(rule(desk.book, halts) for rule in of_book))
    return (
        second_writer(desk),
        books_old(desk),
        venue_drift(desk, halts),
        refusals(desk, halts),
        check_unanswered_orders(desk, halts),
        daily_loss_halt(desk.book, halts),
        check_drawdown(desk.book, halts),
        *(decision for decision in optional if decision),
    )


def failing_rules(desk: Desk, halts: HaltRules) -> tuple[Decision, ...]:
    """Return the rules that fail now, except those a person has overridden in this session."""
    failed = (decision for decision in monitors(desk, halts) if decision.verdict is Verdict.FAIL)
    return tuple(decision for decision in failed if not _overridden(desk, decision.reason))


def override_for(halts: Iterable[TradingStateRecord]) -> Override | None:
    """Return the causes that a person accepts by overriding these halts; None if the bot itself caused none of them.

    The override is dated by the bot's last halt, in trading time; a person's halt has no trading time.
    """
    own = own_halts(halts)
    causes = frozenset[Reason]().union(*(halt.causes for halt in own))
    return Override(causes, max(halt.at for halt in own if halt.at)) if causes else None


def causes_text(causes: Iterable[Decision]) -> str:
    """Format causes with their numbers, as the ledger records them for a halt."""
    return "; ".join(f"{d.reason}: {_number(d.observed)} against {_number(d.limit)}" for d in causes)


def _number(value: object) -> str:
    return str(value) if isinstance(value, str | int) else f"{float(str(value)):.4g}"


def _override(desk: Desk) -> Override | None:
    """Return the current override: None unless the state is ACTIVE and the override isn't dated in the future."""
    override = desk.state.override if desk.state.state is TradingState.ACTIVE else None
    return override if override is not None and override.at <= desk.now else None


def _overridden(desk: Desk, reason: Reason | None) -> bool:
    """Return True if a person accepted this cause in this session.

    A burst of rejections is never accepted in advance: its count starts again at the override.
    """
    override = _override(desk)
    if override is None or reason is None or reason in STORMS or desk.session is None:
        return False
    return reason in override.causes and desk.session.contains(override.at)


def _within(times: Iterable[datetime], desk: Desk, halts: HaltRules, reason: Reason) -> int:
    since = desk.now - timedelta(seconds=halts.storm_window_s)
    override = _override(desk)
    if override is not None and reason in override.causes:
        since = max(since, override.at)
    return sum(at > since for at in times)


def with_outcome(desk: Desk, sent: Decision) -> Desk:
    """Return the desk with the outcome of an order that was just sent.

    Return the same desk if the outcome can't lead to a halt.
    """
    halt_evidence = desk.halt_evidence
    if sent.reason is Reason.VENUE_REJECTED:
        halt_evidence = replace(halt_evidence, refused=(*halt_evidence.refused, desk.now))
    elif sent.reason is Reason.VENUE_UNKNOWN:
        halt_evidence = replace(halt_evidence, unanswered=(*halt_evidence.unanswered, desk.now))
    elif sent.reason is Reason.SECOND_WRITER:
        # Someone else has placed an order with this id.
        halt_evidence = replace(halt_evidence, unknown_orders=(*halt_evidence.unknown_orders, str(sent.observed)))
    return desk if halt_evidence is desk.halt_evidence else replace(desk, halt_evidence=halt_evidence)


def _halting(gate: Gate, **cleared_by: str) -> Callable[[Question[AccountAsk]], Question[AccountAsk]]:
    """Declare a gate with the rules that halt the bot, and what has to happen before a person ends the halt."""
    return ACCOUNT.gate(gate, GateSettings(halts=cleared_by))


_halting(Gate.SECOND_WRITER)(lambda account: second_writer(account.desk))
_halting(Gate.BOOKS_OLD)(lambda account: books_old(account.desk))
_halting(Gate.VENUE_DRIFT, unreadable_rows="replies that can be read, then unhalt")(
    lambda account: venue_drift(account.desk, account.halts)
)
_halting(Gate.REFUSALS, rejects="the end of the window, then unhalt", storm_window_s=QUIET)(
    lambda account: refusals(account.desk, account.halts)
)
_halting(Gate.UNANSWERED, unknowns="reconcile or the end of the window, then unhalt")(
    lambda account: check_unanswered_orders(account.desk, account.halts)
)
_halting(Gate.DRAWDOWN, drawdown_fraction="unhalt --override, which measures from the current equity on")(
    lambda account: check_drawdown(account.book, account.halts)
)
_halting(Gate.POSITIONS_HELD, positions=f"{CLOSING}, then unhalt")(
    lambda account: positions_halt(account.book, account.halts)
)
_halting(Gate.LARGEST_POSITION, symbol_fraction=f"{CLOSING}, then unhalt")(
    lambda account: symbol_halt(account.book, account.halts)
)
