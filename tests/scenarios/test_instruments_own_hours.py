"""An instrument that closes before its venue is closed for entries, and its exits say so; everything else goes on."""

from datetime import timedelta
from decimal import Decimal

import pytest

from tests.builders import SESSION, ask, candidate, desk, exit_rules, instrument
from tests.worlds import Scene, call, evaluate_exits, trade_once, wanted
from tradebot.gates.decide import decide
from tradebot.model.decision import Decision, Gate, Verdict, first_failure
from tradebot.model.reasons import Reason
from tradebot.model.record import Job
from tradebot.model.values import replace

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
