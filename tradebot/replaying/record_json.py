"""Convert a record to plain JSON, in which texts can be replaced, and back to bytes."""

from base64 import b64decode, b64encode
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Any

from tradebot.ports.world import Rules
from tradebot.replaying.former_names import name_now
from tradebot.replaying.passes import RecordedCycle, bytes_of, decide_again, read_record
from tradebot.replaying.port_recording import OrderedReplies, UnrecordedCallError
from tradebot.replaying.record_reader import parse_untyped
from tradebot.replaying.record_writer import RecordError, encode_steps

SETTINGS, ACCEPTED, TOLD, OUTCOME, LENGTH = 2, 3, 7, 8, 9
"""The indexes of these items in a record's body, and the number of its items."""
MARK = "$"
DEEPEST = 100
"""How deeply lists may be nested."""
Read = Sequence[bytes]


def record_to_json(body: bytes, parts: Read) -> dict[str, Any]:
    """Convert a pass record to plain JSON values; raise RecordError if it isn't one."""
    tree = parse_untyped(body)
    if not isinstance(tree, list) or len(tree) != LENGTH or not isinstance(tree[OUTCOME], bytes):
        raise RecordError("it isn't a pass record")
    texts = {tree[SETTINGS], tree[ACCEPTED]}
    outcome = _plain(parse_untyped(tree.pop(OUTCOME)))
    contents = [
        {"text": part.decode()} if number in texts else {"value": _plain(parse_untyped(part))}
        for number, part in enumerate(parts)
    ]
    return {"body": _plain(tree), "outcome": outcome, "parts": contents}


def record_from_json(tree: object) -> tuple[bytes, Read]:
    """Convert plain JSON from an untrusted source to a record's body and parts; raise RecordError if it is invalid."""
    try:
        body, outcome, contents = (tree[name] for name in ("body", "outcome", "parts"))  # type: ignore[index]
        parts = [
            content["text"].encode() if "text" in content else encode_steps(_value(content["value"]))
            for content in contents
        ]
        return encode_steps([*_value(body), encode_steps(_value(outcome))]), parts
    except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise RecordError("it isn't a pass record") from error


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return {f"{MARK}bytes": b64encode(value).decode()}
    if isinstance(value, datetime):
        return {f"{MARK}at": value.isoformat()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        if all(isinstance(name, str) and not name.startswith(MARK) for name in value):
            return {name: _plain(item) for name, item in value.items()}
        return {f"{MARK}map": [[_plain(name), _plain(item)] for name, item in value.items()]}
    return value


def _value(value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise ValueError("too deep")
    if isinstance(value, list):
        return [_value(item, depth + 1) for item in value]
    if not isinstance(value, dict):
        return value
    if f"{MARK}bytes" in value:
        return b64decode(value[f"{MARK}bytes"], validate=True)
    if f"{MARK}at" in value:
        return datetime.fromisoformat(value[f"{MARK}at"])
    if f"{MARK}map" in value:
        return {_value(name, depth + 1): _value(item, depth + 1) for name, item in value[f"{MARK}map"]}
    return {name: _value(item, depth + 1) for name, item in value.items()}


def rewrite_body(body: bytes, parts: Read, rules: Callable[[RecordedCycle], Rules]) -> bytes | None:
    """Return the body of a record with replaced texts, with its digests and order ids recomputed.

    Order ids and port calls contain these texts, so the pass is run again with its replies in order. Return None if the
    pass then makes other calls, or decides differently from the record.
    """
    recorded = read_record(body, parts, {}, OrderedReplies)
    tape = recorded.tape()
    try:
        outcome = bytes_of(decide_again(recorded, rules(recorded), tape))
    except UnrecordedCallError:
        return None
    tree = parse_untyped(body)
    rows = tree[TOLD][0]
    if [ask.name for ask in tape.asked] != [name_now(row[0]) for row in rows] or not _equal(outcome, recorded.outcome):
        return None
    tree[OUTCOME] = outcome
    for row, recorded_question in zip(rows, tape.asked, strict=True):
        row[1] = recorded_question.digest
    return encode_steps(tree)


def without_digests(body: bytes) -> bytes:
    """Return a record's body without the digests of its port calls, so that replies are played in order."""
    parts = parse_untyped(body)
    for row in parts[TOLD][0]:
        row[1] = b""
    return encode_steps(parts)


def _equal(*outcomes: bytes) -> bool:
    """Return True if outcomes are equal except for order ids, which contain replaced texts."""
    then, now = map(parse_untyped, outcomes)
    for candidate in (*then["candidates"], *now["candidates"]):
        candidate["client_order_id"] = None
    return bool(then == now)
