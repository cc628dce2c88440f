"""Halt the bot automatically: every pass checks its desk for causes and halts before anything is sent.

This is the same halt that `tradebot halt` sets, so the same rules apply to it.
"""

from datetime import datetime
from decimal import Decimal

from tradebot.desk.snapshot import take_desk
from tradebot.gates.halts import BY_ITSELF, CLEARED_BY, causes_text, failing_rules, override_for, with_outcome
from tradebot.gates.shared_gates import clocks_agree
from tradebot.model.account import AccountValue, EquityPeak
from tradebot.model.books import AccountState
from tradebot.model.decision import Decision
from tradebot.model.desk import Desk
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Override, TradingState, TradingStateRecord, hidden_halts
from tradebot.ports.stores import Events, Ledger, Money, States
from tradebot.ports.world import World


def halt_if_needed(world: World, desk: Desk) -> Desk:
    """Store the highest equity so far, halt if there is a cause, and return the resulting desk.

    A dry run halts nothing; its desk shows what would happen.
    """
    if not world.dry_run:
        _take_over(world, desk)
        remember(world.ledger, desk.books.standing, desk.book.equity, desk.book.worth)
    return _halt_for_causes(world, desk)


def halt_if_tripped(world: World, desk: Desk, sent: Decision) -> Desk:
    """Return the desk with the outcome of the order just sent; halt if the broker's response trips a limit."""
    after = with_outcome(desk, sent)
    return desk if after is desk else _halt_for_causes(world, after)


def remaining_causes(world: World) -> str:
    """Describe each cause that would halt the bot again, with its remedy; empty if there are none."""
    causes = failing_rules(take_desk(world, for_entries=False), world.rules.halts)
    return "; ".join(f"{causes_text([cause])}, {CLEARED_BY[cause.reason]}" for cause in causes if cause.reason)


def accept_causes(ledger: Ledger, halt: TradingStateRecord, why: str) -> tuple[str, Override | None]:
    """Return the reason to record when trading becomes ACTIVE, and what a person accepts by ending a halt.

    The person accepts the halt's causes, and those of older halts that this halt has hidden. If a drawdown is among
    them, the stored highest equity is reset, and later drawdowns are measured from the next equity on: a halted bot
    could never recover by trading. The broker isn't queried, because a person may end a halt while the broker doesn't
    answer.
    """
    accepted, peak = override_for((*hidden_halts(ledger.halts(), halt), halt)), ledger.equity_peak()
    if accepted and peak and Reason.DRAWDOWN_REACHED in accepted.causes:
        ledger.put_equity_peak(replace(peak, highest=Decimal(0)))
    return f"override: {why}", accepted


def halt_for(ledger: Ledger, events: Events, cause: Reason, why: str, at: datetime) -> None:
    """Halt for a cause that the desk doesn't show: a fault in the bot's own pass, or repeated crashes of `serve`."""
    if ledger.trading_state().state is TradingState.ACTIVE:
        _halt(ledger, events, f"{cause}: {why}", frozenset({cause}), at)


def _take_over(world: World, desk: Desk) -> None:
    """Record a halt that only exists as a person's HALT file, so that deleting the file doesn't end it.

    If the state merely couldn't be read, this pass opens nothing, but that isn't a halt somebody set.
    """
    record = desk.state
    if record.state is TradingState.ACTIVE or record.at is None or world.ledger.halts() or not world.ledger.armed():
        return
    details = {"who": record.who, "why": record.why}
    world.events.emit(EventKind.HALTED_BY_FILE.at(desk.now, details))
    world.ledger.set_trading_state(record)


def _halt_for_causes(world: World, desk: Desk) -> Desk:
    """Halt for the causes on a desk, unless the trading state already blocks entries for another reason.

    While the clocks disagree, we can't tell which refusals are recent or whether an override's session is over. The
    gates keep blocking entries, and any cause that remains halts the bot once the clocks agree again.
    """
    causes = failing_rules(desk, world.rules.halts)
    if not causes or desk.state.state is not TradingState.ACTIVE:
        return desk
    if not clocks_agree(desk.clock_ahead_s, world.rules.limits).passed:
        return desk
    why, reasons = causes_text(causes), frozenset(cause.reason for cause in causes if cause.reason)
    if not world.dry_run:
        _halt(world.ledger, world.events, why, reasons, desk.now)
    return replace(desk, state=TradingStateRecord(TradingState.REDUCE_ONLY, BY_ITSELF, why, desk.now, reasons))


def _halt(ledger: States, events: Events, why: str, causes: frozenset[Reason], at: datetime) -> None:
    # Emit the event first: if the history can't be written, the event may be the only record of the cause.
    events.emit(EventKind.HALTED_ITSELF.at(at, {"why": why}))
    ledger.set_trading_state(TradingStateRecord(TradingState.REDUCE_ONLY, BY_ITSELF, why, at, causes=causes))


JUMP = 10
"""Equity above this multiple of the known value only counts once a second pass has seen it."""


def remember(ledger: Money, account_state: AccountState, equity: Decimal, worth: AccountValue | None) -> None:
    """Store a new highest equity in USD if cash and positions explain it.

    A jump counts only if it is seen twice, and then the lower of the two values is stored. Before the first reading,
    the opening cash is the known value.
    """
    if account_state.opening_cash is None or (worth and not worth.explains(equity)):
        return
    before = account_state.peak or EquityPeak(Decimal(0), Decimal(0))
    jumped = equity > JUMP * (before.highest or account_state.opening_cash)
    believed = min(equity, before.seen_once) if jumped else equity
    now = EquityPeak(max(before.highest, believed), equity if jumped else Decimal(0))
    if now != before:
        ledger.put_equity_peak(now)
