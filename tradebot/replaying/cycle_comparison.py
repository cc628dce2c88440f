"""Run recorded passes again and compare every decision and port call; report the first difference by name."""

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from msgspec import Struct, msgpack

from tradebot.desk.proposals import Proposals
from tradebot.model.desk import Desk
from tradebot.model.record import CycleRecord, Job
from tradebot.ports.world import Rules
from tradebot.replaying.passes import RecordedCycle, bytes_of, decide_again
from tradebot.replaying.port_recording import RecordedQuestion, UnrecordedCallError
from tradebot.replaying.record_writer import RecordError

MISSING = "nothing"
"""The text for the side of a difference that lacks the part."""


class CycleDifference(Struct, frozen=True):
    """The first difference between a recorded pass and the same pass run again.

    `what` names the field. `symbol`, `strategy` and `gate` identify the decision; they are empty for a field of the
    whole pass.
    """

    what: str
    recorded: str
    replayed: str
    symbol: str = ""
    strategy: str = ""
    gate: str = ""


class ReplayedPass(Struct, frozen=True):
    """The result of replaying a pass; `difference` is None if every decision and every port call was the same."""

    difference: CycleDifference | None
    decisions: int


def replay(recorded: RecordedCycle, rules: Rules, *, only_decisions: bool = False) -> ReplayedPass:
    """Run a recorded pass again with these rules, and compare the result with the record.

    With `only_decisions`, the port calls may differ from the recorded ones, because another version may reach the same
    decisions differently.
    """
    tape, then = recorded.tape(), _plain(recorded.outcome)
    decisions = sum(len(candidate["decisions"]) for candidate in then["candidates"])
    try:
        outcome = bytes_of(decide_again(recorded, rules, tape))
    except UnrecordedCallError as error:
        asks = CycleDifference("port calls of the pass", MISSING, str(error))
        return ReplayedPass(_first_call_difference(tape.recorded, tape.asked) or asks, decisions)
    if outcome != recorded.outcome:
        # Fields that a later version added aren't compared with a record from before it.
        now = {name: value for name, value in _plain(outcome).items() if name in then}
        if (cycle_difference := next(_differences(then, now, ()), None)) is not None:
            return ReplayedPass(cycle_difference, decisions)
    return ReplayedPass(None if only_decisions else _first_call_difference(tape.recorded, tape.asked), decisions)


def difference(then: CycleRecord | None, now: CycleRecord | None) -> CycleDifference | None:
    """Return the first difference between two records of a pass, or None; numbers may be equal though written
    differently.

    Either record may be missing.
    """
    if then == now:
        return None
    if then is None or now is None:
        return CycleDifference("the pass", *(MISSING if cycle is None else cycle.id for cycle in (then, now)))
    cycle_differences = _differences(_plain(bytes_of(then)), _plain(bytes_of(now)), ())
    return next((changed for changed in cycle_differences if not _equal(changed.recorded, changed.replayed)), None)


def _equal(*texts: str) -> bool:
    try:
        then, now = map(Decimal, texts)
    except InvalidOperation:
        return False
    return then == now


def _plain(outcome: bytes) -> dict[str, Any]:
    document = msgpack.decode(outcome)
    if not isinstance(document, dict) or not isinstance(document.get("candidates"), list):
        raise RecordError("it doesn't have the decisions")
    return document


def _first_call_difference(then: Sequence[RecordedQuestion], now: Sequence[RecordedQuestion]) -> CycleDifference | None:
    """Return the first port call that differs from the record; None if all are the same."""
    for number in range(max(len(then), len(now))):
        before, after = (questions[number] if number < len(questions) else None for questions in (then, now))
        if before != after:
            names = [question.name if question else MISSING for question in (before, after)]
            same = before is not None and after is not None and before.name == after.name
            what = f"calls of {names[0]}" if same else "port calls of the pass"
            digests = [
                port_call.digest.hex() if same and port_call else name
                for port_call, name in zip((before, after), names, strict=True)
            ]
            return CycleDifference(what, *digests)
    return None


def _differences(then: Any, now: Any, path: tuple[str, ...]) -> Iterator[CycleDifference]:
    """Yield the differences between two outcomes, in order."""
    if isinstance(then, dict) and isinstance(now, dict):
        for name in dict.fromkeys((*then, *now)):
            if then.get(name) != now.get(name) or (name in then) is not (name in now):
                yield from _differences(then.get(name), now.get(name), (*path, str(name)))
    elif isinstance(then, list) and isinstance(now, list) and path[-1:] in (("candidates",), ("decisions",)):
        yield from _in_lists(then, now, path)
    elif then != now:
        yield CycleDifference(".".join(path), _text(then), _text(now))


def _in_lists(then: list[Any], now: list[Any], path: tuple[str, ...]) -> Iterator[CycleDifference]:
    of_candidates = path[-1] == "candidates"
    for number in range(max(len(then), len(now))):
        before, after = (values[number] if number < len(values) else None for values in (then, now))
        if before == after:
            continue
        names: dict[str, Any] = before or after or {}
        for difference in _differences(before or {}, after or {}, ()):
            if of_candidates:
                about = names["candidate"]
                subject = about["instrument"]["symbol"], about["strategy"], difference.gate
                yield CycleDifference(difference.what, difference.recorded, difference.replayed, *subject)
            else:
                yield CycleDifference(difference.what, difference.recorded, difference.replayed, gate=names["gate"])


def _text(value: Any) -> str:
    return MISSING if value is None else str(value)


Slot = tuple[Job, date, str]
"""The key of a pass on both sides."""


class PassSeen(Struct, frozen=True):
    """One pass: its decisions, its desk, and its proposals, which are None for an exit pass.

    `otherwise` says what this program decides differently on the same inputs; empty if nothing.
    """

    cycle: CycleRecord
    desk: Desk
    proposed: Proposals | None = None
    otherwise: str = ""

    @property
    def slot(self) -> Slot:
        return self.cycle.job, self.cycle.session, self.cycle.slot

    @property
    def evaluated_at(self) -> datetime:
        """Return when the pass's strategies ran, according to its candidates."""
        candidates: Sequence[datetime] = (
            [candidate.at for candidate in self.proposed.candidates] if self.proposed else []
        )
        return min(candidates, default=self.desk.now)
