"""Read the YAML of scripts, limited in size and without tags or aliases; note the line of each value."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any

import yaml

LONGEST_TEXT = 32 * 1024
_DEEPEST = 8
_MOST_NODES = 5_000

Path = tuple[str | int, ...]
Lines = dict[Path, int]


class TextError(Exception):
    """Raised for text that isn't a valid script; the message has the reason, `line` the position."""

    def __init__(self, message: str, line: int | None = None) -> None:
        super().__init__(message)
        self.line = line


class _Loader(yaml.SafeLoader):
    """SafeLoader without surprising conversions, such as those of `no`, `1:30` and `1e3`."""


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("bool", r"^(?:true|false)$", "tf"),
    ("null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("int", r"^-?(?:0|[1-9][0-9]{0,17})$", "-0123456789"),
    ("float", r"^-?[0-9]{1,18}\.[0-9]{1,18}$", "-0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(_pattern), list(_first))


def read_yaml(text: str) -> tuple[Any, Lines]:
    """Parse a text, with exact decimals; return its value, and the line of each part by the part's path.

    Raises TextError if the text is invalid.
    """
    if len(text.encode()) > LONGEST_TEXT:
        raise TextError(f"a script has at most {LONGEST_TEXT} bytes")
    try:
        _check_events(text)
        node = yaml.compose(text, Loader=_Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
        raise TextError(str(problem), mark.line + 1 if mark else None) from error
    lines: Lines = {}
    return (None if node is None else _value(node, (), lines)), lines


def _check_events(text: str) -> None:
    """Refuse YAML that could grow when composed (by depth, length or aliases) before composing it."""
    depth = 0
    for count, event in enumerate(yaml.parse(text, Loader=_Loader)):
        line = event.start_mark.line + 1 if event.start_mark else None
        depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
        if depth > _DEEPEST or count > _MOST_NODES:
            raise TextError("too deep or too long for a script", line)
        if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) or getattr(event, "tag", None):
            raise TextError("anchors, aliases and tags are not read", line)


def _value(node: yaml.Node, path: Path, lines: Lines) -> Any:
    lines[path] = node.start_mark.line + 1
    if isinstance(node, yaml.MappingNode):
        return _mapping(node, path, lines)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*path, index), lines) for index, item in enumerate(node.value)]
    return _scalar(str(node.tag).rpartition(":")[2], str(node.value))


def _mapping(node: yaml.MappingNode, path: Path, lines: Lines) -> dict[str, Any]:
    mapping: dict[str, Any] = {}
    for key, item in node.value:
        line = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise TextError("a key is a word", line)
        if key.value in mapping:
            raise TextError(f"the key {key.value!r} occurs twice", line)
        mapping[key.value] = _value(item, (*path, key.value), lines)
    return mapping


def _scalar(kind: str, text: str) -> Any:
    if kind == "int":
        return int(text)
    if kind == "float":
        return Decimal(text)
    return {"bool": text == "true", "null": None}.get(kind, text)
