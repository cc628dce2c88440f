"""Permission and trading state: which orders are allowed, how much risk the bot may take, and people's approvals."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from msgspec import Struct

from tradebot.model.candidate import Side, Submitted
from tradebot.model.reasons import Reason

AS_MISSED = ", as missed"
"""The suffix of the claimant's name for a missed slot, before the reason."""


class Mode(StrEnum):
    """Where orders go. (In shadow, the bot decides on orders and records them but sends none.)"""

    SANDBOX = "sandbox"
    PAPER = "paper"
    LIVE = "live"


def mode_name(mode: Mode, *, shadow: bool) -> str:
    """Return the mode as records and documents name it: "paper", or "paper shadow" if nothing is sent."""
    return f"{mode.value} shadow" if shadow else mode.value


class TradingState(StrEnum):
    """How much risk the bot may take. A state that can't be read means REDUCE_ONLY."""

    ACTIVE = "ACTIVE"
    REDUCE_ONLY = "REDUCE_ONLY"
    FLATTEN = "FLATTEN"


class Override(Struct, frozen=True):
    """The causes of the halts that a person accepted when ending them, and when that was, in trading time."""

    causes: frozenset[Reason]
    at: datetime


class TradingStateRecord(Struct, frozen=True):
    """The current trading state, and who set it, why and when; `at` is None if the record is lost or unreadable.

    `causes` says why the bot halted itself. It is empty if the causes are unknown, or if anyone else halted the bot.
    Only the ACTIVE state that ended such a halt has an `override`.
    """

    state: TradingState
    who: str
    why: str
    at: datetime | None
    causes: frozenset[Reason] = frozenset()
    override: Override | None = None


def own_halts(halts: Iterable[TradingStateRecord]) -> Sequence[TradingStateRecord]:
    """Return the bot's own halts with known causes, in the given order."""
    return tuple(halt for halt in halts if halt.at is not None and halt.causes)


def hidden_halts(halts: Iterable[TradingStateRecord], halt: TradingStateRecord) -> tuple[TradingStateRecord, ...]:
    """Return the automatic halts since trading was last ACTIVE, except `halt`, which was set on top of them.

    Their causes still count when a person ends the halt.
    """
    return tuple(record for record in own_halts(halts) if record != halt)


class Arming(Struct, frozen=True):
    """Live trading, armed by a person at a terminal; entries are allowed until the last session closes (venue time)."""

    sessions: int
    first: date
    last: date
    until: datetime
    who: str
    at: datetime


class RungReached(Struct, frozen=True):
    """The part of its allotment that a strategy may use for entries.

    If that is zero, also the reason, the strategy's rung and the rung that it needs.
    """

    share: Decimal
    found: str
    needed: str
    reason: Reason | None = None


class Permission(Struct, frozen=True):
    """Whether anything may be sent to the broker. Each reason not to send has its details.

    Only entries stop for a reason in `entries_closed`, and once `entries_until` has passed (None means no end). Exits,
    cancels and protection continue. `climbed` says for each strategy whether it was promoted to real money; it is None
    if no real money is traded. The entries of strategies `in_shadow` are only simulated, and so are those of strategies
    `awaiting_promotion`, which are in shadow until they are promoted to paper.
    """

    closed: tuple[tuple[Reason, str], ...] = ()
    entries_until: datetime | None = None
    entries_closed: tuple[tuple[Reason, str], ...] = ()
    climbed: Mapping[str, RungReached] | None = None
    in_shadow: frozenset[str] = frozenset()
    awaiting_promotion: Mapping[str, RungReached] = {}

    @property
    def open(self) -> bool:
        return not self.closed

    def closed_to_entries(self, now: datetime) -> tuple[tuple[Reason, str], ...]:
        """Return the reasons that stop an entry at `now`; those that stop every other order too come first."""
        closed = (*self.closed, *self.entries_closed)
        if self.entries_until is None or now <= self.entries_until:
            return closed
        ended = "the last armed session has closed"
        return (*closed, (Reason.LIVE_ARMING_EXPIRED, ended))


class SlotClaim(Struct, frozen=True):
    """The claim on a slot; `won` is True if this claim took it. A missed slot is claimed too."""

    job: str
    session: date
    slot: str
    by: str
    at: datetime
    won: bool

    @property
    def missed_reason(self) -> Reason | None:
        """Return why nothing ran in the slot; None if a pass claimed it."""
        _, mark, reason = self.by.partition(AS_MISSED)
        if not mark:
            return None
        # Earlier versions wrote no reason: they only recorded entries that came too late.
        return Reason(reason.removeprefix(": ")) if reason else Reason.SLOT_MISSED


def as_missed(by: str, reason: Reason) -> str:
    """Return the text to record as the claimant of a missed slot: who noticed, and why nothing ran."""
    return f"{by}{AS_MISSED}: {reason}"


class ReconcileMark(Struct, frozen=True, array_like=True):
    """The last reconciliation: its time, its number of findings, and how many of those block entries."""

    at: datetime
    blocking: int
    findings: int


class ApprovalAnswer(StrEnum):
    """A person's answer to a request for approval."""

    YES = "yes"
    NO = "no"


class Request(Struct, frozen=True):
    """An entry that passed every gate, as it was shown to a person for approval.

    `quantity` (unsigned) and `notional_usd` are the most that an approval allows. `price` is the worst price at which
    the order would have been sent at that time. `slot` is the strategy's own slot, or empty. Without an answer the
    request ends at `expires_at`. `given` is the candidate if it was submitted from outside. No strategy would propose
    it again, so an approval submits it again.
    """

    id: str
    strategy: str
    symbol: str
    side: Side
    quantity: Decimal
    price: Decimal
    notional_usd: Decimal
    session: date
    slot: str
    asked_at: datetime
    expires_at: datetime
    score: float | None = None
    answer: ApprovalAnswer | None = None
    answered_at: datetime | None = None
    who: str = ""
    given: Submitted | None = None

    @property
    def reach(self) -> tuple[str, str, Side, date, str]:
        """Return the key that two requests share if one answer applies to both.

        It includes the session and the slot.
        """
        return self.strategy, self.symbol, self.side, self.session, self.slot

    def waits(self, now: datetime) -> bool:
        """Return True if a person may still answer the request."""
        return self.answer is None and now < self.expires_at


class Baseline(Struct, frozen=True):
    """Every setting at the time a person approved it, nested as in the configuration and ready for JSON."""

    values: Mapping[str, Any]
    who: str
    at: datetime

    @property
    def fingerprint(self) -> str:
        """Return a short digest of the values; equal values have equal digests."""
        text = json.dumps(self.values, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


class Difference(Struct, frozen=True):
    """One setting that differs from its approved value, with the source of its current value.

    `known` is False if no value was ever approved, and `given` is False if nothing sets a value now. The missing value
    is None.
    """

    name: str
    approved: Any
    now: Any
    origin: str
    looser: bool
    known: bool = True
    given: bool = True
