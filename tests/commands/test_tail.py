"""`tradebot tail`: what is in the records is in the files, under the names that the verbs use."""

import json
import shutil
from typing import Any

import pytest

from commands.shared.verb_options import open_bot
from commands.tail import TailedFiles
from tests.kit.bot.folder import Bot, second_session
from tradebot.adapters.state.events import JsonlEvents
from tradebot.adapters.text.canonical import parse_time
from tradebot.errors import TradebotError
from tradebot.model.event import EventKind


@pytest.fixture
def traded(bot: Bot) -> Bot:
    """Return the module's bot, with a trade that is over."""
    if not bot.json("fills")["known"]:
        second_session(bot)
        assert bot.json("trade-once")["orders"] > 0
        bot.does("exchange tick 2m", "evaluate-exits")
        for row in bot.json("positions")["positions"]:
            assert bot.says("flatten", row["symbol"], "--confirm", row["symbol"]).code == 0
        bot.does("exchange tick 2m", "evaluate-exits")
    return bot


def lines(bot: Bot, name: str) -> list[dict[str, Any]]:
    path = bot.folder / "tail" / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def without(line: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in line.items() if name != "changed_at"}


def test_files_have_what_the_verbs_say_once(traded: Bot) -> None:
    written = traded.json("tail")["lines"]
    assert set(traded.json("tail")["lines"].values()) == {0}
    orders, closed = traded.json("orders", "--all")["orders"], traded.json("trades", "--closed")["trades"]
    assert sorted(map(without, lines(traded, "orders")), key=str) == sorted(orders, key=str)
    assert sorted(lines(traded, "trades"), key=str) == sorted(closed, key=str)
    seen = lines(traded, "performance")
    assert written == {"performance": len(seen), "orders": len(orders), "trades": len(closed), "errors": 0}
    assert seen
    assert orders
    assert closed
    assert {"evaluate-exits", "trade-once"} & {line["job"] for line in seen}
    assert all(line["equity"] and line["at"].endswith("Z") for line in seen)


def test_errors_have_bad_events_and_failed_jobs_only(traded: Bot) -> None:
    at = parse_time(traded.json("positions")["as_of"])
    events = JsonlEvents(traded.folder / "system_events.jsonl")
    for kind in (EventKind.JOB_FAULT, EventKind.JOB_FAILED, EventKind.CHORE_FAILED, EventKind.STREAM_LOST):
        events.emit(kind.at(at, {"message": "x"}))
    assert traded.json("tail")["lines"]["errors"] == 3
    assert {line["event_type"] for line in lines(traded, "errors")} == {"job_failed", "job_fault", "chore_failed"}


def test_serve_writes_after_a_record_and_never_fails_by_it(traded: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    with open_bot(str(traded.folder), None) as app:
        tails = TailedFiles(app)
        shutil.rmtree(traded.folder / "tail", ignore_errors=True)
        (traded.folder / "tail").write_text("in the way")
        tails.tick()
        (traded.folder / "tail").unlink()
        with monkeypatch.context() as locked:
            locked.setattr(TailedFiles, "_trades", lambda self, since: (_ for _ in ()).throw(TradebotError("locked")))
            tails.tick()
        tails.tick()
        assert lines(traded, "performance")
        monkeypatch.setattr(TailedFiles, "write", lambda self: pytest.fail("nothing is new"))
        tails.tick()
        tails.tick()
