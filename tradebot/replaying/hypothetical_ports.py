"""Replay a recorded pass with other rules or on another desk; calls that didn't happen originally are simulated.

Port calls of the original pass get the recorded replies. An order that wasn't sent originally is accepted without
further effect. Other calls are answered from the desk, or with nothing if nothing is known.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from types import MappingProxyType, NoneType
from typing import Any, NamedTuple, get_args

from msgspec import msgpack

from tradebot.model.desk import Desk
from tradebot.model.intent import Intent
from tradebot.model.order import Reply, WriteOutcome
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord
from tradebot.model.struct_tools import replace
from tradebot.model.trading import SlotClaim
from tradebot.ports.world import Rules
from tradebot.replaying.passes import RecordedCycle, decide_again
from tradebot.replaying.port_recording import BEFORE, PASSED_ON, RecordedPorts, UnrecordedCallError
from tradebot.replaying.record_reader import RecordSource
from tradebot.replaying.record_writer import CLOCKS, RecordError, is_mapping, is_union, items_of, reply_hint

SUBMIT = "orders.submit"
DUPLICATE = Reason.DUPLICATE_INTENT.encode()
TELLING = frozenset({"events.emit", BEFORE})
"""The calls that report, or read the previous pass for comparison only."""
ACCEPTED = Reply(WriteOutcome.ACCEPTED)


class HypotheticalPorts(RecordedPorts):
    """Recorded ports that also answer new calls, as a simulation on the pass's `desk` would.

    `sent` are the new orders that were accepted.
    """

    def __init__(self, rows: Sequence[Any], constants: Mapping[str, Any], source: RecordSource) -> None:
        super().__init__(rows, constants, source)
        self._last = {(row[0], row[1]): row for row in rows}
        self._outcome = b""
        self.sent: list[Intent] = []
        self.desk: Desk | None = None

    def on(self, desk: Desk, outcome: bytes) -> None:
        """Set the desk from which new calls are answered, and the recorded decisions."""
        self.desk, self._outcome = desk, outcome

    @cached_property
    def _recorded_orders(self) -> frozenset[str]:
        return recorded_before(self._outcome)

    @property
    def sent_then(self) -> Iterator[Intent]:
        """Yield the orders that the venue accepted in the recorded pass."""
        read = self.source.shapes.reader(Intent, inline=True)
        for row in self._last.values():
            if row[0] == SUBMIT and len(row) == 4 and self.source.read(Reply, row[3]).outcome is WriteOutcome.ACCEPTED:
                yield read(row[2][0], self.source)

    def answer(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Return the reply to a port call, and note accepted orders.

        Events are dropped. The previous pass isn't read, because it would only be compared with this one to report what
        is new.
        """
        if name in TELLING:
            return None
        reply = super().answer(name, arguments)
        if name == SUBMIT and reply.outcome is WriteOutcome.ACCEPTED:
            self.sent.append(arguments[0])
        return reply

    def reply(self, name: str, digest: bytes) -> list[Any] | None:
        """Return the next recorded reply to a call; for more calls than recorded, repeat the last reply.

        Return None if the call wasn't recorded, or for more clock readings than recorded.
        """
        return super().reply(name, digest) or (None if name in CLOCKS else self._last.get((name, digest)))

    def attribute(self, name: str) -> Any:
        """Return a port's method or constant by name."""
        if name == "market.rejected_quotes" and name not in self._constants:
            return self._known_desk.rejected_quotes
        return super().attribute(name)

    def unknown(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Return the simulated reply to a call without a recorded one."""
        if name in PASSED_ON:
            return ACCEPTED
        if name == "ledger.record_intent":
            return arguments[0].client_order_id not in self._recorded_orders
        if name in KNOWN:
            return KNOWN[name](self._known_desk, arguments)
        hint = reply_hint(name) if name not in CLOCKS else None
        if hint is not None and (is_mapping(hint) or items_of(hint)):
            return MappingProxyType({}) if is_mapping(hint) else ()
        if is_union(hint) and NoneType in get_args(hint):
            return None
        return super().unknown(name, arguments)

    @property
    def _known_desk(self) -> Desk:
        assert self.desk is not None, "the desk must be set before a hypothetical pass is decided"
        return self.desk


def _claim_anything(desk: Desk, arguments: tuple[Any, ...]) -> SlotClaim:
    job, session, slot, by, at = arguments
    return SlotClaim(job, session, slot, by, at, won=True)


KNOWN: Mapping[str, Callable[[Desk, tuple[Any, ...]], Any]] = {
    "reader.clock": lambda desk, arguments: desk.clock,
    "reader.account": lambda desk, arguments: desk.account,
    "ledger.trading_state": lambda desk, arguments: desk.state,
    "ledger.claim_slot": _claim_anything,
    "ledger.intents_by_id": lambda desk, arguments: {
        name: desk.books.intents_by_id[name] for name in arguments[0] if name in desk.books.intents_by_id
    },
    "ledger.apply_orders": lambda desk, arguments: 0,
    "market.quotes": lambda desk, arguments: {
        symbol: desk.quotes[symbol] for symbol in arguments[0] if symbol in desk.quotes
    },
    "stopwatch": lambda desk, arguments: desk.taken_s,
    "second_clock": lambda desk, arguments: desk.now,
}
"""The desk's replies to calls without a recorded one."""


class ReplayOutcome(NamedTuple):
    """The record of a pass that was decided again, and the orders that were accepted only in this run."""

    cycle: CycleRecord
    sent: tuple[Intent, ...]


def decide(recorded: RecordedCycle, rules: Rules) -> ReplayOutcome:
    """Replay a recorded pass with these rules, on its recorded desk and its strategies' recorded results.

    Nothing is sent. With the record's own rules and inputs, the result equals the record, because each order is
    accepted or refused as it was then. A record can be replayed any number of times. Raise RecordError if the pass
    makes a call whose reply can't be known.
    """
    tape = supposed_tape(recorded)
    try:
        return ReplayOutcome(decide_again(recorded, rules, tape), tuple(tape.sent))
    except UnrecordedCallError as error:
        raise RecordError(f"with this change it calls {error}, whose reply is unknown") from error


def supposed_tape(recorded: RecordedCycle) -> HypotheticalPorts:
    """Return a record's ports, which answer calls without a recorded reply from the pass's desk."""
    tape = recorded.tape(HypotheticalPorts)
    assert isinstance(tape, HypotheticalPorts)
    tape.on(recorded.given.desk, recorded.outcome)
    return tape


def recorded_before(outcome: bytes) -> frozenset[str]:
    """Return the client order ids of the orders that a pass didn't send because their intents were already recorded."""
    if DUPLICATE not in outcome:
        return frozenset()
    decisions = (decision for candidate in msgpack.decode(outcome)["candidates"] for decision in candidate["decisions"])
    return frozenset(
        str(decision["observed"]) for decision in decisions if decision["reason"] == Reason.DUPLICATE_INTENT
    )


def with_inputs(recorded: RecordedCycle, **changes: Any) -> RecordedCycle:
    """Return a record with some inputs replaced, such as `desk` or `proposed`."""
    return replace(recorded, given=replace(recorded.given, **changes))
