"""Provide an account as pandas frames, for notebooks and other programs: its equity, trades, fills and decisions.

Times are UTC, days are dates at midnight, and amounts are floats; the books have the exact amounts.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import asdict

from tradebot.lab.performance.report import AccountReport, CurvePoint, ReportedTrade, SessionExposure
from tradebot.model.position import OwnedFill
from tradebot.model.record import CandidateRecord, CycleRecord

if TYPE_CHECKING:
    import pandas as pd

FILLS = ("at", "strategy", "symbol", "side", "quantity", "price", "cash_usd", "source", "order", "id")
OF_CANDIDATE = ("strategy", "symbol", "side", "purpose", "score", "reference_price", "order")
DECISIONS = ("at", "job", "session", *OF_CANDIDATE, "gate", "reason", "observed", "limit")
HALF_YEARS = ("exposure", "volatility", "sharpe", "beta")
_OF_TRADES = ("exit_price", "fraction", "r", "entry_score")
NUMBERS = frozenset({"benchmark", "benchmark_leveled", *HALF_YEARS, "score", "reference_price", *_OF_TRADES})
"""Columns of numbers that may all be unknown, which pandas can't tell from texts."""


class Frames(NamedTuple):
    """Four tables, oldest row first. Unknown values are NaN or None.

    `equity` has a row for each session, with columns as in `CurvePoint` and `SessionExposure`. `trades` has a row for
    each trade, as in `ReportedTrade`. `decisions` has a row for each candidate, with the `gate` and the `reason` of the
    first decision that refused it, and that decision's observed value and limit as texts. These are None if the
    candidate was sent.
    """

    equity: "pd.DataFrame"
    trades: "pd.DataFrame"
    fills: "pd.DataFrame"
    decisions: "pd.DataFrame"


def frames(account: AccountReport, fills: Iterable[OwnedFill], passes: Iterable[CycleRecord]) -> Frames:
    """Return an account's tables from its report, its fills, and its passes, oldest first."""
    over: Sequence[SessionExposure | None] = [None, *account.further.over_time]
    points = zip(account.curve, over, strict=bool(account.curve))
    return Frames(
        equity=_frame(
            (*CurvePoint.__struct_fields__, *HALF_YEARS),
            (asdict(point) | {name: getattr(each, name, None) for name in HALF_YEARS} for point, each in points),
        ),
        trades=_frame(ReportedTrade.__struct_fields__, map(asdict, account.trades)),
        fills=_frame(FILLS, map(_fill, fills)),
        decisions=_frame(DECISIONS, (_decision_row(cycle, record) for cycle in passes for record in cycle.candidates)),
    )


def _fill(owned: OwnedFill) -> Mapping[str, Any]:
    fill, owned_by = owned.fill, {"strategy": owned.strategy, "source": owned.origin}
    return {
        **asdict(fill),
        **owned_by,
        "cash_usd": -fill.notional,
        "order": fill.venue_order_id,
        "id": fill.activity_id,
    }


def _decision_row(cycle: CycleRecord, record: CandidateRecord) -> Mapping[str, Any]:
    row: dict[str, Any] = {"job": cycle.job, "session": cycle.session, "reference_price": record.reference_price}
    row |= {name: getattr(record.candidate, name) for name in ("at", "strategy", "symbol", "side", "purpose", "score")}
    ended = {name: getattr(record.terminal, name, None) for name in ("gate", "reason", "observed", "limit")}
    ended = {name: None if value is None else str(value) for name, value in ended.items()}
    return {**row, "order": record.client_order_id, **ended}


def _frame(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> "pd.DataFrame":
    import pandas as pd

    cells = [[_plain(row.get(name)) for name in columns] for row in rows]
    return pd.DataFrame(cells, columns=list(columns)).astype({name: float for name in columns if name in NUMBERS})


def _plain(value: object) -> object:
    import pandas as pd

    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, date) and not isinstance(value, datetime):
        return pd.Timestamp(value)
    if isinstance(value, tuple):
        return ", ".join(value)
    return str(value) if isinstance(value, str) else value
