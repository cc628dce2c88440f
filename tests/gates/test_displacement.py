"""Displacement closes the weakest position that may give way, or says of the nearest ones why they may not."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW, SHIPPED, ago, ask, book, books, candidate, desk, instrument, new_intent, quote
from tradebot.gates.ask import Ask
from tradebot.gates.displacement import Displacement, choose_displaced, gave_way, lacks_only_room, position_strength
from tradebot.model.candidate import Candidate, Purpose, Side, WantKind
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import Desk, StrategyExposure, StrategyOrder
from tradebot.model.intent import IntentKey, IntentRecord, IntentState
from tradebot.model.limits import DisplacementRules
from tradebot.model.order import OrderType
from tradebot.model.position import EntryTerms, Lot, Position
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace

RULES = SHIPPED.displacement.model_copy(update={"enabled": True, "min_age_s": 3600, "cooldown_s": 7200})
FULL = Decision(Gate.OPEN_POSITIONS, Verdict.FAIL, Reason.MAX_OPEN_POSITIONS, 6, 5)
OWN_FULL = replace(FULL, gate=Gate.OWN_OPEN_POSITIONS, reason=Reason.OWN_MAX_OPEN_POSITIONS)
PRICE = Decimal(100)
STRONG = candidate("XOM", score=0.9)


def position(symbol: str, age_s: float = 7000, *, long: bool = True, strategy: str = "flow") -> Position:
    lot = Lot(Decimal(10 if long else -10), PRICE, ago(age_s))
    return Position(strategy, symbol, (lot,), Decimal(0), lot.at)


def full(
    *held: Position,
    scores: Mapping[str, float | None] | None = None,
    gains: Mapping[str, str] | None = None,
    given_way: Mapping[str, datetime] | None = None,
    **changes: object,
) -> Desk:
    """Return a desk with these positions; each was opened for a score of 0.5 and has gained nothing, unless given."""
    asked, gained = scores or {}, gains or {}
    quotes = {}
    for each in held:
        sign = 1 if each.quantity > 0 else -1
        price = PRICE * (1 + sign * Decimal(gained.get(each.symbol, "0")))
        quotes[each.symbol] = quote(each.symbol, f"{price:f}", f"{price:f}")
    kept = {
        (each.strategy, each.symbol, each.opened_at): EntryTerms(entry_score=asked.get(each.symbol, 0.5))
        for each in held
    }
    intents = tuple(displacing(symbol, at) for symbol, at in (given_way or {}).items())
    usual = desk(
        positions=held,
        net={each.symbol: each.quantity for each in held},
        quotes=quotes,
        books=books(kept=kept, intents=intents),
    )
    return replace(usual, **changes)  # type: ignore[arg-type]


def displacing(symbol: str, at: datetime, strategy: str = "flow") -> IntentRecord:
    key = IntentKey("TEST00001", strategy, at.date(), "open+1m", symbol, Side.SELL, Purpose.CLOSE)
    intent = new_intent(key, instrument(symbol), order_type=OrderType.MARKET, at=at, displaced_by="XOM")
    return IntentRecord(intent, IntentState.ACKED, None, None, at)


def asking(seen: Desk, wanted: Candidate = STRONG, **changes: object) -> Ask:
    return ask(desk=seen, candidate=wanted, book=book(**changes))


def judged(
    seen: Desk,
    *proposed: Candidate,
    rules: DisplacementRules = RULES,
    wanted: Candidate = STRONG,
    failed: Decision = FULL,
    **changes: object,
) -> Displacement:
    return choose_displaced(asking(seen, wanted, **changes), (failed,), rules, (wanted, *proposed))


def causes(displacement: Displacement) -> list[Reason | None]:
    assert displacement.weakest is None
    return [refusal.reason for refusal in displacement.refusals]


def symbol_of(displacement: Displacement) -> str:
    assert displacement.weakest is not None
    return displacement.weakest.position.symbol


def test_the_worst_gain_gives_way_then_the_oldest_then_the_lowest_score() -> None:
    aapl, msft, jpm = position("AAPL"), position("MSFT", 9000), position("JPM", 9000)
    assert symbol_of(judged(full(aapl, msft, jpm, gains={"AAPL": "-0.001"}))) == "AAPL"
    assert symbol_of(judged(full(aapl, msft, jpm, scores={"AAPL": 0.1, "MSFT": 0.3, "JPM": 0.4}))) == "MSFT"
    assert symbol_of(judged(full(aapl, msft, jpm, scores={"MSFT": 0.4, "JPM": 0.3}))) == "JPM"


@pytest.mark.parametrize(
    ("seen", "reason", "observed", "limit"),
    [
        (full(position("AAPL", 3599)), Reason.POSITION_TOO_YOUNG, 3599.0, 3600),
        (full(position("AAPL"), gains={"AAPL": "0.011"}), Reason.GAIN_OUTSIDE_BAND, Decimal("0.011"), Decimal("0.01")),
        (full(position("AAPL"), gains={"AAPL": "-0.02"}), Reason.GAIN_OUTSIDE_BAND, Decimal("-0.02"), Decimal("0.01")),
        (full(position("AAPL"), scores={"AAPL": 0.75}), Reason.SCORE_ADVANTAGE_TOO_SMALL, pytest.approx(0.15), 0.25),
        (full(position("AAPL"), scores={"AAPL": None}), Reason.SCORE_UNKNOWN, None, 0.25),
        (full(position("AAPL"), given_way={"AAPL": ago(7199)}), Reason.DISPLACED_LATELY, 7199.0, 7200),
        (full(position("AAPL"), given_way={"XOM": ago(10)}), Reason.DISPLACED_LATELY, 10.0, 7200),
        (full(position("AAPL"), quotes={}), Reason.QUOTE_MISSING, None, Decimal("0.01")),
        (full(position("AAPL"), quotes={"AAPL": quote(at=ago(121))}), Reason.QUOTE_STALE, 121.0, 120),
        (full(position("AAPL"), position_ratios={"AAPL": Decimal(2)}), Reason.SPLIT_UNPROVEN, 2, 1),
        (full(position("AAPL"), unproven=frozenset({"AAPL"})), Reason.POSITION_UNPROVEN, 0, 10),
        (full(position("AAPL"), net={}), Reason.POSITION_GONE, 0, 10),
        (
            full(position("AAPL"), book=book(own_orders=(StrategyOrder("flow", "AAPL", Side.SELL),))),
            Reason.ORDER_WORKING,
            None,
            None,
        ),
        (full(position("AAPL", strategy="other")), Reason.NOTHING_TO_DISPLACE, 0, 1),
        (full(), Reason.NOTHING_TO_DISPLACE, 0, 1),
    ],
)
def test_each_refusal_has_its_cause_and_its_numbers(
    seen: Desk, reason: Reason, observed: object, limit: object
) -> None:
    displacement = judged(seen)
    assert causes(displacement) == [reason]
    (refusal,) = displacement.refusals
    assert (refusal.gate, refusal.observed, refusal.limit) == (Gate.DISPLACEMENT, observed, limit)


def test_at_its_limits_a_position_gives_way() -> None:
    seen = full(position("AAPL", 3600), gains={"AAPL": "-0.01"}, scores={"AAPL": 0.65}, given_way={"AAPL": ago(7200)})
    assert symbol_of(judged(seen, rules=RULES.model_copy(update={"score_advantage": 0.25}))) == "AAPL"


def test_causes_come_by_their_number_each_with_the_position_nearest_to_giving_way() -> None:
    seen = full(position("AAPL", 100), position("MSFT", 3000), position("JPM"), scores={"JPM": None})
    displacement = judged(seen)
    assert causes(displacement) == [Reason.POSITION_TOO_YOUNG, Reason.SCORE_UNKNOWN]
    assert displacement.refusals[0].observed == 3000.0


def test_a_book_above_its_limit_and_a_shared_symbol_leave_no_room() -> None:
    seen = full(position("AAPL"))
    above = replace(FULL, observed=7)
    assert causes(judged(seen, failed=above)) == [Reason.FREES_NO_ROOM]
    stakes = (StrategyExposure("other", "AAPL", Side.BUY, Decimal(1), held=True),)
    assert causes(judged(seen, stakes=stakes)) == [Reason.FREES_NO_ROOM]
    # Its own limit counts only its own position.
    assert symbol_of(judged(seen, failed=OWN_FULL, stakes=stakes)) == "AAPL"


def test_a_current_score_counts_instead_of_the_one_at_entry_if_enough_of_its_data_is_there() -> None:
    seen, strong, weak = full(position("AAPL")), candidate("AAPL", score=0.8), candidate("AAPL", score=0.1)
    assert causes(judged(seen, strong)) == [Reason.SCORE_ADVANTAGE_TOO_SMALL]
    assert judged(seen, weak).weakest is not None
    assert judged(full(position("AAPL"), scores={"AAPL": 0.8}), weak).weakest is not None
    blind = replace(weak, coverage=0.1)
    assert causes(judged(full(position("AAPL"), scores={"AAPL": 0.8}), blind)) == [Reason.SCORE_ADVANTAGE_TOO_SMALL]
    assert causes(judged(full(position("AAPL"), scores={"AAPL": None}), weak)) == [Reason.SCORE_UNKNOWN]


@pytest.mark.parametrize("long", [True, False])
def test_a_score_against_the_position_is_weaker_than_none(long: bool) -> None:
    own, other = (Side.BUY, Side.SELL) if long else (Side.SELL, Side.BUY)
    held = position("AAPL", long=long)
    assert position_strength(held, 0.5, None) == position_strength(held, -0.5, None) == 0.5
    assert position_strength(held, 0.5, candidate("AAPL", own, score=0.3)) == 0.3
    assert position_strength(held, 0.5, candidate("AAPL", other, score=0.3)) == -0.3
    assert position_strength(held, None, candidate("AAPL", own, score=0.3)) is None


def test_as_many_give_way_at_a_time_as_allowed() -> None:
    seen = full(position("AAPL"), position("MSFT"))
    two = RULES.model_copy(update={"max_per_pass": 2})
    asked = asking(seen)
    (pending,) = choose_displaced(asked, (FULL,), RULES, (), ["MSFT"]).refusals
    assert (pending.reason, pending.observed, pending.limit) == (Reason.DISPLACEMENT_PENDING, 1, 1)
    assert choose_displaced(asked, (FULL,), two, (), ["MSFT"]).weakest is not None
    lost = replace(displacing("MSFT", ago(9000)), state=IntentState.UNKNOWN)
    unresolved = replace(seen, books=replace(seen.books, intents=(lost,)))
    assert causes(judged(unresolved)) == [Reason.DISPLACEMENT_PENDING]


def test_only_a_strategys_own_displacements_count() -> None:
    known = books(intents=(displacing("AAPL", NOW), displacing("MSFT", NOW, "other")))
    assert dict(gave_way(known, "flow")) == {"AAPL": NOW}


def test_a_close_that_never_arrived_made_nothing_give_way() -> None:
    lost = replace(displacing("AAPL", NOW), state=IntentState.ABANDONED)
    assert not dict(gave_way(books(intents=(lost,)), "flow"))


def test_only_an_entry_that_nothing_but_room_refuses_may_displace() -> None:
    passed, score = Decision(Gate.SPREAD, Verdict.PASS), Decision(Gate.SCORE, Verdict.FAIL, Reason.SCORE_BELOW_MIN)
    assert lacks_only_room(STRONG, (passed, FULL, OWN_FULL))
    assert not lacks_only_room(STRONG, (passed,))
    assert not lacks_only_room(STRONG, (passed, FULL, score))
    assert not lacks_only_room(replace(STRONG, want=WantKind.TARGET), (passed, FULL))


SCORES = st.none() | st.floats(0, 1)
GAINS = st.decimals("-0.03", "0.03", places=3).map(str)


@given(
    ages=st.lists(st.integers(0, 10_000), min_size=1, max_size=4),
    scores=st.lists(SCORES, min_size=4, max_size=4),
    gains=st.lists(GAINS, min_size=4, max_size=4),
    lately=st.lists(st.none() | st.integers(0, 10_000), min_size=4, max_size=4),
    score=st.floats(0.25, 1),
)
def test_whoever_gives_way_fulfills_every_rule_and_shorts_mirror_longs(
    ages: list[int], scores: list[float | None], gains: list[str], lately: list[int | None], score: float
) -> None:
    names = ["AAPL", "MSFT", "JPM", "BAC"][: len(ages)]
    outcomes = []
    for long in (True, False):
        held = [position(name, age, long=long) for name, age in zip(names, ages, strict=True)]
        given_way = {name: ago(age) for name, age in zip(names, lately, strict=False) if age is not None}
        seen = full(
            *held,
            scores=dict(zip(names, scores, strict=False)),
            gains=dict(zip(names, gains, strict=False)),
            given_way=given_way,
        )
        outcome = judged(seen, wanted=candidate("XOM", Side.BUY if long else Side.SELL, score=score))
        outcomes.append((outcome.weakest and outcome.weakest.position.symbol, outcome.refusals))
        if outcome.weakest:
            place = names.index(outcome.weakest.position.symbol)
            entry, last = scores[place], lately[place]
            assert entry is not None
            assert score - entry >= RULES.score_advantage
            assert ages[place] >= RULES.min_age_s
            assert abs(Decimal(gains[place])) <= RULES.gain_band_fraction
            assert last is None or timedelta(seconds=last) >= timedelta(seconds=RULES.cooldown_s)
            assert outcome.weakest.gain == Decimal(gains[place])
        else:
            assert outcome.refusals
            assert all(refusal.reason and not refusal.passed for refusal in outcome.refusals)
    assert outcomes[0] == outcomes[1]
