"""The pages: each has a title and parts, and each part shows a verb's data."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple
from urllib.parse import quote

from markupsafe import Markup

from commands.shared.verb_options import Report
from tradebot.app.wiring import App

Query = Mapping[str, str]
"""What was asked for in the address of a page, by name."""


CSRF = "\x02csrf\x02"
"""Stands for what the forms of a session send back. Text from outside has no control characters."""


class PagePart(NamedTuple):
    """A part of a page; what it is made of may be the report of a verb, or HTML of our own.

    `act` makes forms of a report.
    """

    title: str
    make: Callable[[App], Report | Markup]
    wide: bool = False
    act: Callable[[Report], Iterable[Markup]] | None = None


class PageField(NamedTuple):
    """Something that a page can be asked for: `kind` is the type of its input, or what may be chosen."""

    name: str
    label: str
    kind: str | Sequence[str] = "text"


class Page(NamedTuple):
    """A page: its name, its path, its title, its parts, and what can be asked for, some of it only by links.

    Some pages aren't in the navigation. One that isn't `live` takes long to read, so it is read when it is loaded.
    """

    name: str
    path: str
    title: str
    parts: Callable[[Query], Sequence[PagePart]]
    fields: Sequence[PageField] = ()
    hidden: Sequence[str] = ()
    is_listed: bool = True
    is_live: bool = True


def symbol_links(names: Iterable[str]) -> Markup:
    """Return links to the pages of symbols, whatever their names hold."""
    each = Markup(" ").join(Markup('<a href="/symbol/{}">{}</a>').format(quote(name, safe=""), name) for name in names)
    return Markup('<p class="links">{}</p>').format(each) if each else Markup("<p>None.</p>")


def number_in(query: Query, name: str, usual: int) -> int:
    """Return a whole number that was asked for; the usual one for anything else."""
    text = query.get(name, "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else usual


def first_row(query: Query, count: int, rows: int) -> int:
    """Return the first row of the requested page, or of the last page if there are fewer rows."""
    asked = number_in(query, "from_row", 0)
    return asked if asked < count else max(count - 1, 0) // rows * rows
