"""Read a page's data once for all browsers that show it, and again only when there are new records."""

import sqlite3
import threading
import time
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import closing, contextmanager, nullcontext, suppress
from datetime import UTC, date, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple, TypeVar

from markupsafe import Markup
from msgspec.structs import replace
from rich.markup import escape

from commands.shared.hints import hints_aimed_at, with_bot_options
from commands.shared.light_helpers import NOBODY, Identity, clean
from commands.shared.number_format import local_units
from commands.shared.times import for_reader, local_venue_time, when
from commands.shared.verb_options import Report, identity, opened_to_look, units_and_listings
from commands.status.report import status_of
from commands.top.screen_data import (
    BotRow,
    UnreadableError,
    head,
    outdated_because,
    read_bot_row,
    unread_bot_row,
    version,
)
from commands.web.guard import error_answer
from commands.web.html_rendering import Page, PagePart, Query, line, render_html
from tradebot.adapters.bars.read_through import RestingBars, StoredBars
from tradebot.adapters.bars.store import BarStore
from tradebot.adapters.state.state_folder import LEARNED
from tradebot.app.wiring import App
from tradebot.errors import TemporaryError, TradebotError
from tradebot.model.bar import Session
from tradebot.model.series import Series
from tradebot.model.view import BarNeed

T = TypeVar("T")
WAIT_S, AGAIN_S = 2.0, 60.0
Ask = Callable[[StoredBars], T]


class LateFetch(NamedTuple):
    """A fetch that is late: its thread, when it started, and when it was found to be late by the monotonic clock."""

    thread: threading.Thread
    asked_at: datetime
    late_s: float


class BackgroundFetch:
    """A thread with its own instance of the bot, because SQLite connections belong to one thread."""

    def __init__(self, bot: App) -> None:
        self._asked: SimpleQueue[tuple[Ask[Any], Future[Any]] | None] = SimpleQueue()
        self.thread = threading.Thread(target=self._run, args=(bot.twin(),), name="bars", daemon=True)
        self.thread.start()

    def ask(self, ask: Ask[T]) -> Future[T]:
        """Return a future for the result, or for the error that a verb would end with."""
        answer: Future[T] = Future()
        self._asked.put((ask, answer))
        return answer

    def end(self) -> None:
        """Let the thread end after its current request."""
        self._asked.put(None)

    def _run(self, twin: App) -> None:
        with closing(twin):
            while (request := self._asked.get()) is not None:
                ask, answer = request
                try:
                    answer.set_result(ask(twin.bars))
                except (TradebotError, OSError, sqlite3.Error) as error:
                    answer.set_exception(error)
                finally:
                    # The waiting thread must get the error, even of a bug.
                    if answer.cancel():
                        answer.set_running_or_notify_cancel()


class FetchPatience:
    """Lets one thread at a time query the venue, and waits `wait_s` for its reply.

    After a late reply, the venue isn't queried again until that thread has ended and `again_s` seconds have passed.
    """

    def __init__(
        self, wait_s: float = WAIT_S, again_s: float = AGAIN_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._wait_s, self._again_s, self._clock = wait_s, again_s, clock
        self._turn = threading.Lock()
        self._late: LateFetch | None = None

    def late(self) -> LateFetch | None:
        """Return the late fetch that keeps the venue from being queried now, or None."""
        late = self._late
        is_over = late and not late.thread.is_alive() and self._clock() - late.late_s >= self._again_s
        return None if is_over else late

    def warning(self) -> str:
        """Return why newer bars may be missing, as markup; empty if no fetch is late."""
        late = self.late()
        if late is None:
            return ""
        return (
            f"The venue hasn't answered in time since {when(late.asked_at)} by this machine's clock: charts and "
            "benchmarks are drawn from the bars that are stored. Next: tradebot doctor"
        )

    def answer(self, asking: Callable[[], BackgroundFetch], ask: Ask[T]) -> T | None:
        """Return the venue's reply; None if it is late, or if the venue may not be queried now."""
        if not self._turn.acquire(timeout=self._wait_s):
            return None
        try:
            if self.late() is not None:
                return None
            asked_at, thread = datetime.now(UTC), asking()
            answer = thread.ask(ask)
            if not wait([answer], self._wait_s).done:
                self._late = LateFetch(thread.thread, asked_at, self._clock())
                return None
            return answer.result()
        finally:
            self._turn.release()


class PatientBars(RestingBars):
    """The bars for one page. Missing bars are fetched; if they don't arrive in time, the stored ones are used."""

    def __init__(self, bot: App, patience: FetchPatience) -> None:
        super().__init__(self._at_rest, self._stored_sessions, bot.day)
        self._bot, self._patience = bot, patience
        self._asking: BackgroundFetch | None = None

    def closed(self, need: BarNeed, symbols: Sequence[str], until: datetime) -> Mapping[str, Series]:
        """Return the last bars like StoredBars; raise TemporaryError if the fetch is late and no bars are stored."""
        read_bars = self._answer(lambda bars: bars.closed(need, symbols, until))
        return super().closed(need, symbols, until) if read_bars is None else read_bars

    def between(
        self, timeframe: str, symbols: Sequence[str], first: date, last: date, until: datetime
    ) -> Mapping[str, Series]:
        """Return bars by date like StoredBars; raise TemporaryError if the fetch is late and no bars are stored."""
        read_bars = self._answer(lambda bars: bars.between(timeframe, symbols, first, last, until))
        return super().between(timeframe, symbols, first, last, until) if read_bars is None else read_bars

    def known_until(self, now: datetime) -> datetime:
        """Return the time up to which the source has bars at `now`; if it is late, the end of the stored bars."""
        return self._answer(lambda bars: bars.known_until(now)) or super().known_until(now)

    def close(self) -> None:
        """Let the thread end; the stored bars are closed with the bot."""
        if self._asking is not None:
            self._asking.end()

    def _answer(self, ask: Ask[T]) -> T | None:
        return self._patience.answer(self._thread, ask)

    def _thread(self) -> BackgroundFetch:
        self._asking = self._asking or BackgroundFetch(self._bot)
        return self._asking

    def _stored_sessions(self, first: date, last: date) -> Sequence[Session]:
        return self._bot.ledger_view.sessions(first, last)

    def _at_rest(self) -> BarStore:
        if self._bot.bars_at_rest is None:
            raise TemporaryError(
                "the venue hasn't answered in time, and no bars are stored", "load the page again in a minute"
            )
        return self._bot.bars_at_rest.store


Made = TypeVar("Made")
KEPT = 50
"""How many pages and charts are cached as they were last read."""
ANYWAY_S = 30.0
"""Ages grow even if nothing is recorded, so a page this old is read again."""
CONFIGURED_BY = ("tradebot.yaml", LEARNED)


class RenderedPart(NamedTuple):
    """A rendered part of a page: its id, title and HTML."""

    name: str
    title: str
    html: Markup
    wide: bool


class PageData(NamedTuple):
    """A page's data: its bot, why its figures are outdated (if they are), its parts, and the sources of the parts.

    A source is a verb's report, or the error that occurred instead.
    """

    at: datetime
    head: Markup
    state: str
    old: Markup
    parts: tuple[RenderedPart, ...]
    made: tuple[Report | TradebotError, ...]

    @property
    def documents(self) -> tuple[Mapping[str, Any], ...]:
        """Return the --json document of each report that the page shows, or of the error in its place."""
        sources = self.made
        return tuple(each.document() if isinstance(each, Report) else error_answer(each) for each in sources)

    @property
    def is_lost(self) -> bool:
        """Return True if all sources are errors."""
        return bool(self.made) and not any(isinstance(item, Report) for item in self.made)


class PageReader:
    """Reads the pages of one bot, in any thread. A page is read once at a time, so a slow page only delays itself."""

    def __init__(
        self,
        state_dir: Path,
        config: str | None,
        patience: FetchPatience | None = None,
        *,
        is_one_of_several: bool = False,
    ) -> None:
        self.folder, self._config, self._is_one_of_several = state_dir, config, is_one_of_several
        self._patience = patience or FetchPatience()
        self._lock = threading.Lock()
        self._turns: defaultdict[Hashable, threading.Lock] = defaultdict(threading.Lock)
        self._kept: OrderedDict[Hashable, tuple[Hashable, float, Any]] = OrderedDict()
        self._opened: tuple[tuple[object, ...], App] | None = None

    def read(self, page: Page, query: Query) -> PageData:
        """Return a page's current data; raise TradebotError if the bot can't be read."""
        return self._once((page.name, *sorted(query.items())), page.name, lambda: self._read(page, query))

    def chart(self, of: Callable[..., dict[str, Any]], *arguments: str) -> dict[str, Any]:
        """Return a chart's data; raise TradebotError if the bot can't be read."""

        def draw() -> dict[str, Any]:
            with self.bot() as bot:
                return of(bot, *arguments)

        return self._once((of, *arguments), of, draw)

    def _once(self, name: Hashable, turn: Hashable, make: Callable[[], Made]) -> Made:
        """Return cached content; build it again if there are new records, or if it is old."""
        with self._lock:
            mine = self._turns[turn]
        with mine:
            state, now_s = (version(self.folder), self._configuration_stamps()), time.monotonic()
            with self._lock:
                cached = self._kept.get(name)
                if cached is not None:
                    self._kept.move_to_end(name)
            if cached is not None and cached[0] == state and now_s - cached[1] < ANYWAY_S:
                return cached[2]  # type: ignore[no-any-return]
            content = make()
            with self._lock:
                self._kept[name] = (state, now_s, content)
                self._kept.move_to_end(name)
                while len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            return content

    def _read(self, page: Page, query: Query) -> PageData:
        with self.bot() as bot:
            status, bot_identity = self._once("status", "status", lambda: (status_of(bot), identity(bot)))
            parts = [_render_part(bot, bot_identity, number, part) for number, part in enumerate(page.parts(query))]
            return PageData(
                datetime.now(UTC),
                line(head(status, bot_identity)),
                status.trading_state,
                Markup("<br>").join(
                    line(escape(why)) for why in (outdated_because(status), self._patience.warning()) if why
                ),
                tuple(part for part, _ in parts),
                tuple(source for _, source in parts if source is not None),
            )

    @contextmanager
    def bot(self) -> Iterator[App]:
        """Yield the bot with its own connections, reopened if its configuration has changed; its bars may be late."""
        # Other threads may read other bots meanwhile.
        aimed = hints_aimed_at(self.folder) if self._is_one_of_several else nullcontext()
        with (
            readable(),
            aimed,
            closing(self._bot().twin()) as bot,
            closing(PatientBars(bot, self._patience)) as bot.bars,
            local_venue_time(bot.day),
            local_units(*units_and_listings(bot)),
        ):
            yield bot

    def bot_row(self, name: str) -> BotRow:
        """Return the bot's row in the table of several bots; if the bot can't be read, the row says so."""

        def load() -> BotRow:
            try:
                with self.bot() as bot:
                    return read_bot_row(name, bot)
            except TradebotError as error:
                return unread_bot_row(name, self.folder, error)

        return self._once("row", "row", load)

    def _configuration_stamps(self) -> tuple[object, ...]:
        files = [self.folder / name for name in CONFIGURED_BY] + ([Path(self._config)] if self._config else [])
        return tuple(_modified_ns(path) for path in files)

    def _bot(self) -> App:
        """Return the bot from which others are opened. Its connections belong to this thread, so they are closed at
        once.
        """
        stamps = self._configuration_stamps()
        with self._lock:
            if self._opened is None or self._opened[0] != stamps:
                self._opened = None
                with opened_to_look(str(self.folder), self._config) as bot:
                    self._opened = stamps, bot
            return self._opened[1]


@contextmanager
def readable() -> Iterator[None]:
    """Raise UnreadableError for errors that no verb handles: missing or damaged files, or files locked for long."""
    try:
        yield
    except (OSError, sqlite3.Error) as error:
        raise UnreadableError(f"the state can't be read: {error}", "tradebot doctor") from error


def _modified_ns(path: Path) -> int | None:
    with suppress(OSError):
        return path.stat().st_mtime_ns
    return None


def render_problem(error: TradebotError) -> Markup:
    """Return an error's message and its remedy."""
    wrong = line("[red]error:[/] ") + Markup("{}").format(clean(for_reader(error.message)))
    step = Markup("<p>next: {}</p>").format(clean(with_bot_options(error.hint))) if error.hint else Markup("")
    return Markup('<p role="alert">{}</p>{}').format(wrong, step)


def _render_part(
    bot: App, bot_identity: Identity, number: int, part: PagePart
) -> tuple[RenderedPart, Report | TradebotError | None]:
    """Render a part of a page, with its report if it has one; an error takes its place."""
    name = f"part-{number}"
    try:
        with readable():
            content = part.make(bot)
    except TradebotError as error:
        return RenderedPart(name, part.title, render_problem(error), part.wide), error
    if not isinstance(content, Report):
        return RenderedPart(name, part.title, content, part.wide), None
    report = replace(content, bot_identity=bot_identity) if content.bot_identity == NOBODY else content
    forms = Markup("").join(part.act(report) if part.act else ())
    shown = part.draw(bot, report) if part.draw else render_html(lambda console: report.render(console, report.data))
    return RenderedPart(name, part.title, shown + forms, part.wide), report
