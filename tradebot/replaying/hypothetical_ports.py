"""Decide a recorded pass by other rules, or on another desk: what then happens that didn't, happens as in a simulation.

What the pass asks as it did then is answered as then. An order that wasn't sent then is accepted and goes nowhere. What
nobody asked then is answered from the desk, or with nothing if nothing of it is known.
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
from tradebot.replaying.port_recording import BEFORE, PASSED_ON, OffTapeError, RecordedPorts
from tradebot.replaying.record_reader import RecordSource
from tradebot.replaying.record_writer import CLOCKS, RecordError, is_mapping, is_union, items_of, reply_hint

SUBMIT = "orders.submit"
DUPLICATE = Reason.DUPLICATE_INTENT.encode()
TELLING = frozenset({"events.emit", BEFORE})
"""What a pass tells, and how it asks for the pass before it, which it only compares with that."""
ACCEPTED = Reply(WriteOutcome.ACCEPTED)


class Supposed(RecordedPorts):
    """A tape that also answers what wasn't asked then, as a simulation would on the `desk` of the pass.

    `sent` are the new orders that were accepted.
    """

    def __init__(self, told: Sequence[Any], constants: Mapping[str, Any], source: RecordSource) -> None:
        super().__init__(told, constants, source)
        self._last = {(one[0], one[1]): one for one in told}
        self._outcome = b""
        self.sent: list[Intent] = []
        self.desk: Desk | None = None

    def on(self, desk: Desk, outcome: bytes) -> None:
        """Set the desk that the pass decides on, and what it decided then."""
        self.desk, self._outcome = desk, outcome

    @cached_property
    def _promised_orders(self) -> frozenset[str]:
        return promised_before(self._outcome)

    @property
    def sent_then(self) -> Iterator[Intent]:
        """Yield the new orders that were accepted when the pass was recorded."""
        read = self.source.shapes.reader(Intent, inline=True)
        for one in self._last.values():
            if one[0] == SUBMIT and len(one) == 4 and self.source.read(Reply, one[3]).outcome is WriteOutcome.ACCEPTED:
                yield read(one[2][0], self.source)

    def answer(self, name: str, asked: tuple[Any, ...]) -> Any:
        """Return the reply to a question, and note the orders that are accepted.

        What a pass tells people goes nowhere here, so what it would compare that with isn't read either.
        """
        if name in TELLING:
            return None
        reply = super().answer(name, asked)
        if name == SUBMIT and reply.outcome is WriteOutcome.ACCEPTED:
            self.sent.append(asked[0])
        return reply

    def reply(self, name: str, digest: bytes) -> list[Any] | None:
        """Return the next recorded reply to a question; if it is asked more often than recorded, the last reply
        repeats.
        """
        return super().reply(name, digest) or (None if name in CLOCKS else self._last.get((name, digest)))

    def attribute(self, name: str) -> Any:
        """Return what stands under a name of a port."""
        if name == "market.rejected_quotes" and name not in self._constants:
            return self._known_desk.rejected_quotes
        return super().attribute(name)

    def unknown(self, name: str, asked: tuple[Any, ...]) -> Any:
        """Return what a simulation replies to a question that wasn't asked then."""
        if name in PASSED_ON:
            return ACCEPTED
        if name == "ledger.promise":
            return asked[0].client_order_id not in self._promised_orders
        if name in KNOWN:
            return KNOWN[name](self._known_desk, asked)
        hint = reply_hint(name) if name not in CLOCKS else None
        if hint is not None and (is_mapping(hint) or items_of(hint)):
            return MappingProxyType({}) if is_mapping(hint) else ()
        if is_union(hint) and NoneType in get_args(hint):
            return None
        return super().unknown(name, asked)

    @property
    def _known_desk(self) -> Desk:
        assert self.desk is not None, "a supposed pass has a desk"
        return self.desk


def _claim_anything(desk: Desk, asked: tuple[Any, ...]) -> SlotClaim:
    job, session, slot, by, at = asked
    return SlotClaim(job, session, slot, by, at, won=True)


KNOWN: Mapping[str, Callable[[Desk, tuple[Any, ...]], Any]] = {
    "reader.clock": lambda desk, asked: desk.clock,
    "reader.account": lambda desk, asked: desk.account,
    "ledger.trading_state": lambda desk, asked: desk.state,
    "ledger.claim_slot": _claim_anything,
    "ledger.promised": lambda desk, asked: {
        one: desk.books.promised[one] for one in asked[0] if one in desk.books.promised
    },
    "ledger.apply_orders": lambda desk, asked: 0,
    "market.quotes": lambda desk, asked: {one: desk.quotes[one] for one in asked[0] if one in desk.quotes},
    "stopwatch": lambda desk, asked: desk.taken_s,
    "second_clock": lambda desk, asked: desk.now,
}
"""What the desk says about a question that wasn't asked then."""


class Decided(NamedTuple):
    """What a pass decides, and the new orders that it has accepted then."""

    cycle: CycleRecord
    sent: tuple[Intent, ...]


def decide(recorded: RecordedCycle, rules: Rules) -> Decided:
    """Return what a recorded pass decides by these rules, on the desk and the answers of strategies that it is given.

    Nothing is sent. With the rules of the record and what it was given then, this is the record of then: its orders are
    accepted or not as they were. A record can be decided as often as wanted. RecordError if the pass asks what nobody
    can know.
    """
    tape = supposed_tape(recorded)
    try:
        return Decided(decide_again(recorded, rules, tape), tuple(tape.sent))
    except OffTapeError as error:
        raise RecordError(f"with this change it asks for {error}, and nobody knows the answer") from error


def supposed_tape(recorded: RecordedCycle) -> Supposed:
    """Return a tape of a pass that knows its desk."""
    tape = recorded.tape(Supposed)
    assert isinstance(tape, Supposed)
    tape.on(recorded.given.desk, recorded.outcome)
    return tape


def promised_before(outcome: bytes) -> frozenset[str]:
    """Return our ids of the orders that a pass found promised before it, so that it didn't send them."""
    if DUPLICATE not in outcome:
        return frozenset()
    decisions = (one for candidate in msgpack.decode(outcome)["candidates"] for one in candidate["decisions"])
    return frozenset(str(one["observed"]) for one in decisions if one["reason"] == Reason.DUPLICATE_INTENT)


def given_other(recorded: RecordedCycle, **changes: Any) -> RecordedCycle:
    """Return a record whose pass is given something else: another `desk`, other `proposed`."""
    return replace(recorded, given=replace(recorded.given, **changes))
