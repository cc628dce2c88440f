"""Candidates from outside, as JSON lines: each line is one candidate, or is counted with why it is none.

A line is our own form, {"symbol": "AAPL", "side": "buy", "score": 0.6}, in which unknown keys are errors, or an alert
with "ticker" and "action" as TradingView sends it, whose other keys are the alert's own business.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import IO, Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from tradebot.errors import OperatorError
from tradebot.limits import Frozen
from tradebot.model.candidate import Side
from tradebot.model.submitted import BadLine, Submission, Submitted
from tradebot.text import LABEL_PATTERN, SYMBOL_PATTERN, expected

MAX_BYTES = 1_000_000
MAX_LINES = 1000
MAX_DETAIL = 160
ALERT_KEYS = frozenset({"ticker", "action"})
ALERT_SIDES: Mapping[str, str] = {"buy": "buy", "long": "buy", "sell": "sell", "short": "sell"}
ALERT_POSITIONS: Mapping[str, str] = {"buy": "long", "sell": "short"}
"""The position after the alert's order that makes it an entry; any other one makes it an exit or a part of one."""
ALERT_SOURCE = "tradingview"
ALERT_SCORE = 1.0
"""An alert is a decision that its sender has made: where it states no score it counts as wholly meant."""
TAKEN_FROM_ALERTS = ("source", "coverage", "at")
ONLY_ENTRIES = "only entries are taken; exits are the bot's own"
OUR_SOURCES = frozenset({"strategy", "exit", "cancel", "flatten"})
"""Sources that say what the bot itself did; a line from outside may not pass for one."""
OUR_STRATEGIES = frozenset({"foreign", "adopted", "doctor"})
"""Names under which the bot itself keeps lots and orders; a line from outside may not add to them."""

Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
Magnitude = Annotated[float, Field(ge=-1, le=1)]


class _Line(Frozen):
    symbol: Annotated[str, StringConstraints(pattern=SYMBOL_PATTERN)]
    side: Literal["buy", "sell"]
    score: Magnitude
    source: Label = "candidates"
    strategy: Label = "own"
    coverage: Annotated[float, Field(ge=0, le=1)] | None = None
    at: AwareDatetime | None = None


class _BadLineError(Exception):
    """One line is no candidate; the arguments are reason and detail."""


def read(stream: IO[bytes], name: str, strategies_in_use: Collection[str]) -> Submission:
    """Return what a stream of at most 1 MB and 1,000 lines holds; OperatorError where it is larger.

    A symbol is wanted once under one strategy's name: the second of the same side is a duplicate, and one of the other
    side a bad line.
    """
    data = stream.read(MAX_BYTES + 1)
    lines = [(n, line) for n, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1) if line.strip()]
    if len(data) > MAX_BYTES or len(lines) > MAX_LINES:
        raise OperatorError(
            f"{name} holds more than {MAX_LINES:,} lines or {MAX_BYTES:,} bytes; nothing was traded",
            "split it, strongest candidates first: a pass opens only a few positions",
        )
    found: dict[tuple[str, str], Submitted] = {}
    bad: list[BadLine] = []
    for number, line in lines:
        try:
            wanted = _candidate(line, strategies_in_use)
            first = found.setdefault((wanted.symbol, wanted.strategy), wanted)
            if first.side is not wanted.side:
                raise _BadLineError("against_earlier", f"{wanted.side} {wanted.symbol}, after a {first.side} of it")
        except _BadLineError as error:
            reason, detail = error.args
            bad.append(BadLine(number, reason, detail[:MAX_DETAIL]))
    duplicates = len(lines) - len(bad) - len(found)
    return Submission(len(lines), tuple(found.values()), duplicates, tuple(bad), hashlib.sha256(data).hexdigest()[:8])


def _candidate(line: bytes, strategies_in_use: Collection[str]) -> Submitted:
    said = _object(line)
    if ALERT_KEYS & said.keys():
        said = _from_alert(said)
    checked = _checked(said)
    side = Side(checked.side)
    if side is Side.BUY and checked.score < 0:
        raise _BadLineError("side_against_score", f"buy with a score of {checked.score}, which is bearish")
    if checked.source in OUR_SOURCES:
        raise _BadLineError("reserved_source", f"source {checked.source} is the bot's own word")
    if checked.strategy in OUR_STRATEGIES:
        raise _BadLineError("reserved_strategy", f"strategy {checked.strategy} is the bot's own name")
    if checked.strategy in strategies_in_use:
        raise _BadLineError("reserved_strategy", f"strategy {checked.strategy} trades by itself here")
    score = side.sign * abs(checked.score)
    return Submitted(checked.symbol, side, score, checked.source, checked.strategy, checked.coverage, checked.at)


def _object(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line, object_pairs_hook=_without_repeats, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _BadLineError("not_json", "the line can't be read as JSON") from error
    if not isinstance(found, dict):
        raise _BadLineError("not_an_object", f"a {type(found).__name__}")
    return found


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise _BadLineError("repeated_key", "a key stands there twice, and only one of the two can be meant")
    return found


def _no_number(word: str) -> float:
    raise _BadLineError("not_json", f"{word} is no number")


def _from_alert(alert: Mapping[str, Any]) -> dict[str, Any]:
    """Return an alert in our own form: NASDAQ:AAPL is AAPL, long is buy, its time is the signal's."""
    action = str(alert.get("action", "")).strip().lower()
    if action not in ALERT_SIDES:
        raise _BadLineError("no_entry", f"action {alert.get('action')!r}: {ONLY_ENTRIES}")
    side = ALERT_SIDES[action]
    _require_entry(alert, side)
    ticker = alert.get("ticker")
    symbol = ticker.rpartition(":")[2] if isinstance(ticker, str) else ticker
    kept = {key: alert[key] for key in TAKEN_FROM_ALERTS if alert.get(key) is not None}
    # An object under this name is the alert's own account of its strategy; only a plain value can name one.
    if not isinstance(alert.get("strategy"), dict | None):
        kept["strategy"] = alert["strategy"]
    if alert.get("time") is not None:
        kept.setdefault("at", alert["time"])
    score = alert.get("score", ALERT_SCORE)
    return {"source": ALERT_SOURCE} | kept | {"symbol": symbol, "side": side, "score": score}


def _require_entry(alert: Mapping[str, Any], side: str) -> None:
    """Refuse an alert whose order leaves no position of its own side: closing part of a long must not open a short."""
    for said in (alert, alert.get("strategy")):
        if not isinstance(said, Mapping) or "market_position" not in said:
            continue
        position = said["market_position"]
        if str(position).strip().lower() != ALERT_POSITIONS[side]:
            raise _BadLineError("no_entry", f"{side} with market_position {position!r}: {ONLY_ENTRIES}")


def _checked(said: Mapping[str, Any]) -> _Line:
    symbol, side = said.get("symbol"), said.get("side")
    tidy = dict(said)
    if isinstance(symbol, str):
        tidy["symbol"] = symbol.strip().upper()
    if isinstance(side, str):
        tidy["side"] = side.strip().lower()
    try:
        return _Line.model_validate(tidy)
    except ValidationError as error:
        raise _BadLineError(*_first(error)) from error


def _first(error: ValidationError) -> tuple[str, str]:
    found = error.errors()[0]
    name = ".".join(str(part) for part in found["loc"])
    if found["type"] == "missing":
        return f"{name}_missing", f"{name} is required"
    if found["type"] == "extra_forbidden":
        return "unknown_key", f"{name!r} is not one of {', '.join(_Line.model_fields)}"
    return f"{name}_invalid", f"{name}: {expected(found)}, not {found['input']!r}"
