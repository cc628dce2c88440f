"""Read candidates from outside as JSON lines: each line is one candidate, or is counted as bad with the reason.

A line is either our own form, {"symbol": "AAPL", "side": "buy", "score": 0.6}, in which unknown keys are errors, or an
alert with "ticker" and "action" as TradingView sends it, in which other keys are ignored.
"""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import IO, Annotated, Any, Literal

from pydantic import AwareDatetime, Field, StringConstraints, ValidationError

from tradebot.errors import OperatorError
from tradebot.model.candidate import BadLine, Side, Submission, Submitted
from tradebot.model.limits import Frozen
from tradebot.model.sentences import LABEL_PATTERN, SYMBOL_PATTERN, describe_validation_error

MAX_BYTES = 1_000_000
MAX_LINES = 1000
MAX_DETAIL = 160
ALERT_KEYS = frozenset({"ticker", "action"})
ALERT_SIDES: Mapping[str, str] = {"buy": "buy", "long": "buy", "sell": "sell", "short": "sell"}
ALERT_POSITIONS: Mapping[str, str] = {"buy": "long", "sell": "short"}
"""The position after an alert's order that makes it an entry; any other means a full or partial exit."""
ALERT_SOURCE = "tradingview"
ALERT_SCORE = 1.0
"""The score of an alert without one: its sender has already decided."""
TAKEN_FROM_ALERTS = ("source", "coverage", "at")
ONLY_ENTRIES = "only entries are accepted, because the bot manages exits itself"
OUR_SOURCES = frozenset({"strategy", "exit", "cancel", "flatten"})
"""Sources of the bot's own decisions; a line from outside may not use them."""
OUR_STRATEGIES = frozenset({"foreign", "adopted", "doctor"})
"""Strategy names that the bot uses for its own lots and orders; a line from outside may not use them."""

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
    """Raised when a line is not a candidate; the arguments are reason and detail."""


def read(stream: IO[bytes], name: str, strategies_in_use: Collection[str]) -> Submission:
    """Read a stream of at most 1 MB and 1,000 lines; raise OperatorError if it is larger.

    Each strategy may name a symbol once: a second line with the same side is a duplicate, and one with the other side
    is a bad line.
    """
    data = stream.read(MAX_BYTES + 1)
    lines = [(n, line) for n, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1) if line.strip()]
    if len(data) > MAX_BYTES or len(lines) > MAX_LINES:
        raise OperatorError(
            f"{name} holds more than {MAX_LINES:,} lines or {MAX_BYTES:,} bytes; nothing was traded",
            "split it into several files, with the strongest candidates in the first, because a pass opens"
            " only a few positions",
        )
    candidates: dict[tuple[str, str], Submitted] = {}
    bad: list[BadLine] = []
    for number, line in lines:
        try:
            candidate = _candidate(line, strategies_in_use)
            first = candidates.setdefault((candidate.symbol, candidate.strategy), candidate)
            if first.side is not candidate.side:
                detail = f"{candidate.side} {candidate.symbol}, after an earlier {first.side}"
                raise _BadLineError("against_earlier", detail)
        except _BadLineError as error:
            reason, detail = error.args
            bad.append(BadLine(number, reason, detail[:MAX_DETAIL]))
    duplicates = len(lines) - len(bad) - len(candidates)
    return Submission(
        len(lines), tuple(candidates.values()), duplicates, tuple(bad), hashlib.sha256(data).hexdigest()[:8]
    )


def _candidate(line: bytes, strategies_in_use: Collection[str]) -> Submitted:
    fields = _object(line)
    if ALERT_KEYS & fields.keys():
        fields = _from_alert(fields)
    checked = _check_fields(fields)
    side = Side(checked.side)
    if side is Side.BUY and checked.score < 0:
        raise _BadLineError("side_against_score", f"side is buy, but the score {checked.score} is bearish")
    if checked.source in OUR_SOURCES:
        raise _BadLineError("reserved_source", f"source {checked.source} is reserved for the bot")
    if checked.strategy in OUR_STRATEGIES:
        raise _BadLineError("reserved_strategy", f"strategy {checked.strategy} is reserved for the bot")
    if checked.strategy in strategies_in_use:
        raise _BadLineError(
            "reserved_strategy",
            f"strategy {checked.strategy} already trades in this bot, so nobody else may submit candidates for it",
        )
    score = side.sign * abs(checked.score)
    return Submitted(checked.symbol, side, score, checked.source, checked.strategy, checked.coverage, checked.at)


def _object(line: bytes) -> dict[str, Any]:
    try:
        parsed = json.loads(line, object_pairs_hook=_without_repeats, parse_constant=_no_number)
    except (ValueError, RecursionError) as error:
        raise _BadLineError("not_json", "the line can't be read as JSON") from error
    if not isinstance(parsed, dict):
        raise _BadLineError("not_an_object", f"a {type(parsed).__name__}")
    return parsed


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise _BadLineError("repeated_key", "a key appears twice, so its value is ambiguous")
    return fields


def _no_number(word: str) -> float:
    raise _BadLineError("not_json", f"{word} is not a number")


def _from_alert(alert: Mapping[str, Any]) -> dict[str, Any]:
    """Translate an alert into our form: NASDAQ:AAPL becomes AAPL, long becomes buy, and its time is the signal's."""
    action = str(alert.get("action", "")).strip().lower()
    if action not in ALERT_SIDES:
        raise _BadLineError("no_entry", f"action {alert.get('action')!r}: {ONLY_ENTRIES}")
    side = ALERT_SIDES[action]
    _require_entry(alert, side)
    ticker = alert.get("ticker")
    symbol = ticker.rpartition(":")[2] if isinstance(ticker, str) else ticker
    alert_fields = {key: alert[key] for key in TAKEN_FROM_ALERTS if alert.get(key) is not None}
    # An object under this name describes the alert's strategy; only a plain value can be a strategy's name.
    if not isinstance(alert.get("strategy"), dict | None):
        alert_fields["strategy"] = alert["strategy"]
    if alert.get("time") is not None:
        alert_fields.setdefault("at", alert["time"])
    score = alert.get("score", ALERT_SCORE)
    return {"source": ALERT_SOURCE} | alert_fields | {"symbol": symbol, "side": side, "score": score}


def _require_entry(alert: Mapping[str, Any], side: str) -> None:
    """Refuse an alert whose order leaves no position on its side: partly closing a long must not open a short."""
    for source in (alert, alert.get("strategy")):
        if not isinstance(source, Mapping) or "market_position" not in source:
            continue
        position = source["market_position"]
        if str(position).strip().lower() != ALERT_POSITIONS[side]:
            raise _BadLineError("no_entry", f"{side} with market_position {position!r}: {ONLY_ENTRIES}")


def _check_fields(fields: Mapping[str, Any]) -> _Line:
    symbol, side = fields.get("symbol"), fields.get("side")
    tidy = dict(fields)
    if isinstance(symbol, str):
        tidy["symbol"] = symbol.strip().upper()
    if isinstance(side, str):
        tidy["side"] = side.strip().lower()
    try:
        return _Line.model_validate(tidy)
    except ValidationError as error:
        raise _BadLineError(*_first_problem(error)) from error


def _first_problem(error: ValidationError) -> tuple[str, str]:
    problem = error.errors()[0]
    name = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{name}_missing", f"{name} is required"
    if problem["type"] == "extra_forbidden":
        return "unknown_key", f"{name!r} is not one of {', '.join(_Line.model_fields)}"
    return f"{name}_invalid", f"{name}: {describe_validation_error(problem)}, not {problem['input']!r}"
