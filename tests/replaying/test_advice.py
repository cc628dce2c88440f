"""Of what opens every question that refuses, the smallest is found: one setting, else two, else none is claimed."""

from collections.abc import Callable, Mapping
from decimal import Decimal
from math import inf

import pytest

from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.replaying.advice import advice
from tradebot.replaying.asking import Advice, Asking, Changes, Proposing, Question, Said
from tradebot.replaying.nearest import Setting
from tradebot.replaying.scale import Scale

SCALE = Scale(whole=False, least=Decimal(0), most=Decimal(1000), above=True)
COUNT = Scale(whole=True, least=Decimal(1), most=Decimal(1000))
A, B, C = (Setting((name,), Decimal(10), COUNT) for name in "abc")
NONE = Proposing((), True, inf, lambda changes: None, lambda changes: None, lambda: None)
Rule = Callable[[Mapping[str, Decimal]], bool]
NAMES = {"open": Gate.OPEN_POSITIONS, "new": Gate.NEW_ENTRIES, "score": Gate.SCORE}


class Book:
    """A made-up decision: each question has a rule over the settings, and the settings that it reads."""

    def __init__(self, rules: Mapping[str, tuple[Rule, tuple[Setting, ...]]], fits: Rule = lambda now: True) -> None:
        self.rules, self.fits, self.asked = rules, fits, 0

    def now(self, changes: Changes) -> dict[str, Decimal]:
        return {one.key: Decimal(str(changes.get(one.path, one.value))) for one in (A, B, C)}

    def ask(self, changes: Changes) -> Said:
        self.asked += 1
        now = self.now(changes)
        failed = {
            Question(NAMES[name]): Decision(NAMES[name], Verdict.FAIL, Reason.MAX_OPEN_POSITIONS)
            for name, (rule, _) in self.rules.items()
            if not rule(now)
        }
        return Said(failed, not failed)

    @property
    def advice(self) -> Advice:
        by_gate = {NAMES[name]: settings for name, (_, settings) in self.rules.items()}
        return advice(
            Asking(
                self.ask,
                lambda changes: self.fits(self.now(changes)),
                lambda question: by_gate[question.gate],
                lambda setting: [one for one in (A, B, C) if one.key != setting.key],
                Proposing((), True, inf, lambda changes: None, self.ask, lambda: self.ask({})),
            )
        )


def values(found: Advice) -> dict[str, str]:
    return {change.setting.key: str(change.value) for change in found.changes}


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ({"open": (lambda now: now["a"] >= 13, (A,))}, {"a": "13"}),
        ({"open": (lambda now: now["a"] >= 20 or now["b"] <= 8, (A, B))}, {"b": "8"}),
        ({"open": (lambda now: now["a"] >= 13, (A,)), "new": (lambda now: now["a"] >= 15, (A, B))}, {"a": "15"}),
        ({"open": (lambda now: now["a"] >= 13, (A,)), "new": (lambda now: now["b"] <= 9, (B,))}, {"a": "13", "b": "9"}),
        ({"open": (lambda now: min(now["a"], now["b"]) >= 12, (A, B))}, {"a": "12", "b": "12"}),
        ({"open": (lambda now: min(now["a"], now["b"], now["c"]) >= 12, (A, B, C))}, {}),
        ({"open": (lambda now: now["a"] >= 10**6, (A,))}, {}),
        ({"open": (lambda now: False, ())}, {}),
    ],
)
def test_the_smallest_change_that_opens_everything_is_found(
    rules: Mapping[str, tuple[Rule, tuple[Setting, ...]]], expected: dict[str, str]
) -> None:
    book = Book(rules)
    found = book.advice
    assert values(found) == expected
    if expected:
        assert book.ask(found.values).through
        for change in found.changes:
            assert not book.ask({**found.values, change.setting.path: change.nearer}).through


def test_what_a_change_makes_refuse_is_opened_by_the_second_one() -> None:
    opens: Rule = lambda now: now["a"] >= 12  # noqa: E731
    then: Rule = lambda now: now["a"] < 11 or now["c"] >= 14  # noqa: E731
    assert values(Book({"open": (opens, (A,)), "new": (then, (C,))}).advice) == {"a": "12", "c": "14"}


def test_a_change_that_would_not_load_is_made_with_what_it_has_to_fit_to() -> None:
    rules = {"open": (lambda now: now["a"] >= 12, (A,))}
    assert values(Book(rules, lambda now: now["a"] <= now["b"]).advice) == {"a": "12", "b": "12"}
    assert values(Book(rules, lambda now: now["a"] <= 10).advice) == {}


def test_a_question_that_nothing_opens_is_named() -> None:
    closed: Rule = lambda now: False  # noqa: E731
    opens: Rule = lambda now: now["a"] >= 12  # noqa: E731
    assert Book({"open": (opens, (A,)), "score": (closed, (B,))}).advice.closed == Question(Gate.SCORE)
    three = {
        "open": (opens, (A,)),
        "new": (lambda now: now["b"] > 11, (B,)),
        "score": (lambda now: now["c"] > 11, (C,)),
    }
    assert Book(three).advice == Advice()


def test_nothing_is_advised_for_what_goes_through_or_cannot_be_decided_again() -> None:
    assert Book({"open": (lambda now: True, (A,))}).advice == Advice()
    nobody = Asking(lambda changes: None, lambda changes: True, lambda question: (A,), lambda setting: (), NONE)
    assert advice(nobody) == Advice()


def test_the_making_of_room_is_no_question_of_its_own() -> None:
    failed = {
        Question(gate): Decision(gate, Verdict.FAIL, Reason.MAX_OPEN_POSITIONS)
        for gate in (Gate.DISPLACEMENT, Gate.OPEN_POSITIONS)
    }

    def ask(changes: Changes) -> Said:
        full = Decimal(str(changes.get(("a",), 10))) < 11
        return Said(failed if full else {}, not full)

    reads = {Gate.OPEN_POSITIONS: (A,), Gate.DISPLACEMENT: ()}
    found = advice(Asking(ask, lambda changes: True, lambda question: reads[question.gate], lambda setting: (), NONE))
    assert values(found) == {"a": "11"}
