"""The record of one pass: its inputs, its port calls and its decisions; convert it to bytes and back."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import cache, partial
from typing import Any, NamedTuple

from msgspec import MsgspecError, Raw, Struct, msgpack

from tradebot import cycle
from tradebot.desk.proposals import Proposals
from tradebot.model.decision import Verdict
from tradebot.model.desk import Desk
from tradebot.model.record import CandidateRecord, CycleRecord
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission
from tradebot.ports.world import Call, Rules, World
from tradebot.replaying.port_recording import PortRecorder, RecordedPorts, UnrecordedCallError, port_calls_of, tape_of
from tradebot.replaying.record_reader import RecordSource, Shared, parse_untyped, shapes_of
from tradebot.replaying.record_writer import (
    PORTS,
    PartCache,
    RecordError,
    RecordParts,
    StoredRecord,
    encode_steps,
    reply_hint,
    shapes,
    step_for,
)

SCHEMA, LENGTH = 2, 9
"""The version of the record format, and the number of items in a record. Records of later versions can't be read."""
FIRST = 1
"""The version in which every field contains its value."""
TOLD = 6
"""The index of the port calls in a record, not counting the version. They stay encoded, because few readers need them.
"""


GIVEN = "passes.CycleInputs"
"""The class name of a pass's inputs in records."""
Names = Mapping[str, tuple[str, ...]]
"""The fields of each class, in the order in which a record has them."""


class ManualClose(Struct, frozen=True):
    """A person's request to close positions in these symbols, or all positions if `symbols` is None.

    `later` has the desks that were taken after the first one. With `order`, the person only cancels the order that has
    this client order id.
    """

    symbols: tuple[str, ...] | None
    later: tuple[Desk, ...]
    order: str | None = None


class CycleInputs(Struct, frozen=True):
    """A pass's inputs besides its ports: the desk, its proposals, and records of an interrupted earlier run.

    `proposed` is None for an exit pass. `earlier` has the records that already existed: those of orders that the pass
    sent before it yielded, and of entries that were canceled before it began. `sends` is False if nothing could be
    sent. `universe` replaces the universe in the settings if candidates were submitted. `by_hand` is None unless a
    person closes positions. Without `ask_declined`, gates weren't evaluated for entries that their strategy declined;
    earlier programs evaluated them.
    """

    call: Call
    permission: Permission
    sends: bool
    shadow: bool
    desk: Desk
    proposed: Proposals | None
    earlier: Mapping[str, CandidateRecord]
    universe: tuple[str, ...] | None = None
    by_hand: ManualClose | None = None
    ask_declined: bool = True


class RecordEnvironment(Struct, frozen=True):
    """A pass's rules and code: its settings, the settings that a person accepted, and the program's version.

    Settings are JSON. `discovered` are the symbols that were traded in place of the configured universe.
    """

    settings: bytes
    accepted: bytes
    discovered: tuple[str, ...]
    version: str


class RecordedCycle(Struct, frozen=True):
    """A parsed record: the pass's inputs, and the bytes of its decisions.

    `tape` returns new recorded ports for a single replay; their class may be given, and is otherwise the one given to
    `read_record`. If candidates were left out, `unread` reads all proposals; otherwise it is None.
    """

    given: CycleInputs
    outcome: bytes
    surroundings: RecordEnvironment
    tape: Callable[..., RecordedPorts]
    unread: Callable[[], Proposals | None] | None = None

    @property
    def all_proposals(self) -> Proposals | None:
        """Return all proposals, including the candidates that were left out; None for an exit pass."""
        return self.unread() if self.unread else self.given.proposed


class PassRecorder:
    """Records one pass, which has to run with this `world`, and then builds the record."""

    def __init__(
        self,
        world: World,
        call: Call,
        desk: Desk,
        proposed: Proposals | None,
        earlier: Mapping[str, CandidateRecord],
        universe: tuple[str, ...] | None = None,
    ) -> None:
        sends = world.orders is not None
        self._given = CycleInputs(
            call, world.permission, sends, world.shadow, desk, proposed, dict(earlier), universe,
            ask_declined=world.ask_declined,
        )  # fmt: skip
        self._recording = PortRecorder(world)
        self.world = self._recording.world

    def record_request(
        self, look: Callable[[], Desk], symbols: frozenset[str] | None, order: str | None = None
    ) -> CycleRecord:
        """Close positions or cancel an order as a person requests, and record each desk taken after the first one."""
        first, later = [self._given.desk], list[Desk]()

        def next_desk() -> Desk:
            if first:
                return first.pop()
            later.append(look())
            return later[-1]

        named = None if symbols is None else tuple(sorted(symbols))
        cycle_record = do_request(self.world, self._given.call, ManualClose(named, (), order), next_desk)
        self._given = replace(self._given, by_hand=ManualClose(named, tuple(later), order))
        return cycle_record

    def to_record(self, outcome: CycleRecord, around: RecordEnvironment, remembered: PartCache) -> StoredRecord:
        """Build the record of the finished pass; raise RecordError if it can't be written."""
        remembered.forget_if_many()
        parts = RecordParts(remembered)
        head = [parts.text(_shapes()), parts.text(around.settings), parts.text(around.accepted)]
        encoded_inputs = step_for(CycleInputs)(self._given, parts)
        rows = self._recording.to_parts(parts)
        told_by = [list(around.discovered), around.version]
        body = encode_steps([SCHEMA, *head, *told_by, encoded_inputs, rows, bytes_of(outcome)])
        return StoredRecord(body, tuple(parts.numbers), remembered.content)


@cache
def _shapes() -> bytes:
    return msgpack.encode(shapes(CycleInputs, *map(reply_hint, questions())))


def questions() -> list[str]:
    """Return all port methods that a pass may call, as records name them."""
    return [f"{port}.{name}" for port, kind in PORTS.items() for name in dir(kind) if not name.startswith("_")]


def bytes_of(outcome: CycleRecord) -> bytes:
    """Encode decisions for comparison: every field by name, numbers as written."""
    return encode_steps(outcome)


def read_record(
    body: bytes,
    parts: Sequence[bytes],
    shared: Shared,
    kind: type[RecordedPorts] = RecordedPorts,
    *,
    only_passing: bool = False,
    replaced: Collection[str] = (),
) -> RecordedCycle:
    """Parse a record; raise RecordError if it is invalid.

    `shared` caches parts' values. The recorded ports are of this `kind`. With `only_passing`, candidates refused by
    their strategy's own filters are left out. Of `replaced` strategies, only the first candidate is read, for its time.
    """
    tree = parse_untyped(body, list[Raw] | dict[str, Raw])
    if not (isinstance(tree, list) and tree):
        raise RecordError("it isn't a pass record")
    form, *rest = tree
    if (schema := parse_untyped(form)) not in (FIRST, SCHEMA):
        raise RecordError(f"its format is {schema!r:.40}, and this program reads formats {FIRST} to {SCHEMA}")
    if len(tree) != LENGTH:
        raise RecordError("it isn't a pass record")
    shape, settings, accepted, discovered, version, encoded_inputs, rows, outcome = (
        part if index == TOLD else parse_untyped(part) for index, part in enumerate(rest)
    )
    if not isinstance(outcome, bytes):
        raise RecordError("it isn't a pass record")
    source = RecordSource(parts, shapes_of(_content(parts, shape)), shared, apart=schema != FIRST)
    around = RecordEnvironment(
        source.content(settings), source.content(accepted), source.read(tuple[str, ...], discovered), str(version)
    )
    names, whole = source.shapes.names, encoded_inputs
    if only_passing:
        encoded_inputs = _with_some(encoded_inputs, names, _are_passing)
    if replaced:
        encoded_inputs = _with_some(encoded_inputs, names, partial(_but_replaced, frozenset(replaced)))

    told_once = cache(lambda: port_calls_of(rows))

    def tape(wanted: type[RecordedPorts] = kind) -> RecordedPorts:
        return tape_of(told_once(), source, wanted)

    is_cut = bool(replaced) or only_passing
    unread = cache(lambda: source.read(Proposals, whole[names[GIVEN].index("proposed")])) if is_cut else None
    return RecordedCycle(source.read(CycleInputs, encoded_inputs), outcome, around, tape, unread)


def _with_some(encoded_inputs: Any, names: Names, some: Callable[[Any, Names], list[Any]]) -> Any:
    """Return a pass's encoded inputs with only some of its candidates."""
    try:
        index, of_candidates = names[GIVEN].index("proposed"), names["proposals.Proposals"].index("candidates")
        proposed = encoded_inputs[index]
        if proposed is None:
            return encoded_inputs
        remaining = [*proposed[:of_candidates], some(proposed[of_candidates], names), *proposed[of_candidates + 1 :]]
    except (LookupError, TypeError, ValueError) as error:
        raise RecordError("it isn't a pass record") from error
    return [*encoded_inputs[:index], remaining, *encoded_inputs[index + 1 :]]


def _are_passing(candidates: Any, names: Names) -> list[Any]:
    """Return the candidates that their strategies' own filters let through."""
    of_decisions = names["candidate.Candidate"].index("decisions")
    of_verdict = names["decision.Decision"].index("verdict")
    passes = Verdict.PASS.value
    return [
        candidate
        for candidate in candidates
        if all(decision[of_verdict] == passes for decision in candidate[of_decisions])
    ]


def _but_replaced(replaced: frozenset[str], candidates: Any, names: Names) -> list[Any]:
    """Return the candidates of strategies that aren't replaced, and the first one of each that is."""
    of_strategy, seen_strategies, remaining = names["candidate.Candidate"].index("strategy"), set[str](), list[Any]()
    for candidate in candidates:
        strategy = candidate[of_strategy]
        if strategy not in replaced or strategy not in seen_strategies:
            seen_strategies.add(strategy)
            remaining.append(candidate)
    return remaining


class RecordGlance(NamedTuple):
    """The parts of a record that are quick to read: the pass's rules and code, and its decisions as bytes."""

    surroundings: RecordEnvironment
    outcome: bytes


def glance(body: bytes, parts: Sequence[bytes]) -> RecordGlance:
    """Parse only a record's environment and outcome; raise RecordError if it isn't a pass record."""
    try:
        raws = msgpack.decode(body, type=list[Raw])
        if len(raws) != LENGTH or msgpack.decode(raws[0]) not in (FIRST, SCHEMA):
            raise RecordError("it isn't a pass record")
        settings, accepted = (_content(parts, msgpack.decode(raws[index])) for index in (2, 3))
        discovered, version = msgpack.decode(raws[4], type=tuple[str, ...]), msgpack.decode(raws[5], type=str)
        return RecordGlance(
            RecordEnvironment(settings, accepted, discovered, version), msgpack.decode(raws[8], type=bytes)
        )
    except (MsgspecError, ValueError) as error:
        raise RecordError("its record can't be read: it is damaged") from error


def _content(parts: Sequence[bytes], number: object) -> bytes:
    if type(number) is not int or not 0 <= number < len(parts):
        raise RecordError("it doesn't say which fields its values have")
    return parts[number]


def decide_again(recorded: RecordedCycle, rules: Rules, tape: RecordedPorts) -> CycleRecord:
    """Run the pass on its recorded ports with these rules; raise UnrecordedCallError for a call with an unknown
    reply.
    """
    inputs = recorded.given
    desk = _with_rules(inputs.desk, rules)
    rules = rules if inputs.universe is None else replace(rules, universe=inputs.universe)
    world = tape.world(rules, inputs.permission, sends=inputs.sends, shadow=inputs.shadow)
    world = replace(world, ask_declined=inputs.ask_declined)
    if inputs.proposed is not None:
        return cycle.trade_once(world, inputs.call, desk, inputs.proposed, dict(inputs.earlier))
    if inputs.by_hand is not None:
        looks = iter((desk, *inputs.by_hand.later))
        return do_request(world, inputs.call, inputs.by_hand, lambda: _next(looks))
    return cycle.evaluate_exits(world, inputs.call, desk, inputs.earlier)


def do_request(world: World, call: Call, by_hand: ManualClose, look: Callable[[], Desk]) -> CycleRecord:
    """Run the pass that a person requested, on the desks that `look` takes."""
    if by_hand.order is not None:
        return cycle.cancel_on_request(world, call, by_hand.order, look)
    symbols = by_hand.symbols
    return cycle.flatten(world, call, None if symbols is None else frozenset(symbols), look)


def _with_rules(desk: Desk, rules: Rules) -> Desk:
    """Return a desk whose registry has its part of the configuration, which a record stores only once."""
    if desk.registry is None or rules.registry is None:
        return desk
    return replace(desk, registry=replace(desk.registry, rules=rules.registry))


def _next(looks: Iterator[Desk]) -> Desk:
    desk = next(looks, None)
    if desk is None:
        raise UnrecordedCallError("another desk of the same pass")
    return desk
