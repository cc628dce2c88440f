"""Hundreds of seeded schedules keep every zero, each trouble befalls some of them, and broken bots are seen."""

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any

import pytest

from tests.faults import verdicts
from tests.faults.programs import played
from tests.faults.schedules import ROUND
from tests.faults.troubles import AT_THE_DISK, EVERY, KILL, READ_AGAIN
from tests.kit.judge import account as judge
from tests.kit.judge import pairs
from tests.kit.venues import ELSEWHERE, KRAKEN, LIES, CampaignVenue
from tests.suite.tiers import drawn, in_campaigns, in_turn, sized

COUNT = sized(8, 5 * ROUND)
"""A campaign plays whole rounds, in which each trouble comes."""
AGAIN = ["--again", "88492", "--again", "88631"]
"""Schedules that once showed a fault: a gap whose end was forgotten, and a cancel that the exchange never made."""
FIRSTS = drawn("schedules", [1], range(1, 100_000, COUNT))
WENT_ON, GAVE_UP = {"done", "shut", "findings"}, {"error", "person", "keys", "away"}
NOT_SURVIVED = {KILL, "no equity"}
"""Troubles after which a pass cannot go on: it is dead, or does not know what the account is worth."""
OFTEN = 10
"""How many runs a trouble has to befall before all of them ending alike says something."""
CAUGHT = {
    "retry-on-post": 1,
    "gate-after-the-post": 3,
    "unknown-is-rejected": 17,
    "fate-not-asked": 17,
    "reconcile-that-flattens": 2,
    "cached-halt": 240,
    "no-second-look": 145,
    "one-fill-an-order": 37,
    "no-stop": 9,
    "no-pairs": 61,
    "gaps-untold": 2,
    "gaps-cut-short": 10,
    "halts-cancel-what-rests": 6,
    "loosen": 152,
    "believe-the-orders": 127,
    "believe-the-positions": 251,
    "entries-without-a-yes": 7,
    "decided-by-the-machine-clock": 3,
}
"""Bots broken on purpose, and the first schedule that showed it; others are played from there on until one does."""
CAUGHT_ELSEWHERE = {
    "retry-on-post": 1,
    "gate-after-the-post": 1,
    "unknown-is-rejected": 19,
    "fate-not-asked": 19,
    "reconcile-that-flattens": 1,
    "no-pairs": 99,
    "gaps-untold": 1,
    "gaps-cut-short": 15,
    "halts-cancel-what-rests": 30,
    "entries-without-a-yes": 7,
    "decided-by-the-machine-clock": 1,
}
"""The same at a venue that is everything Alpaca is not."""
CAUGHT_AT_KRAKEN = CAUGHT_ELSEWHERE | {
    "unknown-is-rejected": 31,
    "fate-not-asked": 31,
    "no-pairs": 193,
    "gaps-cut-short": 163,
    "halts-cancel-what-rests": 6,
    "open-before-the-close": 6,
    "stops-replaced-by-looser-ones": 6,
    "old-stops-go-first": 30,
}
ELSEWHERE_COUNT = 5 * ROUND
DECIDED_OTHERWISE = "is decided otherwise again"
KEEPS_NOTHING = "halts-cancel-what-rests"
SAMPLED = (
    *("retry-on-post", "reconcile-that-flattens", "one-fill-an-order", "no-stop", "gaps-untold"),
    *("decided-by-the-machine-clock", KEEPS_NOTHING),
)


def ends_of(found: Mapping[str, Any]) -> Mapping[str, set[str]]:
    """Return how runs ended that each trouble befell."""
    ends: dict[str, set[str]] = defaultdict(set)
    for name, end, _ in found["pairs"]:
        ends[name].add(end)
    return ends


@pytest.mark.sampled
@pytest.mark.parametrize("first", FIRSTS)
def test_schedules_keep_every_promise_and_each_broken_bot_is_caught(
    first: int, record_property: Callable[[str, object], None]
) -> None:
    broken = {name: CAUGHT[name] for name in sized(SAMPLED, CAUGHT)} if first == FIRSTS[0] else {}
    controls = (word for name, begin in broken.items() for word in ("--control", f"{name}={begin}"))
    found = played("schedules", "--first", str(first), "--count", str(COUNT), *AGAIN, *controls)
    assert found["problems"] == []
    assert found["schedules"] == COUNT + len(AGAIN) // 2
    record_property("seeded schedules", found["schedules"])
    record_property("passes in seeded schedules", found["runs"])
    assert found["decided_again"] > found["schedules"]
    record_property("passes of seeded schedules that were decided again as they were", found["decided_again"])
    record_property("troubles that befell a pass in a schedule", sum(count for *_, count in found["pairs"]))
    told = sum(count for name, _, count in found["pairs"] if name in LIES)
    record_property("lying reads that befell a pass in a schedule", told)
    _check_ends(found, set(EVERY))
    _check_controls(found, broken)
    for silent in ("gaps-untold", "gaps-cut-short"):
        # What the day began with was decided by a bot that isn't broken, so that is decided otherwise too.
        judged = [problem for problem in found["caught"].get(silent, ()) if DECIDED_OTHERWISE not in problem]
        assert all("had no stop from" in problem for problem in judged), "another judge saw it"
        assert judged or silent not in broken
    canceled = found["caught"].get(KEEPS_NOTHING, ())
    assert all("was canceled for nothing" in problem for problem in canceled), "another judge saw it"
    assert found["protection"]["gaps seen"] > 0
    assert found["approved"] > 0 or not in_campaigns()
    record_property("entries of schedules that a person approved", found["approved"])
    record_property("gaps in protection that a pass of a schedule saw", found["protection"]["gaps seen"])


def _check_ends(found: Mapping[str, Any], every: set[str]) -> None:
    """Check, in a whole campaign, that each trouble was met, and that runs ended as they may."""
    if in_campaigns():
        ends = ends_of(found)
        assert every - set(ends) == set(), "never met"
        runs = Counter[str]()
        for name, _, count in found["pairs"]:
            runs[name] += count
        often = {name for name in ends if runs[name] >= OFTEN}
        assert {name for name in often - NOT_SURVIVED if not ends[name] & WENT_ON} == set()
        assert {name for name in {*READ_AGAIN, *AT_THE_DISK} & set(ends) if not ends[name] & GAVE_UP} == set()


def _check_controls(found: Mapping[str, Any], broken: Mapping[str, int]) -> None:
    """Check that each bot that is broken on purpose was seen, with the command that shows it."""
    assert {name for name, problems in found["caught"].items() if problems} == set(broken)
    problems = [problem for some in found["caught"].values() for problem in some]
    assert [problem for problem in problems if not problem.endswith("--count 1 --tell]")] == []


@pytest.mark.campaign
@pytest.mark.parametrize(
    ("venue", "caught", "first"),
    [
        (venue, caught, first)
        for venue, caught in in_turn(((ELSEWHERE, CAUGHT_ELSEWHERE), (KRAKEN, CAUGHT_AT_KRAKEN)), 2)
        for first in drawn(f"schedules {venue.name}", [1], range(1, 100_000, ELSEWHERE_COUNT))
    ],
    ids=lambda value: value.name if isinstance(value, CampaignVenue) else "",
)
def test_schedules_keep_every_promise_at_a_venue_unlike_alpaca(
    venue: CampaignVenue, caught: Mapping[str, int], first: int, record_property: Callable[[str, object], None]
) -> None:
    controls = (word for name, begin in caught.items() for word in ("--control", f"{name}={begin}"))
    words = ("--first", str(first), "--count", str(ELSEWHERE_COUNT), *controls)
    found = played("schedules", *words, venue=venue)
    assert found["problems"] == []
    assert found["schedules"] == ELSEWHERE_COUNT
    assert found["decided_again"] > 0
    record_property("passes of seeded schedules that were decided again as they were", found["decided_again"])
    if venue.profile:
        assert found["swaps"] > 0
        record_property("entries that an auction made room for in schedules", found["swaps"])
    record_property("seeded schedules", found["schedules"])
    _check_ends(found, set(EVERY) - venue.leaves_out)
    _check_controls(found, caught)


def accepted(role: str, order: str, status: str = "new") -> dict[str, Any]:
    """Return an order's line of the log."""
    line = {"event": "order_accepted", "client_order_id": f"tb1.{role}.{order}", "order_id": order, "status": status}
    amounts = {"qty": "8", "filled_qty": "0"}
    return {**line, **amounts, "symbol": "AAPL", "side": "buy" if role == "OPEN" else "sell", "account": "one"}


def asked(role: str, order: str) -> dict[str, Any]:
    """Return the line of a request for an order."""
    body = {"client_order_id": f"tb1.{role}.{order}", "symbol": "AAPL"}
    return {"event": "request", "method": "POST", "path": "/v2/orders", "body": json.dumps(body), "account": "one"}


def filled(role: str, order: str, position: str) -> dict[str, Any]:
    """Return a fill's line of the log, the order's last one."""
    return {**accepted(role, order, "filled"), "event": "fill", "position": position}


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        ([accepted("OPEN", "a"), filled("OPEN", "a", "8"), accepted("OPEN", "b")], "opens what is open"),
        ([accepted("OPEN", "a"), accepted("OPEN", "b")], "tb1.OPEN.b beside tb1.OPEN.a"),
        ([accepted("OPEN", "a"), filled("OPEN", "a", "0"), {**accepted("OPEN", "a"), "order_id": "b"}], "twice"),
        ([filled("OPEN", "a", "8"), accepted("CLOSE", "b"), accepted("CLOSE", "c")], "tb1.CLOSE.c beside"),
        ([filled("OPEN", "a", "8"), filled("CLOSE", "b", "-8")], "from 8 to -8"),
        ([filled("CLOSE", "b", "-8")], "from 0 to -8"),
        ([accepted("CLOSE", "b"), asked("CLOSE", "c")], "tb1.CLOSE.c was asked for beside ['tb1.CLOSE.b']"),
    ],
)
def test_judge_reports_doubled_orders_and_oversold_positions(lines: list[dict[str, Any]], said: str) -> None:
    assert any(said in problem for problem in broken(lines)), broken(lines)


def broken(lines: list[dict[str, Any]]) -> list[str]:
    """Return what the judge has against a day."""
    twice = [*verdicts.doubled(lines, judge.accounts(lines)["one"]), *verdicts.exits_beside(lines)]
    return [*twice, *pairs.broken(lines)]


def test_judge_accepts_an_exit_sent_again_or_after_another_and_two_round_trips() -> None:
    again = [asked("CLOSE", "a"), accepted("CLOSE", "a"), asked("CLOSE", "a")]
    ended = {**accepted("CLOSE", "a", "canceled"), "event": "order_canceled"}
    assert broken([filled("OPEN", "o", "8"), *again, ended, asked("CLOSE", "b")]) == []
    round_trip = [accepted("OPEN", "a"), filled("OPEN", "a", "8"), accepted("CLOSE", "b"), filled("CLOSE", "b", "0")]
    assert broken([*round_trip, accepted("OPEN", "c"), filled("OPEN", "c", "8")]) == []


@pytest.mark.parametrize(("limit", "found"), [(Decimal(3000), 0), (Decimal(2999), 1)])
def test_judge_counts_held_working_and_requested_orders_against_the_limit(limit: Decimal, found: int) -> None:
    def opens(order: str, symbol: str) -> dict[str, Any]:
        told = {"seq": 9, "symbol": symbol, "qty": "10", "filled_qty": "0", "limit_price": "100"}
        return accepted("OPEN", order) | told

    held = opens("a", "AAPL") | {"event": "fill", "status": "filled", "filled_qty": "10", "price": "100"}
    lines = [opens("a", "AAPL"), held | {"position": "-10"}, opens("b", "MSFT"), opens("c", "NVDA")]
    assert len(list(verdicts.above_limit(lines, limit, 1))) == found
    assert list(verdicts.above_limit(lines, limit, 10)) == []


def test_judge_holds_entries_against_what_a_person_approved() -> None:
    once, again = ({**accepted("OPEN", order), "seq": seq} for order, seq in (("a", 5), ("b", 9)))
    assert list(verdicts.unapproved([once, again], {"AAPL": 2}, 1)) == []
    said = "2 orders open AAPL, and a person said yes to 1"
    assert list(verdicts.unapproved([once, again], {"AAPL": 1}, 1)) == [said]
    assert list(verdicts.unapproved([once, again], {"AAPL": 1}, 6)) == [], "what a day begins with was asked of nobody"
    assert list(verdicts.unapproved([{**once, **accepted("CLOSE", "c")}], {}, 1)) == []
