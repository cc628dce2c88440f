"""What is wrong with a YAML file, and what to type instead, in words for people who don't know the parser."""

import yaml

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
    ("found unknown escape character", "a backslash that means nothing", "use single quotes instead of double quotes"),
    ("but found another document", "a second document begins here", "remove the line ---"),
    ("expected '<document start>'", "text follows the end of the document", "remove it, or indent it"),
)
"""How the parser's message begins, what it means, and what to type."""

PLAIN_MISTAKE = ("this line isn't valid YAML", "write it as NAME: VALUE, indented with spaces")


class RefusedYAMLError(yaml.MarkedYAMLError):
    """Valid YAML that we don't accept; says itself what is wrong and what to type."""

    def __init__(self, problem: str, mark: yaml.Mark, cure: str) -> None:
        super().__init__(problem=problem, problem_mark=mark)
        self.cure = cure


def problem_and_cure(bad: yaml.YAMLError) -> tuple[str, str]:
    """Return what is wrong, with its line and column, and what to type instead."""
    if isinstance(bad, yaml.reader.ReaderError):
        return f"character {bad.position + 1}: control characters are not allowed", "remove that character"
    mark = getattr(bad, "problem_mark", None)
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    if isinstance(bad, RefusedYAMLError):
        return f"{where}{bad.problem}", bad.cure
    problem = str(getattr(bad, "problem", None) or "")
    wrong, cure = next(((wrong, cure) for start, wrong, cure in TYPED if problem.startswith(start)), PLAIN_MISTAKE)
    return f"{where}{wrong}", cure
