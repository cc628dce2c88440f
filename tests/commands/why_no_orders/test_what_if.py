"""`why-no-orders --what-if`: a pass or a session with something changed, and each way of asking wrongly.

What symbols were worth some sessions later: stored closes first, or else the last kept pass of a session.
"""

import json
from collections.abc import Mapping
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any, cast

import pytest

from commands.why_no_orders import what_if
from commands.why_no_orders.what_if import WhatIfRunner
from commands.why_no_orders.what_if_span import later_prices
from tests.kit.bot.ending import refuses
from tests.kit.bot.folder import Bot
from tests.kit.core.scene import Scene, call, trade_once, wanted
from tests.kit.values import DAY, quote
from tradebot.adapters.facts import recorded_passes
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.facts.recorded_passes import decompress
from tradebot.model.record import SymbolFacts
from tradebot.replaying.desk_changes import Filled
from tradebot.replaying.record_writer import RecordError

FEWER = "strategies.flow.min_cluster=30"
MORE = "strategies.flow.min_families=1"


def asked(bot: Bot, *words: str) -> list[str]:
    return bot.shown("why-no-orders", *words).splitlines()


def test_pass_shows_who_gets_through_then_and_now_and_what_sets_it(refusing: Bot) -> None:
    assert asked(refusing, "--what-if", MORE) == [
        "1 more order would be sent.",
        "Next: tradebot config set strategies.flow.min_families 1 --dry-run shows what that would write",
        "What if: strategies.flow.min_families 1 (was 2)",
        "",
        "Decided again: the pass at 2026-11-17 10:05:00 ET; nothing was sent",
        "Changed:",
        "symbol  then                                           now",
        "MSFT    FAMILIES_TOO_FEW, 1 family against 2 families  sent: buy 14 shares at 353.77, 4,952.78 USD",
        "3 candidates unchanged; orders: 0 then, 1 now",
    ]
    said = refusing.says("why-no-orders", "--what-if", MORE)
    assert (said.code, refusing.json("positions")["positions"][0]["symbol"]) == (0, "AMZN")


def test_symbol_shows_its_way_and_what_else_gets_through(refusing: Bot) -> None:
    assert asked(refusing, "amzn", "--what-if", FEWER, "--what-if", "no position:AMZN") == [
        "AMZN  It would still be refused, by strategy: cluster next. Too few alerts point the same way within the "
        "cluster window.",
        "Next: Nothing to do: the symbol is scored again in the next pass.",
        "What if: strategies.flow.min_cluster 30 (was 1)",
        "What if: position in AMZN none (was -33)",
        "",
        "Decided again: the pass at 2026-11-17 10:05:00 ET; nothing was sent",
        "  flow, then: ALREADY_POSITIONED",
        "  flow, now:  CLUSTER_TOO_SMALL, 5 alerts against 30 alerts",
        "    refused by COOLDOWN, 4 min against 30 min too",
        "No other symbol changes.",
        "3 candidates unchanged; orders: 0 then, 0 now",
    ]
    (one,) = refusing.json("why-no-orders", "MSFT", "--what-if", MORE)["about"]
    assert (one["then"]["end"]["reason"], one["now"]["sent"]) == ("FAMILIES_TOO_FEW", True)
    assert refusing.says("why-no-orders", "AAPL", "--what-if", MORE).code == 10


@pytest.mark.parametrize(
    "change", ["strategies.flow.min_families=2", "limits.max_open_positions=20", "at=10:05", "limits.min_score=0.01"]
)
def test_what_if_without_a_change_is_the_record(refusing: Bot, change: str) -> None:
    found = refusing.json("why-no-orders", "--what-if", change)
    assert (found["changed"], found["same"], found["otherwise"]) == ([], 4, False)
    assert found["sentence"] == "Nothing changes: every candidate has its recorded result."
    if not change.startswith("at="):
        span = refusing.json("why-no-orders", "--session", "2026-11-17", "--what-if", change)
        assert (span["stops"], span["more"], span["fewer"], span["passes"]) == ([], 0, 0, 2)


def test_price_and_time_are_changed_alone(refusing: Bot) -> None:
    found = refusing.json("why-no-orders", "MSFT", "--what-if", MORE, "--what-if", "price:MSFT=350", "--at", "10:05")
    (order,) = (one["now"]["order"] for one in found["about"])
    assert (order["quantity"], order["price"]) == ("14", "350.74")
    assert [one["what"] for one in found["changes"]] == ["strategies.flow.min_families", "price of MSFT"]
    assert [one["setting"] for one in found["left_out"]] == ["price:MSFT"]
    over = refusing.json("why-no-orders", "--what-if", "price:MSFT=350", "--session", "2026-11-17")
    assert [one["setting"] for one in over["left_out"]] == ["price:MSFT"]
    later = refusing.json("why-no-orders", "--what-if", "at=15:00")
    assert (later["at"], later["same"]) == ("2026-11-17T20:00:00Z", 4)
    assert [one["setting"] for one in later["left_out"]] == ["at"]
    told = "Not included: at: prices, quotes, flow and their ages stay as in the pass; whether a pass would run"
    assert any(line.startswith(told) for line in asked(refusing, "--what-if", "at=15:00"))
    assert refusing.json("why-no-orders", "--what-if", "at=10:05")["left_out"] == []


def test_strategy_is_asked_again_on_the_facts_of_then(refusing: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("why-no-orders", "--what-if", "strategies.flow.lookback_s=600")
    found = refusing.json(*words)
    assert (found["unasked"], len(found["changed"]) > 0) == ([], True)

    def nothing(*asked: Any) -> dict[str, SymbolFacts]:
        return {}

    monkeypatch.setattr(SqliteFacts, "load", nothing)
    lost = refusing.says(*words)
    told = "Not included: flow's decisions, because some facts and bars that it read are no longer stored; tradebot"
    assert told in " ".join(lost.out.split())
    assert refusing.json(*words)["unasked"] == ["flow"]


def test_what_was_read_before_the_record_is_said(refusing: Bot) -> None:
    lines = asked(refusing, "--what-if", "unusual_whales.reserve_fraction=0.2")
    assert lines[0].startswith("The effect of this change isn't known: not all of it could be evaluated again")
    assert lines[2] == (
        "Not included: unusual_whales.reserve_fraction: which flow was fetched, and when, was decided before the pass"
    )


def test_universe_is_changed_by_its_name(refusing: Bot) -> None:
    found = refusing.json("why-no-orders", "--what-if", "universe=liquid_53")
    assert [(one["what"], one["after"]) for one in found["changes"]] == [("universe", "liquid_53")]
    assert [one["setting"] for one in found["left_out"]] == ["universe"]


def test_later_passes_of_a_span_see_what_the_change_sends_and_keeps_back(refusing: Bot) -> None:
    more = refusing.json("why-no-orders", "--session", "2026-11-17", "--what-if", MORE)
    assert (more["passes"], more["orders_then"], more["orders_now"], more["lacking"]) == (2, 1, 2, [])
    assert more["symbols"] == [{"symbol": "MSFT", "then": 0, "now": 1}]
    held = refusing.json("why-no-orders", "MSFT", "--what-if", MORE, "--since", "1d")
    stops = {one["reason"]: (one["then"], one["now"]) for one in held["stops"]}
    assert stops == {"FAMILIES_TOO_FEW": (2, 0), "CLUSTER_TOO_SMALL": (0, 1), "": (0, 1)}
    assert [(one["sessions"], one["orders"], one["needed"], one["mean"]) for one in held["earned"]] == [
        (1, 0, 8, None), (5, 0, 24, None), (20, 0, 84, None),
    ]  # fmt: skip
    fewer = asked(refusing, "--session", "2026-11-17", "--what-if", FEWER)
    assert fewer == [
        "1 order wouldn't be sent.",
        "What if: strategies.flow.min_cluster 30 (was 1)",
        "",
        "Decided again: 2 passes of session 2026-11-17, 2026-11-17 10:00 ET to 2026-11-17 10:05 ET; nothing was sent",
        "Orders: 1 then, 0 now",
        "symbol  then  now",
        "AMZN       1    0",
        "ended at            then  now  meaning",
        "CLUSTER_TOO_SMALL      4    6  Too few alerts point the same way within the cluster window.",
        "ALREADY_POSITIONED     1    0  The strategy already holds this symbol.",
        "sent                   1    0",
        "Sent then, and not with the change (ET):",
        "  11-17 10:00  AMZN: sell 33 shares at 149.67, 4,939.11 USD",
        "Orders count as filled at once. A position stays open until an exit rule closes it: a rule about time when "
        "the bot evaluates exits, and a rule about price when an entry pass sees that price.",
    ]
    data = refusing.json("why-no-orders", "--session", "2026-11-17", "--what-if", FEWER)
    assert [(one["order"]["symbol"], one["order"]["side"]) for one in data["kept_back"]] == [("AMZN", "sell")]
    assert (data["orders"], more["kept_back"]) == ([], [])


@pytest.mark.parametrize(
    ("words", "why", "hint"),
    [
        (["--what-if", "more"], "--what-if 'more' names no change", "--what-if limits.max_open_positions=12"),
        (["--what-if", "limits.max_open_positions="], "has no value", "limits.max_open_positions=null"),
        (["--what-if", "limits.foo=1"], "limits.foo (--what-if): there is no such setting", "tradebot config show"),
        (
            ["--what-if", "limits.max_open_positions=1"],
            "max_new_entries 5 is above max_open_positions 1: one pass could never open",
            "also change the other settings that the error names, in one command: --what-if KEY=VALUE --what-if "
            "KEY=VALUE; tradebot config show",
        ),
        (
            ["--what-if", "mode=live"],
            "a what-if can't change mode: with another mode, it would be a different bot",
            "why-no-orders --help",
        ),
        (["--what-if", "price:AAPL"], "'price:AAPL' has no price in USD", "--what-if price:AAPL=230"),
        (["--what-if", "universe=liquid_54"], "no universe 'liquid_54'; did you mean liquid_53?", "write a list"),
        (["--what-if", "price:AAPL=-1"], "'price:AAPL=-1': a price must be above zero", "--what-if price:AAPL=230"),
        (["--what-if", "price:=3"], "'price:=3' names no symbol", "--what-if price:AAPL=230"),
        (["--what-if", "price:ZZZZ=3"], "doesn't evaluate a symbol ZZZZ", "tradebot config show universe"),
        (["ZZZZ", "--what-if", MORE], "doesn't evaluate a symbol ZZZZ", "tradebot config show universe"),
        (["--what-if", "no position:AAPL"], "there was no position in AAPL then", "held: AMZN"),
        (["--what-if", "at="], "'at=' has no time", "--what-if at=10:32"),
        (["--what-if", "at=25:00"], "25:00 is not a time of day", "write --at 10:32"),
        (["--what-if", "at=08:00"], "no pass of trade-once had run by 2026-11-17 08:00 ET", "--at 10:00:00"),
        (["--what-if", "at=16:30"], "is outside of session 2026-11-17", "name a time within it"),
        (["--what-if", "at=10:05", "--what-if", "at=10:06"], "--what-if names two times", "name one"),
        (["--what-if", MORE, "--at", "08:00"], "no pass of trade-once had run", "--at 10:00:00"),
        (["--what-if", MORE, "--session", "2026-11-18"], "No pass of trade-once is on record", "--session 2026-11-17"),
        (["--what-if", MORE, "--dry"], "--what-if and --dry can't be combined", "why-no-orders SYMBOL --what-if"),
        (
            ["--what-if", MORE, "--by-symbol"],
            "--what-if and --by-symbol can't be combined",
            "why-no-orders SYMBOL --what-if",
        ),
        (
            ["--what-if", "at=10:05", "--since", "1d"],
            "--what-if at= changes the time of one pass",
            "--what-if at=10:32",
        ),
    ],
)
def test_wrong_question_is_refused_with_the_next_command(refusing: Bot, words: list[str], why: str, hint: str) -> None:
    said = refusing.says("why-no-orders", *words)
    text = " ".join(said.err.split())
    assert (said.code, why in text, hint in text) == (2, True, True), said.err


def test_pass_that_is_not_kept_is_named(refusing: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def nothing(*asked: Any) -> None:
        return None

    monkeypatch.setattr("tradebot.adapters.facts.recorded_passes.KeptPasses.record", nothing)
    said = refusing.says("why-no-orders", "--what-if", MORE)
    assert said.code == 2
    assert "the pass at 2026-11-17 10:05:00 ET can't be decided again: its inputs aren't stored" in said.err
    refuses(refusing.says("why-no-orders", "--session", "2026-11-17", "--what-if", MORE), 2, "can't be decided again")


def test_damaged_record_is_told_as_such_with_what_lists_others(refusing: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    def damaged(packed: bytes) -> bytes:
        return decompress(packed[:9] + bytes(9) + packed[18:])

    monkeypatch.setattr(recorded_passes, "decompress", damaged)
    said = refusing.says("why-no-orders", "--what-if", MORE)
    assert said.err == (
        "error: the pass at 2026-11-17 10:05:00 ET can't be decided again: its record was changed after it was "
        "written\n"
        "  next: tradebot replay 2026-11-17 lists the records that can't be used\n"
    )


def test_pass_that_this_program_decides_otherwise_says_so(refusing: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("commands.why_no_orders.what_if.bytes_of", lambda cycle: b"")
    lines = asked(refusing, "--what-if", MORE)
    assert any(line.startswith("This version decides that pass differently even without the change") for line in lines)


def test_backtest_is_played_again_instead(refusing: Bot, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(what_if, "BACKTEST", json.loads((refusing.folder / "state.id").read_text()).get("kind", "bot"))
    refuses(refusing.says("why-no-orders", "--what-if", MORE), 2, "tradebot backtest --config mine.yaml")


DAYS = [DAY + timedelta(days=number) for number in range(10)]
KEY = "AAPL"


def order() -> Filled:
    scene = Scene()
    trade_once(scene.world(wanted(KEY)), call())
    (intent,) = scene.venue.submitted
    return Filled(intent, Decimal(100))


def asking(closes: Mapping[date, float] | None, seen: Mapping[date, Any]) -> WhatIfRunner:
    """Return what the prices are asked of: stored closes, None without bars, and the quotes of kept passes."""

    def recorded(head: date) -> Any:
        if seen[head] is None:
            raise RecordError("what it read isn't kept")
        return SimpleNamespace(given=SimpleNamespace(desk=SimpleNamespace(quotes={KEY: seen[head]})))

    facts = SimpleNamespace(heads=lambda job, session: [session] if session in seen else [])
    view = SimpleNamespace(sessions=lambda first, last: [SimpleNamespace(date=day) for day in DAYS])
    bars = None if closes is None else SimpleNamespace(closes=lambda symbol, first, last: closes)
    app = SimpleNamespace(existing_facts=facts, ledger_view=view, bars_at_rest=bars)
    found = SimpleNamespace(app=app, read_record=recorded)
    return cast("WhatIfRunner", found)


@pytest.mark.parametrize(
    ("closes", "seen", "prices"),
    [
        ({DAYS[1]: 101.5, DAYS[5]: 99.0}, {}, {1: "101.5", 5: "99.0"}),
        (None, {DAYS[1]: quote(bid="102", ask="104")}, {1: "103"}),
        ({DAYS[1]: 101.5}, {DAYS[1]: quote(), DAYS[5]: quote(bid="98", ask="98")}, {1: "101.5", 5: "98"}),
        (None, {DAYS[1]: None}, {}),
        (None, {}, {}),
    ],
)
def test_closes_come_first_then_quotes_and_what_is_not_known_is_absent(
    closes: Mapping[date, float] | None, seen: Mapping[date, Any], prices: Mapping[int, str]
) -> None:
    one = order()
    session = one.intent.key.session
    assert session == DAYS[0]
    found = later_prices(asking(closes, seen), [one, one])
    assert found == {(KEY, session, count): Decimal(price) for count, price in prices.items()}
