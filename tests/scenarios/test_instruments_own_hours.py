"""An instrument that closes before its venue is closed for entries, and its exits say so; everything else goes on."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.kit.core.scene import Scene, call, evaluate_exits, trade_once, wanted
from tests.kit.values import LIMITS, SESSION, ask, candidate, desk, exit_rules, instrument, listing
from tradebot.exits.rules import parse
from tradebot.gates.evaluation import decide
from tradebot.model.bar import Session
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.instrument import Hours, ListingRecord
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.struct_tools import replace

EARLY = replace(SESSION, close=SESSION.close - timedelta(hours=3))
SHARES = instrument("AAPL").calendar
"""The calendar of every instrument in these scenes; the venue's own has another name."""
SAID = f"{SHARES} 2026-11-16T14:30Z to 2026-11-16T18:00Z"


def scene(**changes: object) -> Scene:
    """Return a venue that stays open after its shares have closed."""
    found = Scene(**changes)  # type: ignore[arg-type]
    found.venue.capabilities = replace(found.venue.capabilities, calendar="24/7")
    found.ledger.put_sessions([EARLY], calendar=SHARES)
    return found


def at(found: Scene, seconds_before_close: int) -> Scene:
    found.later(int((EARLY.close - found.venue.now).total_seconds()) - seconds_before_close)
    return found


def refused(decisions: tuple[Decision, ...]) -> tuple[Gate, Reason | None, object] | None:
    first = first_failure(decisions)
    return (first.gate, first.reason, first.observed) if first else None


@pytest.mark.parametrize(("seconds", "closed"), [(60, False), (0, True)])
def test_entry_is_refused_from_the_close_of_its_own_calendar_on(seconds: int, closed: bool) -> None:
    found = at(scene(), seconds)
    (record,) = trade_once(found.world(wanted("AAPL")), call()).candidates
    assert refused(record.decisions) == ((Gate.SESSION, Reason.MARKET_CLOSED, SAID) if closed else None)
    assert len(found.venue.submitted) == (0 if closed else 1)


@pytest.mark.parametrize(("seconds", "closed"), [(60, False), (0, True)])
def test_exit_of_a_closed_instrument_says_so_and_goes_out_while_it_is_open(seconds: int, closed: bool) -> None:
    found = scene(exits=exit_rules(stop_loss_fraction=Decimal("0.05")))
    trade_once(found.world(wanted("AAPL")), call())
    found.venue.fill(found.venue.submitted[0].client_order_id, "100")
    at(found, seconds).price("AAPL", "80")
    (record,) = evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, "exits")).candidates
    assert refused(record.decisions) == ((Gate.SESSION, Reason.MARKET_CLOSED, SAID) if closed else None)
    assert len(found.venue.submitted) == (1 if closed else 2)


def telling(found: Scene, trading: Session, liquid: Session) -> Scene:
    """Let the broker tell the hours of the shares, whatever any calendar says."""
    ends = max(SESSION.close, trading.close) + timedelta(hours=1)
    listed = replace(
        listing("AAPL"), read_at=found.venue.now, hours=Hours(found.venue.now, ends, (trading,), (liquid,))
    )
    found.ledger.put_listings([ListingRecord(listed)])
    return found


LONG = replace(SESSION, close=SESSION.close + timedelta(hours=1))
LIQUID = replace(SESSION, open=SESSION.open + timedelta(hours=1), close=SESSION.close - timedelta(hours=1))


@pytest.mark.parametrize(("seconds", "closed"), [(60, False), (0, True)])
@pytest.mark.parametrize("own_calendar", [False, True])
def test_the_hours_that_the_broker_tells_go_before_the_calendar(own_calendar: bool, seconds: int, closed: bool) -> None:
    found = scene() if own_calendar else Scene()
    ends_early = replace(EARLY, close=EARLY.close - timedelta(hours=1))
    found = at(telling(found, ends_early, ends_early), seconds + 3600)
    (record,) = trade_once(found.world(wanted("AAPL")), call()).candidates
    said = "the broker tells 2026-11-16T14:30Z to 2026-11-16T17:00Z"
    assert refused(record.decisions) == ((Gate.SESSION, Reason.MARKET_CLOSED, said) if closed else None)
    assert len(found.venue.submitted) == (0 if closed else 1)


def test_what_is_held_leaves_before_an_early_close_that_only_the_broker_tells() -> None:
    found, rules = Scene(), parse([{"end_of_day": {"before_close_s": 600}}])
    trade_once(found.world(wanted("AAPL")), call())
    found.venue.fill(found.venue.submitted[0].client_order_id, "100")
    at(telling(found, EARLY, EARLY), 660)

    def exits(slot: str) -> list[str | None]:
        world = found.world()
        world = replace(world, rules=replace(world.rules, own_exits={"flow": rules}))
        return [one.client_order_id for one in evaluate_exits(world, call(Job.EVALUATE_EXITS, slot)).candidates]

    assert exits("before") == [None]
    found.later(60)
    assert exits("exits") != [None]


@pytest.mark.parametrize(("hours", "sent"), [(1, 1), (-1, 0)])
def test_exits_go_out_while_the_broker_trades_what_is_held_after_the_calendars_close(hours: int, sent: int) -> None:
    found = Scene(exits=exit_rules(stop_loss_fraction=Decimal("0.05")))
    trade_once(found.world(wanted("AAPL")), call())
    found.venue.fill(found.venue.submitted[0].client_order_id, "100")
    telling(found, replace(LONG, close=SESSION.close + hours * timedelta(hours=1)), LIQUID)
    found.later(int((SESSION.close - found.venue.now).total_seconds()) + 60)
    found.price("AAPL", "80")
    found.venue.is_open = False
    evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, "exits"))
    assert len(found.venue.submitted) == 1 + sent


@pytest.mark.parametrize("only", [True, False])
@pytest.mark.parametrize("seconds", [-1, 0])
def test_entries_keep_to_liquid_hours_and_exits_do_not(seconds: int, only: bool) -> None:
    limits = LIMITS.model_copy(update={"liquid_hours_only": only})
    found = telling(Scene(limits=limits, exits=exit_rules(stop_loss_fraction=Decimal("0.05"))), SESSION, LIQUID)
    found.later(int((LIQUID.close - found.venue.now).total_seconds()) + seconds)
    (record,) = trade_once(found.world(wanted("AAPL")), call()).candidates
    assert (refused(record.decisions) or (None, None))[1] is (Reason.HOURS_NOT_LIQUID if only and not seconds else None)
    if found.venue.submitted:
        found.venue.fill(found.venue.submitted[0].client_order_id, "100")
        found.later(1800)
        found.price("AAPL", "80")
        evaluate_exits(found.world(), call(Job.EVALUATE_EXITS, "exits"))
        assert len(found.venue.submitted) == 2


def test_other_instruments_of_the_venue_go_on() -> None:
    after = desk(now=EARLY.close, calendar="24/7", other_sessions={SHARES: EARLY})
    hours = {
        one.calendar: [
            decision.verdict
            for decision in decide(ask(desk=after, candidate=replace(candidate(), instrument=one)))
            if decision.gate is Gate.SESSION
        ]
        for one in (instrument("AAPL", calendar=name) for name in (SHARES, "24/7", "XTKS"))
    }
    passed, failed = Verdict.PASS, Verdict.FAIL
    assert hours == {SHARES: [passed, failed], "24/7": [passed], "XTKS": [passed, failed]}
