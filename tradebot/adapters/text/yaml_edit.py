"""Change one value in a YAML text, and leave everything else unchanged: comments, order, quotes and spacing.

The parser's own marks say where a value is. The changed text is parsed again and must mean exactly the intended values;
otherwise the edit is refused, so an unusually written text is never damaged.

ruamel.yaml was tried as a replacement for this module and PyYAML. It rewrites the whole text: reading and writing the
shipped base.yaml without any change altered 210 of its lines (nulls, flow lists, wrapped lines), and reading it took
1.25 times as long. People compare and review this file, so changing one value must change one line.
"""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from decimal import Decimal
from typing import Any

import yaml

from tradebot.adapters.text.yaml_loader import parse_yaml, problem_and_cure
from tradebot.errors import ConfigurationError

STEP = 2
"""The indentation of a new line in its section, in spaces."""
COMMENT = "#"


class CannotEditError(Exception):
    """Raised when a value can't be changed without damaging the text, with the reason and the line number."""

    def __init__(self, problem: str, line: int) -> None:
        super().__init__(problem)
        self.problem = problem
        self.line = line


class _Dumper(yaml.SafeDumper):
    """Write decimals as numbers, and repeated values without aliases, which the loader refuses."""

    def ignore_aliases(self, data: object) -> bool:
        """Return True, because one object may be the value of two settings."""
        return True


_Dumper.add_representer(
    Decimal,
    lambda dumper, number: dumper.represent_scalar(
        "tag:yaml.org,2002:float" if "." in f"{number:f}" else "tag:yaml.org,2002:int", f"{number:f}"
    ),
)


def value_of(typed: str) -> object:
    """Parse a value typed by the user as it would be read from a file; raise ConfigurationError if it isn't YAML."""
    try:
        return deepcopy(parse_yaml(typed))
    except yaml.YAMLError as bad:
        problem, cure = problem_and_cure(bad)
        raise ConfigurationError(f"the value isn't valid YAML: {problem}", cure) from None
    except ValueError:
        raise ConfigurationError("the value has too many digits", "write a shorter number") from None


def in_one_line(value: object) -> str:
    """Format a value as one line of YAML that keeps its meaning inside braces and brackets."""
    text = yaml.dump(
        [value], Dumper=_Dumper, default_flow_style=True, sort_keys=False, allow_unicode=True, width=float("inf")
    )
    return text.rstrip("\n")[1:-1]


def in_lines(values: Mapping[str, object]) -> str:
    """Format these values as lines of a YAML file."""
    # Otherwise, scalars alone would become one mapping in braces, which can't be continued in a file.
    flat = not any(isinstance(value, dict | list | tuple) for value in values.values())
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, default_flow_style=False if flat else None)


def with_value(text: str, path: Sequence[str], value: object, typed: str = "") -> str:
    """Change or add the value at `path` in a YAML mapping's text, and return the new text.

    The value is written as the user `typed` it, if that has the same meaning. Raise CannotEditError if the edit would
    lose a comment, or if the text can't be parsed.
    """
    wanted = repr(with_changed_value(parse_yaml(text) or {}, path, value))
    plain = typed if "\n" not in typed and COMMENT not in typed else ""
    for written in dict.fromkeys(filter(None, (plain, in_one_line(value)))):
        edited = _edit_text(text, path, written)
        if _meaning(edited) == wanted:
            return edited
    raise CannotEditError(f"{'.'.join(path)} is written in a form that tradebot can't change safely", _line(text, path))


def with_changed_value(values: object, path: Sequence[str], value: object) -> dict[str, object]:
    """Return a mapping with the value at `path` changed or added; whatever else is on the path is replaced by
    mappings.
    """
    copy: dict[str, object] = dict(values) if isinstance(values, Mapping) else {}
    copy[path[0]] = with_changed_value(copy.get(path[0]), path[1:], value) if len(path) > 1 else value
    return copy


def _meaning(text: str) -> str:
    """Return a text's parsed content with the order of names and the type of each value; empty if it has none."""
    try:
        return repr(parse_yaml(text))
    except yaml.YAMLError:
        return ""


def _edit_text(text: str, path: Sequence[str], written: str) -> str:
    node: yaml.Node | None = yaml.compose(text, Loader=yaml.SafeLoader)
    if node is None:
        newline = _newline(text)
        joint = "" if not text or text.endswith("\n") else newline
        return f"{text}{joint}{_block(path, written, 0, newline)}{newline}"
    before: yaml.Node = node
    for depth, key in enumerate(path):
        if not isinstance(node, yaml.MappingNode):
            raise CannotEditError(f"{'.'.join(path[:depth])} {_what(node)}", node.start_mark.line + 1)
        pair = next(((name, value) for name, value in node.value if name.value == key), None)
        if pair is None:
            return _insert_value(text, node, path[depth:], written)
        before, node = pair
    return _replace_value(text, before, node, written)


def _what(node: yaml.Node) -> str:
    if isinstance(node, yaml.SequenceNode):
        return "is a list there, so it has no named settings"
    if node.value in ("", "~", "null"):
        return "is null there, which turns it off"
    return f"is {node.value[:40]!r} there, so it has no named settings"


def _line(text: str, path: Sequence[str]) -> int:
    node: Any = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1
    for key in path:
        pairs = [pair for pair in getattr(node, "value", ()) if isinstance(pair, tuple) and pair[0].value == key]
        if not pairs:
            break
        line, node = pairs[0][0].start_mark.line + 1, pairs[0][1]
    return int(line)


def _replace_value(text: str, name: yaml.Node, node: yaml.Node, written: str) -> str:
    start, end = node.start_mark.index, _end(node)
    between = text[name.end_mark.index : start]
    if isinstance(node, yaml.CollectionNode) and COMMENT in text[start:end]:
        raise CannotEditError("the lines of its value have comments, which would be lost", node.start_mark.line + 1)
    if start == end or ("\n" in between and COMMENT not in between):
        # The value is empty, or on the lines below the name.
        start = name.end_mark.index + between.index(":") + 1
        written = f" {written}"
    return text[:start] + written + (_newline(text) if text[:end].endswith("\n") else "") + text[end:]


def _insert_value(text: str, node: yaml.MappingNode, path: Sequence[str], written: str) -> str:
    if node.flow_style:
        piece = _flow(path, written)
        if not node.value:
            return text[: node.start_mark.index] + f"{{{piece}}}" + text[node.end_mark.index :]
        end = _end(node.value[-1][1])
        return f"{text[:end]}, {piece}{text[end:]}"
    newline, end = _newline(text), _end(node)
    lines = _block(path, written, node.start_mark.column, newline)
    # Keep whatever follows the value on its line, such as a comment.
    line_end = end if text[:end].endswith("\n") else text.find("\n", end) + 1
    if not line_end:
        return f"{text}{newline}{lines}{newline}"
    return f"{text[:line_end]}{lines}{newline}{text[line_end:]}"


def _flow(path: Sequence[str], written: str) -> str:
    name = in_one_line(path[0])
    return f"{name}: {written}" if len(path) == 1 else f"{name}: {{{_flow(path[1:], written)}}}"


def _block(path: Sequence[str], written: str, indent: int, newline: str) -> str:
    line = f"{' ' * indent}{in_one_line(path[0])}:"
    if len(path) == 1:
        return f"{line} {written}"
    return f"{line}{newline}{_block(path[1:], written, indent + STEP, newline)}"


def _end(node: yaml.Node) -> int:
    """Return the index after a value. A block ends after its last value, not where the parser notices the end."""
    if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(last, tuple) else last)


def _newline(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"
