"""Judge what is at risk: permission, positions and their exits, and the limits on the book as it is."""

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal

from tradebot.exits.held import Held, best_price
from tradebot.exits.lists import Exits, in_force, worst_stop
from tradebot.exits.rules import is_blind, judge
from tradebot.gates import book as limits_of
from tradebot.gates import own as own_limits
from tradebot.gates import rates
from tradebot.gates.book import monitors
from tradebot.judging.books import nothing, silent
from tradebot.judging.judgment import Judgment, Look, State, looked
from tradebot.judging.trading import Broker, Trading
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Book
from tradebot.model.position import Kept, Position
from tradebot.model.reasons import REASONS, Reason
from tradebot.model.record import CandidateRecord
from tradebot.model.text import counted, plain
from tradebot.ports.world import Rules

POSITIONS = "tradebot positions"
EXITS = "tradebot evaluate-exits"
WAITING = frozenset({Reason.HOLD, Reason.ORDER_WORKING, Reason.INTENT_UNRESOLVED, Reason.DRY_RUN})
"""Reasons of an exit decision that leave the position managed: its rules hold it, or an order for it is out."""


def positions(evidence: Trading) -> Judgment:
    """Judge the positions in the books. Foreign positions are judged when the books are compared with the broker."""
    name = "own positions"
    if not evidence.fills:
        return nothing(name, "position", evidence)
    held = evidence.positions
    look = Look("fills", evidence.fills, evidence.newest_fill)
    outside = sorted({p.symbol for p in held} - set(evidence.rules.universe))
    found = f"{len(held)} open" + (f"; no longer in the universe: {', '.join(outside)}" if outside else "")
    if isinstance(evidence.broker, Broker) and evidence.broker.leaps:
        leaps = (f"{one.symbol} of {one.strategy} was {one.before} and is {one.after}" for one in evidence.broker.leaps)
        found += f"; impossible by the broker's last fills: {', '.join(leaps)}"
        return looked(name, look, evidence.moment.now, State.FAILED, found, "tradebot reconcile")
    return looked(name, look, evidence.moment.now, State.OK, found)


def exits_recorded(evidence: Trading) -> Judgment:
    """Judge whether the last pass of evaluate-exits looked at every position and could close what it had to."""
    name, held, last = "exits as recorded", evidence.positions, evidence.exits
    if not held:
        return _unheld(name, evidence)
    if last is None:
        found = f"{counted(len(held), 'position')}, but no pass of evaluate-exits is on record: nothing watches them"
        return Judgment(name, State.FAILED, "passes", 0, found, EXITS)
    records = {(r.candidate.strategy, r.candidate.symbol): r for r in last.candidates if r.candidate.source == "exit"}
    unseen = [p.symbol for p in held if (p.strategy, p.symbol) not in records and p.opened_at <= last.at]
    stuck = [why for record in records.values() if (why := _stuck(record))]
    look = Look("exit decisions", len(records), last.at)
    if unseen or stuck:
        found = "; ".join((*stuck, *([f"not looked at: {', '.join(unseen)}"] if unseen else [])))
        return looked(name, look, evidence.moment.now, State.FAILED, found, EXITS)
    if not records:
        found = f"{counted(len(held), 'position')} opened since the last pass, which looked at none"
        return looked(name, look, evidence.moment.now, State.UNKNOWN, found, EXITS)
    return looked(name, look, evidence.moment.now, State.OK, "each was held or is being closed")


def _stuck(record: CandidateRecord) -> str | None:
    """Return why a position wasn't closed or judged although it should have been; None if it is managed."""
    terminal = record.terminal
    if terminal is None or terminal.reason is None or terminal.reason in WAITING:
        return None
    return f"{record.candidate.symbol} ended at {terminal.reason}: {REASONS[terminal.reason].meaning}"


def exits_now(evidence: Trading) -> Judgment:
    """Apply the exit rules to each position at current quotes; a position past its rule should be closing."""
    name, broker = "exits at quotes", evidence.broker
    if not isinstance(broker, Broker):
        return silent(name, broker)
    if not evidence.positions:
        return _unheld(name, evidence)
    answers = [(p, _exit(p, broker, evidence)) for p in evidence.positions]
    look = Look("positions", len(answers), max((q.at for q in broker.quotes.values()), default=None))
    blind = [p.symbol for p, decision in answers if is_blind(decision)]
    busy = broker.book.own_working | broker.book.unresolved
    beyond = [f"{p.symbol} {d.reason}" for p, d in answers if d.passed and p.symbol not in busy]
    now = evidence.moment.now
    if not evidence.moment.is_open:
        found = f"the session is closed; exit rules would close {len(beyond)} of {len(answers)} at these quotes"
        return looked(name, look, now, State.OK, found)
    if beyond or blind:
        found = "; ".join(
            f"{what}: {', '.join(names)}"
            for what, names in (("should be closing", beyond), ("can't be judged", blind))
            if names
        )
        return looked(name, look, now, State.FAILED if blind else State.DEGRADED, found, EXITS)
    return looked(name, look, now, State.OK, f"each is within its rules or being closed{_unstopped(evidence)}")


def _unstopped(evidence: Trading) -> str:
    """Return which positions have no stop, because their strategies' exits have none; that is the owner's choice."""
    names = [position.symbol for position in evidence.positions if worst_stop(_rules(position, evidence)) is None]
    return f"; without a stop: {', '.join(names)}" if names else ""


def _exit(position: Position, broker: Broker, evidence: Trading) -> Decision:
    quote = broker.quotes.get(position.symbol)
    ratio = broker.position_ratios.get(position.symbol, Decimal(1))
    best = best_price(position, quote if ratio == 1 else None, _kept(position, evidence).best)
    rules, state = _rules(position, evidence), evidence.state.state
    return judge(Held(position, best), quote, evidence.moment.now, rules, state, ratio).decision


def _rules(position: Position, evidence: Trading) -> Exits:
    return in_force(evidence.rules.exits_of(position.strategy), _kept(position, evidence))


def _kept(position: Position, evidence: Trading) -> Kept:
    return evidence.kept.get((position.strategy, position.symbol), Kept())


def _unheld(name: str, evidence: Trading) -> Judgment:
    if not evidence.fills:
        return nothing(name, "position", evidence)
    look = Look("fills", evidence.fills, evidence.newest_fill)
    return looked(name, look, evidence.moment.now, State.OK, "no position is open, so there is nothing to protect")


_LIMITS = (
    Gate.GROSS_NOTIONAL,
    Gate.SYMBOL_NOTIONAL,
    Gate.SECTOR_NOTIONAL,
    Gate.OPEN_POSITIONS,
    Gate.DAILY_LOSS,
    Gate.DRAWDOWN,
    Gate.SESSION_ENTRIES,
)


def limits(evidence: Trading) -> Iterator[Judgment]:
    """Check each limit on the book as it is, with the predicate that the gates apply to the book plus one order."""
    broker = evidence.broker
    if not isinstance(broker, Broker):
        yield silent("limits on the book", broker)
        return
    answers: dict[Gate, list[tuple[str, Decision]]] = defaultdict(list)
    rules = evidence.rules
    on_book, on_entries = monitors(broker.book, rules.limits, rules.halts), rates.monitors(broker.book, rules.limits)
    on_losses = limits_of.loss_monitors(broker.book, rules.limits, evidence.moment.now)
    for subject, decision in (*on_book, *on_entries, *on_losses, *_of_strategies(broker.book, rules, evidence)):
        answers[decision.gate].append((subject, decision))
    # Rate limits have an answer only once something was entered, so they come after the fixed ones.
    for gate in (*_LIMITS, *(gate for gate in answers if gate not in _LIMITS)):
        yield _limit(gate, answers[gate], broker, evidence)


def _of_strategies(book: Book, rules: Rules, evidence: Trading) -> Iterator[tuple[str, Decision]]:
    """Yield the decisions of each strategy's own limits on its part of the book; a subject begins with its name."""
    names = (*rules.own, *(stake.strategy for stake in book.stakes))
    for name in dict.fromkeys(names):
        own = rules.of(name)
        part = book.own(name, own.allotment_fraction * book.equity, rules.sectors)
        for subject, decision in own_limits.monitors(part, own.limits, evidence.moment.now):
            yield f"{name} {subject}".rstrip(), decision


def _limit(gate: Gate, answers: list[tuple[str, Decision]], broker: Broker, evidence: Trading) -> Judgment:
    name, now = gate.value, evidence.moment.now
    if not answers:
        look = Look("account without exposure", 1, broker.clock.now)
        return looked(name, look, now, State.OK, "nothing is exposed")
    look = Look("values", len(answers), broker.clock.now)
    broken = [(subject, d) for subject, d in answers if not d.passed]
    subject, worst = max(broken or answers, key=lambda answer: _size(answer[1]))
    numbers = f"{subject} {plain(worst.observed)} against {plain(worst.limit)}".lstrip()
    if not broken:
        return looked(name, look, now, State.OK, f"largest: {numbers}")
    unknown = worst.verdict is Verdict.UNKNOWN
    found = f"{len(broken)} over the limit, {numbers}: {REASONS[worst.reason].meaning}" if worst.reason else numbers
    return looked(name, look, now, State.UNKNOWN if unknown else State.FAILED, found, POSITIONS)


def _size(decision: Decision) -> float:
    return 0.0 if isinstance(decision.observed, str | None) else float(decision.observed)
