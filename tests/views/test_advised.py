"""Advice in words: the change as it is typed, the commands that make it, and what stands in the way without one."""

from decimal import Decimal

from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.replaying.asking import Advice, Question
from tradebot.replaying.nearest import Change, Setting
from tradebot.views.advised import advised, text_of, unsearched

WHOSE = ("flow", "NVDA")
SCORE = Change(Setting(("limits", "min_score"), Decimal("0.2")), Decimal("0.190"), Decimal("0.191"))
CLUSTER = Change(Setting(("strategies", "flow", "min_cluster"), Decimal(2)), Decimal(1), Decimal(2))
FAILED = {
    Question(Gate.STRATEGY, "cluster"): Decision(
        Gate.STRATEGY, Verdict.FAIL, Reason.CLUSTER_TOO_SMALL, 0, 2, about="cluster", unit="alerts"
    ),
    Question(Gate.SCORE): Decision(Gate.SCORE, Verdict.FAIL, Reason.SCORE_BELOW_MIN, 0.1, 0.2),
}


def test_the_change_is_told_with_its_commands_and_what_else_it_does() -> None:
    told = advised(WHOSE, Advice((SCORE, CLUSTER)), FAILED, looser=True, also=["KO", "F"], instead=["GE"])
    assert told.sentence == (
        "With limits.min_score 0.19 (it was 0.2) and strategies.flow.min_cluster 1 (it was 2), NVDA would have gone "
        "out. So would KO and F. But not GE."
    )
    assert told.commands == (
        "tradebot config set limits.min_score 0.19 strategies.flow.min_cluster 1",
        "tradebot config accept",
    )
    assert told.through


def test_a_tighter_change_needs_no_approval_and_an_order_that_waits_is_not_called_sent() -> None:
    told = advised(WHOSE, Advice((SCORE,)), FAILED, looser=False, sends=False)
    assert told.commands == ("tradebot config set limits.min_score 0.19",)
    assert told.sentence == (
        "With limits.min_score 0.19 (it was 0.2), NVDA would have passed every gate. No other order in that pass "
        "would change."
    )


def test_without_a_change_the_sentence_says_what_stands_in_the_way() -> None:
    closed = advised(WHOSE, Advice(closed=Question(Gate.STRATEGY, "cluster")), FAILED, looser=False)
    assert closed.sentence == (
        "No change of one or two settings lets it through: nothing opens strategy: cluster "
        "(CLUSTER_TOO_SMALL, 0 alerts against 2 alerts)."
    )
    assert not closed.through
    several = advised(WHOSE, Advice(), FAILED, looser=False)
    assert several.sentence.endswith("lets it through: it is refused by strategy: cluster and score.")
    behind = advised(WHOSE, Advice(behind=(Question(Gate.OWN_NEW_ENTRIES),), crowded=True), FAILED, looser=False)
    assert behind.sentence == (
        "No change of one or two settings lets it through beside the orders that go first: it is refused by strategy: "
        "cluster and score, and with those open, by own_new_entries."
    )
    unknown = advised(WHOSE, Advice(known=False), FAILED, looser=False)
    assert "lets it through, leaving out flow's own: what it would have proposed with others isn't" in unknown.sentence
    incomplete = advised(WHOSE, Advice(complete=False), FAILED, looser=False)
    assert "leaving out some values of flow's own, of which there are too many" in incomplete.sentence
    assert unsearched(WHOSE, "it isn't kept").sentence.endswith("can't be searched: it isn't kept.")


def test_what_is_in_force_already_is_told_and_not_set_again() -> None:
    now = {SCORE.setting.path: Decimal("0.15"), CLUSTER.setting.path: Decimal(3)}
    told = advised(WHOSE, Advice((SCORE, CLUSTER)), FAILED, looser=False, now=now)
    assert told.sentence.endswith("That is in force already: now, limits.min_score is 0.15.")
    assert told.commands == ("tradebot config set strategies.flow.min_cluster 1",)
    done = advised(WHOSE, Advice((SCORE,)), FAILED, looser=True, now={SCORE.setting.path: Decimal("0.19")})
    assert done.commands == ()


def test_values_are_told_as_they_are_typed() -> None:
    assert [text_of(value) for value in (Decimal("0.0340"), Decimal("5.3E+3"), None, True)] == [
        "0.034", "5300", "null", "true",
    ]  # fmt: skip
