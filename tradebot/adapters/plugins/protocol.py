"""The protocol between the bot and a plug-in's process."""

import os
import select
import struct
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.plugins.confinement import Protections
from tradebot.model.decision import Decision
from tradebot.model.struct_tools import replace
from tradebot.model.view import BarNeed, Close, FeatureNeed, Needs, Open, Reduce, StrategyView, Target, Want

HEADER = struct.Struct("!Q")
AT_ONCE = 2**16
"""The bytes read at once: no more fit into a pipe."""


class Pipes:
    """One end of a connection: the file descriptors for reading and writing.

    A deadline is a reading of the monotonic clock, in seconds; without one, a call may wait forever. Both calls raise
    TimeoutError after the deadline. Any other OSError, and EOFError, means that the other end is closed.
    """

    def __init__(self, source: int, sink: int) -> None:
        self._source, self._sink, self._unread = source, sink, bytearray()
        for end in (source, sink):
            os.set_blocking(end, False)

    def put(self, message: bytes, deadline: float | None = None) -> None:
        """Send one message to the other end."""
        rest = memoryview(HEADER.pack(len(message)) + message)
        while rest:
            try:
                rest = rest[os.write(self._sink, rest) :]
            except BlockingIOError:
                _wait(self._sink, select.POLLOUT, deadline)

    @property
    def is_empty(self) -> bool:
        """Return True if there is nothing to read now, even if the other end is closed."""
        poll = select.poll()
        poll.register(self._source, select.POLLIN)
        return not self._unread and not any(events & select.POLLIN for _, events in poll.poll(0))

    def get(self, most: int, deadline: float | None = None) -> bytes:
        """Return one message; ValueError if it is longer than `most` bytes."""
        (length,) = HEADER.unpack(self._take(HEADER.size, deadline))
        if length > most:
            raise ValueError(f"{length} bytes are more than {most}")
        return self._take(length, deadline)

    def _take(self, count: int, deadline: float | None) -> bytes:
        while len(self._unread) < count:
            _wait(self._source, select.POLLIN, deadline)
            with suppress(BlockingIOError):
                part = os.read(self._source, AT_ONCE)
                if not part:
                    raise EOFError
                self._unread += part
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken


def _wait(end: int, event: int, deadline: float | None) -> None:
    """Wait until an end is ready or has been closed."""
    poll = select.poll()
    poll.register(end, event)
    left_s = None if deadline is None else max(deadline - time.monotonic(), 0)
    if not poll.poll(None if left_s is None else left_s * 1000):
        raise TimeoutError


GROUP = "tradebot.strategies"
GRACE_S = 1.0
"""How long a plug-in's keeper may take to kill whatever the plug-in started, once its time is up."""
MAX_BYTES = 2**24
"""The size limit of a reply, and of any file that a plug-in writes."""
PROTECTIONS, DECLARATION = b"protections", b"declaration"
"""The two requests besides a view, which asks for wants."""
CLEAN, LEFT = b".", b"!"
"""The prefix of each reply: whether processes that the plug-in started are still running."""


class AnswerBounds(Struct, frozen=True):
    """The limits of a request in seconds of real time, and of the process in bytes of address space."""

    timeout_s: float
    memory_bytes: int


class Start(Struct, frozen=True):
    """The first message to a plug-in's keeper: `section` is its name in the configuration, `name` the installed one.

    The paths in `private` are out of the plug-in's reach, and `files` are those that its section declares.
    """

    section: str
    name: str
    target: str
    settings: Mapping[str, object]
    bounds: AnswerBounds
    private: tuple[Path, ...]
    files: tuple[Path, ...] = ()


class Declared(Struct, frozen=True):
    """A plug-in's declaration: its needs, and when it wants to run."""

    facts: tuple[str, ...]
    bars: tuple[BarNeed, ...]
    quotes: bool
    lots: bool
    equity: bool
    times: str
    trades: bool = False
    features: tuple[FeatureNeed, ...] = ()
    situation: bool = False

    @classmethod
    def of(cls, needs: Needs, times: str) -> "Declared":
        """Return the declaration of these needs and times."""
        return cls(
            tuple(sorted(needs.facts)),
            needs.bars,
            needs.quotes,
            needs.lots,
            needs.equity,
            times,
            needs.trades,
            needs.features,
            needs.situation,
        )

    @property
    def needs(self) -> Needs:
        """Return its needs."""
        facts = frozenset(self.facts)
        return Needs(facts, self.bars, self.quotes, self.lots, self.equity, self.trades, self.features, self.situation)


class Wants(Struct, frozen=True):
    """A plug-in's wants, by kind, or `declined`: why it can't decide."""

    opens: tuple[Open, ...] = ()
    targets: tuple[Target, ...] = ()
    reduces: tuple[Reduce, ...] = ()
    closes: tuple[Close, ...] = ()
    declined: Decision | None = None

    @classmethod
    def of(cls, wants: Sequence[Want]) -> "Wants":
        """Group these wants by kind."""
        return cls(
            tuple(want for want in wants if isinstance(want, Open)),
            tuple(want for want in wants if isinstance(want, Target)),
            tuple(want for want in wants if isinstance(want, Reduce)),
            tuple(want for want in wants if isinstance(want, Close)),
        )

    @property
    def all(self) -> tuple[Want, ...]:
        """Return all wants."""
        return (*self.opens, *self.targets, *self.reduces, *self.closes)


class PluginReply(Struct, frozen=True):
    """A reply: the protections in force, the plug-in's declaration, its wants, or the refusal."""

    protections: Protections | None = None
    declared: Declared | None = None
    wants: Wants | None = None
    refusal: Decision | None = None


def plain(view: StrategyView) -> StrategyView:
    """Return a view that can be sent to another process: its mappings are read-only here, but copies there."""
    return replace(
        view,
        universe=tuple(view.universe),
        facts=dict(view.facts),
        market=dict(view.market),
        series=dict(view.series),
        quotes=dict(view.quotes),
        lots=dict(view.lots),
        sectors=dict(view.sectors),
        trades=dict(view.trades),
        kept=dict(view.kept),
        features=dict(view.features),
    )
