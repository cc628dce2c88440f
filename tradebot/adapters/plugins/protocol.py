"""The protocol between the bot and a plug-in's process."""

import mmap
import os
import pickle
import select
import struct
import time
from array import array
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, TypeVar, get_type_hints, overload

from msgspec import MsgspecError, Struct
from msgspec.msgpack import Decoder, Encoder
from msgspec.structs import astuple

from tradebot.adapters.plugins.confinement import Protections
from tradebot.adapters.text.codec import pack, unpack
from tradebot.model.candidate import OptionContract
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.series import PriceKind, Series, SeriesKey
from tradebot.model.view import (
    BarNeed,
    Close,
    FeatureNeed,
    Needs,
    Open,
    Reduce,
    SlotWants,
    StrategyView,
    Target,
    Want,
)

T = TypeVar("T")
HEADER = struct.Struct("!Q")
AT_ONCE = 2**16
"""The bytes read at once; a pipe holds no more."""


class Pipes:
    """One end of a connection: the file descriptors for reading and writing.

    A deadline is a reading of the monotonic clock in seconds; without a deadline, a call may wait forever. `put` and
    `get` raise TimeoutError after the deadline. Any other OSError, and EOFError, means that the other end is closed.
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
        """Return one message; raise ValueError if it is longer than `most` bytes."""
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
    """Wait until a descriptor is ready or has been closed."""
    left_s = None if deadline is None else max(deadline - time.monotonic(), 0)
    if not poll.poll(None if left_s is None else left_s * 1000):
        raise TimeoutError


GROUP = "tradebot.strategies"
GRACE_S = 1.0
"""How long a keeper may take to kill whatever the plug-in started after the time limit, in seconds."""
MAX_BYTES = 2**24
"""The size limit of a reply, and of any file that a plug-in writes."""
DECLARATION, SESSION = b"declaration", b"s"
"""The requests to a plug-in besides views: its declaration, and the first byte of a session's views."""
PROTECTIONS, BEGIN, LEFT, ENDED = b"protections", b"begin", b"left", b"ended"
"""The requests to a keeper: report the protections, start the plug-in, report what it left running and how it ended."""
JSON = b"{"
"""The first byte of a reply in JSON; wants have a shorter form."""


class RequestNumber:
    """The number of the plug-in's current request, in memory that the bot and the keeper share.

    The number is odd while the plug-in is answering. No request goes through the keeper, but the number lets it end a
    plug-in that takes too long, even if the bot hangs.
    """

    def __init__(self, file: int) -> None:
        self._memory = mmap.mmap(file, HEADER.size)

    @classmethod
    def size(cls) -> int:
        """Return the size in bytes of the file with the number."""
        return HEADER.size

    @property
    def value(self) -> int:
        """Return how many requests were begun, plus how many were answered: odd while the plug-in is answering one."""
        return int(HEADER.unpack_from(self._memory)[0])

    def advance(self) -> None:
        """Record that a request is about to be sent, or has been answered."""
        HEADER.pack_into(self._memory, 0, self.value + 1)

    def close(self) -> None:
        """Release the shared memory."""
        self._memory.close()


class AnswerBounds(Struct, frozen=True):
    """The time limits of a request in seconds, and the process's address space in bytes."""

    timeout_s: float
    memory_bytes: int


class Start(Struct, frozen=True):
    """The first message to a plug-in's keeper, which says what to start.

    `section` is the strategy's name in the configuration, and `name` the installed plug-in's. The plug-in can't access
    the paths in `private`. `files` has the files that its section declares.
    """

    section: str
    name: str
    target: str
    settings: Mapping[str, object]
    bounds: AnswerBounds
    private: tuple[Path, ...]
    files: tuple[Path, ...] = ()


class PluginDeclaration(Struct, frozen=True):
    """A plug-in's declaration: its needs, when it wants to run, and whether it can answer for a session at once."""

    facts: tuple[str, ...]
    bars: tuple[BarNeed, ...]
    quotes: bool
    lots: bool
    equity: bool
    times: str
    trades: bool = False
    features: tuple[FeatureNeed, ...] = ()
    situation: bool = False
    sessions: bool = False

    @classmethod
    def of(cls, needs: Needs, times: str, *, sessions: bool = False) -> "PluginDeclaration":
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
            sessions,
        )

    @property
    def needs(self) -> Needs:
        """Return the declared needs."""
        facts = frozenset(self.facts)
        return Needs(facts, self.bars, self.quotes, self.lots, self.equity, self.trades, self.features, self.situation)


class Wants(Struct, frozen=True):
    """What a plug-in wants (entries, targets, reductions and closes, by kind), or why it can't decide, in
    `declined`.
    """

    opens: tuple[Open, ...] = ()
    targets: tuple[Target, ...] = ()
    reduces: tuple[Reduce, ...] = ()
    closes: tuple[Close, ...] = ()
    declined: Decision | None = None

    @classmethod
    def of(cls, wants: Sequence[Want]) -> "Wants":
        """Group wants by their kind: entries, targets, reductions and closes."""
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


class PluginStarted(Struct, frozen=True):
    """A plug-in's process id, and whether the plug-in may leave processes running.

    If it may, they must be looked for after each answer.
    """

    process: int
    may_leave: bool


class LeftoverProcesses(Struct, frozen=True):
    """The keeper's report: whether the plug-in left processes running, and its exit code if requested."""

    running: bool = False
    code: int = 0


class PluginReply(Struct, frozen=True):
    """A keeper's or plug-in's reply: the protections, the declaration, the wants, or a refusal."""

    protections: Protections | None = None
    begun: PluginStarted | None = None
    remains: LeftoverProcesses | None = None
    declared: PluginDeclaration | None = None
    wants: Wants | None = None
    refusal: Decision | None = None


COLUMNS = "qddddd"
"""How a series' columns are stored, in the order of its fields; each number takes eight bytes."""
NUMBER_BYTES = 8


def pack_view(view: StrategyView) -> bytes:
    """Encode a view for another process, with all bars as the bytes of their columns.

    The decoded view has ordinary dicts in place of read-only mappings.
    """
    lengths, columns = _flat(view.series.values())
    return pickle.dumps((_plain(view), lengths, columns), pickle.HIGHEST_PROTOCOL)


def unpack_view(message: bytes) -> StrategyView:
    """Decode a view encoded by `pack_view`."""
    fields, lengths, columns = pickle.loads(message)  # noqa: S301 - from the bot
    return _view_from(fields, _series_from(lengths, columns))


def _view_from(fields: Sequence[Any], all_series: Iterable[Series]) -> StrategyView:
    values = (*fields[:SERIES_AT], {series.key: series for series in all_series}, *fields[SERIES_AT:])
    return StrategyView(*values)


class BarRun:
    """One symbol's bars in all views of a session, each stored only once; each view contains some of them."""

    def __init__(self, series: Series) -> None:
        self.series = series[:0]

    def add(self, series: Series) -> tuple[int, int] | None:
        """Add a series' new bars, and return the range of indexes at which the whole series is now stored.

        Return None if the series contradicts bars that were added before.
        """
        first = bisect_left(self.series.starts, series.starts[0]) if series.starts else 0
        shared = len(self.series.starts) - first
        if self.series[first:] != series[:shared]:
            return None
        for column, more in zip(columns_of(self.series), columns_of(series), strict=True):
            column.extend(more[shared:])
        return first, first + len(series.starts)


def columns_of(series: Series) -> "tuple[array[Any], ...]":
    """Return the columns of a series."""
    return series.starts, series.open, series.high, series.low, series.close, series.volume


def pack_views(views: Sequence[StrategyView]) -> bytes:
    """Encode a session's views for another process; bars that they share are sent once."""
    runs, latest, rows = list[BarRun](), dict[SeriesKey, int](), list[tuple[object, ...]]()
    for view in views:
        places = list[tuple[int, int, int]]()
        for key, series in view.series.items():
            index = runs[latest[key]].add(series) if key in latest else None
            if index is None:
                # These are the first bars of this kind, or prices have been adjusted since.
                latest[key], run = len(runs), BarRun(series)
                runs.append(run)
                index = run.add(series)
                assert index is not None, "a run without bars must accept any series"
            places.append((latest[key], *index))
        rows.append((_plain(view), places))
    lengths, columns = _flat([run.series for run in runs])
    return SESSION + pickle.dumps((rows, lengths, columns), pickle.HIGHEST_PROTOCOL)


class SessionViews(Sequence[StrategyView]):
    """The views encoded by `pack_views`; each is decoded when accessed, because all of them together may be large."""

    def __init__(self, message: bytes) -> None:
        self._rows, lengths, columns = pickle.loads(message[len(SESSION) :])  # noqa: S301 - from the bot
        self._series = _series_from(lengths, columns)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> StrategyView: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[StrategyView]: ...
    def __getitem__(self, index: int | slice) -> StrategyView | Sequence[StrategyView]:
        """Return a view, or several."""
        if isinstance(index, slice):
            return [self[each] for each in range(*index.indices(len(self)))]
        fields, places = self._rows[index]
        return _view_from(fields, [self._series[run][first:end] for run, first, end in places])


SERIES_AT = StrategyView.__struct_fields__.index("series")
Lengths = list[tuple[str, str, bool, str, int]]
"""Each series' symbol, timeframe, adjustment and price, and its number of bars."""


def _flat(all_series: Iterable[Series]) -> tuple[Lengths, bytes]:
    lengths, columns = Lengths(), list[bytes]()
    for series in all_series:
        lengths.append((series.symbol, series.timeframe, series.adjusted, series.price.value, len(series.starts)))
        columns += (series.starts.tobytes(), series.open.tobytes(), series.high.tobytes())
        columns += (series.low.tobytes(), series.close.tobytes(), series.volume.tobytes())
    return lengths, b"".join(columns)


def _series_from(lengths: Lengths, columns: bytes) -> list[Series]:
    all_series, remaining = list[Series](), memoryview(columns)
    for symbol, timeframe, adjusted, price, count in lengths:
        values: list[Any] = [symbol, timeframe, adjusted]
        for code in COLUMNS:
            values.append(array(code, remaining[: count * NUMBER_BYTES].tobytes()))
            remaining = remaining[count * NUMBER_BYTES :]
        values.append(PRICES[price])
        all_series.append(Series(*values))
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
"""The fields of a strategy's own decision. Its numbers are never Decimals, which would look like text."""
KINDS: tuple[type[Want], ...] = (Open, Target, Reduce, Close)


def pack_wants(wants: Sequence[Want]) -> bytes:
    """Encode valid wants for the bot: for each kind, a list of lists of fields."""
    return ENCODER.encode(_rows_of(wants))


def pack_slot_wants(answers: Sequence[SlotWants]) -> bytes:
    """Encode the wants of several slots for the bot. Their types are checked here and nowhere else."""
    return ENCODER.encode([[*map(_rows_of, astuple(answer))] for answer in answers])


def _rows_of(wants: Sequence[Want]) -> list[list[list[object]]]:
    rows: dict[type, list[list[object]]] = {kind: [] for kind in KINDS}
    for want in wants:
        kind = type(want)
        if kind not in rows:
            raise TypeError(f"a {kind.__name__} is not an Open, a Target, a Reduce or a Close")
        fields = list(astuple(want))
        for index, name in _places_of_parts(kind):
            to_row, _ = PARTS[name]
            fields[index] = [to_row(part) for part in fields[index]]
        rows[kind].append(fields)
    return list(rows.values())


def unpack_wants(message: bytes) -> tuple[Want, ...]:
    """Decode wants encoded by `pack_wants`; raise ValueError for anything else."""
    kinds = _decode(_wants_decoder(), message)
    return _wants_from(kinds)


def unpack_slot_wants(message: bytes) -> tuple[SlotWants, ...]:
    """Decode wants encoded by `pack_slot_wants`; raise ValueError for anything else."""
    return tuple([SlotWants(*map(_wants_from, lists)) for lists in _decode(_slots_decoder(), message)])


def _decode(decoder: Decoder[T], message: bytes) -> T:
    try:
        return decoder.decode(message)
    except MsgspecError as error:
        raise ValueError(f"wants: {error}") from error


def _wants_from(kinds: Sequence[Rows]) -> tuple[Want, ...]:
    return tuple([want for kind, rows in zip(KINDS, kinds, strict=True) for want in _of_kind(kind, rows)])


def _of_kind(kind: type[Want], rows: Rows) -> Iterator[Want]:
    for row in rows:
        fields = list(row)
        for index, name in _places_of_parts(kind):
            _, from_row = PARTS[name]
            fields[index] = tuple([from_row(part) for part in fields[index]])
        yield kind(*fields)


PARTS: Mapping[str, tuple[Callable[[Any], Sequence[object]], Callable[[Any], object]]] = {
    "decisions": (astuple, lambda row: Decision(*row)),
    # Its numbers and times are checked nowhere else.
    "contracts": (pack, lambda row: unpack(OptionContract, row)),
}
"""The fields of wants that contain other Structs: how to encode one as a row, and how to decode it."""


@cache
def _places_of_parts(kind: type[Want]) -> Sequence[tuple[int, str]]:
    """Return a kind's fields with such parts, by index."""
    return [(index, name) for index, name in enumerate(kind.__struct_fields__) if name in PARTS]


ENCODER = Encoder()


@cache
def _wants_decoder() -> Decoder[tuple[Rows, ...]]:
    return Decoder(_wants_type())


@cache
def _slots_decoder() -> Decoder[tuple[tuple[tuple[Rows, ...], ...], ...]]:
    return Decoder(tuple[tuple[(_wants_type(),) * len(SlotWants.__struct_fields__)], ...])  # type: ignore[misc]


def _wants_type() -> Any:
    return tuple[*(tuple[tuple[*_field_types(kind)], ...] for kind in KINDS)]  # type: ignore[misc]


def _field_types(kind: type[Want]) -> Iterator[object]:
    """Yield the type of each field of a kind of wants, as encoded."""
    types = get_type_hints(kind) | {"decisions": tuple[OWN_DECISION, ...], "contracts": tuple[list[Any], ...]}
    for name in kind.__struct_fields__:
        yield types[name]
