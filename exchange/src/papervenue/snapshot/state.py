"""Write the state of an exchange to its snapshot file, and restore it.

Values are written as MessagePack. A record is a list of all its fields in the order of declaration, so a new field is
written as soon as it is declared. Decoding only creates objects of the classes in `RECORDS`. Each order is written as a
row of its own; other values refer to it by its sequence number.

A snapshot is used only if its digest is right, if this exact program created it from this market, and if the log still
begins with the same bytes as then. Otherwise the log is replayed, and a new snapshot is created.
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from decimal import Decimal
from functools import cache, lru_cache, partial
from inspect import getfile
from operator import attrgetter
from pathlib import Path
from typing import Any, NamedTuple

import msgpack

from papervenue.commands.command import Command
from papervenue.engine.account import Account, Activity, Balances, Configuration, Position, Watchlist
from papervenue.engine.account_lists import Find, History, OrderTable, PastUpdates
from papervenue.engine.orders import Amendment, Fill, FillEffect, Order, OrderRequest, StopLoss
from papervenue.faces.face import faces_of
from papervenue.faults.armed_rules import ArmedRuleState
from papervenue.faults.kinds import Moment
from papervenue.faults.rules import Rule, RuleConditions
from papervenue.log import Prefix
from papervenue.margined.accounts import NetPosition
from papervenue.market.actions import Action
from papervenue.private_files import read_own, write_atomically
from papervenue.shares.options import Contract
from papervenue.state import ACTIONS_FILE, BARS_FILE, DAYS_FILE, MARKET_FILE, SNAPSHOT_FILE, read_market

_PROGRAM = Path(__file__).resolve().parents[1]
_DIGEST_BYTES = hashlib.sha256().digest_size


class Snapshot(NamedTuple):
    """A state, the beginning of the log that led to it, and the identity of the program and market that created it."""

    identity: bytes
    log: Prefix
    state: bytes


def write_snapshot(state_dir: Path, snapshot: Snapshot) -> None:
    """Replace the snapshot; raise OSError if that fails."""
    content: bytes = msgpack.packb(snapshot)
    write_atomically(state_dir / SNAPSHOT_FILE, hashlib.sha256(content).digest() + content)


def read_snapshot(state_dir: Path) -> Snapshot | None:
    """Return the snapshot of a folder, or None if there is no valid one."""
    try:
        file = memoryview(read_own(state_dir / SNAPSHOT_FILE))
    except OSError:
        return None
    digest, content = file[:_DIGEST_BYTES], file[_DIGEST_BYTES:]
    if hashlib.sha256(content).digest() != digest:
        return None
    made_by, log, state = msgpack.unpackb(content)
    return Snapshot(made_by, Prefix(*log), state) if made_by == identity_of(state_dir) else None


def identity_of(state_dir: Path) -> bytes:
    """Return the digest of everything besides the log that determines a state: this program and the market's files.

    The file of bars may be too large to read again, so it counts as unchanged if its size and modification time are the
    same.
    """
    market = (state_dir / MARKET_FILE).read_bytes()
    digest = hashlib.sha256(_program() + market)
    if b'"faces"' in market:
        # Commands of a face in an installed package also determine a state.
        for face in faces_of(read_market(state_dir).spec.venue):
            digest.update(Path(getfile(face.serve)).read_bytes())
    for path in (state_dir / BARS_FILE, state_dir / DAYS_FILE, state_dir / ACTIONS_FILE):
        with contextlib.suppress(FileNotFoundError):
            status = path.stat()
            digest.update(f"{path.name} {status.st_size} {status.st_mtime_ns}".encode())
    return digest.digest()


@cache
def _program() -> bytes:
    """Return the digest of the exchange's source when this process began, even if the source is replaced meanwhile."""
    digest = hashlib.sha256(f"{sys.version} {msgpack.version}".encode())
    for path in sorted(_PROGRAM.rglob("*.py")):
        digest.update(path.name.encode() + path.read_bytes())
    return digest.digest()


def forget_drafts(state_dir: Path) -> None:
    for draft in state_dir.glob(f"{SNAPSHOT_FILE}.*.tmp"):
        draft.unlink(missing_ok=True)


RECORDS: tuple[type, ...] = (
    Account,
    Action,
    Activity,
    Amendment,
    ArmedRuleState,
    Balances,
    Command,
    Configuration,
    Contract,
    Fill,
    Moment,
    NetPosition,
    OrderRequest,
    PastUpdates,
    Position,
    Rule,
    FillEffect,
    StopLoss,
    Watchlist,
    RuleConditions,
)
WORKED_OUT: Mapping[type, frozenset[str]] = {Account: frozenset({"_valued", "_values", "_stale", "_long", "_short"})}
"""Fields whose values can be recomputed, such as an account's cached valuations."""
_DECIMAL, _ORDER, _TUPLE, _SET, _FROZENSET, _TABLE, _HISTORY, _FIRST_RECORD = range(8)
_FORGIVING = "surrogatepass"
"""Keep texts exactly as they came, whatever they contain."""


def field_names(record: type) -> tuple[str, ...]:
    """Return the fields of a record that are written."""
    if not is_dataclass(record):
        names: tuple[str, ...] = record._fields  # type: ignore[attr-defined]
        return names
    return tuple(field.name for field in fields(record) if field.name not in WORKED_OUT.get(record, ()))


_ORDER_FIELDS = attrgetter(*field_names(Order))


class Packer:
    """Encodes values as bytes; `met` collects the orders to which the values refer."""

    def __init__(self) -> None:
        self.met: dict[int, Order] = {}
        self._how: dict[type, Callable[[Any], msgpack.ExtType]] = {
            Decimal: lambda value: msgpack.ExtType(_DECIMAL, str(value).encode()),
            Order: self._order,
            tuple: lambda value: self._pack_extension(_TUPLE, [*value]),
            set: lambda value: self._pack_extension(_SET, sorted(value)),
            frozenset: lambda value: self._pack_extension(_FROZENSET, sorted(value)),
            OrderTable: lambda value: self._pack_extension(_TABLE, [[*value], value.sequences()]),
            History: self._history,
        }
        for code, record in enumerate(RECORDS, start=_FIRST_RECORD):
            self._how[record] = partial(self._record, code, attrgetter(*field_names(record)))

    def pack(self, value: object) -> bytes:
        """Encode a value as bytes; raise TypeError for an unsupported class."""
        # Strict, so that named tuples and the like reach `_default` instead of passing for lists.
        packed: bytes = msgpack.packb(value, default=self._default, strict_types=True, unicode_errors=_FORGIVING)
        return packed

    def rows(self, orders: Iterable[Order]) -> bytes:
        """Encode orders for `SnapshotOrders.read`: first their sequence numbers, then their fields."""
        ordered = sorted(orders, key=attrgetter("sequence"))
        rows = self.pack([[*_ORDER_FIELDS(order)] for order in ordered])
        return self.pack([[order.sequence for order in ordered], rows])

    def _default(self, value: object) -> msgpack.ExtType:
        how = self._how.get(type(value))
        if how is None:
            raise TypeError(f"a snapshot cannot hold a {type(value).__name__}")
        return how(value)

    def _pack_extension(self, code: int, value: object) -> msgpack.ExtType:
        return msgpack.ExtType(code, self.pack(value))

    def _order(self, order: Order) -> msgpack.ExtType:
        self.met[order.sequence] = order
        return self._pack_extension(_ORDER, order.sequence)

    def _record(self, code: int, values: Callable[[object], tuple[object, ...]], record: object) -> msgpack.ExtType:
        return self._pack_extension(code, [*values(record)])

    def _history(self, history: History[Any]) -> msgpack.ExtType:
        """Encode the part that isn't packed yet. Orders of executions are finished or referred to elsewhere."""
        newer = (Packer().pack(history.newer),) if history.newer else ()
        return self._pack_extension(_HISTORY, [len(history), [*history.packed, *newer]])


class Unpacker:
    """Decodes values; `find` returns an order by its sequence number."""

    def __init__(self, find: Find) -> None:
        self._how: dict[int, Callable[[bytes], object]] = {
            _DECIMAL: _decimal,
            _ORDER: lambda data: find(self.unpack(data)),
            _TUPLE: lambda data: tuple(self.unpack(data)),
            _SET: lambda data: set(self.unpack(data)),
            _FROZENSET: lambda data: frozenset(self.unpack(data)),
            _TABLE: lambda data: OrderTable(dict(zip(*self.unpack(data), strict=True)), find),
            _HISTORY: self._history,
        }
        for code, record in enumerate(RECORDS, start=_FIRST_RECORD):
            make = partial(_make_record, record, field_names(record)) if is_dataclass(record) else record._make  # type: ignore[attr-defined]
            self._how[code] = partial(self._record, make)

    def unpack(self, data: bytes) -> Any:
        """Decode a value; raise ValueError, TypeError or KeyError for invalid bytes."""
        return msgpack.unpackb(data, ext_hook=self._unpack_extension, strict_map_key=False, unicode_errors=_FORGIVING)

    def _unpack_extension(self, code: int, data: bytes) -> object:
        return self._how[code](data)

    def _record(self, make: Callable[[Sequence[Any]], object], data: bytes) -> object:
        return make(self.unpack(data))

    def _history(self, data: bytes) -> History[Any]:
        count, packed = self.unpack(data)
        return History(packed=tuple(packed), count=count, unpack=self.unpack)


def _make_record(record: type, names: Sequence[str], values: Sequence[Any]) -> object:
    """Build a dataclass from its fields, setting those that its constructor doesn't take afterwards."""
    remaining = dict(zip(names, values, strict=True))
    restored = record(
        **{field.name: remaining.pop(field.name) for field in fields(record) if field.init and field.name in remaining}
    )
    for name, value in remaining.items():
        setattr(restored, name, value)
    return restored


_decimal = lru_cache(maxsize=4096)(lambda data: Decimal(data.decode()))


class SnapshotOrders:
    """The orders in a snapshot: some are read at the start, all others together when one of them is first needed."""

    def __init__(self, later: tuple[bytes, ...] = ()) -> None:
        self.orders: dict[int, Order] = {}
        self.later = later
        self.unpacker = Unpacker(self.find)

    def find(self, sequence: int) -> Order:
        """Return an order; raise KeyError if there is none."""
        if sequence not in self.orders:
            self.read_all()
        return self.orders[sequence]

    def read_all(self) -> None:
        """Read the orders that haven't been read yet."""
        later, self.later = self.later, ()
        self.read(later)

    def read(self, packed: Iterable[bytes]) -> None:
        """Read orders that may refer to each other: create all of them before setting their fields."""
        parts = [self.unpacker.unpack(part) for part in packed]
        for sequences, _ in parts:
            for sequence in sequences:
                self.orders[sequence] = Order.__new__(Order)
        for sequences, rows in parts:
            for sequence, row in zip(sequences, self.unpacker.unpack(rows), strict=True):
                Order.__init__(self.orders[sequence], *row)


KEPT = {
    "": ("sequence", "_told_ns", "_reserved_us"),
    "engine": ("now_us", "latency_us", "sequence", "accounts", "_opened", "_arrives_us", "funding_changes"),
    "engine.agenda": ("_noted", "_heap"),
    "engine.book": ("_live",),
    "faults.book": ("_armed", "on_requests", "on_streams", "asks_accounts"),
    "faults.halts": ("_fired",),
    "market": ("symbols", "known"),
    "market.actions": ("_all", "_of", "_entities"),
    "control": ("_cash",),
}
"""Everything in an exchange that commands change, by its path. All else is the same from the beginning."""


def part_at(exchange: object, path: str) -> Any:
    """Return the part of an exchange at a path; an empty path means the exchange itself."""
    return attrgetter(path)(exchange) if path else exchange


def restore_state(exchange: object, state: bytes) -> SnapshotOrders:
    """Restore a newly created exchange to a state and return its finished orders.

    Raises ValueError, TypeError or KeyError if the state is invalid.
    """
    packed, live, later = msgpack.unpackb(state)
    past = SnapshotOrders(tuple(later))
    past.read([live])
    parts: dict[str, list[Any]] = past.unpacker.unpack(packed)
    for path, names in KEPT.items():
        for name, value in zip(names, parts[path], strict=True):
            setattr(part_at(exchange, path), name, value)
    return past
