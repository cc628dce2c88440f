"""How the rows of a reply differ from the fields that their source documents."""

from collections.abc import Mapping
from datetime import datetime
from decimal import Decimal
from enum import StrEnum

from msgspec import Struct, field


class Breach(StrEnum):
    """A way to differ. A new field harms nothing; each of the others may make rows unusable.

    GONE: a documented field isn't there. NEW: a field isn't documented. RETYPED: a value has another type. NULL: a
    value is null that never is. FOREIGN: a row belongs to a ticker that we didn't ask about.
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
    """One difference: in how many rows it was found, and an example. `field` is empty if it is about whole rows."""

    breach: Breach
    field: str
    rows: int
    example: str


class CheckedReply(Struct, frozen=True):
    """What a reply's check found: of `rows` received rows, the findings and, by field, how many values were null."""

    endpoint: str
    symbol: str | None
    at: datetime
    rows: int
    findings: tuple[ContractFinding, ...] = ()
    nulls: Mapping[str, int] = field(default_factory=dict)


class NullCounts(Struct, frozen=True):
    """How many rows came, and how many values of each field were null in them; fields without a null are left out."""

    rows: int
    nulls: Mapping[str, int]


class Drift(Struct, frozen=True):
    """One difference in all current replies of a kind of facts: `rows` of `of` rows have it."""

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
    def found(self) -> str:
        """Return what was found as a person reads it, without the kind and the example."""
        words = {
            Breach.FOREIGN: "another ticker",
            Breach.GONE: f"the field {self.field} is gone",
            Breach.NEW: f"a new field {self.field}",
            Breach.NULL: f"{self.field} is null",
            Breach.RETYPED: f"{self.field or 'the row'} has another type",
        }
        return f"{words[self.breach]} in {self.rows:,} of {self.of:,} rows"

    def __str__(self) -> str:
        return f"{self.kind}: {self.found}"
