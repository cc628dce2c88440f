"""Whether trades with a strong score did better, from which no setting follows."""

from tests.kit.trades import outcomes, trade
from tradebot.lab.learn.learn import conviction


def test_stronger_scores_that_earn_more_are_evidence_without_a_setting() -> None:
    made = [
        trade(
            number,
            5 + number % 3 if number % 2 else -number % 3,
            in_session=number // 4,
            entry_score=0.3 + 0.2 * (number % 2),
        )
        for number in range(48)
    ]
    found = conviction("flow", outcomes(*made))
    assert (found.setting, found.proposed, found.missing, found.n) == (None, None, 0, 48)
    assert "more than chance. No setting follows" in found.evidence


def test_scores_that_say_nothing_about_returns_are_no_more_than_chance() -> None:
    made = [
        trade(
            number, (-1) ** (number // 2), in_session=number // 4, minutes=number, entry_score=-0.3 - 0.2 * (number % 2)
        )
        for number in range(48)
    ]
    made += [trade(100, 5, in_session=1, entry_score=-0.5), trade(101, -5, in_session=2, entry_score=-0.5)]
    assert "no more than chance" in conviction("flow", outcomes(*made)).evidence


def test_few_trades_say_how_many_are_missing() -> None:
    found = conviction("flow", outcomes(*[trade(number, 1, entry_score=None) for number in range(40)], trade(50, 1)))
    assert (found.n, found.missing, found.missing_sessions, found.observed) == (1, 29, 8, None)
    assert "29 more closed trades and 8 more sessions" in found.evidence
