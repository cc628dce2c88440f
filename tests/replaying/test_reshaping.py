"""Of what shapes a proposal, the nearest value that helps is found, though what is beyond it needn't help."""

from collections.abc import Callable
from decimal import Decimal
from math import inf

from tests.kit.values import candidate
from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.values import replace
from tradebot.replaying.advice import advice
from tradebot.replaying.asking import Advice, Asking, Changes, Proposing, Question, Said
from tradebot.replaying.nearest import Setting
from tradebot.replaying.reshaping import ways
from tradebot.replaying.scale import Scale

SHARE = Scale(whole=False, least=Decimal(0), most=Decimal(1), above=True)
COUNT = Scale(whole=True, least=Decimal(1), most=Decimal(1000))
WINDOW, WORD = (
    Setting(("strategies", "flow", "window"), Decimal(100), COUNT),
    Setting(("strategies", "flow", "word"), None, choices=("calls", "puts")),
)
LEAST = Setting(("limits", "min_score"), Decimal("0.5"), SHARE)
IDLE = Setting(("limits", "idle"), Decimal(10), COUNT)
Scoring = Callable[[Changes], float]


class Made:
    """A made-up strategy whose score follows from a window and a word, and one gate that compares it with `least`.

    Another one asks for coverage, which no gate's setting opens.
    """

    def __init__(
        self,
        scoring: Scoring,
        *,
        covers: Callable[[Changes], bool] = lambda now: True,
        whole: Callable[[Changes], bool] = lambda now: True,
        least: Setting = LEAST,
        most: float = inf,
    ) -> None:
        self.most, self.scoring, self.covers, self.whole, self.least = most, scoring, covers, whole, least

    def proposed(self, changes: Changes) -> Candidate:
        return replace(candidate("AAPL"), score=self.scoring(changes), coverage=float(self.covers(changes)))

    def alone(self, changes: Changes) -> Said:
        score, least = self.scoring(changes), float(str(changes.get(self.least.path, 0.5)))
        weak = Decision(Gate.SCORE, Verdict.FAIL, Reason.SCORE_BELOW_MIN, score, least)
        thin = Decision(Gate.COVERAGE, Verdict.FAIL, Reason.COVERAGE_BELOW_MIN)
        failed = {Question(Gate.SCORE): weak} if score < least else {}
        failed |= {} if self.covers(changes) else {Question(Gate.COVERAGE): thin}
        return Said(failed, through=not failed)

    def ask(self, changes: Changes) -> Said:
        said = self.alone(changes)
        if said.through and not self.whole(changes):
            taken = Decision(Gate.OWN_NEW_ENTRIES, Verdict.FAIL, Reason.OWN_MAX_NEW_ENTRIES)
            return Said({Question(Gate.OWN_NEW_ENTRIES): taken}, through=False)
        return said

    @property
    def advice(self) -> Advice:
        proposing = Proposing((WINDOW, WORD), True, self.most, self.proposed, self.alone, lambda: self.alone({}))
        reads = {Gate.SCORE: (self.least,), Gate.COVERAGE: (IDLE,)}
        return advice(Asking(self.ask, lambda _: True, lambda one: reads.get(one.gate, ()), lambda _: (), proposing))


def window(changes: Changes) -> Decimal:
    return Decimal(str(changes.get(WINDOW.path, WINDOW.value)))


def values(found: Advice) -> dict[str, object]:
    return {change.setting.key: change.value for change in found.changes}


def test_a_window_of_values_that_helps_is_found_with_its_nearest_one() -> None:
    found = Made(lambda now: 0.6 if 130 <= window(now) <= 170 else 0.001).advice
    assert values(found) == {"strategies.flow.window": Decimal(130)}
    assert found.changes[0].nearer == Decimal(129)


def test_the_smaller_change_wins_whether_it_shapes_the_proposal_or_is_a_gates() -> None:
    far = Made(lambda now: 0.6 if window(now) >= 400 else 0.48).advice
    assert values(far) == {"limits.min_score": Decimal("0.48")}
    near = Made(lambda now: 0.6 if window(now) >= 101 else 0.1).advice
    assert values(near) == {"strategies.flow.window": Decimal(101)}


def test_a_choice_helps_if_no_number_does() -> None:
    found = Made(lambda now: 0.6 if now.get(WORD.path) == "puts" else 0.0).advice
    assert values(found) == {"strategies.flow.word": "puts"}


def test_a_value_that_only_makes_a_score_goes_with_a_lower_limit() -> None:
    found = Made(lambda now: 0.4 if window(now) >= 150 else 0.0).advice
    assert values(found) == {"strategies.flow.window": Decimal(150), "limits.min_score": Decimal("0.4")}


def test_two_settings_that_shape_the_proposal_are_changed_if_no_gates_setting_helps() -> None:
    def scoring(now: Changes) -> float:
        return 0.6 if now.get(WORD.path) == "puts" else 0.1

    found = Made(scoring, covers=lambda now: window(now) >= 150, least=IDLE).advice
    assert values(found) == {"strategies.flow.window": Decimal(150), "strategies.flow.word": "puts"}
    none = Made(lambda now: 0.1, covers=lambda now: window(now) >= 150, least=IDLE).advice
    assert (none.changes, none.closed) == ((), Question(Gate.SCORE))


def test_what_goes_through_alone_but_not_beside_others_is_no_advice() -> None:
    found = Made(lambda now: 0.6 if window(now) >= 150 else 0.0, whole=lambda now: False).advice
    assert found.changes == ()
    assert found.crowded
    assert found.complete


def test_a_strategy_that_may_be_asked_only_so_often_is_not_searched_completely() -> None:
    scoring: Scoring = lambda now: 0.6 if 130 <= window(now) <= 170 else 0.001  # noqa: E731
    assert Made(scoring, most=200).advice.changes
    assert not Made(lambda now: 0.0, most=3).advice.complete


def test_values_are_tried_from_the_near_ones_to_both_ends() -> None:
    up, down = ways(WINDOW)
    assert (up.values[0], up.values[-1]) == (Decimal(101), Decimal(1000))
    assert (down.values[0], down.values[-1]) == (Decimal(99), Decimal(1))
    assert [one.values for one in ways(WORD)] == [("calls",), ("puts",)]
    (off,) = ways(Setting(("x",), None, COUNT))
    assert (off.values[0], off.values[-1]) == (Decimal(1), Decimal(1000))
