"""One value changes, and every other character stays."""

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tradebot.adapters.text.yaml_edit import (
    CannotEditError,
    in_lines,
    in_one_line,
    value_of,
    with_changed_value,
    with_value,
)
from tradebot.adapters.text.yaml_loader import parse_yaml
from tradebot.errors import ConfigurationError

TEXT = """\
# Mine.

limits:   # the wall
    max_open_positions: 8      # as many as I can watch
    cooldown_s:  "60"

    # not yet: max_new_entries
sandbox: {seed: 7,  edge: 0.3}  # one line
universe:
- AAPL
- MSFT
exits: {}
strategies:
  flow:
    filters: {min_dte: 1,
              max_dte: 60}
"""


@pytest.mark.parametrize(
    ("path", "typed", "was", "becomes"),
    [
        ("limits.max_open_positions", "5", "positions: 8      # as", "positions: 5      # as"),
        ("limits.cooldown_s", "0.50", 'cooldown_s:  "60"', "cooldown_s:  0.50"),
        ("limits.max_new_entries", "2", '"60"\n', '"60"\n    max_new_entries: 2\n'),
        ("sandbox.edge", "0", "edge: 0.3}", "edge: 0}"),
        ("sandbox.fill.model", "paper", "0.3}", "0.3, fill: {model: paper}}"),
        ("universe", "[SPY]", "universe:\n- AAPL\n- MSFT\n", "universe: [SPY]\n"),
        ("exits.time_exit_s", "60", "exits: {}", "exits: {time_exit_s: 60}"),
        ("strategies.flow.filters.max_dte", "null", "max_dte: 60}", "max_dte: null}"),
        ("strategies.flow.min_cluster", "1", "max_dte: 60}\n", "max_dte: 60}\n    min_cluster: 1\n"),
        ("sandbox.path", "a, b", "0.3}", "0.3, path: 'a, b'}"),
        ("sectors.BRK-B", "'on'", "60}\n", "60}\nsectors:\n  BRK-B: 'on'\n"),
        ("shadow", "true # for now", "60}\n", "60}\nshadow: true\n"),
    ],
)
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_only_the_wanted_value_changes(path: str, typed: str, was: str, becomes: str, newline: str) -> None:
    edited = with_value(TEXT.replace("\n", newline), path.split("."), value_of(typed), typed)
    assert edited == TEXT.replace(was, becomes, 1).replace("\n", newline)
    assert TEXT.count(was) >= 1


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("", "a:\n  b: 1\n"),
        ("# nothing yet", "# nothing yet\na:\n  b: 1\n"),
        ("a:\n  c: 2", "a:\n  c: 2\n  b: 1\n"),
        ("a:\n  b:\n  c: 2\n", "a:\n  b: 1\n  c: 2\n"),
        ("a:\n  c: |\n    long\n    text\nd: 1\n", "a:\n  c: |\n    long\n    text\n  b: 1\nd: 1\n"),
        ("a: # why\n  b: [1,\n      2]\n", "a: # why\n  b: 1\n"),
        ("a:\n  b:  # why\n    - 1\n    - 2\nc: 3\n", "a:\n  b:  # why\n    1\nc: 3\n"),
        ("a:\n  b: |\n    long\nc: 3\n", "a:\n  b: 1\nc: 3\n"),
        ('{"a": {"b": "x"}}\n', '{"a": {"b": 1}}\n'),
    ],
)
def test_text_of_each_form_is_changed(text: str, becomes: str) -> None:
    assert with_value(text, ("a", "b"), 1, "1") == becomes


@pytest.mark.parametrize(
    ("text", "says", "line"),
    [
        ("c: 1\na: null\n", "a is null there, which turns it off", 2),
        ("a: [b]\n", "a is a list there", 1),
        ("a: word\n", "a is 'word' there", 1),
        ("a:\n  b:\n    - 1  # the first\n    - 2\n", "have comments, which would be lost", 3),
    ],
)
def test_what_would_lose_something_is_refused_by_its_line(text: str, says: str, line: int) -> None:
    with pytest.raises(CannotEditError) as refused:
        with_value(text, ("a", "b"), 1, "1")
    assert (says in refused.value.problem, refused.value.line) == (True, line)


WORDS = st.text("ab,]}#:' \"\\é{[,-?&*!|>%@`no1~", max_size=8)
SCALARS = st.one_of(
    st.integers(-999, 999), st.booleans(), st.none(), WORDS, st.decimals(-10, 10, places=3, allow_nan=False)
)
VALUES = st.one_of(SCALARS, st.lists(SCALARS, max_size=3), st.dictionaries(WORDS, SCALARS, max_size=2))
PATHS = st.sampled_from(["limits", "limits.x", "limits.cooldown_s", "sandbox.seed", "sandbox.z.y", "new", "universe"])


@settings(max_examples=settings().max_examples // 2)
@given(PATHS, VALUES)
def test_every_value_means_the_same_after_it_was_written(dotted: str, value: object) -> None:
    path = tuple(dotted.split("."))
    text = TEXT if dotted != "limits" else "\n".join(line.partition("#")[0] for line in TEXT.splitlines())
    edited = with_value(text, path, value)
    assert repr(parse_yaml(edited)) == repr(with_changed_value(parse_yaml(text), path, value))
    assert edited.count("#") >= text.count("#")


def test_values_are_read_as_in_a_file() -> None:
    read = [value_of(typed) for typed in ("5", "0.50", "no", "[A, B]", "every 5m from open+2m", "null")]
    assert read == [5, Decimal("0.50"), "no", ["A", "B"], "every 5m from open+2m", None]
    assert in_one_line({"a": [Decimal(2), Decimal("0.10")]}) == "{a: [2, 0.10]}"
    for wrong in ("[1", "*a", "1" * 5000):
        with pytest.raises(ConfigurationError):
            value_of(wrong)


def test_one_object_in_two_settings_is_written_twice() -> None:
    """As an alias, it couldn't be read back."""
    same = Decimal("0.05")
    written = in_lines({"limits": {"min_score": same}, "execution": {"max_quote_share": same}})
    assert parse_yaml(written) == {"limits": {"min_score": same}, "execution": {"max_quote_share": same}}
