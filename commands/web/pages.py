"""What a page is: parts, each made of what a verb reports, under a title."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from markupsafe import Markup

from commands.shared.surface import Report
from tradebot.app.wiring import App

Query = Mapping[str, str]
"""What was asked for in the address of a page, by name."""


class Part(NamedTuple):
    """A part of a page; what it is made of may be the report of a verb, or HTML of our own."""

    title: str
    make: Callable[[App], Report | Markup]
    wide: bool = False


class Field(NamedTuple):
    """Something that a page can be asked for: `kind` is the type of its input, or what may be chosen."""

    name: str
    label: str
    kind: str | Sequence[str] = "text"


class Page(NamedTuple):
    """A page: its name, its path, its title, its parts, and what can be asked for. Some aren't in the navigation."""

    name: str
    path: str
    title: str
    parts: Callable[[Query], Sequence[Part]]
    fields: Sequence[Field] = ()
    is_listed: bool = True
