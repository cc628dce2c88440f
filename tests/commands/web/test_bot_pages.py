"""The pages about the bot say what the verbs say, name what is wrong first, and stay small with many positions."""

import re
from html import unescape
from typing import Any

import pytest
from starlette.testclient import TestClient

from commands.positions import report as positions
from commands.web.bot_pages import ROWS
from tests.commands.mcp.test_tools_runner import steady
from tests.commands.web.client import browser, site
from tests.kit.bot.folder import Bot
from tradebot.model.struct_tools import replace

HOSTILE = '<img src=x onerror="alert(1)">\u202e/?#%'
MOST_BYTES = 300_000


@pytest.fixture
def bot(shared_trader: Bot) -> Bot:
    """Return a bot that has traded."""
    if not (shared_trader.folder / "passes.db").exists() or not shared_trader.json("positions")["positions"]:
        assert shared_trader.says("trade-once").code == 0
        assert shared_trader.says("exchange", "tick", "5m").code == 0
        assert shared_trader.says("evaluate-exits").code == 0
        # It begins the store of bars, and writes an event about that, as growth on the first page would.
        assert shared_trader.says("report").code == 0
    return shared_trader


@pytest.fixture
def client(bot: Bot) -> TestClient:
    return browser(site(bot.folder))


def words(page: str, title: str) -> str:
    """Return what a part says."""
    found = re.search(rf'aria-label="{re.escape(title)}">\s*<h2>.*?</h2>(.*?)</section>', page, re.DOTALL)
    assert found is not None, title
    return unescape(" ".join(re.sub(r"<[^>]*>", " ", found[1]).split()))


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        (
            "overview",
            ("status", "approvals", "positions", "audit --offline", "why-no-orders --session 2026-11-17"),
        ),
        ("positions", ("positions", "orders --last 100")),
        ("schedule", ("status", "schedule --next 30", "schedule check")),
        ("health", ("health", "audit --offline")),
        ("events?last=3", ("events --last 3",)),
        ("events?refusals=yes&last=2", ("events --last 2 --refusals",)),
        ("settings", ("config diff", "config show --origin")),
        ("settings?name=limits", ("config diff", "config show limits --origin")),
    ],
)
def test_each_part_is_the_document_of_its_verb(
    bot: Bot, client: TestClient, asked: str, lines: tuple[str, ...]
) -> None:
    found = [document["data"] for document in client.get(f"/api/pages/{asked}").json()]
    assert [steady(one) for one in found] == [steady(bot.json(*line.split())) for line in lines]


def test_answers_at_the_paths_of_earlier_bots_are_those_of_positions_and_of_serve(bot: Bot, client: TestClient) -> None:
    assert client.get("/api/positions").json()["data"] == bot.json("positions")
    health = client.get("/api/sre/health")
    found = health.json()
    assert (health.status_code, found["status"]) in {(200, "OK"), (200, "DEGRADED"), (503, "DEGRADED"), (503, "FAILED")}
    assert [row["symbol"] for row in found["positions"]] == [
        row["symbol"] for row in bot.json("positions")["positions"]
    ]
    assert {row["subject"] for row in found["subsystems"]} == {
        row["subject"] for row in bot.json("health")["judgments"]
    }


@pytest.mark.parametrize(
    ("asked", "page"),
    [
        ("", "/events"),
        ("?symbol=AAPL&severity=error", "/events?severity=ERROR&text=AAPL"),
        ("?subsystem=flow&last=5", "/events?text=flow&last=5"),
    ],
)
def test_the_first_system_s_address_of_events_leads_to_their_page(client: TestClient, asked: str, page: str) -> None:
    answer = client.get(f"/system-events{asked}", follow_redirects=False)
    assert (answer.status_code, answer.headers["location"]) == (308, page)
    assert client.get(page).status_code == 200


def test_a_thousand_positions_are_paged_small_and_their_totals_stay_those_of_all(
    bot: Bot, client: TestClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = positions.run

    def many(app: Any) -> Any:
        report = run(app)
        row = report.data.positions[0]
        rows = tuple(replace(row, symbol=f"S{number:04}") for number in range(999))
        return replace(report, data=replace(report.data, positions=(*rows, replace(row, symbol=HOSTILE))))

    monkeypatch.setattr(positions, "run", many)
    first, last, beyond = (client.get("/positions", params={"from_row": row}) for row in (0, 900, 999_999))
    for page, shown, hidden in ((first, "S0000", "S0100"), (last, "S0998", "S0000"), (beyond, "S0998", "S0000")):
        assert len(page.content) < MOST_BYTES
        assert "1,000 positions at " in words(page.text, "Positions")
        assert f'<th scope="row"><a href="/symbol/{shown}">{shown}</a></th>' in page.text
        assert hidden not in page.text.replace(f"from_row={ROWS}", "")
        assert page.text.count('<th scope="row"><a href="/symbol/S') in {ROWS, ROWS - 1}
        assert "<img" not in page.text
    assert "alert(1)" in last.text
    assert 'href="/positions?from_row=900" aria-current="true">901–1000' in last.text


def test_events_are_filtered_by_severity_and_text(bot: Bot, client: TestClient) -> None:
    every = bot.json("events", "--last", "1000")["events"]
    kind = every[0]["event_type"]
    assert {one["event_type"] for one in every} > {kind}, "a filter that lets all through would pass"
    for asked, keeps in (
        ({"text": kind.upper()}, lambda one: kind.lower() in str(one).lower()),
        ({"severity": "WARN"}, lambda one: one["severity"] == "WARN"),
        ({"text": "nothing says this"}, lambda _: False),
    ):
        (found,) = client.get("/api/pages/events", params=asked).json()
        assert found["data"]["events"] == [one for one in every if keeps(one)], asked


def test_pages_have_a_way_past_the_list_of_pages_and_say_which_one_this_is(client: TestClient) -> None:
    page = client.get("/schedule").text
    assert page.index('<a class="skip" href="#content">') < page.index("<nav")
    assert re.findall(r'<a href="([^"]+)" aria-current="page">', page) == ["/schedule"]
    assert '<main id="content"' in page


def test_settings_are_searched_by_name_value_and_source(bot: Bot, client: TestClient) -> None:
    every = bot.json("config", "show", "--origin")["values"]
    for words, keeps in (
        ("MAX_OPEN", lambda row: "max_open" in row["key"]),
        ("limits base.yaml", lambda row: "limits" in row["key"] and row["origin"] == "base.yaml"),
        ("technology", lambda row: "technology" in str(row["value"])),
    ):
        _, found = client.get("/api/pages/settings", params={"search": words}).json()
        assert found["data"]["values"] == [row for row in every if keeps(row)] != [], words
        page = client.get("/settings", params={"search": words}).text
        assert all(f'<th scope="row">{row["key"]}</th>' in page for row in every if keeps(row))
        assert f'<input type="search" name="search" value="{words}">' in page
    nothing = client.get("/settings", params={"search": HOSTILE}).text
    assert "No setting matches." in nothing
    assert "<img" not in nothing
