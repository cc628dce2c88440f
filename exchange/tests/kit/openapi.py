"""Answers held against Alpaca's own OpenAPI files: status, content type, and every field of the body.

A file's schemas are made strict: a field that the file does not name is a problem, unless the table of known
differences names it. A file that documents no error for a path means the API's general error object.
"""

from __future__ import annotations

import json
import random
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlsplit
from uuid import UUID

import pytest
from jsonschema_rs import Draft202012Validator

from exchange.tests.kit.app import Answer, World

# Where the real API is known to differ from its own OpenAPI file, each with its source.
#
# The rows about fields are all by which an answer may deviate from the file; the documentation prints both tables.

_SDK = "alpaca-py 0.44, whose models parse the real answers"
_OBSERVED = "answers of paper accounts"
_FILE = "the file's own example"
_TEXT = {"type": "string"}
_TEXT_OR_NULL = {"type": "string", "nullable": True}
_NULL = {"enum": [None]}
_ANNOUNCEMENT = "/v2/corporate_actions/announcements/{id}"
_REFUSED = {
    "type": "object",
    "properties": {"code": {"type": "integer"}, "message": {"type": "string"}},
    "required": ["code", "message"],
    "additionalProperties": True,
}


class Difference(NamedTuple):
    """One field of one schema: what the API answers besides what the file says, and how that is known.

    A schema without its own name is named by the path whose GET answers it.
    """

    schema: str
    field: str
    also: dict[str, Any]
    what: str
    source: str

    def apply(self, document: dict[str, Any]) -> None:
        """Widen the field in a document."""
        fields = self.find_schema(document)["properties"]
        known = fields.get(self.field)
        fields[self.field] = {"anyOf": [known, self.also]} if known else self.also

    def find_schema(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the schema in a document; raises KeyError where it has none."""
        if not self.schema.startswith("/"):
            named: dict[str, Any] = document["components"]["schemas"][self.schema]
            return named
        answer = document["paths"][self.schema]["get"]["responses"]["200"]
        unnamed: dict[str, Any] = answer["content"]["application/json"]["schema"]
        return unnamed


def _extra(schema: str, field: str, source: str, also: dict[str, Any] | None = None) -> Difference:
    return Difference(schema, field, also or _TEXT, "present, although the file doesn't mention it", source)


TRADING_DIFFERENCES: tuple[Difference, ...] = (
    *(_extra("Order", field, _OBSERVED, _TEXT_OR_NULL) for field in ("source", "subtag")),
    *(_extra("OrderLeg", field, _OBSERVED, _TEXT_OR_NULL) for field in ("expires_at", "source", "subtag")),
    *(_extra("Account", field, _OBSERVED) for field in ("effective_buying_power", "position_market_value")),
    *(_extra("NonTradeActivities", field, _SDK) for field in ("description", "price")),
    *(_extra(_ANNOUNCEMENT, field, _SDK) for field in ("corporate_action_id", "ex_date")),
    Difference("NonTradeActivities", "date", {"type": "string", "format": "date"}, "a date, not a moment", _FILE),
    Difference("PositionClosedReponse", "body", _REFUSED, "the error object if closing was refused", _SDK),
    Difference("CanceledOrderResponse", "body", _REFUSED, "the error object if canceling was refused", _OBSERVED),
)

DATA_DIFFERENCES: tuple[Difference, ...] = tuple(
    Difference("stock_snapshot", field, _NULL, "null if there is none yet", _SDK)
    for field in ("latestTrade", "latestQuote", "minuteBar", "dailyBar", "prevDailyBar")
)


FOLDER = Path(__file__).resolve().parents[3].parent / "shared" / "data" / "alpaca"
TRADING_FILE = FOLDER / "trading-api.openapi.json"
DATA_FILE = FOLDER / "market-data-api.openapi.json"
ERROR_STATUSES = (400, 401, 403, 404, 405, 422, 429)
"""What any path may answer besides what its file documents."""
METHODS = ("get", "post", "put", "patch", "delete")
_KEPT = ("type", "enum", "format", "pattern", "required", "default",
         "minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum")  # fmt: skip
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


def _is_uuid(text: str) -> bool:
    return str(UUID(text)) == text


def _is_date(text: str) -> bool:
    return date.fromisoformat(text).isoformat() == text


def _is_moment(text: str) -> bool:
    # Python reads at most microseconds; the real API may send nanoseconds.
    return bool(_RFC3339.fullmatch(text) and datetime.fromisoformat(re.sub(r"\.\d+", "", text)))


def _is_decimal(text: str) -> bool:
    return Decimal(text).is_finite()


def _or_false(check: Callable[[str], bool]) -> Callable[[str], bool]:
    """Return a check that answers False where the given one raises."""

    def holds(text: str) -> bool:
        try:
            return check(text)
        except (ValueError, InvalidOperation):
            return False

    return holds


FORMATS = {
    name: _or_false(check)
    for name, check in (("uuid", _is_uuid), ("date", _is_date), ("date-time", _is_moment), ("decimal", _is_decimal))
}


class Operation(NamedTuple):
    """One method of one path, as its file documents it."""

    method: str
    path: str
    fields: Mapping[str, Any]


class Api:
    """One OpenAPI file, with the places where the real API is known to differ from it."""

    def __init__(self, document: dict[str, Any], differences: Iterable[Difference], coded: bool) -> None:
        """Read a document. `coded` says whether errors carry a numeric code (all but 401)."""
        self.document = document
        for difference in differences:
            difference.apply(document)
        schemas = document["components"]["schemas"]
        self._rooms = {
            room: {name: _strict(schema, room == "closed") for name, schema in schemas.items()}
            for room in ("closed", "open")
        }
        self._coded = coded
        self._paths = sorted(document["paths"], key=lambda path: path.count("{"))
        self._patterns = [(re.compile(re.sub(r"\{[^}]+\}", "[^/]+", path)), path) for path in self._paths]
        self._validator = cache(self._new_validator)

    def operations(self) -> Iterator[Operation]:
        """Return every operation of the file."""
        for path, item in self.document["paths"].items():
            yield from (Operation(method, path, item[method]) for method in METHODS if method in item)

    def path_of(self, target: str) -> str | None:
        """Return the file's path that a request's target is of."""
        target_path = urlsplit(target).path
        return next((path for pattern, path in self._patterns if pattern.fullmatch(target_path)), None)

    def problems(self, method: str, target: str, status: int, content_type: str, body: bytes) -> list[str]:
        """Say what is wrong with an answer; an empty list is a documented one."""
        path = self.path_of(target)
        item = self.document["paths"].get(path, {})
        operation = item.get(method.lower())
        if operation is None:
            return self._errors(status, content_type, body, allowed=(401, 405) if item else (401, 404, 429))
        documented = operation["responses"].get(str(status))
        if documented is None:
            return self._errors(status, content_type, body, ERROR_STATUSES)
        media = self._resolved(documented).get("content")
        if media is None:
            return self._unshaped(status, content_type, body)
        kind = content_type.partition(";")[0]
        if kind not in media:
            return [f"content type {kind!r}, documented: {list(media)}"]
        if kind == "text/event-stream":
            body = _events(body)
        return self._mismatches((path, method.lower(), str(status), kind), body)

    def _resolved(self, response: Mapping[str, Any]) -> Mapping[str, Any]:
        if "$ref" not in response:
            return response
        name = response["$ref"].rpartition("/")[2]
        shared_response: Mapping[str, Any] = self.document["components"]["responses"][name]
        return shared_response

    def _unshaped(self, status: int, content_type: str, body: bytes) -> list[str]:
        """Judge an answer whose status is documented without a body: an error still has the general shape."""
        if status >= 400:
            return self._errors(status, content_type, body, (status,))
        return [] if not body else [f"a body where none is documented: {body[:80]!r}"]

    def _errors(self, status: int, content_type: str, body: bytes, allowed: Iterable[int]) -> list[str]:
        if status not in allowed or status >= 500:
            return [f"undocumented status {status}: {body[:200]!r}"]
        if content_type.partition(";")[0] != "application/json":
            return [f"an error as {content_type!r}"]
        return _described(Draft202012Validator(_error_schema(self._coded and status != 401)), body)

    def _mismatches(self, location: tuple[str | None, str, str, str], body: bytes) -> list[str]:
        return _described(self._validator(*location), body)

    def _new_validator(self, path: str, method: str, status: str, kind: str) -> Any:
        response = self._resolved(self.document["paths"][path][method]["responses"][status])
        schema = _strict(response["content"][kind]["schema"], closed=True)
        return Draft202012Validator({**self._rooms, **schema}, formats=FORMATS, validate_formats=True)


def _events(body: bytes) -> bytes:
    """Return the events of a stream as the list that the file describes them by."""
    rows = [line.removeprefix(b"data: ") for line in body.split(b"\n") if line.startswith(b"data: ")]
    return b"[" + b",".join(rows) + b"]"


def _error_schema(coded: bool) -> dict[str, Any]:
    code = {"type": "integer", "minimum": 40_000_000, "maximum": 59_999_999}
    return {
        "type": "object",
        "properties": {"code": code, "message": {"type": "string", "minLength": 1}},
        "required": ["code", "message"] if coded else ["message"],
    }


def _described(validator: Any, body: bytes) -> list[str]:
    try:
        value = json.loads(body)
    except ValueError as error:
        return [f"not JSON: {error}: {body[:80]!r}"]
    return [f"{error.instance_path}: {error.message[:300]}" for error in validator.iter_errors(value)]


def _strict(schema: Mapping[str, Any], closed: bool) -> dict[str, Any]:
    """Return an OpenAPI 3.0 schema as JSON Schema, with no unnamed fields where it is closed."""
    if "$ref" in schema:
        room = "closed" if closed else "open"
        return {"$ref": f"#/{room}/{schema['$ref'].rpartition('/')[2]}"}
    strict = {key: schema[key] for key in _KEPT if key in schema}
    for key, read_as in (("allOf", "allOf"), ("anyOf", "anyOf"), ("oneOf", "anyOf")):
        # Several shapes of which the file wants exactly one are the same, or one of them less than another.
        if key in schema:
            strict[read_as] = [_strict(part, closed and key != "allOf") for part in schema[key]]
    if "items" in schema:
        strict["items"] = _strict(schema["items"], closed=True)
    if "properties" in schema:
        strict["properties"] = {name: _strict(part, closed=True) for name, part in schema["properties"].items()}
    _close(strict, schema, closed)
    return _nullable(strict) if schema.get("nullable") else strict


def _close(strict: dict[str, Any], schema: Mapping[str, Any], closed: bool) -> None:
    others = schema.get("additionalProperties")
    if isinstance(others, dict):
        strict["additionalProperties"] = _strict(others, closed=True)
    elif others is None and closed and "allOf" in schema:
        strict["unevaluatedProperties"] = False
    elif others is None and closed and "properties" in schema:
        strict["additionalProperties"] = False


def _nullable(strict: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [strict, {"type": "null"}]}


def _load(path: Path, differences: Iterable[Difference], coded: bool) -> Api:
    if not path.is_file():
        pytest.skip(f"shared/data has no {path.name}")
    return Api(json.loads(path.read_text(encoding="utf-8")), differences, coded)


@cache
def trading_api() -> Api:
    """Return the trading API's file; skips the test where it is not at hand."""
    return _load(TRADING_FILE, TRADING_DIFFERENCES, coded=True)


@cache
def data_api() -> Api:
    """Return the market-data API's file; skips the test where it is not at hand."""
    return _load(DATA_FILE, DATA_DIFFERENCES, coded=False)


class Session:
    """A client that asks for anything at random; every answer is held against the file as it comes."""

    def __init__(self, world: World, api: Api, seed: int) -> None:
        self.world = world
        self.api = api
        self.chance = random.Random(seed)
        self.seen: Counter[tuple[str, str, int]] = Counter()

    def ask(self, method: str, target: str, body: object = None) -> Answer:
        answer = self.world.ask(method, target, body)
        kind = answer.headers.get("content-type", "")
        problems = self.api.problems(method, target, answer.status, kind, answer.body)
        assert not problems, (method, target, body, answer.status, problems[:3])
        self.seen[(method, str(self.api.path_of(target)), answer.status)] += 1
        return answer

    def pick(self, *choices: Any) -> Any:
        return self.chance.choice(choices)
