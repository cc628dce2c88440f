"""Define what each activity type in the books means: Alpaca's own types, and our types for other venues.

The books store an activity's type as the broker reported it. Alpaca was the first venue, so its types are stored
unchanged. Another venue's adapter stores our type as `kind`, and the venue's own type as `sub_kind`.
"""

from collections.abc import Mapping

from tradebot.model.account import ActivityKind

_ALPACA: Mapping[ActivityKind, str] = {
    ActivityKind.FEE: "FEE",
    # A pass-through charge is a fee, and its rebate returns a fee.
    ActivityKind.OTHER_FEE: "CFEE PTC PTR",
    # Amounts withheld from a dividend, or charged for it, reduce the dividend.
    ActivityKind.DIVIDEND: "DIV DIVCGL DIVCGS DIVFEE DIVFT DIVNRA DIVTW DIVTXEX CGD",
    ActivityKind.RETURN_OF_CAPITAL: "DIVROC",
    ActivityKind.INTEREST: "INT INTNRA INTTW",
    ActivityKind.FUNDING: "FUNDING",
    ActivityKind.TRANSFER: "ACATC CSD CSW JNLC",
    ActivityKind.SHARES: "ACATS FOPT JNL JNLS TRANS",
    ActivityKind.SPLIT: "SPLIT",
    ActivityKind.RENAME: "NC",
    ActivityKind.MERGER: "MA",
    ActivityKind.OPTION_TRADE: "OPTRD",
}
"""Alpaca's `ActivityType`s, from its Trading API's OpenAPI document; FUNDING is none of them."""
_FINER = {
    ("FEE", "COM"): ActivityKind.COMMISSION,
    ("FEE", "NRC"): ActivityKind.COMMISSION,
    ("FEE", "BRW"): ActivityKind.BORROW_FEE,
}
"""Alpaca's `ActivitySubType`s of the type FEE, and BRW for stock borrow fees. Alpaca documents none for these, so only
the embedded exchange uses it."""
_STOCK_DIVIDEND = "SDIV"
_MEANINGS = {
    **{kind.value: kind for kind in ActivityKind},
    **{word: kind for kind, words in _ALPACA.items() for word in words.split()},
}


def meaning_of(kind: str, sub_kind: str) -> ActivityKind:
    """Return the meaning of an activity's types; OTHER for unknown types."""
    meaning = _FINER.get((kind, sub_kind)) or _MEANINGS.get(kind, ActivityKind.OTHER)
    # It pays shares, whatever it is listed under.
    pays_shares = sub_kind == _STOCK_DIVIDEND and not meaning.moves_shares
    return ActivityKind.STOCK_DIVIDEND if pays_shares else meaning


def meaning_if_any(kind: str, sub_kind: str) -> ActivityKind | None:
    """Return the meaning of a cash movement's activity types; None if `kind` is empty, as in a plan that a user
    edited.
    """
    return meaning_of(kind, sub_kind) if kind else None
