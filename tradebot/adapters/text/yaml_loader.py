"""Load YAML the way users mean it: `no` is text and not False, keys are unique, numbers are decimals, and nothing is
executed.
"""

import re
from decimal import Decimal
from functools import lru_cache
from pathlib import Path

import yaml

from tradebot.errors import ConfigurationError

MAX_BYTES = 1_000_000
MAX_VALUES = 20_000
"""The limit on keys and values together. The largest universe fits; parsing a megabyte of them would take 15 seconds.
"""
MAX_DEPTH = 20


class _Loader(yaml.SafeLoader):
    """SafeLoader without its guesses: no octal, sexagesimal, yes/no/on/off, timestamps, aliases or tags."""

    _values = _depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        self._values += 1
        self._depth += 1
        for what, is_present, cure in (
            ("aliases", isinstance(event, yaml.AliasEvent), "write the value itself in place of *NAME"),
            ("tags", getattr(event, "tag", None), "write the value without the !"),
            (f"more than {MAX_VALUES} values", self._values > MAX_VALUES, "check that this is the right file"),
            (f"more than {MAX_DEPTH} levels", self._depth > MAX_DEPTH, "check that this is the right file"),
        ):
            if is_present:
                raise RefusedYAMLError(f"{what} are not read", event.start_mark, cure)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[object, object]:
        seen_keys: set[object] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                raise RefusedYAMLError(f"the name {key!r} is not text", key_node.start_mark, "put the name in quotes")
            if key in seen_keys:
                raise RefusedYAMLError(f"{key!r} is set twice", key_node.start_mark, "keep one of the two lines")
            seen_keys.add(key)
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


class _ShippedLoader(yaml.CSafeLoader if yaml.__with_libyaml__ else _Loader):  # type: ignore[misc]
    """Load files shipped with the program ten times as fast, with the same result; a test compares both loaders.

    Users' files are left to the other loader: libyaml accepts more, and describes errors in unfamiliar words.
    """

    yaml_implicit_resolvers = _Loader.yaml_implicit_resolvers
    yaml_constructors = _Loader.yaml_constructors


def load_yaml(path: Path, *, shipped: bool = False) -> dict[str, object]:
    """Return the file's mapping with exact decimals; raise ConfigurationError with the file, the line and the fix.

    `shipped` files belong to the program and are known to be valid.
    """
    value = load_yaml_value(path, shipped=shipped)
    if value is None:
        raise ConfigurationError(f"{path}: the file is empty", "write NAME: VALUE lines, or delete the file")
    if not isinstance(value, dict):
        kind = "a list" if isinstance(value, list) else "a single value"
        raise ConfigurationError(
            f"{path}: the file is {kind}, not NAME: VALUE lines",
            "write NAME: VALUE lines; tradebot config show lists the names",
        )
    return value


def parse_yaml(text: str) -> object:
    """Parse a user's text to an immutable value; raise yaml.YAMLError or ValueError if it isn't valid."""
    return _parse_cached(text, _Loader)


def load_yaml_value(path: Path, *, shipped: bool = False) -> object:
    """Return the file's value with exact decimals; raise ConfigurationError with the file, the line and the fix."""
    text = read_text(path)
    try:
        return _copy_value(_parse_cached(text, _ShippedLoader if shipped else _Loader))
    except yaml.YAMLError as bad:
        problem, cure = problem_and_cure(bad)
        raise ConfigurationError(f"{path}: {problem}", cure) from None
    # Python itself refuses thousands of digits, not the parser.
    except ValueError:
        raise ConfigurationError(f"{path}: a number has too many digits", "check that this is the right file") from None


@lru_cache(maxsize=8)
def _parse_cached(text: str, loader: type[_Loader | _ShippedLoader]) -> object:
    """Parse a text once per process: the shipped files are long, and each start reads a user's file three times."""
    return yaml.load(text, Loader=loader)  # noqa: S506 - both loaders above are safe


def _copy_value(value: object) -> object:
    """Copy a value so that it may be changed; without aliases, none of its parts occur twice."""
    if isinstance(value, dict):
        return {key: _copy_value(item) if isinstance(item, dict | list) else item for key, item in value.items()}
    return [_copy_value(item) for item in value] if isinstance(value, list) else value


def read_text(path: Path) -> str:
    """Return the text of a user's configuration; raise ConfigurationError saying why it can't be read."""
    try:
        if path.is_fifo() and not str(path).startswith(("/dev/", "/proc/")):
            raise ConfigurationError(f"{path} is a pipe: reading it may never end", "put the configuration in a file")
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        if path.is_symlink() and not path.exists():
            lost = f"{path} is a link that leads nowhere: {path.readlink()} is missing"
            raise ConfigurationError(lost, f"put the file back, or remove the link: rm {path}") from None
        raise ConfigurationError(
            f"{path} can't be read: {error.strerror}", "check the path and its permissions"
        ) from None
    if len(data) > MAX_BYTES:
        raise ConfigurationError(f"{path} is larger than {MAX_BYTES} bytes", "check that this is the right file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path}: not UTF-8 text (byte {error.start})", "save the file as UTF-8") from None
    return text


TYPED: tuple[tuple[str, str, str], ...] = (
    ("found character '\\t'", "a tab is used where YAML needs spaces", "replace the tab with spaces"),
    ("found character", "this text can't start with that character", "put the text in quotes"),
    (
        "mapping values are not allowed",
        "no ':' is expected here",
        "put a text that contains ': ' in quotes, or end the line above with ':'",
    ),
    (
        "expected <block end>",
        "this line isn't indented like the lines around it",
        "indent it like the other settings of its section",
    ),
    ("found unexpected end of stream", "a quotation mark is never closed", "close the quotation mark"),
    ("expected ',' or ']'", "a list isn't closed: expected ',' or ']'", "close the list with ]"),
    ("expected ',' or '}'", "a mapping isn't closed: expected ',' or '}'", "close the mapping with }"),
    ("expected the node content", "a value or a closing bracket is missing here", "write the value, or close the ["),
    ("could not find expected ':'", "this line has no ':' after its name", "write it as NAME: VALUE"),
    (
        "found unknown escape character",
        ("a backslash is followed by a character that YAML doesn't know there"),
        "use single quotes instead of double quotes",
    ),
    ("but found another document", "a second document begins here", "remove the line ---"),
    ("expected '<document start>'", "text follows the end of the document", "remove it, or indent it"),
)
"""The beginnings of the parser's messages, their meanings, and the fixes."""

PLAIN_MISTAKE = ("this line isn't valid YAML", "write it as NAME: VALUE, indented with spaces")


class RefusedYAMLError(yaml.MarkedYAMLError):
    """Raised for valid YAML that we don't accept, with the message and the fix."""

    def __init__(self, problem: str, mark: yaml.Mark, cure: str) -> None:
        super().__init__(problem=problem, problem_mark=mark)
        self.cure = cure


def problem_and_cure(bad: yaml.YAMLError) -> tuple[str, str]:
    """Describe the problem with its line and column, and say how to fix it."""
    if isinstance(bad, yaml.reader.ReaderError):
        return f"character {bad.position + 1}: control characters are not allowed", "remove that character"
    mark = getattr(bad, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    if isinstance(bad, RefusedYAMLError):
        return f"{where}{bad.problem}", bad.cure
    problem = str(getattr(bad, "problem", None) or "")
    wrong, cure = next(((wrong, cure) for start, wrong, cure in TYPED if problem.startswith(start)), PLAIN_MISTAKE)
    return f"{where}{wrong}", cure
