"""The protocol between the bot and a plug-in's process."""

import mmap
import os
import pickle
import select
import struct
import time
from array import array
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_type_hints

from msgspec import MsgspecError, Struct
from msgspec.msgpack import Decoder, Encoder
from msgspec.structs import astuple

from tradebot.adapters.plugins.confinement import Protections
from tradebot.adapters.text.codec import pack, unpack
from tradebot.model.candidate import OptionContract
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.series import PriceKind, Series, SeriesKey
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
        self._readable, self._writable = select.poll(), select.poll()
        self._readable.register(source, select.POLLIN)
        self._writable.register(sink, select.POLLOUT)

    def put(self, message: bytes, deadline: float | None = None) -> None:
        """Send one message to the other end."""
        rest = memoryview(HEADER.pack(len(message)) + message)
        while rest:
            try:
                rest = rest[os.write(self._sink, rest) :]
            except BlockingIOError:
                _wait(self._writable, deadline)

    @property
    def is_empty(self) -> bool:
        """Return True if there is nothing to read now, even if the other end is closed."""
        return not self._unread and not any(events & select.POLLIN for _, events in self._readable.poll(0))

    def get(self, most: int, deadline: float | None = None) -> bytes:
        """Return one message; ValueError if it is longer than `most` bytes."""
        (length,) = HEADER.unpack(self._take(HEADER.size, deadline))
        if length > most:
            raise ValueError(f"{length} bytes are more than {most}")
        return self._take(length, deadline)

    def _take(self, count: int, deadline: float | None) -> bytes:
        while len(self._unread) < count:
            _wait(self._readable, deadline)
            with suppress(BlockingIOError):
                part = os.read(self._source, AT_ONCE)
                if not part:
                    raise EOFError
                self._unread += part
        taken = bytes(self._unread[:count])
        del self._unread[:count]
        return taken


def _wait(poll: select.poll, deadline: float | None) -> None:
    """Wait until an end is ready or has been closed."""
    left_s = None if deadline is None else max(deadline - time.monotonic(), 0)
    if not poll.poll(None if left_s is None else left_s * 1000):
        raise TimeoutError


GROUP = "tradebot.strategies"
GRACE_S = 1.0
"""How long a plug-in's keeper may take to kill whatever the plug-in started, once its time is up."""
MAX_BYTES = 2**24
"""The size limit of a reply, and of any file that a plug-in writes."""
DECLARATION = b"declaration"
"""The one request to a plug-in besides a view, which asks for wants."""
PROTECTIONS, BEGIN, LEFT, ENDED = b"protections", b"begin", b"left", b"ended"
"""The requests to a keeper: what confines the plug-in, to start it, what it left running, and how it ended."""
JSON = b"{"
"""The beginning of a reply in JSON; wants come in a shorter form."""


class RequestNumber:
    """The number of a plug-in's present request, in memory that the bot and the keeper share.

    It is odd while the plug-in is answering. So the keeper ends a plug-in that takes too long even if the bot hangs,
    without being in between.
    """

    def __init__(self, file: int) -> None:
        self._memory = mmap.mmap(file, HEADER.size)

    @classmethod
    def size(cls) -> int:
        """Return how many bytes the file must have."""
        return HEADER.size

    @property
    def value(self) -> int:
        """Return the number."""
        return int(HEADER.unpack_from(self._memory)[0])

    def advance(self) -> None:
        """Note that a request is about to be sent, or has been answered."""
        HEADER.pack_into(self._memory, 0, self.value + 1)

    def close(self) -> None:
        """Give the memory back."""
        self._memory.close()


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


class Begun(Struct, frozen=True):
    """A plug-in's process: its number, and whether it may leave processes running, so that each answer is checked."""

    process: int
    may_leave: bool


class Remains(Struct, frozen=True):
    """What a keeper sees of its plug-in: whether processes of its are running, and its exit code if that was asked."""

    running: bool = False
    code: int = 0


class PluginReply(Struct, frozen=True):
    """A keeper's reply, or the plug-in's: the protections in force, its declaration, its wants, or the refusal."""

    protections: Protections | None = None
    begun: Begun | None = None
    remains: Remains | None = None
    declared: Declared | None = None
    wants: Wants | None = None
    refusal: Decision | None = None


COLUMNS = "qddddd"
"""How the numbers of a series' columns are stored, in the order of its fields; each takes eight bytes."""
NUMBER_BYTES = 8


def pack_view(view: StrategyView) -> bytes:
    """Return a view as it is sent to another process, with all bars as the bytes of their columns.

    Its mappings are read-only here, but copies there.
    """
    lengths, columns = _flat(view.series.values())
    return pickle.dumps((_plain(view), lengths, columns), pickle.HIGHEST_PROTOCOL)


def unpack_view(message: bytes) -> StrategyView:
    """Return the view that `pack_view` packed."""
    fields, lengths, columns = pickle.loads(message)  # noqa: S301 - from the bot
    values: tuple[Any, ...] = (*fields[:SERIES_AT], _series_from(lengths, columns), *fields[SERIES_AT:])
    return StrategyView(*values)


SERIES_AT = StrategyView.__struct_fields__.index("series")
Lengths = list[tuple[str, str, bool, str, int]]
"""The symbol, timeframe, adjustment and price of each series, and how many bars it has."""


def _flat(all_series: Iterable[Series]) -> tuple[Lengths, bytes]:
    lengths, columns = Lengths(), list[bytes]()
    for series in all_series:
        lengths.append((series.symbol, series.timeframe, series.adjusted, series.price.value, len(series.starts)))
        columns += (series.starts.tobytes(), series.open.tobytes(), series.high.tobytes())
        columns += (series.low.tobytes(), series.close.tobytes(), series.volume.tobytes())
    return lengths, b"".join(columns)


def _series_from(lengths: Lengths, columns: bytes) -> dict[SeriesKey, Series]:
    all_series, remaining = dict[SeriesKey, Series](), memoryview(columns)
    for symbol, timeframe, adjusted, price, count in lengths:
        values: list[Any] = [symbol, timeframe, adjusted]
        for code in COLUMNS:
            values.append(array(code, remaining[: count * NUMBER_BYTES].tobytes()))
            remaining = remaining[count * NUMBER_BYTES :]
        values.append(PRICES[price])
        series = Series(*values)
        all_series[series.key] = series
    return all_series


PRICES = {price.value: price for price in PriceKind}


def _plain(view: StrategyView) -> tuple[object, ...]:
    """Return the fields of a view without its series, in order."""
    fields = astuple(view)
    values = (dict(value) if isinstance(value, MappingProxyType) else value for value in fields)
    plain = [tuple(view.universe) if value is view.universe else value for value in values]
    return (*plain[:SERIES_AT], *plain[SERIES_AT + 1 :])


Rows = tuple[tuple[Any, ...], ...]
Observed = int | float | str | None
OWN_DECISION = tuple[Gate, Verdict, Reason | None, Observed, Observed, float | None, str, str]
"""The fields of a strategy's own decision. Its numbers are no Decimals, which text couldn't be told from."""
KINDS: tuple[type[Want], ...] = (Open, Target, Reduce, Close)


def pack_wants(wants: Sequence[Want]) -> bytes:
    """Return valid wants as they are sent to the bot: a list for each kind, of lists of fields."""
    rows: dict[type, list[list[object]]] = {kind: [] for kind in KINDS}
    for want in wants:
        kind, fields = type(want), list(astuple(want))
        for place, name in _places_of_parts(kind):
            to_row, _ = PARTS[name]
            fields[place] = [to_row(part) for part in fields[place]]
        rows[kind].append(fields)
    return ENCODER.encode(list(rows.values()))


def unpack_wants(message: bytes) -> tuple[Want, ...]:
    """Return the wants that `pack_wants` packed; ValueError if they are something else."""
    try:
        kinds = _decoder().decode(message)
    except MsgspecError as error:
        raise ValueError(f"wants: {error}") from error
    return tuple([want for kind, rows in zip(KINDS, kinds, strict=True) for want in _wants_from(kind, rows)])


def _wants_from(kind: type[Want], rows: Rows) -> Iterator[Want]:
    for row in rows:
        fields = list(row)
        for place, name in _places_of_parts(kind):
            _, from_row = PARTS[name]
            fields[place] = tuple([from_row(part) for part in fields[place]])
        yield kind(*fields)


PARTS: Mapping[str, tuple[Callable[[Any], Sequence[object]], Callable[[Any], object]]] = {
    "decisions": (astuple, lambda row: Decision(*row)),
    # Nobody else checks its numbers and times.
    "contracts": (pack, lambda row: unpack(OptionContract, row)),
}
"""The fields of wants with Structs that have a form of their own: how a row is made of one, and one of a row."""


@cache
def _places_of_parts(kind: type[Want]) -> Sequence[tuple[int, str]]:
    """Return the fields of a kind of wants that have such parts, with their places."""
    return [(place, name) for place, name in enumerate(kind.__struct_fields__) if name in PARTS]


ENCODER = Encoder()


@cache
def _decoder() -> Decoder[tuple[Rows, ...]]:
    return Decoder(tuple[*(tuple[tuple[*_field_types(kind)], ...] for kind in KINDS)])  # type: ignore[misc]


def _field_types(kind: type[Want]) -> Iterator[object]:
    """Yield the type of each field of a kind of wants, as it is sent."""
    types = get_type_hints(kind) | {"decisions": tuple[OWN_DECISION, ...], "contracts": tuple[list[Any], ...]}
    for name in kind.__struct_fields__:
        yield types[name]
