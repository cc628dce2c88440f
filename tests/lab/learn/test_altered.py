"""Which other value is proposed: one that would have earned more beyond chance, among all that were tried."""

from random import Random

from tests.kit.trades import outcomes, trade
from tests.kit.values import there
from tradebot.auditing.confidence_intervals import fewest_sessions
from tradebot.lab.learn.altered import Knob, Other, by_session, proposals
from tradebot.lab.learn.values import LEAST, Item, Outcome

MADE = outcomes(*[trade(number, 1, in_session=number // 4, minutes=10 * (number % 4)) for number in range(80)])


def knob(*others: Other, made: tuple[Outcome, ...] = MADE) -> Knob:
    return Knob(Item.EXITS, "flow", "exits.stop_loss_fraction", "0.02", made, others)


def better(chance: Random, mean: float) -> list[float]:
    return [chance.gauss(mean, 1) for _ in MADE]


def test_value_that_earns_more_beyond_chance_is_proposed_with_its_evidence() -> None:
    chance = Random(1)  # noqa: S311 - repeatable on purpose
    (found,) = proposals([knob(Other("0.01", better(chance, 1)), Other("0.015", better(chance, 0)))])
    assert (found.setting, found.value, found.proposed, found.n) == ("exits.stop_loss_fraction", "0.02", "0.01", 80)
    # Four trades a session, each better by one dollar.
    assert 0 < there(found.low) < 4 < there(found.high)
    assert "With 0.01, 80 trades would have ended otherwise" in found.evidence


def test_value_that_earns_less_beyond_chance_or_no_more_than_chance_is_not_proposed() -> None:
    chance = Random(2)  # noqa: S311 - repeatable on purpose
    (found,) = proposals([knob(Other("0.01", better(chance, -1)), Other("0.015", better(chance, 0)))])
    assert (found.proposed, found.missing, found.missing_sessions) == (None, 0, 0)
    assert found.evidence.startswith("Nothing beyond chance, with 2 values tried in all. With 0.015, 80 trades")
    (worse,) = proposals([knob(Other("0.01", better(chance, -1)))])
    assert worse.evidence.startswith("No other value that was tried would have earned more. With 0.01, 80 trades")


def test_value_that_would_have_earned_more_is_shown_before_one_that_would_have_earned_less() -> None:
    chance = Random(5)  # noqa: S311 - repeatable on purpose
    less, more = [each / 100 for each in better(chance, -1)], [50 * each for each in better(chance, 0.1)]
    (found,) = proposals([knob(Other("0.01", less), Other("0.015", more))])
    assert found.observed
    assert found.observed > 0 > there(found.low)


def test_more_values_take_more_proof() -> None:
    chance = Random(3)  # noqa: S311 - repeatable on purpose
    weak = Other("0.01", better(chance, 0.5))
    assert next(iter(proposals([knob(weak)]))).proposed == "0.01"
    many = [knob(Other(str(number), better(chance, 0))) for number in range(60)]
    assert next(iter(proposals([knob(weak), *many]))).proposed is None


def test_too_few_trades_or_sessions_say_how_many_are_missing() -> None:
    def of(made: tuple[Outcome, ...]) -> tuple[int, int, str]:
        (found,) = proposals([knob(Other("0.01", [5.0] * len(made)), made=made)])
        assert (found.proposed is None) is (found.observed is None) is bool(found.missing or found.missing_sessions)
        return found.missing, found.missing_sessions, found.evidence

    assert of(MADE[:10]) == (
        20,
        5,
        "10 closed trades: 20 more closed trades and 5 more sessions with closed trades are needed.",
    )
    assert of(MADE[:28])[:2] == (LEAST - 28, 1)
    assert of(MADE[:31])[:2] == (0, 0)
    assert of(())[:2] == (LEAST, fewest_sessions(1))


def test_value_that_changes_nothing_is_not_tested() -> None:
    (found,) = proposals([knob(Other("0.01", [0.0] * 80))])
    assert (found.proposed, found.evidence) == (None, "No other value would have changed any of these trades.")


def test_session_counts_once() -> None:
    assert by_session(MADE[:6], [1, 2, 3, 4, 5, 6]) == [10, 11]
