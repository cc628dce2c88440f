"""Several bots on one page: each row has the figures of `status`, each bot its own pages, and one login opens all."""

import asyncio
import re
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

from commands.shared.number_format import local_units, show_traded, units
from commands.shared.times import local_venue_time, when, zone
from commands.top.screen_data import MOST_BOTS, BotFolder, find_bots
from commands.web import site
from commands.web.site import PAGES, BotsSite, Live, TooManyListenersError
from tests.commands.web.client import COOKIE, LONG_S, TOKEN, browser, logins
from tests.commands.web.test_actions import in_forks
from tests.kit.bot.ending import refuses
from tests.kit.bot.fixtures import copied_books
from tests.kit.bot.folder import Bot
from tests.kit.values import NOW, there
from tradebot.errors import OperatorError
from tradebot.model.venue_day import VenueDay

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def bots(copy: Bot, tmp_path: Path) -> list[BotFolder]:
    """Return two bots, and a folder whose books are damaged."""
    copied_books(copy.folder, tmp_path / "second" / "state")
    damaged = copied_books(copy.folder, tmp_path / "worn")
    (damaged / "ledger.db").write_bytes(b"garbage" * 1_000)
    return [*find_bots([copy.folder, tmp_path / "second", damaged]), BotFolder("gone", tmp_path / "gone")]


def opened(bots: list[BotFolder], token: str | None = TOKEN) -> TestClient:
    """Return a browser at the pages of several bots."""
    site = BotsSite(bots, logins(), COOKIE, is_secure=False, patience_s=LONG_S, runs=in_forks)
    return browser(site, token)  # type: ignore[arg-type]


def test_table_has_each_bots_figures_and_says_which_cannot_be_read(copy: Bot, bots: list[BotFolder]) -> None:
    assert copy.says("halt", "--reason", HOSTILE).code == 0
    client = opened(bots)
    rows = {row["name"]: row for row in client.get("/api/bots").json()["data"]["bots"]}
    own, page = bots[[bot.path for bot in bots].index(copy.folder)].name, client.get("/").text
    assert sorted(rows) == sorted(bot.name for bot in bots)
    status = copy.json("status")
    first = rows[own]
    assert (first["mode"], first["venue"], first["account"]) == ("sandbox", "alpaca", copy.tail())
    assert (first["trading_state"], first["positions"], first["unread"]) == ("REDUCE_ONLY", 0, None)
    assert first["needs"][0] == f"REDUCE_ONLY by {status['trading_who']}: {HOSTILE}"
    assert rows["second"]["trading_state"] == "ACTIVE"
    for name, why in (("worn", "is damaged"), ("gone", "There is no state at")):
        assert (rows[name]["health"], why in rows[name]["unread"]) == (None, True)
        assert re.search(rf'<a href="/bot/{name}/">.*?can.{{1,5}}t be read.*?{why}', page, re.DOTALL)
    assert (HOSTILE in page, "&lt;script&gt;alert(1)" in page) == (False, True)
    for name in ("worn", "gone"):
        assert client.get(f"/bot/{name}/").status_code == 503


def test_each_page_of_a_bot_leads_to_its_own_pages_only(bots: list[BotFolder]) -> None:
    client = opened(bots)
    for page in PAGES:
        if "{" in page.path:
            continue
        text = client.get(f"/bot/second{page.path}").text
        addresses = set(re.findall(r'(?:href|src|action|data-chart|data-answer)="(/[^"]*)"', text))
        assert {each for each in addresses if not each.startswith("/bot/second/")} == {"/"}, page.path
        assert '<b>second</b>: <span class="bold' in text or "<b>second</b>: <b>sandbox</b>" in text
        assert 'data-root="/bot/second"' in text
    assert "--state-dir" in client.get("/bot/second/funnel").text
    assert str(there(next(bot for bot in bots if bot.name == "second")).path) in client.get("/bot/second/funnel").text
    assert client.get("/bot/second/static/x/site.css").status_code == 200
    assert client.get("/bot/other/").status_code == 404
    old = client.get("/bot/second/system-events?symbol=AAPL")
    assert (old.status_code, old.headers["location"]) == (308, "/bot/second/events?text=AAPL")


def test_one_login_opens_all_bots_and_without_it_none_is_shown(copy: Bot, bots: list[BotFolder]) -> None:
    client = opened(bots, None)
    for path in ("/", "/bot/second/", "/bot/second/positions"):
        answer = client.get(path)
        to = path.replace("/", "%2F")
        assert (answer.status_code, answer.headers["location"]) == (303, f"/login?to={to}")
    for path in ("/api/bots", "/bot/second/api/positions", "/bot/second/live", "/live"):
        assert client.get(path).status_code == 401
    assert client.get("/bot/second/static/x/site.css").status_code == 303, "the login needs none of these"
    elsewhere = client.get("/bot/second/api/positions", headers={"Host": "example.org"})
    assert (elsewhere.status_code, elsewhere.json()["error"]) == (421, "this server doesn't answer to that host name")
    assert client.get("/api/bots", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.get("/bot/second/api/positions", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 200
    assert client.post("/login", data={"token": TOKEN, "to": "/bot/second/"}).headers["location"] == "/bot/second/"
    pages = [client.get(f"/bot/{bot.name}/").status_code for bot in bots]
    assert sorted(pages) == [200, 200, 503, 503]
    done = client.post("/bot/second/logout", data={"csrf": csrf_of(client, "/bot/second/")})
    assert (done.status_code, client.get("/").status_code) == (303, 303)


def csrf_of(client: TestClient, path: str) -> str:
    return there(re.search(r'name="csrf" value="([^"]+)"', client.get(path).text))[1]


def test_what_is_done_on_a_bots_page_is_done_to_that_bot_alone(copy: Bot, bots: list[BotFolder]) -> None:
    client = opened(bots)
    form = {"csrf": csrf_of(client, "/bot/second/"), "do": "halt", "word": "halt", "reason": "wild"}
    assert client.post("/act", data=form).status_code == 404
    done = client.post("/bot/second/act", data=form)
    assert (done.status_code, "Halted: REDUCE_ONLY" in done.text) == (200, True)
    states = {row["name"]: row["trading_state"] for row in client.get("/api/bots").json()["data"]["bots"]}
    assert (states.pop("second"), set(states.values())) == ("REDUCE_ONLY", {"ACTIVE", None})


def test_bots_are_found_in_folders_of_folders_and_get_names_of_their_own(tmp_path: Path) -> None:
    for path in ("many/b/state", "many/a", "many/none", "x/a", "odd name!"):
        (tmp_path / path).mkdir(parents=True)
    for path in ("many/b/state", "many/a", "x/a", "odd name!"):
        (tmp_path / path / "state.id").write_text("{}")
    named = find_bots(
        [tmp_path / "many", tmp_path / "x", tmp_path / "odd name!", tmp_path / "many" / "a", tmp_path / "no"]
    )
    expected = [("a", "many/a"), ("a-2", "x/a"), ("b", "many/b/state"), ("no", "no"), ("odd-name-", "odd name!")]
    assert [(bot.name, str(bot.path.relative_to(tmp_path))) for bot in named] == expected
    with pytest.raises(OperatorError, match=f"these are {MOST_BOTS + 1} bots"):
        find_bots([tmp_path / f"bot{number}" for number in range(MOST_BOTS + 1)])


@pytest.mark.parametrize("verb", ["web", "top"])
def test_several_bots_are_named_by_the_option_and_their_folders(bot: Bot, verb: str, tmp_path: Path) -> None:
    several = "to name several bots, give --bots and their folders"
    refuses(bot.says(verb, "--bots"), 2, several)
    refuses(bot.says(verb, str(bot.folder)), 2, several)
    refuses(bot.says(verb, "--bots", str(bot.folder)), 2, "--state-dir and --config select a single bot")


def test_time_zone_and_units_of_one_bot_are_not_those_that_another_thread_shows() -> None:
    inside, shown = threading.Barrier(2, timeout=10), list[str]()

    def show_other() -> None:
        with local_venue_time(VenueDay("UTC")), local_units("contract", {}):
            inside.wait()
            inside.wait()
            shown.append(f"{zone()} {units()} {when(NOW)}")

    thread = threading.Thread(target=show_other)
    thread.start()
    inside.wait()
    with local_venue_time(VenueDay("America/New_York")):
        show_traded("share", {})
        assert (zone(), units()) == ("ET", "shares")
        inside.wait()
        thread.join()
    assert shown == [f"UTC contracts {NOW:%Y-%m-%d %H:%M:%S} UTC"]


PATIENCE_S = 10
Act = Callable[["Files"], Awaitable[None]]


class Files:
    """Files of a state that change when a test says so; how often they were looked at is counted."""

    def __init__(self) -> None:
        self.number, self.looked = 0, 0
        self.live = Live(self)

    def __call__(self) -> object:
        self.looked += 1
        return self.number

    async def tasks(self) -> int:
        """Return how many other tasks are left once those that end have ended."""
        for _ in range(5):
            await asyncio.sleep(0)
        return len(asyncio.all_tasks()) - 1


def played(act: Act) -> None:
    async def play() -> None:
        async with asyncio.timeout(PATIENCE_S):
            await act(Files())

    asyncio.run(play())


@asynccontextmanager
async def closed(files: Files) -> AsyncIterator[AsyncIterator[str]]:
    """Listen, and stop to."""
    events: Any = files.live.events()
    yield events
    await events.aclose()


async def kind(events: AsyncIterator[str]) -> str:
    """Return the kind of the next event."""
    event = await anext(events)
    assert event.endswith("\n\n")
    return event.partition("\n")[0].removeprefix("event: ")


def test_a_change_is_told_to_everybody_within_two_seconds() -> None:
    async def act(files: Files) -> None:
        listeners: list[Any] = [files.live.events() for _ in range(3)]
        assert [await kind(each) for each in listeners] == ["beat"] * 3
        for _ in range(2):
            await asyncio.sleep(0)
            files.number += 1
            began_s = time.monotonic()
            assert [await kind(each) for each in listeners] == ["changed"] * 3
            assert time.monotonic() - began_s < 2
        for each in listeners:
            await each.aclose()

    played(act)


def test_what_a_pass_records_in_one_breath_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(site, "LOOK_S", 0.1)
    monkeypatch.setattr(site, "BEAT_S", 0.5)

    async def act(files: Files) -> None:
        async with closed(files) as events:
            assert await kind(events) == "beat"
            for looks in (1, 2):
                while files.looked < looks:
                    await asyncio.sleep(0.01)
                files.number += 1
            assert [await kind(events) for _ in range(2)] == ["changed", "beat"]

    played(act)


def test_a_change_before_anybody_waits_for_the_next_event_is_told_all_the_same() -> None:
    async def act(files: Files) -> None:
        async with closed(files) as events:
            assert await kind(events) == "beat"
            await asyncio.sleep(0)
            files.number += 1
            await asyncio.sleep(2 * site.LOOK_S)
            async with asyncio.timeout(0.1):
                assert await kind(events) == "changed"

    played(act)


def test_without_change_a_beat_is_sent_well_before_a_browser_takes_it_for_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    assert site.BEAT_S * 2 < 12
    monkeypatch.setattr(site, "BEAT_S", 0.01)

    async def act(files: Files) -> None:
        async with closed(files) as events:
            assert [await kind(events) for _ in range(4)] == ["beat"] * 4

    played(act)


def test_one_listener_too_many_is_told_and_takes_no_place() -> None:
    async def act(files: Files) -> None:
        listeners: list[Any] = [files.live.events() for _ in range(site.MOST_LISTENERS)]
        for each in listeners:
            await kind(each)
        for _ in range(3):
            with pytest.raises(TooManyListenersError):
                await anext(files.live.events())
        await listeners.pop().aclose()
        async with closed(files) as another:
            assert await kind(another) == "beat"
        for each in listeners:
            await each.aclose()

    played(act)


def test_nobody_looks_at_the_files_once_the_last_listener_has_gone_however_it_went() -> None:
    async def act(files: Files) -> None:
        for how in ("closed", "canceled", "both"):
            events: Any = files.live.events()
            await kind(events)
            other: Any = files.live.events()
            await kind(other)
            assert await files.tasks() == 1
            waiting = asyncio.ensure_future(anext(other))
            await asyncio.sleep(0)
            await events.aclose()
            assert await files.tasks() == 2, how
            waiting.cancel()
            await asyncio.wait([waiting])
            assert await files.tasks() == 0, how
        looked = files.looked
        await asyncio.sleep(2 * site.LOOK_S)
        assert files.looked == looked

    played(act)
