"""Reads the facts from sentences that the ledger and its journal held up to version 3.

Only upgrades of old rows and records use this. Nothing is guessed: if a sentence leaves it open, an origin is `unknown`
and causes are None.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple

from tradebot.adapters.text.canonical import json_text
from tradebot.model.origin import Origin

ACTIVITY = r"activity:(\S*) ?(.*)"
CASH = (
    (Origin.PLAN, r"(plan-[0-9a-f]+) accepted by .*"),
    (Origin.ADOPTION, r"(\S+) was acknowledged by .*"),
    (Origin.ADOPTION, r"(\S+) was bought before it was taken over by .*"),
)
SHARES = (
    (Origin.PLAN, r"(plan-[0-9a-f]+) accepted by .*"),
    (Origin.ADOPTION, r"()(?:acknowledged|taken over) by .*"),
    (Origin.TAKEN_OVER, r"()orders under our mark made these shares"),
)
FILLS = (
    (Origin.PLAN, r"adjustment:(plan-[0-9a-f]+):.+"),
    (Origin.ADOPTION, r"adoption:(.+):[0-9]{8}T[0-9]{12}Z:(?:from|to)"),
    (Origin.ACTIVITY, r"activity:(.+):[0-9]+"),
    (Origin.GIVEN_BACK, r"owned:(.+):(?:from|to)"),
    (Origin.TAKEN_OVER, r"taken-over:(.+)"),
)
BY_ITSELF = "tradebot"
CAUSE = r"([A-Z_]+): .+ against \S+"
FAULT = r"PASS_FAULT: .*"
OVERRIDE = r"override ([A-Z_,]+) at (\S+): "
CAUSES = frozenset(
    {
        "DAILY_LOSS_HALT",
        "DRAWDOWN_REACHED",
        "REJECT_STORM",
        "UNKNOWN_STORM",
        "SECOND_WRITER",
        "BOOKS_OLD",
        "VENUE_DRIFT",
        "PASS_FAULT",
    }
)
"""Every reason for which those versions halted by themselves."""


class Adjusted(NamedTuple):
    """What an adjustment was for: `kind` is the broker's own name for an activity, `why` the rest of the sentence."""

    origin: Origin
    about: str
    kind: str
    why: str


class State(NamedTuple):
    """The causes of a halt, or those that a person accepted at a time by ending one; None if they are unknown."""

    causes: list[str] | None
    accepted_at: str | None


def fill(activity_id: str, venue_order_id: str) -> tuple[Origin, str]:
    """Return a fill's origin and what it is about; a fill with an order comes from the venue."""
    return (Origin.VENUE, "") if venue_order_id else _of(FILLS, activity_id)


def cash(why: str) -> Adjusted:
    """Return the purpose of a cash movement."""
    activity = re.fullmatch(ACTIVITY, why, re.DOTALL)
    if activity:
        words = activity[2]
        return Adjusted(Origin.ACTIVITY, activity[1], words.partition(" ")[0].partition("/")[0], words)
    return Adjusted(*_of(CASH, why), "", why)


def shares(symbol: str, why: str) -> Adjusted:
    """Return the purpose of a note about foreign shares."""
    activity = re.fullmatch(ACTIVITY, why, re.DOTALL)
    if activity:
        return Adjusted(Origin.ACTIVITY, activity[1], "", activity[2])
    origin, about = _of(SHARES, why)
    return Adjusted(origin, symbol if origin is Origin.ADOPTION else about, "", why)


def state(name: str, who: str, why: str) -> State:
    """Return the causes named in a trading state's sentence; a person's halt has none."""
    if name == "ACTIVE":
        accepted = re.match(OVERRIDE, why)
        if accepted is None or not _is_time(accepted[2]):
            return State([], None)
        return State(sorted(CAUSES.intersection(accepted[1].split(","))), accepted[2])
    if who != BY_ITSELF:
        return State([], None)
    if re.fullmatch(FAULT, why, re.DOTALL):
        return State(["PASS_FAULT"], None)
    matches = [re.fullmatch(CAUSE, part) for part in why.split("; ")]
    named = [part[1] for part in matches if part and part[1] in CAUSES]
    return State(sorted(named) if len(named) == len(matches) else None, None)


def upgraded(kind: str, payload: Mapping[str, Any]) -> dict[str, Any]:
    """Return a journal's payload in the current form; one that is in that form already stays as it is."""
    if "origin" in payload or "causes" in payload or kind not in _UPGRADED:
        return dict(payload)
    return dict(_UPGRADED[kind](payload))


def in_current_form(kind: str, payload: bytes) -> bytes:
    """Return the text of a journal's payload in the current form."""
    return json_text(upgraded(kind, json.loads(payload))).encode() if kind in _UPGRADED else payload


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _of(patterns: tuple[tuple[Origin, str], ...], text: str) -> tuple[Origin, str]:
    found = ((origin, re.fullmatch(pattern, text, re.DOTALL)) for origin, pattern in patterns)
    return next(((origin, match[1]) for origin, match in found if match), (Origin.UNKNOWN, ""))


def _fill(payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    origin, about = fill(payload["fill"]["activity_id"], payload["fill"]["venue_order_id"])
    yield from {**payload, "origin": origin, "about": about}.items()


def _cash(payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield "amount", payload["amount"]
    yield from cash(payload["why"])._asdict().items()


def _shares(payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    adjusted = shares(payload["symbol"], payload["why"])
    yield from {"symbol": payload["symbol"], "quantity": payload["quantity"]}.items()
    yield from {"origin": adjusted.origin, "about": adjusted.about, "why": adjusted.why}.items()


def _state(payload: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    yield from {**payload, **state(payload["state"], payload["who"], payload["why"])._asdict()}.items()


_UPGRADED = {"fill": _fill, "cash_adjusted": _cash, "acknowledged": _shares, "trading_state": _state}
