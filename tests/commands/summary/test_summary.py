"""`tradebot summary`: a session in words, on a terminal, as a page, a document and a chat message."""

import re
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from commands.summary.summary_inputs import _change, accepted_configurations
from tests.kit.bot.folder import Bot
from tests.kit.values import NOW
from tradebot.adapters.ledger.ledger import SqliteLedger
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.state.state_folder import EVENTS
from tradebot.auditing.bar_findings import RawBar
from tradebot.model.event import EventKind
from tradebot.model.reasons import Reason
from tradebot.model.trading import Baseline

MONDAY, TUESDAY = "2026-11-16", "2026-11-17"
CODES = re.compile(rf"\b(?:{'|'.join(code for code in Reason if '_' in code)}|HALTED|REDUCE_ONLY|None)\b")


def section(data: dict[str, Any], title: str) -> str:
    """Return the sentences of a section; empty if there is none."""
    return "\n".join(line for one in data["sections"] if one["title"] == title for line in one["lines"])


def test_an_open_session_is_told_so_far_with_what_was_sent_and_what_is_held(shared_trader: Bot) -> None:
    bot = shared_trader
    sent = bot.json("trade-once")["orders"]
    bot.says("exchange", "tick", "2m")
    bot.says("evaluate-exits")
    data, held = bot.json("summary"), bot.json("status")["positions"]
    assert (data["session"], data["so_far"], data["orders"]) == (TUESDAY, True, sent)
    assert data["headline"].startswith("Tuesday 2026-11-17 so far: ")
    assert [(one["symbol"], one["gain_usd"]) for one in data["positions"]] == [
        (one["symbol"], one["unrealized_usd"]) for one in held
    ]
    stops = {one["symbol"]: [p["price"] for p in one["protection"]["resting"] if p["is_stop"]] for one in held}
    assert all(one["at_broker"] and [one["stop_usd"]] == stops[one["symbol"]] for one in data["positions"])
    assert "SPY is compared after the close." in section(data, "Profit")
    assert f"{sent:,} became" in section(data, "What it did")
    assert f"{sent} {'order' if sent == 1 else 'orders'} sent" in data["headline"]


def test_what_people_did_is_told_among_the_changes_and_a_halt_comes_first(shared_trader: Bot) -> None:
    bot = shared_trader
    bot.says("halt", "--reason", "looks odd")
    halted = bot.json("summary")
    assert ": trading is halted, " in halted["headline"]
    assert any(need["next"] == "tradebot unhalt" for need in halted["needs"])
    assert halted["sections"][0]["title"] == "What needs you"
    assert bot.says("unhalt", "--confirm", bot.tail(), "--reason", "fine").code == 0
    started = EventKind.SERVE_NOTE.at(datetime(2026, 11, 17, 15, tzinfo=UTC), {"message": "started", "version": "9.1"})
    JsonlEvents(bot.folder / EVENTS).emit(started)
    changes = "\n".join(bot.json("summary")["changes"])
    assert "At 2026-11-17 15:00 UTC, serve of tradebot 9.1 was started." in changes
    assert re.search(
        r"Trading was halted at 2026-11-17 \S+ UTC by \S+: looks odd\.\nTrading was opened .*: fine\.", changes
    )


def test_after_the_close_profit_stands_beside_spys(shared_trader: Bot) -> None:
    bot = shared_trader
    bot.says("exchange", "tick", "close")
    bot.says("reconcile")
    data = bot.json("summary")
    assert not data["so_far"]
    assert data["money"]["benchmark"] is None
    # The exchange of this bot trades four symbols, and SPY isn't one of them.
    assert "There is no SPY to compare with" in section(data, "Profit")
    assert data["money"]["after_usd"] == bot.json("pnl")["pnl"]["compared"]["broker_usd"]


def test_all_forms_tell_the_same_without_codes(shared_trader: Bot, tmp_path: Path) -> None:
    bot, page = shared_trader, tmp_path / "day.html"
    data = bot.json("summary", "--html", str(page))
    text, short, html = (
        bot.says("summary", "--utc", "--explain").out,
        bot.says("summary", "--short", "--utc").out,
        page.read_text(),
    )
    for one in data["sections"]:
        assert one["title"] in text
        assert one["title"] in html
        assert all(line in text for line in one["lines"])
    assert short.splitlines()[0] == data["headline"]
    assert len(data["short"]) <= 900
    assert [CODES.findall(form) for form in (text, short, re.sub("<[^>]*>", " ", html))] == [[], [], []]
    assert "default-src 'none'" in html
    assert "src=" not in html


def test_an_earlier_session_has_its_own_positions_and_no_health(shared_trader: Bot) -> None:
    data = shared_trader.json("summary", MONDAY)
    assert (data["session"], data["health"], data["needs"], data["positions"]) == (MONDAY, {}, [], [])
    assert section(data, "What it did") == "No pass looked for entries."
    assert section(data, "Positions") == "It had no positions at the close."


@pytest.mark.parametrize(
    ("typed", "error", "following"),
    [
        ("someday", "someday is not the date of a session", "tradebot summary 2026-11-16"),
        ("0001-01-01", "0001-01-01 is not the date of a session", "tradebot summary 2026-11-16"),
        ("2263-01-02", "2263-01-02 is not the date of a session", "tradebot summary 2026-11-16"),
        ("9999-12-31", "9999-12-31 is not the date of a session", "tradebot summary 2026-11-16"),
        ("2026-11-15", "the bot's books were opened on 2026-11-16, after 2026-11-15", "tradebot summary"),
        ("2026-11-18", "the session of 2026-11-18 is still to come", "tradebot summary"),
    ],
)
def test_no_session_is_an_error_with_the_next_step(shared_trader: Bot, typed: str, error: str, following: str) -> None:
    said = shared_trader.says("summary", typed)
    assert (said.code, said.err.splitlines()[0]) == (2, f"error: {error}")
    assert said.err.splitlines()[1].startswith(f"  next: {following}")


@pytest.mark.parametrize(
    ("store", "lost", "kept"), [("ledger.db", "Positions", "What it did"), ("facts.db", "What it did", "Positions")]
)
def test_of_a_damaged_store_the_rest_is_told(trader: Bot, store: str, lost: str, kept: str) -> None:
    assert trader.json("trade-once")["orders"] > 0
    (trader.folder / store).write_bytes(b"damaged" * 1000)
    data = trader.json("summary")
    assert "damaged" in section(data, "What isn't known")
    assert section(data, kept)
    assert lost not in [one["title"] for one in data["sections"]]
    assert any(store.removesuffix(".db") in need["what"].lower() for need in data["needs"])


def test_one_cause_of_many_findings_is_one_need_and_nothing_is_said_of_what_cannot_be_read(trader: Bot) -> None:
    (trader.folder / "ledger.db").write_bytes(b"damaged" * 1000)
    first, *others = (need["what"] for need in trader.json("summary")["needs"])
    assert first.startswith("Ledger, journal and facts: ")
    assert not any("accepted a configuration" in need for need in others)
    assert any("the accepted configuration is unknown" in need for need in others)
    assert "FAILED ledger, journal, facts, everything else; UNKNOWN books, " in trader.says("audit", "--offline").out


def test_spy_is_compared_from_the_first_open_as_in_a_report_and_then_from_close_to_close() -> None:
    days = {date(2026, 11, day): RawBar(0, float(day), 50.0, 1.0, day + 0.5, 1.0) for day in (13, 16, 17)}
    monday, tuesday = date(2026, 11, 16), date(2026, 11, 17)
    assert _change(days, monday, monday, monday) == pytest.approx(16.5 / 16 - 1)
    assert _change(days, monday, tuesday, monday) == pytest.approx(17.5 / 16 - 1)
    assert _change(days, tuesday, tuesday, monday) == pytest.approx(17.5 / 16.5 - 1)
    assert _change(days, monday, monday, None) == pytest.approx(16.5 / 13.5 - 1)
    assert _change({}, monday, monday, monday) is None


def test_accepted_configurations_of_a_span_are_told_by_their_changed_settings(tmp_path: Path) -> None:
    with closing(SqliteLedger.create(tmp_path, "ACCOUNT", NOW)) as ledger:
        of_hours: list[dict[str, Any]] = [{"a": {"b": 1}}, {"a": {"b": 2}}, {"a": {"b": 2}, "c": 3}, {"c": 4}]
        for hour, values in enumerate(of_hours):
            ledger.baselines.approve(Baseline(values, "me", NOW + timedelta(hours=hour)))
        found = list(accepted_configurations(ledger, NOW + timedelta(hours=0.5), NOW + timedelta(hours=2)))
    assert found == [("me", NOW + timedelta(hours=1), ["a.b"]), ("me", NOW + timedelta(hours=2), ["c"])]
