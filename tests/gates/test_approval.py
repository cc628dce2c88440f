"""A yes counts for one order, for a while, and for no worse price; a no and silence count until they end."""

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import DAY, NOW
from tradebot.gates.approval import LEAST_GOOD, SILENCE, decide_by_approval
from tradebot.model.candidate import Side
from tradebot.model.decision import Decision, Verdict
from tradebot.model.limits import ApprovalRules
from tradebot.model.reasons import Reason
from tradebot.model.struct_tools import replace
from tradebot.model.trading import ApprovalAnswer, Request

WAIT_S = 300
RULES = ApprovalRules(wait_s=WAIT_S, max_worse_fraction=Decimal("0.01"))
ASKED = Request(
    "aapl-k3f7q", "flow", "AAPL", Side.BUY, Decimal(10), Decimal(100), Decimal(1000), DAY, "", NOW,
    NOW + timedelta(seconds=WAIT_S),
)  # fmt: skip


def wish(after_s: float, price: str = "100", **changes: Any) -> Request:
    return replace(ASKED, id="aapl-other", asked_at=NOW + timedelta(seconds=after_s), price=Decimal(price), **changes)


def answered(answer: ApprovalAnswer, after_s: float = 60, **changes: Any) -> Request:
    return replace(ASKED, answer=answer, answered_at=NOW + timedelta(seconds=after_s), who="ann", **changes)


def end(found: Decision | None) -> tuple[Verdict, Reason | None] | None:
    return (found.verdict, found.reason) if found else None


EXPIRED = (Verdict.FAIL, Reason.APPROVAL_EXPIRED)
WAITING = (Verdict.UNKNOWN, Reason.APPROVAL_WAITING)
GOOD = (Verdict.PASS, None)
SHUT_S = WAIT_S + SILENCE.total_seconds()


@pytest.mark.parametrize(
    ("standing", "after_s", "expected"),
    [
        (None, 0, None),
        (ASKED, 0, WAITING),
        (ASKED, WAIT_S - 1, WAITING),
        (ASKED, WAIT_S, EXPIRED),
        (ASKED, SHUT_S - 1, EXPIRED),
        (ASKED, SHUT_S, None),
        (answered(ApprovalAnswer.NO), 80_000, (Verdict.FAIL, Reason.APPROVAL_REFUSED)),
        (answered(ApprovalAnswer.YES), 61, GOOD),
        (answered(ApprovalAnswer.YES), 59 + LEAST_GOOD.total_seconds(), GOOD),
        (answered(ApprovalAnswer.YES), 60 + LEAST_GOOD.total_seconds(), None),
    ],
)
def test_the_last_request_says_whether_an_entry_goes_waits_or_is_asked_about_again(
    standing: Request | None, after_s: float, expected: tuple[Verdict, Reason | None] | None
) -> None:
    assert end(decide_by_approval(wish(after_s), standing, RULES, used=False)) == expected


def test_what_a_person_said_in_a_slot_of_the_strategys_own_clock_counts_for_that_slot() -> None:
    def ended(standing: Request, after_s: float, slot: str = "s") -> tuple[Verdict, Reason | None] | None:
        return end(decide_by_approval(wish(after_s, slot=slot), replace(standing, slot="s"), RULES, used=False))

    assert ended(answered(ApprovalAnswer.YES), 20_000) == GOOD
    assert ended(ASKED, SHUT_S + 1) == EXPIRED
    assert ended(answered(ApprovalAnswer.NO), 60, "other") is None


@pytest.mark.parametrize("changes", [{"side": Side.SELL}, {"session": DAY + timedelta(days=1)}, {"slot": "x"}])
def test_another_question_is_asked_anew(changes: dict[str, Any]) -> None:
    for standing in (ASKED, answered(ApprovalAnswer.YES), answered(ApprovalAnswer.NO)):
        assert decide_by_approval(wish(61, **changes), standing, RULES, used=False) is None


def test_a_yes_that_was_used_counts_no_more() -> None:
    assert decide_by_approval(wish(61), answered(ApprovalAnswer.YES), RULES, used=True) is None


@given(st.sampled_from(Side), st.decimals(50, 200, places=2), st.decimals(50, 200, places=2))
def test_a_yes_never_allows_a_price_beyond_the_bound(side: Side, shown: Decimal, price: Decimal) -> None:
    standing = answered(ApprovalAnswer.YES, side=side, price=shown)
    found = decide_by_approval(wish(61, str(price), side=side), standing, RULES, used=False)
    worse = (price - shown) * side.sign > shown * RULES.max_worse_fraction
    assert end(found) == ((Verdict.FAIL, Reason.APPROVAL_PRICE_WORSE) if worse else GOOD)


@given(st.floats(0, 100_000), st.sampled_from([None, ApprovalAnswer.NO]), st.sampled_from(["", "own"]), st.booleans())
def test_nothing_passes_without_a_yes(after_s: float, answer: ApprovalAnswer | None, slot: str, used: bool) -> None:
    standing = replace(ASKED, slot=slot) if answer is None else answered(answer, slot=slot)
    found = decide_by_approval(wish(after_s, slot=slot), standing, RULES, used=used)
    assert found is None or not found.passed
