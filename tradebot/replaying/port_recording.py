"""Record the ports' replies to a pass, and play them back to the same pass: calls are compared, nothing is sent.

One proxy wraps each port, whatever its methods. A recording only keeps references, because replies are frozen; they are
written once the pass is over.
"""

from collections import defaultdict, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NamedTuple

from msgspec import Raw, Struct

from tradebot.errors import OperatorError, TemporaryError, TradebotError
from tradebot.model.intent import Intent
from tradebot.model.struct_tools import replace
from tradebot.model.trading import Permission
from tradebot.ports.world import Rules, World
from tradebot.replaying.former_names import name_now
from tradebot.replaying.record_reader import RecordSource, parse_untyped
from tradebot.replaying.record_writer import (
    CLOCKS,
    PORTS,
    RecordError,
    RecordParts,
    arguments_digest,
    plain,
    reply_hint,
    step_for,
)

PASSED_ON = frozenset({"orders.submit", "orders.replace", "orders.cancel"})
"""Calls recorded in full instead of by their digest alone: those that send."""
REPLY = 3
"""The index of the reply in an encoded call."""
BEFORE = "facts.before"
"""The call with which a pass reads the previous one. Earlier versions had another call, with the same effect."""
RECORD = "facts.record"
"""The call that ends a pass: its record is compared."""
RAISED: Mapping[str, type[TradebotError]] = {
    "TemporaryError": TemporaryError, "OperatorError": OperatorError, "TradebotError": TradebotError,
}  # fmt: skip


class RecordedReply(Struct, frozen=True):
    """One port call, by name and arguments, with its reply, or with the `error` that it raised."""

    name: str
    asked: tuple[Any, ...]
    reply: Any = None
    error: TradebotError | None = None


class ReplyLog:
    """The calls and replies so far, and the constants.

    It has no reference to the world. A reference would keep the whole pass in memory until the next garbage collection.
    """

    def __init__(self) -> None:
        self.replies: list[RecordedReply] = []
        self.constants: dict[str, Any] = {}

    def port(self, name: str, port: object) -> Any:
        """Return a port that records its replies."""
        return None if port is None else _Port(name, port, self)

    def asking(self, name: str, ask: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function that calls `ask` and records the reply."""
        replies = self.replies

        def asking(*arguments: Any, **named: Any) -> Any:
            arguments = tuple([_rereadable(argument) for argument in arguments])
            full_arguments = (*arguments, *named.items())
            try:
                reply = _rereadable(ask(*arguments, **named))
            except TradebotError as error:
                replies.append(RecordedReply(name, full_arguments, error=error))
                raise
            replies.append(RecordedReply(name, full_arguments, reply))
            return reply

        return asking

    def attribute(self, name: str, port: object, part: str) -> Any:
        """Return a port's attribute: a recording method, or a constant."""
        value = getattr(port, part)
        if callable(value):
            return self.asking(f"{name}.{part}", value)
        self.constants[f"{name}.{part}"] = value
        return value


class PortRecorder:
    """Records the port calls of one pass, which has to run with `world`."""

    def __init__(self, world: World) -> None:
        self._before, self._heard = world, ReplyLog()
        heard = self._heard
        ports: dict[str, Any] = {name: heard.port(name, getattr(world, name)) for name in PORTS if name != "approvals"}
        clocks: dict[str, Any] = {name: heard.asking(name, getattr(world, name)) for name in CLOCKS}
        approvals = lambda: heard.port("approvals", world.approvals())  # noqa: E731
        self.world: World = replace(world, **ports, **clocks, approvals=approvals)

    def to_parts(self, parts: RecordParts) -> list[Any]:
        """Return the calls and the constants, ready to be written."""
        rows = [_reply_row(reply, parts) for reply in self._heard.replies]
        constants = {
            "reader.capabilities": self._before.venue,
            "ledger.account_number": self._before.ledger.account_number,
        }
        values = {**constants, **self._heard.constants}
        return [rows, {name: step_for(reply_hint(name))(value, parts) for name, value in values.items()}]


class _Port:
    """A port whose replies are recorded."""

    def __init__(self, name: str, port: object, heard: ReplyLog) -> None:
        self.__name, self.__port, self.__heard = name, port, heard

    def __getattr__(self, part: str) -> Any:
        value = self.__heard.attribute(self.__name, self.__port, part)
        if callable(value):
            # Cache it for the next call.
            self.__dict__[part] = value
        return value


def _rereadable(value: Any) -> Any:
    """Return a value that can be read more than once."""
    return tuple(value) if isinstance(value, Iterator) else value


def _reply_row(reply: RecordedReply, parts: RecordParts) -> list[Any]:
    shown = reply.asked if reply.name in PASSED_ON else ()
    head = [reply.name, b"" if reply.name == RECORD else arguments_digest(reply.asked), plain(shown)]
    if reply.error is not None:
        kind = next((name for name, kind in RAISED.items() if isinstance(reply.error, kind)), "TradebotError")
        return [*head, None, kind, reply.error.message, reply.error.hint]
    return [*head, step_for(reply_hint(reply.name))(reply.reply, parts)]


class UnrecordedCallError(Exception):
    """Raised when a pass makes a call without a recorded reply; the text names the call."""


class RecordedQuestion(Struct, frozen=True):
    """One port call by name, with the digest of its arguments."""

    name: str
    digest: bytes


class RecordedPorts:
    """A pass's recorded replies, for one replay.

    A call gets the recorded reply to the same call. Without one, a write counts as done, a clock stands still, and any
    other call raises UnrecordedCallError. Calls are collected in `asked`, and the pass's record in `outcome`.
    """

    def __init__(self, rows: Sequence[Any], constants: Mapping[str, Any], source: RecordSource) -> None:
        self.source = source
        self._constants = constants
        self._known: dict[tuple[str, bytes], deque[list[Any]]] = defaultdict(deque)
        self.recorded = tuple([RecordedQuestion(row[0], row[1]) for row in rows])
        self.asked: list[RecordedQuestion] = []
        self.outcome: Any = None
        self._clocks: dict[str, Any] = {}
        for row in rows:
            self._known[row[0], b"" if row[0] in CLOCKS else row[1]].append(row)

    def world(self, rules: Rules, permission: Permission, *, sends: bool, shadow: bool) -> World:
        """Return a world of these recorded ports alone, in which nothing can be sent."""
        ports: dict[str, Any] = {name: _Played(name, self) for name in PORTS}
        clocks: dict[str, Any] = {name: self._asking(name) for name in CLOCKS}
        orders, approvals = (ports.pop("orders") if sends else None), ports.pop("approvals")
        ports.pop("orders", None)
        nothing: Any = None
        return World(
            rules=rules.with_shares(permission.climbed), permission=permission, **ports, **clocks, orders=orders,
            approvals=lambda: approvals, bars=nothing, flow=nothing, strategies=(), send_lock=_NoLock(), shadow=shadow,
        )  # fmt: skip

    def attribute(self, name: str) -> Any:
        """Return a port's method or constant by name."""
        if name in self._constants:
            return self.source.read(reply_hint(name), self._constants[name])
        return self._asking(name)

    def _asking(self, name: str) -> Callable[..., Any]:
        return lambda *arguments, **named: self.answer(
            name, (*[_rereadable(item) for item in arguments], *named.items())
        )

    def answer(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Return the reply to a call, and add the call to `asked`."""
        if name == RECORD:
            (self.outcome,) = arguments
        digest = b"" if name == RECORD else arguments_digest(arguments)
        self.asked.append(RecordedQuestion(name, digest))
        row = self.reply(name, digest)
        return self.unknown(name, arguments) if row is None else self._replay_reply(row)

    def reply(self, name: str, digest: bytes) -> list[Any] | None:
        """Return the next reply to a call; None if the call wasn't recorded."""
        rows = self._known.get((name, b"" if name in CLOCKS else digest))
        return rows.popleft() if rows else None

    def _replay_reply(self, row: list[Any]) -> Any:
        if len(row) > 4:
            raise RAISED.get(row[4], TradebotError)(str(row[5]), str(row[6]))
        reply = self.source.read(reply_hint(row[0]), row[3])
        if row[0] in CLOCKS:
            self._clocks[row[0]] = reply
        return reply

    def unknown(self, name: str, arguments: tuple[Any, ...]) -> Any:
        """Return the reply to a call that wasn't recorded; raise UnrecordedCallError if it can't be known."""
        if name in self._clocks:
            return self._clocks[name]
        if name == "ledger.record_intent":
            return True
        if name == BEFORE or reply_hint(name) is type(None):
            return None
        raise UnrecordedCallError(name)


class _Played:
    """A port that replies from a recording."""

    def __init__(self, name: str, tape: RecordedPorts) -> None:
        self.__name, self.__tape = name, tape

    def __getattr__(self, part: str) -> Any:
        value = self.__tape.attribute(f"{self.__name}.{part}")
        self.__dict__[part] = value
        return value


class _NoLock:
    """The send lock of a world in which nothing is sent."""

    def hold(self, intent: Intent) -> AbstractContextManager[None]:
        """Hold nothing."""
        return nullcontext()


class OrderedReplies(RecordedPorts):
    """Recorded ports that play replies in order, for a record with replaced texts."""

    def __init__(self, rows: Sequence[Any], constants: Mapping[str, Any], source: RecordSource) -> None:
        super().__init__(rows, constants, source)
        self._left = deque(rows)

    def reply(self, name: str, digest: bytes) -> list[Any] | None:
        """Return the next reply if it belongs to a call of this name, else None."""
        return self._left.popleft() if self._left and self._left[0][0] == name else None


class RecordedReplies(NamedTuple):
    """The recorded port calls of a record: calls with their replies, still encoded, and constants."""

    replies: Sequence[list[Any]]
    constants: Mapping[str, Any]


def port_calls_of(written: Raw) -> RecordedReplies:
    """Parse a record's port calls; raise RecordError if it has none."""
    parts = parse_untyped(written, list[Raw])
    if len(parts) != 2 or not isinstance(constants := parse_untyped(parts[1]), dict):
        raise RecordError("it has no port calls")
    replies = [
        [part if index == REPLY else parse_untyped(part) for index, part in enumerate(reply)]
        for reply in parse_untyped(parts[0], list[list[Raw]])
    ]
    for reply in replies:
        reply[:1] = [name_now(name) if isinstance(name, str) else name for name in reply[:1]]
    if not all(map(_is_reply, replies)):
        raise RecordError("its port calls can't be read")
    return RecordedReplies(replies, {name_now(name): value for name, value in constants.items()})


def tape_of(replies: RecordedReplies, source: RecordSource, kind: type[RecordedPorts] = RecordedPorts) -> RecordedPorts:
    """Build recorded ports from a record's port calls."""
    return kind(replies.replies, replies.constants, source)


def _is_reply(row: object) -> bool:
    if not (isinstance(row, list) and len(row) in (4, 7)):
        return False
    name, digest = row[0], row[1]
    return isinstance(name, str) and isinstance(digest, bytes) and (name in CLOCKS or _is_port(name))


def _is_port(name: str) -> bool:
    port, _, method = name.partition(".")
    return port in PORTS and not method.startswith("_") and hasattr(PORTS[port], method)
