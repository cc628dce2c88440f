"""YAML as people mean it: `no` is a word, a key stands once, a number is a decimal, nothing is executed or repeated."""

import re
from copy import deepcopy
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import yaml

from tradebot.errors import ConfigurationError

MAX_BYTES = 1_000_000
MAX_VALUES = 20_000
"""Keys and values together, room for the largest universe; a megabyte of them would take a quarter of a minute."""
MAX_DEPTH = 20


class _Loader(yaml.SafeLoader):
    """SafeLoader without its guesses: octal, sexagesimal, yes/no/on/off, timestamps, aliases and tags."""

    _values = _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._values += 1
        self._depth += 1
        for what, found in (
            ("aliases", isinstance(event, yaml.AliasEvent)),
            ("tags", getattr(event, "tag", None)),
            (f"more than {MAX_VALUES} values", self._values > MAX_VALUES),
            (f"more than {MAX_DEPTH} levels", self._depth > MAX_DEPTH),
        ):
            if found:
                raise yaml.MarkedYAMLError(problem=f"{what} are not read", problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise yaml.constructor.ConstructorError(None, None, f"the key {key!r} is not text", key_node.start_mark)
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} stands twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


_Loader.yaml_implicit_resolvers = {}
for _tag, _pattern, _first in (
    ("tag:yaml.org,2002:bool", r"^(?:true|false)$", "tf"),
    ("tag:yaml.org,2002:null", r"^(?:null|~|)$", ["n", "~", ""]),
    ("tag:yaml.org,2002:int", r"^[-+]?(?:0|[1-9][0-9]*)$", "-+0123456789"),
    ("tag:yaml.org,2002:float", r"^[-+]?[0-9]+\.[0-9]+$", "-+0123456789"),
):
    _Loader.add_implicit_resolver(_tag, re.compile(_pattern), list(_first))
_Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: Decimal(node.value))


def load_yaml(path: Path) -> dict[str, object]:
    """Return the file's mapping, decimals exact. Raises ConfigurationError naming file, line and what to change."""
    text = _read(path)
    try:
        value = deepcopy(_parsed(text))
    except yaml.YAMLError as bad:
        raise ConfigurationError(f"{path}: {_problem(bad)}", _cure(text, bad)) from None
    # Thousands of digits are refused by Python itself, not by the parser.
    except ValueError as bad:
        raise ConfigurationError(f"{path}: {bad}", "give the right file") from None
    if value is None:
        raise ConfigurationError(f"{path}: the file is empty", "write KEY: VALUE lines, or do without the file")
    if not isinstance(value, dict):
        raise ConfigurationError(
            f"{path}: a mapping is expected at the top, not a {type(value).__name__}",
            "write KEY: VALUE lines",
        )
    return value


@lru_cache(maxsize=8)
def _parsed(text: str) -> object:
    """Parse a text once per process: the shipped files are long, and one start reads a person's own file thrice."""
    return yaml.load(text, Loader=_Loader)  # noqa: S506 - the loader above is a stricter SafeLoader


def _read(path: Path) -> str:
    try:
        if path.is_fifo() and not str(path).startswith(("/dev/", "/proc/")):
            raise ConfigurationError(f"{path} is a pipe: reading it may never end", "put the configuration into a file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as failed:
        if path.is_symlink() and not path.exists():
            lost = f"{path} is a link that leads nowhere: {path.readlink()} is missing"
            raise ConfigurationError(lost, f"put the file back, or take the link away: rm {path}") from None
        raise ConfigurationError(f"{path}: {failed.strerror}", "check the path and its permissions") from None
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{path}: more than {MAX_BYTES} bytes is no configuration", "give the right file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        raise ConfigurationError(f"{path}: not UTF-8 text (byte {bad.start})", "save the file as UTF-8") from None
    return text


def _problem(bad: yaml.YAMLError) -> str:
    mark = getattr(bad, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    if isinstance(bad, yaml.reader.ReaderError):
        return f"character {bad.position}: {bad.reason}"
    return f"{where}{getattr(bad, 'problem', None) or 'not YAML'}"


def _cure(text: str, bad: yaml.YAMLError) -> str:
    mark = getattr(bad, "problem_mark", None)
    lines = text.splitlines()
    if mark and mark.line < len(lines) and "\t" in lines[mark.line]:
        return "YAML is indented with spaces: replace the tab"
    return "mend that line"
