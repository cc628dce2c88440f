"""The ways in which the books and the broker can differ, and the plan that would make them agree."""

from decimal import Decimal
from enum import StrEnum

from msgspec import Struct


class FindingKind(StrEnum):
    """The ways in which the books and the broker can differ.

    Each kind has its meaning, whether it blocks entries, and what an accepted plan writes for it.
    """

    meaning: str
    blocking: bool
    writes: str

    def __new__(cls, value: str, meaning: str, blocking: bool = False, writes: str = "") -> "FindingKind":
        kind = str.__new__(cls, value)
        kind._value_, kind.meaning, kind.blocking, kind.writes = value, meaning, blocking, writes
        return kind

    UNREADABLE = (
        "unreadable",
        "the broker returned rows we can't read, so no difference can be trusted and no plan is made",
        True,
    )
    VIEW_UNSTEADY = (
        "view_unsteady",
        "the broker's list of positions disagrees with its answer about this symbol alone, or with the margin in "
        "use, so no difference can be trusted and no plan is made",
        True,
    )
    UNKNOWN_ORDER = (
        "unknown_order",
        "an order that is open, or was filled today, has one of our ids, but these books have no record of it",
        True,
    )
    EARLIER_ORDER = (
        "earlier_order",
        "the bot sent this open order earlier, but these books have no record of it; the bot leaves it alone"
        " until it ends, or until a person runs flatten SYMBOL, which cancels it before closing the bot's"
        " position",
        True,
    )
    UNKNOWN_PAIR = (
        "unknown_pair",
        "a stop with one of our ids protects a position of ours, but these books have no record of it: an"
        " older copy of the folder was restored, or another copy of the bot runs; the stop still protects the"
        " position, and reserves its shares",
        True,
        "takes it over, so that exits go through it; accept only if no other copy of the bot runs on this account",
    )
    FOREIGN_ORDER = ("foreign_order", "an open order that is not ours; the bot leaves it alone")
    ORDER_TWICE = (
        "order_twice",
        "the broker has a second open order with the id of one that the bot sent; cancel it at the broker;"
        " until then, the bot leaves it alone and counts its fills as foreign",
        True,
    )
    ORDER_LEFT_OUT = (
        "order_left_out",
        "the broker's list of open orders is missing one of our orders that may still be open; it counts as working,"
        " and the bot opens nothing on its symbol",
    )
    MISSING_FILL = (
        "missing_fill",
        "one of our orders has filled more than the broker's list of fills shows; no plan is made until the list is"
        " complete or the order's last update is four days old",
        True,
    )
    FOREIGN_POSITION = (
        "foreign_position",
        "a position the bot did not open; counted in the limits, left alone",
        False,
        "acknowledges it as foreign, and leaves it alone",
    )
    PHANTOM = (
        "phantom",
        "the books hold a position that the broker does not",
        True,
        "removes it from the books, closed at cost",
    )
    CLOSED_UNSEEN = (
        "closed_unseen",
        "a position of ours is gone, and so are the orders that rested to close it; the broker no longer"
        " reports which of them filled and at what price, but a statement does (reconcile --statement)",
        True,
        "closes it at the price of the order shown, as an assumption until a statement proves a different price",
    )
    ORPHAN = (
        "orphan",
        "the broker holds shares that the books have closed, and no fill says whose they are",
        True,
        "books the shares as foreign, at the last price",
    )
    QUANTITY = (
        "quantity",
        "the books and the broker hold different quantities",
        True,
        "adopts the broker's quantity, at cost",
    )
    SIDE = ("side", "the books and the broker are on opposite sides", True, "adopts the broker's quantity, at cost")
    BY_HAND = (
        "by_hand",
        "shares traded by hand since the books began; they count toward the limits, and the bot leaves them "
        "alone until they are adopted",
    )
    OFFSET = (
        "offset",
        "someone else's trade closed a position the bot opened",
        True,
        "assigns that trade to the position it closed",
    )
    FORGOTTEN = (
        "forgotten",
        "this position came from orders with our ids of which these books have no record (even if it was"
        " acknowledged as foreign): an older copy of the folder was restored, the books were rebuilt, or"
        " another copy of the bot ran while these books were not in use",
        True,
        "takes over those orders, and exits manage the rest; accept only if no other copy of the bot runs on this "
        "account",
    )
    ANOTHER_COPY = (
        "another_copy",
        "this position came from orders with our ids that were sent while these books were in use: another"
        " copy of the bot is running, or an older copy of the folder was restored during the session; the bot"
        " leaves the position alone until it is adopted",
        True,
    )
    LIQUIDATION = (
        "liquidation",
        "the broker closed this position within the last four days because margin ran out; if nobody else"
        " holds the symbol, the books close the bot's oldest lots",
    )
    MISSING_STOP = (
        "missing_stop",
        (
            "an exit of one of our positions is due but has no working order, or neither an exit rule nor a stop"
            " can act for it"
        ),
    )
    OVERFILLED = (
        "overfilled",
        "a stop, a target or an exit of ours filled although its shares were already gone, so the position"
        " reversed; the next exit pass closes the new position",
    )
    NOTE_CLOSED = (
        "note_closed",
        "shares that were acknowledged as foreign were closed by hand; this changed cash by their gain, which"
        " the books can't compute, because they don't know what the shares cost",
        False,
        "removes the acknowledgment, and books the gain as a cash movement",
    )
    CASH = ("cash", "cash differs from the opening balance plus fills", True, "books the difference as a cash movement")
    SPLIT = (
        "split",
        "the broker reports a split, but its position doesn't prove the ratio",
        True,
        "restates quantity, average and best price for the broker's quantity, at the same cost",
    )
    RENAME = (
        "rename",
        "the broker reports a new symbol, but its positions don't prove which one",
        True,
        "removes the old symbol at cost; the new one is noted as foreign until it is adopted",
    )
    EXPIRY = (
        "expiry_or_assignment",
        "an option's expiry, exercise or assignment added or removed these shares; the bot leaves them alone until "
        "they are adopted",
    )
    ACCOUNT_RESET = (
        "account_reset",
        "the account was reset, or it is a different account; these books don't belong to it, but stay as they"
        " are and can still be read",
        True,
    )
    UNRESOLVED = ("unresolved", "an order may have been sent, but its outcome is unknown; every pass looks it up")
    INSTRUMENT_CHANGED = (
        "instrument_changed",
        "the broker changed an instrument's order rules or its contract multiplier, and the new terms apply;"
        " reported on the day they are first read, and for as long as one of our orders breaks them or a"
        " position was opened at another multiplier",
    )
    INSTRUMENT_UNKNOWN = (
        "instrument_unknown",
        "the broker doesn't list the instrument of one of our positions; the bot opens nothing in it, and"
        " closes the position by the terms of its own opening order; without one, it can't close it",
    )


class Finding(Struct, frozen=True):
    """One difference between the books and the broker: quantities are signed shares, cash is in USD.

    `subject` is a symbol, an order id or the account. `ours` and `broker` are None if the difference isn't one of
    quantities or cash. `evidence` comes from the broker's activities or the exit rules.
    """

    kind: FindingKind
    subject: str
    ours: Decimal | None
    broker: Decimal | None
    evidence: tuple[str, ...] = ()

    @property
    def meaning(self) -> str:
        return self.kind.meaning

    @property
    def blocking(self) -> bool:
        return self.kind.blocking

    @property
    def applicable(self) -> bool:
        """Return True if an accepted plan would write something for this difference."""
        return bool(self.kind.writes)


class AdjustmentPlan(Struct, frozen=True):
    """What accepting a plan writes: adjustments of the books, based on one view of the broker."""

    id: str
    fingerprint: str
    findings: tuple[Finding, ...]
