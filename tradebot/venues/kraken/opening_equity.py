"""Work out what an account was worth when the day began: the venue doesn't say it, and limits of a day need it.

Worth at midnight is worth now without what trading, fees and funding have earned since. The owner's own money that came
or left since then counts as if it had been there.
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import VENUE_DAY, write_durably
from tradebot.model.activity import Activity, ActivityKind
from tradebot.model.order import Fill

FILE = VENUE_DAY
OWN = frozenset({ActivityKind.TRANSFER})
"""What is neither earned nor lost."""


class Since(Struct, frozen=True):
    """What has happened in an account since midnight, and what it holds now at which marks.

    Quantities are signed; `marks_then` are the marks at midnight of what was held then.
    """

    equity: Decimal
    held: Mapping[str, Decimal]
    marks: Mapping[str, Decimal]
    fills: Iterable[Fill]
    moved: Iterable[Activity]
    marks_then: Callable[[str], Decimal]


def worth_at_midnight(since: Since) -> Decimal:
    """Return what the account was worth when the day began, in USD.

    A symbol has earned its worth now, less its worth then, less what was paid for what was bought since.
    """
    then, paid = dict(since.held), Decimal(0)
    for fill in since.fills:
        then[fill.symbol] = then.get(fill.symbol, Decimal(0)) - fill.signed_quantity
        paid += fill.notional
    now = sum((quantity * since.marks[symbol] for symbol, quantity in since.held.items()), Decimal(0))
    before = sum((quantity * since.marks_then(symbol) for symbol, quantity in then.items() if quantity), Decimal(0))
    moved = sum((one.net_amount for one in since.moved if one.meaning not in OWN), Decimal(0))
    return since.equity - (now - before - paid) - moved


def midnight(day: date) -> datetime:
    """Return when a day begins."""
    return datetime.combine(day, time(), UTC)


class OpeningEquity:
    """Keeps what the account was worth when the day began, in a file of the state folder if there is one."""

    def __init__(self, folder: Path | None) -> None:
        self._path = folder / FILE if folder else None
        self._known: tuple[str, Decimal] | None = None

    def of(self, account: str, day: date, work_out: Callable[[], Decimal]) -> Decimal:
        """Return it for a day, working it out the first time."""
        key = f"{account} {day.isoformat()}"
        known = self._known or self._kept()
        if known is None or known[0] != key:
            known = key, work_out()
            if self._path is not None:
                kept = {"day": key, "equity": f"{known[1]:f}"}
                write_durably(self._path, json.dumps({**kept, "digest": _digest(kept)}))
        self._known = known
        return known[1]

    def _kept(self) -> tuple[str, Decimal] | None:
        """Return what the file has; a damaged one is as good as none, because it can be worked out again."""
        if self._path is None:
            return None
        try:
            told = json.loads(read_plain(self._path))
            kept = {name: str(told[name]) for name in ("day", "equity")}
            equity = Decimal(kept["equity"])
            return (kept["day"], equity) if equity.is_finite() and told["digest"] == _digest(kept) else None
        except (OSError, ValueError, ArithmeticError, KeyError, TypeError):
            return None


def _digest(kept: Mapping[str, str]) -> str:
    """Return what tells a file that this bot has written from one that has been changed since."""
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()
