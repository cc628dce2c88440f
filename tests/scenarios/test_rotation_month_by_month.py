"""The rotation on the embedded exchange: each month once, whatever is killed, and sells before buys."""

import json
import os
from collections.abc import Iterator
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from commands.trade_once import run as trade_once
from papervenue import process
from tests.kit.bot.folder import Bot, log, typed
from tests.kit.values import Killed
from tradebot.app.loading import Options
from tradebot.app.wiring import open_app
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.orders import order_sender

DECEMBER, JANUARY = "2026-12-01T14:35Z", "2027-01-04T14:35Z"
pytestmark = pytest.mark.campaign
FEBRUARY_IS_OVER = "2027-02-04T14:35Z"
"""After the third session's close."""
SLOT = "first session of month open+5m"


@pytest.fixture(scope="module")
def rotating(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Yield the folder of a bot with the shipped profile, whose market begins in November's last session."""
    folder = tmp_path_factory.mktemp("rotation") / "state"
    yield folder
    process.stop(folder / "exchange")


@pytest.fixture
def bot(rotating: Path, capsys: pytest.CaptureFixture[str]) -> Bot:
    if not rotating.exists():
        made = typed(
            capsys, "init", "--profile", "rotation", "--start", "2026-11-30", "--sessions", "46",
            "--fill", "paper", "--state-dir", str(rotating),
        )  # fmt: skip
        assert made.code == 0, made.err
    return Bot(rotating, capsys)


def go(bot: Bot, when: str) -> None:
    assert bot.says("exchange", "tick", when).code == 0
    assert bot.says("reconcile").code == 0


def entries(bot: Bot, *, force_slot: bool = False) -> dict[str, Any]:
    with open_app(Options(str(bot.folder)), os.environ) as app:
        data = trade_once.run(app, by="test", force_slot=force_slot).data
        rows: dict[str, Any] = {row.symbol: row for row in data.rows}
        return rows


def until_done(bot: Bot) -> None:
    for _ in range(12):
        go(bot, "5m")
        assert bot.says("evaluate-exits").code == 0
        if {row.reason for row in entries(bot).values()} == {Reason.TARGET_REACHED}:
            return
    raise AssertionError("the targets were never reached")


def orders(bot: Bot, since: str) -> list[tuple[str, str]]:
    """Return the symbol and the side of each order that the exchange accepted since a time."""
    told = (line for line in log(bot.url) if line["event"] == "order_accepted" and line["at"] >= since[:10])
    return [(line["symbol"], line["side"]) for line in told]


def held(bot: Bot) -> set[str]:
    return {row["symbol"] for row in bot.json("positions")["positions"]}


def own_claims(bot: Bot, session: str) -> list[str]:
    with open_app(Options(str(bot.folder)), os.environ) as app:
        claims = app.books.slot_claims(date.fromisoformat(session))
    return [claim.job for claim in claims if claim.slot == SLOT]


def test_a_month_cut_short_goes_on_after_a_restart_and_buys_each_once(
    bot: Bot, monkeypatch: pytest.MonkeyPatch
) -> None:
    go(bot, "close")
    assert entries(bot, force_slot=True) == {}, "November's last session is no first session of a month"
    go(bot, DECEMBER)
    sent = list[str]()

    def killed(world: Any, desk: Any, intent: Any, verdicts: Any, **named: Any) -> Any:
        if sent:
            raise Killed
        sent.append(intent.instrument.symbol)
        return order_sender.send(world, desk, intent, verdicts, **named)

    with monkeypatch.context() as patch:
        patch.setattr("tradebot.orders.entry_orders.send", killed)
        with pytest.raises(Killed):
            entries(bot)
    assert [symbol for symbol, _ in orders(bot, DECEMBER)] == sent
    assert own_claims(bot, "2026-12-01") == ["strategy rotation"]
    go(bot, "5m")
    rows = entries(bot)
    first = orders(bot, DECEMBER)
    assert (len(first), len(set(first))) == (3, 3)
    assert {symbol for symbol, row in rows.items() if row.reason is None} == {s for s, _ in first} - set(sent)
    until_done(bot)
    assert held(bot) == {symbol for symbol, _ in first}
    assert own_claims(bot, "2026-12-01") == ["strategy rotation", "strategy rotation ended"]


def test_a_month_that_is_done_is_not_repeated_by_a_restart_or_by_hand(bot: Bot) -> None:
    before = orders(bot, DECEMBER)
    go(bot, "5m")
    assert (entries(bot), entries(bot, force_slot=True)) == ({}, {})
    assert orders(bot, DECEMBER) == before
    assert bot.says("trade-once", "--force-slot").code == 0
    assert "Strategy rotation isn't due now; its next slot is first session of month open+5m" in bot.shown(
        "why-no-orders"
    )


def test_the_next_month_sells_before_it_buys_and_buys_from_what_there_is(bot: Bot) -> None:
    before = held(bot)
    go(bot, JANUARY)
    assert Reason.GROSS_NOTIONAL_ABOVE_MAX in {row.reason for row in entries(bot).values() if row.side == "buy"}
    until_done(bot)
    sides = [side for _, side in orders(bot, JANUARY)]
    assert sides == sorted(sides, reverse=True), "sells first"
    assert len(before) == 3
    assert held(bot) == before - {"XLY"}, "only two funds have risen, and they get all of it"
    with open_app(Options(str(bot.folder)), os.environ) as app:
        account = app.reader.account()
    assert float(1 - account.cash / account.equity) == pytest.approx(1.25, abs=0.02)


def test_a_month_in_which_nothing_ran_is_missed_with_its_reason_and_not_made_up(bot: Bot) -> None:
    before = held(bot)
    go(bot, FEBRUARY_IS_OVER)
    assert entries(bot) == {}
    assert orders(bot, FEBRUARY_IS_OVER) == []
    assert held(bot) == before
    with open_app(Options(str(bot.folder)), os.environ) as app:
        *_, cycle = app.facts.cycles(job=Job.TRADE_ONCE)
    told = [(one.strategy, one.slot, one.decision.reason) for one in cycle.refused_strategies]
    assert told == [("rotation", SLOT, Reason.SLOT_MISSED)]
    go(bot, "5m")
    entries(bot)
    events = (json.loads(line) for line in (bot.folder / "system_events.jsonl").read_text().splitlines())
    missed = [event["details"]["slot"] for event in events if event["event_type"] == "slot_missed"]
    assert missed == [SLOT], "told once"
