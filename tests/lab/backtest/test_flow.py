"""Flow straight from the exchange's feed: the pages that arrive over its API.

Flow that a bot has fetched is known again from when it came, whether its facts or its replies are kept.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from exchange.tests.kit.app import World
from papervenue.market.spec import MarketSpec
from papervenue.times import rfc3339, to_datetime
from tests.kit.rows import DAY, NOW, make_alert, make_intake, make_iv, minutes
from tests.kit.signals.source_rows import NO_QUOTA, row, seeded
from tests.kit.values import DAY as READ_ON
from tests.kit.values import NOW as READ_AT
from tests.lab.backtest.roads import road_to
from tradebot.adapters.facts.facts import SqliteFacts
from tradebot.adapters.flow.reply_archive import KeptReplies
from tradebot.adapters.memory.facts import MemoryFacts
from tradebot.adapters.memory.recorder import MemoryEvents
from tradebot.errors import OperatorError
from tradebot.lab.backtest.flow import EngineFlow
from tradebot.lab.backtest.historical_flow import PastFlow
from tradebot.model.bar import Session
from tradebot.model.flow import FlowPage, Intake
from tradebot.model.struct_tools import replace
from tradebot.signals.kinds import in_order, kind_names, kind_of

SYMBOLS = ("AAPL", "SPY", "XOM")
SPEC = MarketSpec(symbols=SYMBOLS, sessions=2, start=date(2025, 3, 3), edge=0.4)
KINDS = tuple(in_order(kind_names(), {}))
ABOUT = {True: (None,), False: ("AAPL", "NOPE")}


@pytest.mark.parametrize("minutes", [-15, 47, 26 * 60])
def test_every_kind_of_facts_is_the_apis(
    minutes: int, new_world: Callable[[MarketSpec], World], tmp_path: Path
) -> None:
    world, pages = new_world(SPEC), 0
    flow = EngineFlow(world.engine, SPEC)
    world.tick(to=rfc3339(world.engine.market.calendar.market[0].open_us + minutes * 60_000_000))
    with road_to(world, tmp_path) as road:
        for kind in KINDS:
            about = ("Energy",) if kind.scope.name == "SECTOR" else ABOUT[kind.market_wide]
            for symbol in about:
                straight, over = (source.fetch(kind, symbol, date(2025, 3, 3)) for source in (flow, road.flow))
                assert repr(straight) == repr(replace(over, body=b"")), kind.name
                pages += bool(straight.rows)
    assert flow.calls_left() is None
    assert pages > 20 or minutes < 0
    assert to_datetime(world.engine.now_us) == straight.told_at


def test_captures_that_cannot_be_read_are_an_error(tmp_path: Path, new_world: Callable[[MarketSpec], World]) -> None:
    (tmp_path / "flow-alerts.json").write_text("{")
    with pytest.raises(OperatorError):
        EngineFlow(new_world(SPEC).engine, MarketSpec(symbols=SYMBOLS, start=SPEC.start, uw_folder=str(tmp_path)))


ALWAYS = datetime.min.replace(tzinfo=UTC)
INTAKES = (
    make_intake("flow_alerts", make_alert("1"), foreign=4),
    make_intake("iv_rank", make_iv(DAY, "40"), at=minutes(1)),
    make_intake("flow_alerts", make_alert("1"), make_alert("2"), at=minutes(5)),
    make_intake("iv_rank", make_iv(DAY, "60"), at=minutes(6)),
)


def fetched(folder: Path, intakes: Sequence[Intake] = INTAKES) -> SqliteFacts:
    facts = SqliteFacts(folder, MemoryEvents(), NOW)
    for intake in intakes:
        facts.store(intake)
    return facts


def test_past_flow_knows_what_the_bot_knew_then_alone_and_a_resumed_run_stores_it_once(tmp_path: Path) -> None:
    facts = MemoryFacts()
    with closing(fetched(tmp_path)) as bot:
        past = PastFlow(tmp_path)
        arrive = past.arriving(facts)
        for minute in range(-1, 8):
            now = minutes(minute)
            arrive(now)
            assert facts.load(["AAPL"], DAY, now) == bot.load(["AAPL"], DAY, now)
            assert all(one.at <= now for one in facts.intakes(ALWAYS))
        past.arriving(facts)(minutes(9))
        assert facts.intakes(ALWAYS) == bot.intakes(ALWAYS)


def test_kept_replies_supply_what_the_facts_no_longer_hold(tmp_path: Path) -> None:
    kind, kept = kind_of("flow_alerts"), KeptReplies(tmp_path, MemoryEvents(), 9)
    rows = [row(kind, seeded(number)) | {"ticker": "AAPL"} for number in range(3)]
    body = json.dumps({"data": rows}).encode()
    kept.keep(FlowPage(kind.name, "AAPL", tuple(rows), NO_QUOTA, None, 200, body), READ_ON, READ_AT)
    kept.keep(FlowPage(kind.name, "MSFT", (), NO_QUOTA, None, 500, b"no JSON"), READ_ON, READ_AT)
    kept.close()
    fetched(tmp_path).close()
    *before, last = PastFlow(tmp_path).replies
    assert [one.at for one in before] == [one.at for one in INTAKES]
    assert (last.at, last.symbol, len(last.facts)) == (READ_AT, "AAPL", 3)


def test_folder_without_flow_is_refused(tmp_path: Path) -> None:
    with pytest.raises(OperatorError, match="has no fetched flow"):
        PastFlow(tmp_path)
    (tmp_path / "facts.db").write_text("no database")
    with pytest.raises(OperatorError, match="is damaged"):
        PastFlow(tmp_path)


def test_sessions_without_any_of_it_are_refused_with_those_that_have_some(tmp_path: Path) -> None:
    fetched(tmp_path).close()
    past = PastFlow(tmp_path)
    later = Session(DAY + timedelta(days=9), NOW + timedelta(days=9), NOW + timedelta(days=9, hours=6))
    with pytest.raises(OperatorError, match="none in the sessions to run") as refused:
        past.require([later])
    assert refused.value.hint == f"--from {DAY} --to {DAY}"
    past.require([Session(DAY, NOW - timedelta(hours=1), NOW + timedelta(hours=1))])
