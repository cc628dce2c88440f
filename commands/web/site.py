"""The server behind `tradebot web`: its pages, its static files, logins, and change events."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from importlib.resources import files
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import (
    HTMLResponse,
    PlainTextResponse,
    RedirectResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import BaseRoute, Mount, Route
from starlette.types import ASGIApp

from commands.positions import report as positions
from commands.serve.web import gather_health
from commands.serve.web_pages import health
from commands.shared.verb_options import Report
from commands.top.screen_data import BOT_COLUMNS, BOT_KINDS, BotFolder, BotsShown, bot_cells, version
from commands.web import bot_pages, overview, performance_pages, what_if
from commands.web.actions import (
    CALLER,
    CommandResult,
    Given,
    Run,
    SingleUseForms,
    VerbActions,
    runner_for_folder,
    sends_orders,
)
from commands.web.charting import candles, day, equity, over_time
from commands.web.guard import (
    API,
    Guard,
    Json,
    Logins,
    TooManyLoginsError,
    came_from_form,
    client_address,
    error_answer,
    held_by,
    local_path,
    own_path,
)
from commands.web.html_rendering import CSRF, ONCE, Page, Query, draw_table, line
from commands.web.page_data import PageReader
from commands.web.performance_pages import is_run
from commands.web.what_if import is_change
from tradebot import __version__
from tradebot.adapters.text.redaction import hide_keys
from tradebot.errors import OperatorError, TradebotError
from tradebot.model.event import EventKind

LOOK_S = 0.35
"""How often the state's files are checked, while any browser listens, in seconds."""
BEAT_S = 5.0
"""How often a browser gets a message without changes, in seconds; a longer silence means a lost connection."""
MOST_LISTENERS = 20


class TooManyListenersError(Exception):
    """Raised when the maximum number of browsers is listening."""


class Live:
    """Checks for new records, once for all listeners."""

    def __init__(self, version: Callable[[], object]) -> None:
        self._version = version
        self._listeners = 0
        self._number = 0
        self._changed = asyncio.Condition()
        self._looking: asyncio.Task[None] | None = None

    async def events(self) -> AsyncIterator[str]:
        """Yield an event for each change, and at least one every few seconds.

        Raises TooManyListenersError if too many browsers are listening.
        """
        if self._listeners >= MOST_LISTENERS:
            raise TooManyListenersError
        self._listeners += 1
        if self._looking is None:
            self._looking = asyncio.create_task(self._look())
        try:
            last_number = self._number
            yield "event: beat\ndata: 0\n\n"
            while True:
                kind = "beat"
                with suppress(TimeoutError):
                    async with asyncio.timeout(BEAT_S), self._changed:
                        await self._changed.wait_for(lambda: self._number != last_number)  # noqa: B023 - awaited here
                        kind = "changed"
                last_number = self._number
                yield f"event: {kind}\ndata: {last_number}\n\n"
        finally:
            self._listeners -= 1
            if not self._listeners and self._looking is not None:
                self._looking.cancel()
                self._looking = None

    async def _look(self) -> None:
        version = self._version()
        is_noticed = False
        while True:
            await asyncio.sleep(LOOK_S)
            version_seen = self._version()
            # Announce the change one check later: a pass that has just begun will record more, and needs the machine.
            if version_seen != version and not is_noticed:
                is_noticed = True
            elif is_noticed:
                version, is_noticed = version_seen, False
                async with self._changed:
                    self._number += 1
                    self._changed.notify_all()


ORDER = (
    *("overview", "positions", "close", "cancel", "symbols", "symbol", "funnel", "what-if", "trades", "report"),
    *("backtests", "backtest", "signals", "schedule", "health", "events", "settings"),
)
OF_BOT = (*overview.PAGES, *bot_pages.PAGES, *bot_pages.SYMBOL_PAGES, *bot_pages.SENDING_PAGES)
EVERY = (*OF_BOT, *what_if.PAGES, *performance_pages.PAGES)
PAGES: tuple[Page, ...] = tuple(sorted(EVERY, key=lambda page: ORDER.index(page.name)))

STATIC = {
    "site.css": "text/css",
    "site.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "lightweight-charts.js": "text/javascript",
    "charts.js": "text/javascript",
    "what_if.js": "text/javascript",
    "what_if.css": "text/css",
}
KEPT_BY_BROWSERS = "public, max-age=31536000, immutable"
LONGEST_QUERY, MOST_FIELDS = 200, 10
PATIENCE_S = 0.05
"""How long a page may take before its start is sent ahead, in seconds."""
MAIN = "<main"
"""The marker in a page at which the part to be read begins."""


ROOTED = re.compile(r'\b(href|src|action|data-chart|data-answer)="/')
"""Matches a page's links to paths of this server. Text from outside is escaped, so its quotation marks can't match."""
TABLE = 'href="@bots"'
"""The link of a bot's page to the table of all bots."""


class BaseSite:
    """Serves logins, static files and change events; with several bots, each bot's URLs contain its name."""

    def __init__(
        self, logins: Logins, cookie: str, version: Callable[[], object], *, is_secure: bool, name: str = ""
    ) -> None:
        self._logins, self._cookie, self._secure = logins, cookie, is_secure
        self._name, self._root = name, f"/bot/{name}" if name else ""
        self._live, self._forms = Live(version), SingleUseForms()
        self._static = {name: (files("commands.web") / "static" / name).read_bytes() for name in STATIC}
        self._templates = Environment(
            loader=PackageLoader("commands.web"), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
            lstrip_blocks=True,
        )  # fmt: skip

    def application(self, hosts: Collection[str]) -> ASGIApp:
        """Return the application, which answers under these host names."""
        return Guard(self.make_router(), self._logins, hosts, "https" if self._secure else "http", self._cookie)

    def make_router(self) -> ASGIApp:
        """Return the application without the guard that checks requests first."""
        routes = [
            *self.own_routes(),
            Route("/login", self._login_page),
            Route("/login", self._log_in, methods=["POST"]),
            Route("/logout", self._log_out, methods=["POST"]),
            Route("/live", self._events),
            Route("/static/{version}/{name}", self._file),
        ]
        return Starlette(routes=routes, exception_handlers={HTTPException: self._not_here})

    def own_routes(self) -> Sequence[BaseRoute]:
        """Return the site's own routes, besides those for logins, static files and change events."""
        return ()

    def _respond(
        self, template: str, status: int = 200, headers: Mapping[str, str] | None = None, **values: object
    ) -> Response:
        return HTMLResponse(self._render(template, **values), status, headers)

    def _render(self, template: str, **values: object) -> str:
        page = self._templates.get_template(template).render(
            version=__version__, pages=PAGES, bot=self._name, root=self._root, **values
        )
        if self._root:
            page = ROOTED.sub(rf'\1="{self._root}/', page).replace(TABLE, 'href="/"')
        csrf = str(values.get("csrf", ""))
        return hide_keys(page).replace(CSRF, csrf).replace(ONCE, self._forms.issue(csrf) if ONCE in page else "")

    async def _login_page(self, request: Request) -> Response:
        return self._respond("login.html", to=local_path(request.query_params.get("to", "/")), wrong="")

    async def _log_in(self, request: Request) -> Response:
        form = await _form(request)
        token, to = form.get("token", ""), local_path(form.get("to", "/"))
        try:
            cookie = self._logins.log_in(token.strip(), client_address(request.scope))
        except TooManyLoginsError as error:
            headers = {"Retry-After": str(error.wait_s)}
            return self._respond("login.html", 429, headers, to=to, wrong=f"{error}: {error.hint}")
        if cookie is None:
            return self._respond("login.html", 403, to=to, wrong="That token is wrong.")
        answer = RedirectResponse(to, 303)
        answer.set_cookie(self._cookie, cookie, httponly=True, samesite="strict", secure=self._secure)
        return answer

    async def _log_out(self, request: Request) -> Response:
        if not came_from_form(request.scope.get("session"), (await _form(request)).get("csrf", "")):
            return PlainTextResponse("this form is too old: load the page again", 403)
        self._logins.log_out(held_by(request.headers, self._cookie) or "")
        return RedirectResponse("/login", 303)

    async def _events(self, request: Request) -> Response:
        if request.method == "HEAD":
            return PlainTextResponse("")
        events = self._live.events()
        try:
            first = await anext(events)
        except TooManyListenersError:
            return PlainTextResponse("too many browsers are connected", 503)
        return StreamingResponse(_all(first, events), media_type="text/event-stream")

    async def _file(self, request: Request) -> Response:
        name = request.path_params["name"]
        if name not in STATIC:
            return PlainTextResponse("no such file", 404)
        return Response(self._static[name], media_type=STATIC[name], headers={"Cache-Control": KEPT_BY_BROWSERS})

    async def _not_here(self, request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        status, headers = error.status_code, error.headers
        if own_path(request.url.path).startswith(API):
            return Json(
                error_answer(OperatorError(error.detail, "GET one of the paths in docs/WEB.md")), status, headers
            )
        if status == HTTPStatus.NOT_FOUND:
            return self._respond("missing.html", status, csrf=_csrf(request))
        return PlainTextResponse(error.detail, status, headers)


class Site(BaseSite):
    """Serves requests about one bot."""

    def __init__(
        self,
        reader: PageReader,
        acting: VerbActions,
        logins: Logins,
        cookie: str,
        *,
        is_secure: bool,
        patience_s: float = PATIENCE_S,
        name: str = "",
    ) -> None:
        super().__init__(logins, cookie, partial(version, reader.folder), is_secure=is_secure, name=name)
        self._reader, self._acting, self._patience_s = reader, acting, patience_s

    def own_routes(self) -> Sequence[BaseRoute]:
        """Return the pages of the bot, their documents and charts, and its actions."""
        return [
            *(Route(page.path, partial(self._page, page)) for page in PAGES),
            *(
                Route(f"/api/pages/{page.path.strip('/') or page.name}", partial(self._documents, page))
                for page in PAGES
            ),
            Route("/api/chart/equity", partial(self._chart, equity)),
            Route("/api/chart/day", partial(self._chart, day)),
            Route("/api/chart/over-time", partial(self._chart, over_time)),
            Route("/api/chart/candles/{which}/{symbol:path}", partial(self._chart, candles)),
            Route("/api/positions", self._positions),
            Route("/api/sre/health", self._health),
            Route("/system-events", _old_events),
            Route("/act", self._act, methods=["POST"]),
        ]

    async def _page(self, page: Page, request: Request) -> Response:
        """Return a page. If large books take a while to read, the start of the page is sent first."""
        query, csrf = _query(page, request), _csrf(request)
        reading = asyncio.create_task(run_in_threadpool(self._read, page, query, csrf))
        await asyncio.wait({reading}, timeout=self._patience_s)
        if reading.done():
            return HTMLResponse(*reading.result())
        begins, _, _ = self._render("unread.html", page=page, error=OperatorError(""), csrf=csrf).partition(MAIN)
        return StreamingResponse(_in_parts(begins, reading), media_type="text/html; charset=utf-8")

    def _read(self, page: Page, query: Query, csrf: str) -> tuple[str, int]:
        """Return a page, or why it can't be read, and its status."""
        try:
            reading = self._reader.read(page, query)
        except TradebotError as error:
            return self._render("unread.html", page=page, error=error, csrf=csrf), 503
        return self._render("page.html", page=page, reading=reading, query=query, csrf=csrf), 200

    def _documents(self, page: Page, request: Request) -> Response:
        def answer() -> Response:
            reading = self._reader.read(page, _query(page, request))
            return Json(list(reading.documents), 503 if reading.is_lost else 200)

        return _answer_or_error(answer)

    def _chart(self, of: Callable[..., Any], request: Request) -> Response:
        return _answer_or_error(lambda: Json(self._reader.chart(of, *request.path_params.values())))

    def _positions(self, request: Request) -> Response:
        def answer() -> Response:
            with self._reader.bot() as bot:
                return Json(positions.run(bot).document())

        return _answer_or_error(answer)

    def _health(self, request: Request) -> Response:
        def answer() -> Response:
            with self._reader.bot() as bot:
                page_reply = health(gather_health(bot))
            return Response(page_reply.text, page_reply.status, media_type=page_reply.kind)

        return _answer_or_error(answer)

    async def _act(self, request: Request) -> Response:
        form = await _form(request)
        if not came_from_form(request.scope.get("session"), form.pop("csrf", "")):
            return PlainTextResponse("this form is too old: load the page again", 403)
        try:
            done = await run_in_threadpool(self._do, form, _csrf(request), client_address(request.scope))
        except TooManyLoginsError as error:
            headers = {"Retry-After": str(error.wait_s)}
            return self._respond("done.html", 429, headers, error=error, done=None, csrf=_csrf(request))
        except TradebotError as error:
            return self._respond("done.html", 400, error=error, done=None, csrf=_csrf(request))
        return self._respond("done.html", 200 if done.is_done else 409, done=done, error=None, csrf=_csrf(request))

    def _do(self, form: dict[str, str], csrf: str, address: str) -> CommandResult:
        """Perform the action of a form; one that sends orders is performed only once."""
        if not sends_orders(form):
            return self._act_on_record(form, address)
        once = form.pop("once", "")
        if form.get("token"):
            self._logins.require_token(form["token"].strip(), address)
        return self._forms.run(csrf, once, lambda: self._act_on_record(form, address))

    def _act_on_record(self, form: Given, address: str) -> CommandResult:
        """Perform the action of a form, and record in the bot's log the address that it came from and how it ended."""
        done = self._acting.act(form)
        details = {"asked": done.command, "done": str(done.is_done).lower(), "who": CALLER, "address": address}
        # A halt has to work where nothing can be read, so what can't be written here isn't.
        with suppress(TradebotError), self._reader.bot() as bot:
            bot.events.emit(EventKind.WEB_ACTED.at(bot.stamp_time(), details))
        return done


class BotsSite(BaseSite):
    """Serves a table of several bots, and the pages of each under its name, with one login for all of them."""

    def __init__(
        self,
        bots: Sequence[BotFolder],
        logins: Logins,
        cookie: str,
        *,
        is_secure: bool,
        patience_s: float = PATIENCE_S,
        runs: Callable[[Path, str | None, int, str], Run] = runner_for_folder,
    ) -> None:
        self._readers = {bot.name: PageReader(bot.path, None, is_one_of_several=True) for bot in bots}
        versions = [partial(version, bot.path) for bot in bots]
        super().__init__(logins, cookie, lambda: tuple(each() for each in versions), is_secure=is_secure)
        self._sites = {
            name: Site(
                reader, VerbActions(reader.folder, None, runs), logins, cookie, is_secure=is_secure,
                patience_s=patience_s, name=name,
            )
            for name, reader in self._readers.items()
        }  # fmt: skip

    def own_routes(self) -> Sequence[BaseRoute]:
        """Return the table, its document, and the pages of each bot."""
        return [
            Route("/", self._table),
            Route("/api/bots", self._documents),
            *(Mount(f"/bot/{name}", app=site.make_router()) for name, site in self._sites.items()),
        ]

    def _rows(self) -> BotsShown:
        return BotsShown(tuple(reader.bot_row(name) for name, reader in self._readers.items()))

    def _table(self, request: Request) -> Response:
        rows = self._rows().bots
        cells = [
            (Markup('<a href="/bot/{}/">{}</a>').format(row.name, row.name), *map(line, bot_cells(row)[1:]))
            for row in rows
        ]
        return self._respond("bots.html", table=draw_table(BOT_COLUMNS, cells, BOT_KINDS), csrf=_csrf(request))

    def _documents(self, request: Request) -> Response:
        return Json(Report("top-bots", self._rows(), lambda console, _: None).document())


def _old_events(request: Request) -> Response:
    """Redirect the address that events had in an earlier system to their page, with the same filter."""
    params = request.query_params
    text = params.get("symbol") or params.get("subsystem") or ""
    chosen = {"severity": params.get("severity", "").upper(), "text": text, "last": params.get("last", "")}
    query = urlencode({name: value for name, value in chosen.items() if value})
    page = f"{request.scope.get('root_path', '')}/events"
    return RedirectResponse(f"{page}?{query}" if query else page, 308)


def _answer_or_error(answer: Callable[[], Response]) -> Response:
    """Return a response for programs, or the error if the bot can't be read."""
    try:
        return answer()
    except TradebotError as error:
        return Json(error_answer(error), 503)


async def _form(request: Request) -> dict[str, str]:
    """Return a form's fields, whose length the guard has checked; files and too many fields are refused."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind not in ("", "application/x-www-form-urlencoded"):
        raise HTTPException(HTTPStatus.BAD_REQUEST, "send a form's fields")
    body = (await request.body()).decode("latin-1") if kind else ""
    try:
        return dict(parse_qsl(body, keep_blank_values=True, max_num_fields=MOST_FIELDS))
    except ValueError as error:
        raise HTTPException(HTTPStatus.BAD_REQUEST, "too many fields") from error


def _csrf(request: Request) -> str:
    session = request.scope.get("session")
    return session.csrf if session else ""


def _query(page: Page, request: Request) -> Query:
    """Return the page's known query parameters, cut to a length."""
    params = {**request.query_params, **request.path_params}
    names = {field.name for field in page.fields} | {*page.hidden} | set(request.path_params)
    chosen = (name for name in params if name in names or is_change(name) or is_run(name))
    # An address must not contain the placeholder for a form's token, or the page would show the token.
    return {name: params[name].replace(CSRF[0], "")[:LONGEST_QUERY] for name in chosen if params[name]}


async def _in_parts(begins: str, reading: Awaitable[tuple[str, int]]) -> AsyncIterator[str]:
    """Yield the start of a page, and the rest once it was read."""
    yield begins
    content, _ = await reading
    yield content.removeprefix(begins)


async def _all(first: str, events: AsyncIterator[str]) -> AsyncIterator[str]:
    yield first
    async for event in events:
        yield event
