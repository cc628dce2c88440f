"""What we ship is read by a quicker parser, which makes the same of it."""

from pathlib import Path
from typing import Any

import pytest

from tradebot.adapters.text.yaml_loader import PLAIN_MISTAKE, TYPED, load_yaml
from tradebot.app.settings import shipped_path
from tradebot.errors import ConfigurationError

SHIPPED = sorted(shipped_path("").rglob("*.yaml"))


@pytest.mark.parametrize(
    "path", [path for path in SHIPPED if path.parent.name != "universes"], ids=lambda path: path.stem
)
def test_both_parsers_make_the_same_of_a_shipped_file(path: Path) -> None:
    assert repr(load_yaml(path, shipped=True)) == repr(load_yaml(path))


def test_what_one_reader_changes_the_next_one_does_not_see(tmp_path: Path) -> None:
    file = tmp_path / "tradebot.yaml"
    file.write_text("limits: {symbols: [AAPL, {deep: [1]}]}\n")
    first: Any = load_yaml(file)
    first["limits"]["symbols"][1]["deep"].append(2)
    first["limits"]["symbols"].append("MSFT")
    first["limits"]["more"] = 1
    assert load_yaml(file) == {"limits": {"symbols": ["AAPL", {"deep": [1]}]}}


MISTAKES = {
    "found character '\\t'": ("a:\n\tb: 1\n", "line 2, column 1"),
    "found character": ("a: @b\n", "line 1, column 4"),
    "mapping values are not allowed": ("a: b: c\n", "line 1, column 5"),
    "expected <block end>": ("a:\n  b: 1\n c: 2\n", "line 3, column 2"),
    "found unexpected end of stream": ('a: "b\n', "line 2, column 1"),
    "expected ',' or ']'": ("a: [1\nb: 2\n", "line 2, column 2"),
    "expected ',' or '}'": ("a: {b: 1\nc: 2\n", "line 2, column 2"),
    "expected the node content": ("a: {b: [}\n", "line 1, column 9"),
    "could not find expected ':'": ("a: 1\nb\nc: 2\n", "line 3, column 1"),
    "found unknown escape character": ('a: "\\q"\n', "line 1, column 6"),
    "but found another document": ("a: 1\n---\nb: 2\n", "line 2, column 1"),
    "expected '<document start>'": ("{a: 1} b\n", "line 1, column 8"),
}


def said(folder: Path, text: str) -> ConfigurationError:
    file = folder / "mine.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as caught:
        load_yaml(file)
    return caught.value


@pytest.mark.parametrize(("start", "wrong", "cure"), TYPED, ids=[start for start, _, _ in TYPED])
def test_each_mistake_is_said_with_its_place_and_what_to_type(
    start: str, wrong: str, cure: str, tmp_path: Path
) -> None:
    text, place = MISTAKES[start]
    error = said(tmp_path, text)
    assert (error.message, error.hint) == (f"{tmp_path / 'mine.yaml'}: {place}: {wrong}", cure)


def test_unknown_yaml_mistake_is_described_in_our_words(tmp_path: Path) -> None:
    assert said(tmp_path, "%YAML 9.9\n---\na: 1\n").message.endswith(f": line 1, column 1: {PLAIN_MISTAKE[0]}")


def test_number_with_thousands_of_digits_is_refused_in_our_words(tmp_path: Path) -> None:
    assert said(tmp_path, f"a: {'9' * 5000}\n").message.endswith("a number has too many digits")
