"""Read what a page shows, once for all browsers that look at it, and again only when something was recorded."""

import sqlite3
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from markupsafe import Markup
from msgspec.structs import replace
from rich.markup import escape

from commands.shared.hints import with_bot_options
from commands.shared.light_helpers import NOBODY, Identity, clean
from commands.shared.times import for_reader, show_venue
from commands.shared.verb_options import Report, identity, opened_to_look, show_traded_by
from commands.status.report import status_of
from commands.top.screen_data import UnreadableError, head, old, version
from commands.web.background_fetch import FetchPatience, PatientBars
from commands.web.html_rendering import line, render_html
from commands.web.json_answers import error_answer
from commands.web.pages import Page, PagePart, Query
from tradebot.app.wiring import App
from tradebot.errors import TradebotError

Made = TypeVar("Made")
KEPT = 50
"""How many pages, and what charts draw, are kept as they were read last."""
ANYWAY_S = 30.0
"""Ages grow even if nothing is recorded: so old a page is read again."""
CONFIGURED_BY = ("tradebot.yaml",)


class RenderedPart(NamedTuple):
    """A rendered part of a page: its id, title and HTML."""

    name: str
    title: str
    html: Markup
    wide: bool


class PageData(NamedTuple):
    """What was read for a page: whose it is, why its figures get no newer if so, its parts, and what those are made of.

    That is the report of a verb, or an error in its place.
    """

    at: datetime
    head: Markup
    state: str
    old: Markup
    parts: tuple[RenderedPart, ...]
    made: tuple[Report | TradebotError, ...]

    @property
    def documents(self) -> tuple[Mapping[str, Any], ...]:
        """The documents that the verbs print with --json, of each part that a verb reported; errors in their place."""
        return tuple(one.document() if isinstance(one, Report) else error_answer(one) for one in self.made)

    @property
    def is_lost(self) -> bool:
        """Whether there are errors alone."""
        return bool(self.made) and not any(isinstance(one, Report) for one in self.made)


class PageReader:
    """Reads the pages of one bot, in any thread; each page once at a time, so that a slow one only holds up itself."""

    def __init__(self, state_dir: Path, config: str | None, patience: FetchPatience | None = None) -> None:
        self.folder, self._config = state_dir, config
        self._patience = patience or FetchPatience()
        self._lock = threading.Lock()
        self._turns: defaultdict[Hashable, threading.Lock] = defaultdict(threading.Lock)
        self._kept: OrderedDict[Hashable, tuple[Hashable, float, Any]] = OrderedDict()
        self._opened: tuple[tuple[object, ...], App] | None = None

    def read(self, page: Page, query: Query) -> PageData:
        """Return what a page shows now; raise TradebotError if the bot can't be read at all."""
        return self._once((page.name, *sorted(query.items())), page.name, lambda: self._read(page, query))

    def chart(self, of: Callable[..., dict[str, Any]], *asked: str) -> dict[str, Any]:
        """Return what a chart draws; raise TradebotError if the bot can't be read."""

        def draw() -> dict[str, Any]:
            with self.bot() as bot:
                return of(bot, *asked)

        return self._once((of, *asked), of, draw)

    def _once(self, name: Hashable, turn: Hashable, make: Callable[[], Made]) -> Made:
        """Return what was made under a name, made again if something was recorded since, or it is old."""
        with self._lock:
            mine = self._turns[turn]
        with mine:
            seen, now_s = (version(self.folder), self._configured()), time.monotonic()
            with self._lock:
                kept = self._kept.get(name)
                if kept is not None:
                    self._kept.move_to_end(name)
            if kept is not None and kept[0] == seen and now_s - kept[1] < ANYWAY_S:
                return kept[2]  # type: ignore[no-any-return]
            made = make()
            with self._lock:
                self._kept[name] = (seen, now_s, made)
                self._kept.move_to_end(name)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return made

    def _read(self, page: Page, query: Query) -> PageData:
        with self.bot() as bot:
            status, whose = self._once("status", "status", lambda: (status_of(bot), identity(bot)))
            parts = [_shown(bot, whose, number, part) for number, part in enumerate(page.parts(query))]
            return PageData(
                datetime.now(UTC),
                line(head(status, whose)),
                status.trading_state,
                Markup("<br>").join(line(escape(why)) for why in (old(status), self._patience.told()) if why),
                tuple(shown for shown, _ in parts),
                tuple(made for _, made in parts if made is not None),
            )

    @contextmanager
    def bot(self) -> Iterator[App]:
        """Yield the bot with connections of its own, reopened if its configuration changed; its bars may come late."""
        with readable(), closing(self._bot().twin()) as bot, closing(PatientBars(bot, self._patience)) as bot.bars:
            show_venue(bot.day)
            show_traded_by(bot)
            yield bot

    def _configured(self) -> tuple[object, ...]:
        files = [self.folder / name for name in CONFIGURED_BY] + ([Path(self._config)] if self._config else [])
        return tuple(_changed(path) for path in files)

    def _bot(self) -> App:
        """Return the bot to make twins of: it is closed at once, as its connections are of use in this thread alone."""
        seen = self._configured()
        with self._lock:
            if self._opened is None or self._opened[0] != seen:
                self._opened = None
                with opened_to_look(str(self.folder), self._config) as bot:
                    self._opened = seen, bot
            return self._opened[1]


@contextmanager
def readable() -> Iterator[None]:
    """Raise UnreadableError for what no verb expects: files that are gone, damaged, or locked by others for long."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise UnreadableError(f"the state can't be read: {error}", "tradebot doctor") from error


def _changed(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return None


def render_problem(error: TradebotError) -> Markup:
    """Return what is wrong, and what to do about it."""
    wrong = line("[red]error:[/] ") + Markup("{}").format(clean(for_reader(error.message)))
    step = Markup("<p>next: {}</p>").format(clean(with_bot_options(error.hint))) if error.hint else Markup("")
    return Markup('<p role="alert">{}</p>{}').format(wrong, step)


def _shown(
    bot: App, whose: Identity, number: int, part: PagePart
) -> tuple[RenderedPart, Report | TradebotError | None]:
    """Return a part as it is shown, and the report that it was drawn from, if any; an error takes its place."""
    name = f"part-{number}"
    try:
        with readable():
            made = part.make(bot)
    except TradebotError as error:
        return RenderedPart(name, part.title, render_problem(error), part.wide), error
    if not isinstance(made, Report):
        return RenderedPart(name, part.title, made, part.wide), None
    report = replace(made, whose=whose) if made.whose == NOBODY else made
    forms = Markup("").join(part.act(report) if part.act else ())
    html = render_html(lambda console: report.render(console, report.data)) + forms
    return RenderedPart(name, part.title, html, part.wide), report
