"""List every fault of the script language: its description, its options, and the requests it applies to."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

from papervenue.faults.kinds import CHANGES, DURATIONS, QUOTED, read_duration
from papervenue.times import HOUR

NEEDED = object()
"""Stands in for a default if the value is required."""
_GATEWAY = (500, 502, 503, 504)
_STATUSES = (429, *_GATEWAY)
_REDIRECTS = (301, 302, 303, 307, 308)
_LARGEST_VALUE = 10**9
_LONGEST_VALUE = 40

Read = Callable[[object], Any]
GLOB = "a text without spaces, in which * stands for anything"


class Parameter(NamedTuple):
    """One option of a fault: its parser, whose ValueError names the allowed values, and its default."""

    read: Read
    allowed: str
    default: Any = NEEDED


class Fault(NamedTuple):
    """One fault. `value` is its main option.

    `role` is what the fault acts on: the response ("answer"), the outcome of the request ("order"), the contents of the
    response ("data"), events ("stream"), a symbol ("market"), or how the venue treats the request ("policy").
    `goes_with` lists the kinds of requests that it applies to, and `streams` the streams; if empty, it applies to any.
    """

    role: str
    does: str
    value: Parameter | None = None
    options: Mapping[str, Parameter] = {}
    goes_with: tuple[str, ...] = ()
    streams: tuple[str, ...] = ()


def reader(kind: type, allowed: str, fits: Callable[[Any], object]) -> Read:
    """Return a parser for values of type `kind` that satisfy `fits`; its ValueError lists what is allowed."""

    def read(value: object) -> Any:
        number = Decimal(value) if kind is Decimal and isinstance(value, int) else value
        if isinstance(value, bool) or not isinstance(number, kind) or not fits(number):
            raise ValueError(allowed)
        return number

    return read


def one_of(*words: object) -> Parameter:
    """Return an option whose value is one of these words; the first is the default."""
    allowed = "one of " + ", ".join(map(str, words))

    def read(value: object) -> object:
        if isinstance(value, bool) or value not in words:
            raise ValueError(allowed)
        # A number may be written as 429.0; keep the word from the list.
        return words[words.index(value)]

    return Parameter(read, allowed, words[0])


def whole_number(least: int, most: int, default: object = NEEDED) -> Parameter:
    """Return an option whose value is a whole number within bounds."""
    allowed = f"a whole number from {least} to {most}"
    return Parameter(reader(int, allowed, lambda value: least <= value <= most), allowed, default)


def _duration(default: object = NEEDED, *, negative: bool = False, most: int | None = None) -> Parameter:
    allowed = DURATIONS + (", also negative" if negative else "") + (", at most 1h" if most else "")

    def read(value: object) -> int:
        us = read_duration(value)
        if (us <= 0 and not negative) or not us or (most is not None and us > most):
            raise ValueError(allowed)
        return us

    return Parameter(read, allowed, default)


read_glob = reader(str, GLOB, re.compile(r"[!-~]{1,128}").fullmatch)
_field = reader(str, "the name of a field, such as status", re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}").fullmatch)
_word = reader(str, "a text of 1 to 80 characters", lambda text: 0 < len(text) <= 80 and text.isprintable())
_SCALAR = "a JSON number, null, true, false or NaN as a text"


def _read_json(value: object) -> str:
    """Return the text of a JSON value that isn't a list or an object."""
    text = str(value).lower() if isinstance(value, bool) else str(value)
    try:
        scalar = json.loads(text) if len(text) <= _LONGEST_VALUE else []
    except ValueError:
        scalar = []
    if isinstance(scalar, list | dict):
        raise ValueError(_SCALAR)
    return text


_DOLLARS, _FACTOR = "dollars, from 0.01 to 1000", "a factor above 0, at most 10"
_AMOUNT = f"dollars, at most {_LARGEST_VALUE}, also negative"
_BEFORE = one_of("before", "after")
_AFTER = one_of("after", "before")
_NAME = Parameter(_field, "the name of a field")
_WHICH = Parameter(read_glob, GLOB, "*")
_PART = "a share of the rows above 0, at most 1"
_SHARE = {"share": Parameter(reader(Decimal, _PART, lambda share: 0 < share <= 1), _PART, Decimal(1))}
_FLOW = ("any flow",)

FAULTS: Mapping[str, Fault] = {
    "reply_lost": Fault("answer", "carries out the request and closes the connection without sending a byte"),
    "status": Fault(
        "answer",
        "answers with an error status, before or after carrying out the request",
        one_of(*_STATUSES)._replace(default=NEEDED),
        {"acceptance": _BEFORE, "retry_after": _duration(None)},
    ),
    "redirect": Fault(
        "answer",
        "answers with a redirect",
        one_of(302, *(code for code in _REDIRECTS if code != 302)),
        {"acceptance": _BEFORE, "location": Parameter(_word, "an address", "/moved")},
    ),
    "html_body": Fault("answer", "answers 200 with an HTML page", None, {"acceptance": _AFTER}),
    "truncated_json": Fault(
        "answer",
        "answers with the first bytes of the correct body (by default half of it)",
        whole_number(0, 1_000_000, None),
        {"connection": one_of("kept", "closed")},
    ),
    "empty_body": Fault("answer", "answers 200 with an empty body", None, {"acceptance": _AFTER}),
    "error_inside": Fault(
        "answer",
        "answers 200 with an error inside, or 500 with a list of errors, before or after carrying out the request",
        Parameter(_word, "a text", "unavailable"),
        {"acceptance": _BEFORE, "status": one_of(200, 500)},
    ),
    "slow_drip": Fault("answer", "sends the correct answer at so many bytes per second", whole_number(1, 1_000_000)),
    "hang": Fault(
        "answer",
        "stays silent for this long, then closes the connection or answers",
        _duration(most=HOUR),
        {"acceptance": _AFTER, "then": one_of("close", "answer")},
    ),
    "slow_answer": Fault(
        "answer",
        "answers correctly and at once, but claims that it took this long in engine time, which the bot lets pass",
        _duration(most=HOUR),
    ),
    "reset": Fault("answer", "resets the connection, before or after carrying out the request", _AFTER),
    "connection_lost": Fault(
        "answer",
        "loses the venue behind a TWS for this long, in engine time: requests are lost, and nothing is reported",
        _duration(most=HOUR),
        {"back": one_of(1102, 1101)},
    ),
    "expired_keys": Fault("answer", "answers 401, as if the keys had expired"),
    "flow_limit": Fault(
        "answer",
        "answers 429 with the headers of a used-up limit: per minute or per day",
        one_of("minute", "day"),
        {"retry_after": _duration(None)},
        _FLOW,
    ),
    "not_in_plan": Fault(
        "answer",
        "answers 403, as if the plan didn't include the endpoint or a date so long ago",
        one_of("endpoint", "date"),
        goes_with=_FLOW,
    ),
    "truncated_gzip": Fault(
        "answer",
        "answers with the first bytes of the correct body in gzip (by default half of it)",
        whole_number(0, 1_000_000, None),
        goes_with=_FLOW,
    ),
    "not_found": Fault(
        "answer", "answers 404, as if the order or position didn't exist", goes_with=("order", "positions")
    ),
    "late_arrival": Fault(
        "order",
        "delivers the request later, in engine time; its sender gets an error or no answer",
        _duration(),
        {"answer": one_of(504, 502, 503, "lost", "reset")},
        CHANGES,
    ),
    "delivered_twice": Fault(
        "order",
        "carries out the request twice and returns the second or the first answer",
        None,
        {"answer": one_of("second", "first")},
        CHANGES,
    ),
    "refused": Fault(
        "order",
        "refuses to cancel or replace the order with 422; the order keeps working",
        goes_with=("cancel", "cancel_all", "replace"),
    ),
    "reject_after_acceptance": Fault(
        "order",
        "accepts the order, replacement or cancel, then rejects it; the order to be changed keeps working",
        goes_with=("submit", "replace", "cancel", "cancel_all"),
    ),
    "late_acknowledgement": Fault(
        "order",
        "accepts the order at once and sends it to the market later, in engine time",
        _duration(),
        {"status": one_of("pending_new", "accepted")},
        ("submit",),
    ),
    "partial_then_cancel": Fault("order", "fills part of the order, then cancels the rest", goes_with=("submit",)),
    "corrected_execution": Fault("order", "corrects the first fill by a tick a minute later", goes_with=("submit",)),
    "fill_during_cancel": Fault("order", "fills the order while its cancel is in transit", goes_with=("cancel",)),
    "class_refused": Fault(
        "policy", "refuses orders of this class with 422", one_of("oco", "bracket", "oto"), goes_with=("submit",)
    ),
    "legs_left_out": Fault(
        "policy", "answers without the legs; looking the order up shows them", goes_with=("submit", "replace")
    ),
    "legs_shown_held": Fault(
        "policy", "shows the second order of an oco as held although it works", goes_with=("submit",)
    ),
    "exits_told_late": Fault(
        "policy",
        "reports one exit's fills to the other exit of its group this much later, in engine time, so that "
        "both can fill",
        _duration(most=HOUR),
        goes_with=("submit",),
    ),
    "marketable_exit_refused": Fault(
        "policy", "refuses with 422 to move a take-profit to or through the current market", goes_with=("replace",)
    ),
    "replace_needs_shares": Fault(
        "policy",
        "counts the shares of a replaced exit as taken, and refuses the replacement with 403 if no others are free",
        goes_with=("replace",),
    ),
    "replace_starts_over": Fault(
        "policy",
        "replaces a partly filled order with one that can fill its whole quantity again",
        goes_with=("replace",),
    ),
    "shares_freed_late": Fault(
        "policy",
        "keeps the shares of a canceled exit unavailable for this long, in engine time",
        _duration(most=HOUR),
        goes_with=("cancel", "cancel_all", "close_all"),
    ),
    "halt_symbol": Fault("market", "halts the symbol: none of its orders fill", _duration(None), goes_with=CHANGES),
    "stale_quotes": Fault(
        "data",
        "shows prices of this age in engine time; by default, prices freeze when the rule begins",
        _duration(None),
        goes_with=("quotes", "trades", "snapshots"),
    ),
    "crossed_quotes": Fault(
        "data",
        "shows a bid this many dollars above the ask",
        Parameter(reader(Decimal, _DOLLARS, lambda value: 0 < value <= 1000), _DOLLARS, Decimal("0.05")),
        goes_with=QUOTED,
    ),
    "wrong_quotes": Fault(
        "data",
        "shows the bid and the ask multiplied by this factor; the last trade stays true",
        Parameter(reader(Decimal, _FACTOR, lambda value: 0 < value <= 10), _FACTOR),
        goes_with=QUOTED,
    ),
    "clock_skew": Fault("data", "shifts the Date header and /v2/clock by this much", _duration(negative=True)),
    "unknown_enum": Fault(
        "data",
        "puts an undocumented word into a field, wherever the field appears",
        _NAME,
        {"word": Parameter(_word, "a text", "unheard_of")},
    ),
    "wrong_value": Fault(
        "data",
        "puts this value, such as 0, -1, NaN or null, into a field, wherever the field appears",
        _NAME,
        {"is": Parameter(_read_json, _SCALAR, "0")},
    ),
    "missing_field": Fault("data", "removes a field, wherever it appears", _NAME),
    "missing_rows": Fault(
        "data",
        "leaves rows out of a list; by default, all of them",
        options={"symbol": _WHICH, "client_order_id": _WHICH},
        goes_with=("orders", "positions", "activities"),
    ),
    "repeated_rows": Fault(
        "data",
        "shows rows of a list twice, the second time with a field increased by 1, if the rule names a field",
        Parameter(_field, "the name of a field", None),
        {"symbol": _WHICH, "client_order_id": _WHICH},
        ("orders", "positions", "activities"),
    ),
    "false_end": Fault(
        "data",
        "reports a filled order as canceled with nothing filled, in Kraken's history of orders",
        options={"client_order_id": _WHICH},
        goes_with=("order",),
    ),
    "restless_orders": Fault(
        "data",
        "shows a different limit price, quantity, status or update time of orders at each reading",
        one_of("limit_price", "qty", "status", "updated_at"),
        {"symbol": _WHICH, "client_order_id": _WHICH},
        ("orders", "order"),
    ),
    "opposite_side": Fault("data", "shows positions with the opposite side", None, {"symbol": _WHICH}, ("positions",)),
    "position_value": Fault(
        "data",
        "shows positions with this market value, 0 by default; quantities and prices stay correct",
        Parameter(reader(Decimal, _AMOUNT, lambda value: abs(value) <= _LARGEST_VALUE), _AMOUNT, Decimal(0)),
        {"symbol": _WHICH},
        ("positions",),
    ),
    "stale_account": Fault(
        "data",
        "shows orders, positions, activities and cash as of this long ago in engine time; by default, they freeze when"
        " the rule begins",
        _duration(None),
        goes_with=("orders", "order", "positions", "activities", "account"),
    ),
    "stale_flow": Fault(
        "data",
        "shows flow as of this long ago in engine time; by default, it freezes when the rule begins",
        _duration(None),
        goes_with=_FLOW,
    ),
    "foreign_rows": Fault(
        "data",
        "puts another ticker into rows that have one, as the service does for a parameter it doesn't know",
        Parameter(_word, "a ticker", "QZQZ"),
        _SHARE,
        _FLOW,
    ),
    "duplicate_rows": Fault("data", "shows rows twice", options=_SHARE, goes_with=_FLOW),
    "null_field": Fault("data", "shows null in a field of the rows", _NAME, _SHARE, _FLOW),
    "retyped_field": Fault(
        "data",
        "shows a field of the rows in another type: numbers as text, numbers in text as numbers, other text as a list",
        _NAME,
        _SHARE,
        _FLOW,
    ),
    "new_field": Fault("data", "adds an undocumented field to the rows", _NAME, _SHARE, _FLOW),
    "mute_stream": Fault("stream", "never sends the event; the connection stays up"),
    "duplicate_events": Fault("stream", "sends the event twice"),
    "reordered_events": Fault("stream", "sends the event after the next event"),
    "dropped_stream": Fault("stream", "closes the connection instead of sending the event", streams=("flow_alerts",)),
    "stalled_stream": Fault(
        "stream",
        "from this event on sends nothing and answers no ping; the connection stays up",
        streams=("flow_alerts",),
    ),
}
ON_EVENTS = (*(name for name, fault in FAULTS.items() if fault.role == "stream"), "unknown_enum", "missing_field")
"""Faults that can apply to stream events; all but the last two apply to nothing else."""


_FOLDER = Path(__file__).parent / "scripts"


def names() -> list[str]:
    return sorted(path.stem for path in _FOLDER.glob("*.yaml"))


def text_of(name: str) -> str | None:
    """Return the text of a ready-made script, or None if there is no such script."""
    return (_FOLDER / f"{name}.yaml").read_text(encoding="utf-8") if name in names() else None


def summary_of(name: str) -> str:
    """Return the first line of a ready-made script, which summarizes it."""
    return (text_of(name) or "").partition("\n")[0].lstrip("# ").rstrip()


def describe_fault(word: str) -> str | None:
    """Describe a fault and its options, or return None if there is no such fault."""
    fault = FAULTS.get(word)
    if fault is None:
        return None
    lines = [f"{word}: {fault.does}"]
    if fault.value is not None:
        lines.append(f"  value: {fault.value.allowed}{'' if fault.value.default is NEEDED else '; optional'}")
    lines += [f"  {name}: {option.allowed}" for name, option in fault.options.items()]
    if fault.goes_with:
        lines.append(f"  applies to: {', '.join(fault.goes_with)}")
    return "\n".join(lines) + "\n"
