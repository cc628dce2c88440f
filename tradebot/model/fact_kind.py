"""Define a kind of flow fact, and how the rows of a reply may differ from the documented fields."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from operator import attrgetter
from typing import Any, Generic, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

from msgspec import Struct, field

NEW_YORK = ZoneInfo("America/New_York")
Row = Mapping[str, object]


class FactColumn(NamedTuple):
    """One field of several rows: its values in row order, and the types that occur among them."""

    values: Sequence[Any]
    types: frozenset[type]


Columns = Mapping[str, FactColumn]


class ReplyScope(StrEnum):
    """What one reply covers, which determines how many calls it takes to fetch a universe."""

    SYMBOL = "symbol"
    FUND = "fund"
    SECTOR = "sector"
    MARKET = "market"


class Phase(StrEnum):
    """When the replies of a kind change, which decides when to fetch them.

    ALWAYS: at any time. OPEN: only while a session is open. MORNING: once a day, before the open. EVENING: once a day,
    after the close.
    """

    ALWAYS = "always"
    OPEN = "open"
    MORNING = "morning"
    EVENING = "evening"


class Fact(Struct, frozen=True):
    """One normalized row. Its id is unique within its kind and symbol."""

    id: str


class SymbolFact(Fact, frozen=True):
    """A fact about one symbol, which is spelled as the bot spells it."""

    symbol: str


class DayFact(SymbolFact, frozen=True):
    """A fact about one symbol and one trading date."""

    date: date


class FlowRequest(Struct, frozen=True):
    """One GET to the flow source: its path, and its parameters under the source's own names."""

    path: str
    params: Mapping[str, str]


def parse_field_types(fields: str) -> Mapping[str, str]:
    """Return the documented fields of a row with their types, from text such as "text date, decimal? price volume".

    A type is text, decimal (a number as text), integer, number, boolean, list or object; a ? says that the field may be
    null, and a * that it may be left out.
    """
    return {name: each.split()[0] for each in fields.split(", ") for name in each.split()[1:]}


def _whole(fact: Any) -> Any:
    return fact


def _whole_at(lean: Any, known_at: datetime) -> Any:
    return lean


F = TypeVar("F", bound=Fact)
L = TypeVar("L")
C = TypeVar("C")


class Kind(Struct, Generic[F, L, C], frozen=True, eq=False):
    """A kind of flow fact. `F` is a fact as stored, `L` the part that decisions read, `C` the summary that they see.

    `name` is used by configurations, strategies and stored rows. `unit` and `sign` say what the numbers mean, and
    `absent` what their absence means. `fact` is the stored type.

    `scope` is the subject of one reply. The request is built from `path` and `params`, in which {} is replaced by the
    source's spelling of a ticker or sector; a value that depends on the session is a function of its date. `fields` are
    the fields of a row as the source documents them. A reply of a `single` kind is one row instead of a list. A
    violated contract of a `core` kind blocks entries. `parse` turns a row into a fact. Its arguments include our symbol
    and the time of the reply, and no row may be later than that. It raises BadRowError for a row that it can't use.
    `parse_all` does the same for many rows at once, or raises NotColumnarError, after which `parse` reads them one by
    one; a kind with few rows doesn't need it. `moment` is a fact's own time, or its New York trading date: usually its
    field `date`. A fact counts in the session of its date, and for `past_days` after it. Unless `changes` is True, the
    first version of a fact is used.

    `lean` reduces a fact to what decisions read, and `at_arrival` may then set its time to the time at which it
    arrived. `condense` summarizes one or more of these reduced facts, in any order. `poll_s` is the age in seconds at
    which a reply is fetched again; the configuration may override it. `max_age_s` is the age at which its content
    counts as absent, and `phase` when to fetch it. By default, a kind is fetched once a day, before the open.
    """

    name: str
    unit: str
    sign: str
    absent: str
    fact: type[F]
    path: str
    parse: Callable[[Row, str, datetime], F]
    condense: Callable[[Sequence[L]], C]
    params: Mapping[str, str | Callable[[date], str]] = field(default_factory=dict)
    moment: Callable[[F], datetime | date] = attrgetter("date")
    lean: Callable[[F], L] = _whole
    at_arrival: Callable[[L, datetime], L] = _whole_at
    poll_s: int = 86_400
    scope: ReplyScope = ReplyScope.SYMBOL
    changes: bool = True
    past_days: int = 0
    fields: Mapping[str, str] = field(default_factory=dict)
    core: bool = False
    single: bool = False
    max_age_s: int | None = 5 * 86_400
    phase: Phase = Phase.MORNING
    parse_all: Callable[[Columns, str, datetime], Iterable[F]] | None = None

    @property
    def market_wide(self) -> bool:
        """Return True if one reply is about the whole market."""
        return self.scope is ReplyScope.MARKET

    def request(self, about: str, session: date) -> FlowRequest:
        """Return the GET for a session; `about` is a ticker or the source's name of a sector.

        It becomes a part of the URL unescaped, so it must be safe there.
        """
        params = {
            name: value.format(about) if isinstance(value, str) else value(session)
            for name, value in self.params.items()
        }
        return FlowRequest(self.path.format(about), params)

    def of(self, facts: Mapping[str, object]) -> C | None:
        """Return the summary of this kind; None if there are no facts, or if the strategy didn't declare the kind."""
        value: Any = facts.get(self.name)
        return value  # type: ignore[no-any-return]

    def day(self, fact: F) -> date:
        """Return the New York date to which a fact belongs."""
        moment = self.moment(fact)
        return moment.astimezone(NEW_YORK).date() if isinstance(moment, datetime) else moment

    def interval_s(self, poll_s: Mapping[str, int]) -> int:
        """Return the age in seconds at which to fetch a reply again, given the configured intervals by name."""
        return poll_s.get(self.name, self.poll_s)


AnyKind = Kind[Any, Any, Any]


class Breach(StrEnum):
    """A way in which a reply differs from its documentation. NEW is harmless; any other may make rows unusable.

    GONE: a documented field is missing. NEW: a field isn't documented. RETYPED: a value has another type. NULL: a field
    that is never null is null. FOREIGN: a row belongs to a ticker that we didn't request.
    """

    GONE = "gone"
    NEW = "new"
    RETYPED = "retyped"
    NULL = "null"
    FOREIGN = "foreign"

    @property
    def harms(self) -> bool:
        return self is not Breach.NEW


class ContractFinding(Struct, frozen=True):
    """One difference between a reply and its documentation: in how many rows it occurs, and an example.

    `field` is empty if the difference is about whole rows.
    """

    breach: Breach
    field: str
    rows: int
    example: str


class CheckedReply(Struct, frozen=True):
    """The result of checking a reply: the number of rows received, the findings, and null counts by field."""

    endpoint: str
    symbol: str | None
    at: datetime
    rows: int
    findings: tuple[ContractFinding, ...] = ()
    nulls: Mapping[str, int] = field(default_factory=dict)


class NullCounts(Struct, frozen=True):
    """The number of rows, and the number of nulls by field; fields without nulls are left out."""

    rows: int
    nulls: Mapping[str, int]


class Drift(Struct, frozen=True):
    """One way in which current replies differ from their documentation: `rows` out of `of` checked rows differ so."""

    kind: str
    breach: Breach
    field: str
    rows: int
    of: int
    example: str

    @property
    def share(self) -> Decimal:
        return Decimal(self.rows) / self.of if self.of else Decimal(0)

    @property
    def description(self) -> str:
        """Describe the difference for people, without the kind and the example."""
        words = {
            Breach.FOREIGN: "another ticker",
            Breach.GONE: f"the field {self.field} is gone",
            Breach.NEW: f"a new field {self.field}",
            Breach.NULL: f"{self.field} is null",
            Breach.RETYPED: f"{self.field or 'the row'} has another type",
        }
        return f"{words[self.breach]} in {self.rows:,} of {self.of:,} rows"

    def __str__(self) -> str:
        return f"{self.kind}: {self.description}"
