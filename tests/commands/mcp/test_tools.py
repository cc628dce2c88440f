"""What an assistant may ask for becomes words of a fixed command line, or is refused."""

import json
from typing import Any

import pytest
from jsonschema_rs import Draft202012Validator, meta

from commands.mcp.tools import TOOLS
from tradebot.errors import OperatorError


@pytest.mark.parametrize("name", TOOLS)
def test_schemas_are_valid_and_closed(name: str) -> None:
    tool = TOOLS[name]
    for schema in (tool.input_schema, tool.output_schema):
        meta.validate(schema)
        assert schema["type"] == "object"
        assert schema["additionalProperties"] is False
        assert not Draft202012Validator(schema).is_valid({"nonsense": 1})
    assert len(json.dumps(tool.output_schema)) < 50_000


@pytest.mark.parametrize(
    ("name", "asked", "words"),
    [
        ("status", {}, "status"),
        ("audit", {"since": "2h"}, "audit --offline --since=2h"),
        ("why", {"symbol": "NVDA", "last": 3, "by_symbol": False}, "why-no-orders NVDA --last=3"),
        ("why", {"by_symbol": True, "since": "session"}, "why-no-orders --since=session --by-symbol"),
        ("what_if", {"changes": ["a=1", "--session=x"]}, "why-no-orders --what-if=a=1 --what-if=--session=x"),
        ("trades", {"from_date": "2026-11-16", "open": False}, "trades --from=2026-11-16 --closed"),
        ("trades", {"symbol": None, "open": True}, "trades --open"),
        ("backtest", {"profile": "flow", "sessions": 2}, "backtest --profile=flow --sessions=2"),
        ("halt", {"reason": "--flatten"}, "halt --reason=--flatten"),
    ],
)
def test_what_is_asked_becomes_words(name: str, asked: dict[str, Any], words: str) -> None:
    assert TOOLS[name].words(asked) == words.split(" ")


@pytest.mark.parametrize(
    ("name", "asked", "where"),
    [
        ("status", {"state_dir": "/srv"}, "state_dir"),
        ("why", {"symbol": "--what-if=x"}, "symbol"),
        ("why", {"symbol": "AAPL; rm -rf /"}, "symbol"),
        ("why", {"last": "3"}, "last"),
        ("why", {"last": 10_000}, "last"),
        ("why", {"by_symbol": "yes"}, "by_symbol"),
        ("what_if", {}, "changes"),
        ("what_if", {"changes": []}, "changes"),
        ("what_if", {"changes": ["x=1"] * 11}, "changes"),
        ("trades", {"from_date": "yesterday\u202e"}, "from_date"),
        ("backtest", {"profile": "../mine", "sessions": 1}, "profile"),
        ("backtest", {"profile": "flow", "sessions": 1_000}, "sessions"),
        ("halt", {}, "reason"),
        ("halt", {"reason": "x" * 1_000}, "reason"),
        ("halt", {"reason": "odd fills", "flatten": True}, "flatten"),
    ],
)
def test_what_does_not_fit_is_refused_by_its_name(name: str, asked: dict[str, Any], where: str) -> None:
    with pytest.raises(OperatorError, match=rf"^{where}[:.]") as refused:
        TOOLS[name].words(asked)
    assert refused.value.hint.startswith(f"{name} takes ")
