"""What a pass does with what the venue lists: it keeps it, tells changes, and sends nothing in what nobody knows."""

from decimal import Decimal

import pytest

from tests.kit.core.scene import NAMES, Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.core.venue import Wanting
from tests.kit.values import NOW, ago, fill, listing, quote
from tests.orders.test_order_sender import end_of
from tests.orders.test_stop_protection import entered, exits, protecting
from tests.orders.test_stop_protection import scene as protected_scene
from tests.reconciliation.test_listing_updates import holding, next_day
from tradebot.cycle import flatten
from tradebot.desk.listing_lookup import NOT_LISTED, other_contracts
from tradebot.desk.proposals import propose
from tradebot.desk.snapshot import take_desk
from tradebot.model.candidate import Purpose, Side
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.instrument import ListingRecord, TickStep
from tradebot.model.position import ADOPTED
from tradebot.model.reasons import Reason
from tradebot.model.record import CycleRecord, Job, StrategyRefusal
from tradebot.model.struct_tools import replace
from tradebot.model.view import Close, Target
from tradebot.venues.kraken.door import coin_of

D = Decimal
CHANGED, UNKNOWN = "instrument_changed", "instrument_unknown"


def test_a_pass_of_entries_keeps_what_is_listed_of_all_that_may_be_traded() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL")), call())
    assert scene.ledger.listings() == {name: ListingRecord(listing(name, read_at=NOW)) for name in NAMES}
    asked = len(scene.venue.asked_listings)
    trade_once(scene.world(wanted("MSFT")), call(slot="open+35m"))
    assert len(scene.venue.asked_listings) == asked, "once a day"


def test_whoever_only_asks_strategies_keeps_nothing() -> None:
    scene = Scene()
    assert len(propose(scene.world(wanted("AAPL")), NOW).candidates) == 1
    assert (scene.venue.asked_listings, scene.ledger.listings()) == ([NAMES], {})


def test_a_dry_run_keeps_and_tells_nothing() -> None:
    scene = Scene()
    trade_once(scene.world(wanted("AAPL"), dry_run=True), call())
    assert scene.ledger.listings() == {}
    scene.ledger.put_listings([ListingRecord(listing("AAPL", lot=D(5), read_at=ago(86_400)))])
    trade_once(scene.world(wanted("AAPL"), dry_run=True), call())
    assert scene.ledger.listings()["AAPL"].listing.instrument.lot == D(5)
    assert scene.events.emitted == []


def test_a_change_is_told_once_with_what_it_was_and_is() -> None:
    scene = holding()
    next_day(scene)
    scene.venue.listed["AAPL"] = listing(ticks=(TickStep(D(0), D("0.05")),), multiplier=D(2))
    for slot in ("next day", "next day again"):
        exits(scene, slot)
    told = [(event.symbol, event.details) for event in scene.events.emitted if event.event_type == CHANGED]
    assert told == [("AAPL", {"tick": "0.0001, 0.01 from 1, now 0.05", "multiplier": "1, now 2"})]


def test_entries_go_by_the_terms_of_the_day_though_strategies_were_asked_before_they_were_read() -> None:
    scene = Scene()
    old = listing("AAPL", read_at=ago(86_400))
    scene.ledger.put_listings([ListingRecord(old)])
    scene.venue.listed["AAPL"] = listing(ticks=(TickStep(D(0), D("0.25")),), lot=D(10), tick=D("0.25"), minimum=D(20))
    trade_once(scene.world(wanted("AAPL")), call())
    (intent,) = scene.venue.submitted
    assert (intent.limit_price, intent.quantity) == (D("100.25"), D(40))
    assert intent.instrument == scene.venue.listed["AAPL"].instrument


def refusals(cycle: CycleRecord) -> list[StrategyRefusal]:
    return [one for one in cycle.refused_strategies if one.decision.reason is Reason.INSTRUMENT_UNKNOWN]


def test_a_strategy_is_not_asked_about_what_the_venue_does_not_list_and_that_is_told_once() -> None:
    scene = Scene(universe=(*NAMES, "GONE"))
    scene.venue.unlisted = {"GONE"}
    scene.venue.prices["GONE"] = quote("GONE")
    world = scene.world(wanted("AAPL"))
    for slot in ("open+30m", "open+35m"):
        cycle = trade_once(world, call(slot=slot))
        assert refusals(cycle) == [StrategyRefusal("flow", NOT_LISTED, "GONE")]
    assert [(e.symbol, e.details) for e in scene.events.emitted if e.event_type == UNKNOWN] == [
        ("GONE", {"strategy": "flow"})
    ]


def test_an_entry_in_what_was_listed_until_today_is_refused_with_its_own_reason() -> None:
    scene = Scene()
    scene.ledger.put_listings([ListingRecord(listing("AAPL", read_at=ago(86_400)))])
    scene.venue.unlisted = {"AAPL"}
    (record,) = trade_once(scene.world(wanted("AAPL")), call()).candidates
    said = end_of(record)
    assert (said.gate, said.verdict, said.reason, said.observed) == (
        Gate.INSTRUMENT,
        Verdict.UNKNOWN,
        Reason.INSTRUMENT_UNKNOWN,
        "listed until 2026-11-15T15:00Z",
    )
    assert [decision.gate for decision in record.decisions].count(Gate.SIZE) == 1, "every other gate is asked too"
    assert scene.venue.submitted == []


def test_entries_wait_while_a_position_was_opened_when_a_unit_was_worth_something_else() -> None:
    scene = holding()
    next_day(scene)
    scene.venue.listed["AAPL"] = listing(multiplier=D(10))
    (record,) = trade_once(scene.world(wanted("AAPL")), call(slot="next day")).candidates
    (said,) = [decision for decision in record.decisions if decision.gate is Gate.INSTRUMENT]
    assert said == Decision(Gate.INSTRUMENT, Verdict.FAIL, Reason.INSTRUMENT_CHANGED, D(10), D(1))
    (other,) = trade_once(scene.world(wanted("MSFT")), call(slot="next")).candidates
    assert other.terminal is None


@pytest.mark.parametrize("minimum", [D(49), D(50)])
def test_less_than_the_smallest_order_is_refused_with_its_numbers(minimum: Decimal) -> None:
    scene = Scene()
    scene.venue.listed["AAPL"] = listing(minimum=minimum)
    (record,) = trade_once(scene.world(wanted("AAPL")), call()).candidates
    (said,) = [decision for decision in record.decisions if decision.gate is Gate.SIZE]
    reason = None if minimum == 49 else Reason.SIZE_BELOW_ONE
    assert (said.observed, said.limit, said.reason) == (D(49), minimum, reason)
    assert len(scene.venue.submitted) == (reason is None)


def test_a_target_nearer_than_the_smallest_order_counts_as_reached() -> None:
    scene = Scene()
    scene.venue.listed["AAPL"] = listing(minimum=D(5))
    world = replace(scene.world(), strategies=[Wanting(Target("AAPL", quantity=D(4)))])
    (record,) = trade_once(world, call()).candidates
    assert end_of(record).reason is Reason.TARGET_REACHED


def adopted(scene: Scene) -> Scene:
    scene.ledger.apply_fills([fill(1, strategy=ADOPTED, at=ago(60))], NOW)
    scene.venue.held = {"AAPL": D(10)}
    scene.venue.unlisted = {"AAPL"}
    scene.price("AAPL", "90")
    return scene


def test_an_exit_of_what_nobody_knows_the_instrument_of_is_a_decision_and_an_event() -> None:
    scene = adopted(Scene())
    unknown = StrategyRefusal(
        ADOPTED, Decision(Gate.EXIT, Verdict.UNKNOWN, Reason.INSTRUMENT_UNKNOWN, None, D(10)), "AAPL"
    )
    cycles = [evaluate_exits(scene.world(), call(Job.EVALUATE_EXITS, slot)) for slot in ("open+31m", "open+32m")]
    cycles.append(flatten(scene.world(), call(Job.EVALUATE_EXITS, "flatten"), None))
    assert [cycle.refused_strategies for cycle in cycles] == [(unknown,)] * 3
    assert [cycle.candidates for cycle in cycles] == [()] * 3
    assert scene.told(UNKNOWN) == [{"strategy": ADOPTED, "held": "10"}]
    scene.venue.unlisted.clear()
    (record,) = exits(scene, "open+33m").candidates
    assert (record.terminal, scene.venue.submitted[-1].purpose) == (None, Purpose.CLOSE)


def test_a_position_is_closed_by_the_instrument_that_it_was_opened_with_if_nothing_is_listed_any_more() -> None:
    scene = holding()
    scene.ledger.tables.listings.drop("AAPL")
    scene.venue.unlisted = {"AAPL"}
    scene.price("AAPL", "90")
    (record,) = exits(scene, "open+40m").candidates
    assert (record.terminal, scene.venue.submitted[-1].limit_price) == (None, D("89.55"))


def test_a_strategy_may_close_what_it_holds_though_nothing_is_listed_of_it_any_more() -> None:
    scene = holding()
    scene.ledger.tables.listings.drop("AAPL")
    scene.venue.unlisted = {"AAPL"}
    world = replace(scene.world(), strategies=[Wanting(Close("AAPL", "enough"), name="flow")])
    (record,) = trade_once(world, call(slot="open+40m")).candidates
    assert (record.candidate.purpose, record.terminal) == (Purpose.CLOSE, None)


def test_what_a_strategy_wants_to_close_and_nobody_knows_is_refused_by_name() -> None:
    scene = Scene()
    scene.ledger.apply_fills([fill(1, strategy="momentum", at=ago(60))], NOW)
    scene.venue.held, scene.venue.unlisted = {"AAPL": D(10)}, {"AAPL"}
    world = replace(scene.world(), strategies=[Wanting(Close("AAPL", "enough"))])
    cycle = trade_once(world, call())
    assert [one.symbol for one in refusals(cycle)] == ["AAPL", "AAPL"], (
        "it isn't asked about it, and wants it all the same"
    )
    assert cycle.candidates == ()


@pytest.mark.parametrize(("side", "target", "stop"), [(Side.BUY, "102.9", "97.8"), (Side.SELL, "97.2", "102.0")])
def test_what_rests_is_on_the_listed_tick_and_in_listed_lots(side: Side, target: str, stop: str) -> None:
    scene = protected_scene()
    scene.venue.listed["AAPL"] = listing(ticks=(TickStep(D(0), D("0.3")),), tick=D("0.3"), lot=D("0.5"))
    entered(scene, side, filled="7.7")
    exits(scene)
    (pair,) = protecting(scene)
    assert (pair.limit_price, pair.stop_price, pair.quantity) == (D(target), D(stop), D("7.5"))


def test_the_desk_has_what_is_listed_of_positions_and_of_our_orders() -> None:
    scene = holding()
    trade_once(scene.world(wanted("MSFT")), call(slot="open+35m"))
    scene.venue.rest("by-hand", "TSLA", scene.venue.submitted[-1])
    desk = take_desk(scene.world(), for_entries=False)
    assert set(desk.listings) == {"AAPL", "MSFT"}
    assert desk.unlisted == frozenset()


def test_a_coin_that_is_held_by_another_contract_is_not_entered_again() -> None:
    scene = Scene()
    scene.venue.held["MSFT"] = D(5)
    coins = {"AAPL": "A", "MSFT": "A"}

    def coin(symbol: str) -> str:
        if symbol not in coins:
            raise ValueError("no single coin")
        return coins[symbol]

    world = scene.world(wanted("AAPL"), wanted("JPM"))
    records = trade_once(replace(world, rules=replace(world.rules, coin=coin)), call()).candidates
    ends = {one.candidate.symbol: one.terminal for one in records}
    assert ends["JPM"] is None
    assert ends["AAPL"] is not None
    assert (ends["AAPL"].reason, ends["AAPL"].observed) == (Reason.OTHER_CONTRACT, "MSFT")


def test_only_other_symbols_of_the_same_coin_count() -> None:
    held = {"PF_XBTUSD", "FF_XBTUSD_261225", "FI_XBTUSD_261225", "PF_ETHUSD", "RR_XBTUSD"}
    found = other_contracts(coin_of, ("PF_XBTUSD", "PF_ETHUSD", "PF_SOLUSD", "RR_XBTUSD"), held)
    assert found == {"PF_XBTUSD": "FF_XBTUSD_261225, FI_XBTUSD_261225"}
    assert other_contracts(str, held, held) == {}
