"""A bot's day at Interactive Brokers on the embedded exchange, judged by the exchange's own log."""

import json
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from papervenue import process
from tests.kit.bot.folder import Said, typed
from tradebot.model.intent import LEG

VENUE = "ibkr"
READ = ("status", "orders", "fills", "pnl", "report", "summary", "health", "schedule", "why-no-orders", "events")


class DemoDay:
    """A demo at this venue, and what the exchange has logged of it."""

    def __init__(self, folder: Path, capture: pytest.CaptureFixture[str]) -> None:
        self.folder, self._capture = folder, capture

    def plays(self, minutes: int) -> Any:
        """Play the first minutes of a session; return what the demo found."""
        played = self.says("demo", "--venue", VENUE, "--minutes", str(minutes), "--json")
        assert played.code == 0, played.err
        return json.loads(played.out)["data"]

    def says(self, *words: str) -> Said:
        return typed(self._capture, *words, "--state-dir", str(self.folder))

    def shows(self, verb: str, *words: str) -> Any:
        return json.loads(self.says(verb, *words, "--json").out)["data"]

    @property
    def logged(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "exchange" / "log.jsonl").read_text().splitlines()]


@pytest.fixture
def day(here: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[DemoDay]:
    yield DemoDay(here / "bot", capsys)
    process.stop(here / "bot" / "exchange")


def is_entry(row: dict[str, Any]) -> bool:
    return ".OPEN." in row["client_order_id"] and not row["client_order_id"].startswith(LEG)


def closes(row: dict[str, Any]) -> bool:
    return ".CLOSE." in row["client_order_id"]


def never_naked(rows: Sequence[dict[str, Any]]) -> int:
    """Check each entry against the laws of a bracket, and return how many there were.

    Its stop is there before it works, is as large, and works with its fill. After each minute, what is held has a stop
    that works, or an exit.
    """
    entries = [row for row in rows if row["event"] == "order_accepted" and is_entry(row)]
    for entry in entries:
        (stop,) = [
            row
            for row in rows
            if row["event"] == "order_held" and row["client_order_id"] == LEG + entry["client_order_id"]
        ]
        works = next(row for row in rows if row["event"] == "order_new" and row["order_id"] == entry["order_id"])
        assert stop["seq"] < works["seq"], "an entry never works alone"
        assert (stop["parent_id"], stop["qty"], stop["side"] != entry["side"]) == (
            entry["order_id"],
            entry["qty"],
            True,
        )
        assert Decimal(stop["stop_price"]) > 0
    held, closing = dict[str, Decimal](), dict[str, set[str]]()
    for place, row in enumerate(rows):
        if row["event"] == "fill":
            held[row["symbol"]] = Decimal(row["position"])
        if row["event"] in ("order_accepted", "order_new", "fill") and (row["type"] == "stop" or closes(row)):
            ids = closing.setdefault(row["symbol"], set())
            (ids.discard if row["status"] == "filled" else ids.add)(row["order_id"])
        if row["event"] == "order_canceled":
            closing.get(row["symbol"], set()).discard(row["order_id"])
        if place + 1 == len(rows) or rows[place + 1]["at"] != row["at"]:
            assert not [symbol for symbol, size in held.items() if size and not closing.get(symbol)], row
    return len(entries)


def test_entries_have_their_stops_and_the_books_are_the_brokers(day: DemoDay) -> None:
    found = day.plays(10)
    rows = day.logged
    closed = day.shows("trades", "--closed")["trades"]
    assert never_naked(rows) == len(found["positions"]) + len(closed) > 0
    assert (found["differences"], found["fills"]) == ([], sum(row["event"] == "fill" for row in rows))
    assert day.shows("reconcile")["findings"] == []
    assert {one["state"] for one in day.shows("positions")["positions"]} == {"protected"}


@pytest.mark.campaign
def test_hours_of_entries_stops_and_exits_are_told_by_every_verb(day: DemoDay) -> None:
    assert day.plays(240)["differences"] == []
    assert never_naked(day.logged) > 5
    trades = day.shows("trades", "--closed")["trades"]
    assert {one["r"] is not None for one in trades} == {True}
    assert {reason for one in trades for reason in one["reasons"]} >= {"stop_loss", "rebalance"}
    judged = {row["subject"]: row["state"] for row in day.shows("audit")["judgments"]}
    assert {name for name, state in judged.items() if state not in ("OK", "NOT_DUE")} <= {"chores", "recent events"}
    for verb in READ:
        said = day.says(verb)
        assert (said.code in (0, 1, 10), "Traceback" in said.err) == (True, False), verb
    assert day.shows("reconcile")["findings"] == []
    total = day.shows("pnl")["pnl"]["total"]
    charged = [Decimal(row["net_amount"]) for row in day.logged if row["event"] == "activity"]
    assert Decimal(total["fees_usd"]) == sum(charged) < 0
    looked = {row["subject"]: row["state"] for row in day.shows("doctor")["judgments"]}
    assert {looked[name] for name in ("broker", "account", "socket", "login", "client_id", "clock")} == {"OK"}
