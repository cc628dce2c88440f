"""Sliders on a recorded pass: each stop tells what `why-no-orders --what-if` tells, and nothing is written."""

import json
import re
from collections.abc import Mapping
from html import unescape
from typing import Any, NamedTuple

import pytest

from commands.web import what_if
from commands.web.page_data import PageReader
from commands.web.what_if import Sliders, sliders_of
from tests.commands.web.client import browser, site
from tests.kit.bot.folder import Bot
from tradebot import __version__
from tradebot.adapters.facts import recorded_passes
from tradebot.errors import OperatorError

FUNNEL, ALONE = what_if.PAGES
PASS = ("--session", "2026-11-17", "--at", "10:05:00")
CLUSTER = "if.strategies.flow.min_families"


@pytest.fixture
def bot(refusing: Bot) -> Bot:
    return refusing


@pytest.fixture(autouse=True)
def nothing_kept() -> None:
    """Forget the sliders of other tests."""
    what_if._KEPT.clear()


class Read(NamedTuple):
    """The HTML of the parts of a page, and the documents that they were drawn from."""

    parts: list[str]
    documents: list[dict[str, Any]]


def read(bot: Bot, query: Mapping[str, str], page: Any = ALONE) -> Read:
    """Return a page; the bot's own folder is taken out of the commands that it proposes."""
    reading = PageReader(bot.folder, None).read(page, query)
    place = f" --state-dir {bot.folder}"
    documents = json.loads(json.dumps(reading.documents).replace(place, ""))
    return Read([part.html.replace(place, "") for part in reading.parts], documents)


def found(bot: Bot, symbol: str | None = None) -> Sliders:
    with PageReader(bot.folder, None).bot() as app:
        return sliders_of(app, symbol, None, None)


def text(html: str) -> str:
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html)).split())


@pytest.mark.parametrize("symbol", [None, "MSFT"])
def test_each_stop_tells_what_the_verb_tells(bot: Bot, symbol: str | None) -> None:
    tried = 0
    about = [symbol] if symbol else []
    for slider in found(bot, symbol).sliders:
        assert slider.force in {stop.value for stop in slider.stops}
        assert [stop.value for stop in slider.stops] == sorted((stop.value for stop in slider.stops), key=float)
        for stop in slider.stops if slider.refused else ():
            query = {f"if.{slider.key}": stop.value, **({"symbol": symbol} if symbol else {})}
            (shown,) = read(bot, query).documents
            told = bot.json("why-no-orders", *about, *PASS, "--what-if", f"{slider.key}={stop.value}")
            assert shown["data"] == told
            assert stop.orders == told["orders_now"]
            if stop.value == slider.force:
                assert (told["changed"], told["orders_now"]) == ([], told["orders_then"])
            tried += 1
    assert tried > 1


def test_stop_next_to_the_one_in_force_lets_the_nearest_one_through(bot: Bot) -> None:
    (families,) = (one for one in found(bot).sliders if one.key == "strategies.flow.min_families")
    assert (families.force, families.refused) == ("2", 1)
    expected = [("1", "1 family", 1), ("2", "2 families", 0)]
    assert [(stop.value, stop.shown, stop.orders) for stop in families.stops][:2] == expected
    reading = read(bot, {CLUSTER: "1"}, FUNNEL)
    command = f"why-no-orders {' '.join(PASS)} --what-if strategies.flow.min_families=1"
    _, answer = text(reading.parts[2]).split("Decided again ")
    assert answer.startswith("1 more order would be sent. ")
    assert re.search(rf"<code>[^<]*{command}</code>", reading.parts[2])
    assert 'value="1"' in reading.parts[2]
    assert bot.says(*command.split()).out.splitlines()[0] == "1 more order would be sent."


def test_form_with_all_values_changes_only_those_that_differ(bot: Bot) -> None:
    all_of_them = {f"if.{one.key}": one.force for one in found(bot).sliders}
    assert text(read(bot, all_of_them).parts[0]).startswith("Nothing is changed")
    (shown,) = read(bot, {**all_of_them, CLUSTER: "1.0"}).documents
    assert [one["what"] for one in shown["data"]["changes"]] == ["strategies.flow.min_families"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("limits.min_score", value) for value in ("nan", "inf", "-5", "1e999", "9" * 200, "much", "[1", " ", "<b>")),
        *(
            (name, "1")
            for name in ("limits.nothing", "<script>alert(1)</script>", "", "a b", "mode", "__proto__", "..")
        ),
        ("price:NOPE", "1"),
        ("at", "99:99"),
    ],
)
def test_odd_changes_are_refused_in_the_words_of_the_verb(bot: Bot, name: str, value: str) -> None:
    said = bot.says("why-no-orders", *PASS, "--what-if", f"{name}={value}")
    assert said.code == 2
    error, step = said.err.strip().splitlines()
    (part,) = read(bot, {f"if.{name}": value}).parts
    assert text(part) == " ".join(f"{error} {step}".split())
    assert "<script>" not in part
    assert "<b>" not in part


def test_too_many_changes_at_once_are_refused(bot: Bot) -> None:
    (part,) = read(bot, {f"if.a{number}": "1" for number in range(what_if.MOST_CHANGES + 1)}).parts
    assert text(part).startswith("error: 41 settings are too many to change at once next: change 40 at most")


def test_pages_write_nothing(bot: Bot) -> None:
    def contents() -> dict[str, bytes]:
        return {str(path): path.read_bytes() for path in sorted(bot.folder.rglob("*")) if path.is_file()}

    before = contents()
    read(bot, {CLUSTER: "1"}, FUNNEL)
    read(bot, {"if.strategies.flow.lookback_s": "600"})
    assert contents() == before


def test_answer_of_what_is_read_again_comes_from_what_was_kept(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    first = found(bot)
    monkeypatch.setattr(what_if, "decide", None)
    assert found(bot) is first


def test_little_is_decided_again_for_a_large_pass(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(what_if, "WORK", 0)
    (families,) = (one for one in found(bot).sliders if one.key == "strategies.flow.min_families")
    assert [(stop.value, stop.orders) for stop in families.stops if stop.value in "12"] == [("1", None), ("2", 0)]


def test_pass_that_is_not_kept_is_told_in_the_words_of_the_verb(bot: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recorded_passes.KeptPasses, "record", lambda *_: None)
    error, step = bot.says("why-no-orders", *PASS, "--what-if", "limits.min_score=0.5").err.strip().splitlines()
    assert text(read(bot, {"if.limits.min_score": "0.5"}, FUNNEL).parts[2]) == " ".join(f"{error} {step}".split())


def test_session_without_passes_says_which_have_some(bot: Bot) -> None:
    sliders_part = read(bot, {"session": "2026-11-16"}, FUNNEL).parts[2]
    assert text(sliders_part).startswith("error: No pass of trade-once is on record in session 2026-11-16")
    with pytest.raises(OperatorError, match="No pass"), PageReader(bot.folder, None).bot() as app:
        sliders_of(app, None, "2026-11-16", None)


@pytest.mark.parametrize(
    ("query", "verbs"),
    [
        ({}, ("--session 2026-11-17", "", "--session 2026-11-17 --by-symbol")),
        (
            {"session": "2026-11-17", "at": "10:00"},
            ("--session 2026-11-17", "--session 2026-11-17 --at 10:00", "--session 2026-11-17 --by-symbol"),
        ),
        ({"since": "30d"}, ("--since 30d", "", "--since 30d --by-symbol")),
    ],
)
def test_funnel_is_that_of_the_verb(bot: Bot, query: dict[str, str], verbs: tuple[str, ...]) -> None:
    shown = [document["data"] for document in read(bot, query, FUNNEL).documents]
    assert shown == [bot.json("why-no-orders", *words.split()) for words in verbs]


@pytest.mark.parametrize("query", [{"session": "2026-11-99"}, {"at": "noon"}, {"since": "ever"}])
def test_funnel_of_no_session_or_time_says_what_can_be_asked(bot: Bot, query: dict[str, str]) -> None:
    html = "".join(read(bot, query, FUNNEL).parts)
    assert "error:" in text(html)
    assert "next:" in text(html)


def test_changes_are_asked_for_in_the_address(bot: Bot) -> None:
    client = browser(site(bot.folder))
    (document,) = client.get("/api/pages/what-if", params={CLUSTER: "1", "symbol": "msft", "other": "x"}).json()
    assert (document["data"]["symbol"], document["data"]["orders_now"]) == ("MSFT", 1)
    assert "Its order would be sent." in client.get("/symbol/MSFT", params={CLUSTER: "1"}).text
    assert client.get(f"/static/{__version__}/what_if.js").status_code == 200
