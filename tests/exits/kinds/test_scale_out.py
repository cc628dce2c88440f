"""Each level of a scale-out closes its share of the original quantity once, in whole shares, the last one the rest."""

from decimal import ROUND_FLOOR, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import held, instrument
from tradebot.exits.kind import Held, Input, Measure
from tradebot.exits.kinds.scale_out import Level, ScaleOut
from tradebot.exits.lists import in_force, parse
from tradebot.model.candidate import ScaleOutLevel
from tradebot.model.position import Kept, Lot
from tradebot.model.values import replace

D = Decimal
SOURCES = [("0.02", "0.3"), ("0.05", "0.3"), ("0.10", "0.4")]
RULE = ScaleOut(levels=tuple(Level(fraction=D(fraction), share=D(share)) for fraction, share in SOURCES))


def left_of(original: int, quantity: int) -> Held:
    """Return what is left of a position that was opened with `original` shares."""
    of = held(str(quantity))
    return replace(of, kept=Kept(original_quantity=D(abs(original)), instrument=instrument()))


def closed(of: Held, price: Decimal, rule: ScaleOut = RULE) -> Decimal:
    measure = rule.measure(of, price)
    assert isinstance(measure, Measure)
    return (abs(of.position.quantity) if measure.shares is None else measure.shares) if measure.closes else D(0)


@pytest.mark.parametrize(
    ("original", "quantity", "price", "shares"),
    [
        (10, 10, "101.99", 0),
        (10, 10, "102", 3),
        (10, 7, "104.99", 0),
        (10, 7, "105", 3),
        (10, 10, "105", 6),  # both levels in one leap
        (10, 4, "110", 4),
        (10, 10, "110", 10),
        (7, 7, "102", 2),  # whole shares: 2.1
        (7, 5, "105", 2),  # and 2.1 more
        (7, 3, "110", 3),
        (2, 2, "105", 0),  # each is rounded down by itself, and the last closes what is left
        (2, 2, "110", 2),
        (-10, -10, "98", 3),
        (-10, -7, "90", 7),
    ],
)
def test_a_level_closes_what_it_leaves_too_many_of(original: int, quantity: int, price: str, shares: int) -> None:
    assert closed(left_of(original, quantity), D(price)) == shares


@given(st.integers(1, 500), st.lists(st.decimals("90", "112", places=1), min_size=1, max_size=12), st.booleans())
def test_whatever_way_the_price_takes_each_level_closes_its_share_once(
    original: int, prices: list[Decimal], is_short: bool
) -> None:
    quantity, best = D(original), D(0)
    for price in prices:
        sign = -1 if is_short else 1
        of = left_of(original, int(sign * quantity))
        quantity -= closed(of, 200 - price if is_short else price) if quantity else D(0)
        best = max(best, price / 100 - 1)
        due = [original * D(share) for fraction, share in SOURCES if D(fraction) <= best]
        closes = [D(original)] if len(due) == len(SOURCES) else [one.to_integral_value(ROUND_FLOOR) for one in due]
        assert quantity == original - sum(closes)
        if not quantity:
            return


@pytest.mark.parametrize(
    ("quantity", "parts", "runner"), [("1.37", ["0.54", "0.54"], "0.29"), ("0.05", ["0.02", "0.02"], "0.01")]
)
@pytest.mark.parametrize("side", [1, -1])
def test_a_ladder_has_its_parts_from_the_entry_and_the_rest_runs(
    quantity: str, parts: list[str], runner: str, side: int
) -> None:
    ladder = ScaleOut(levels=(Level(fraction=D("0.029"), share=D("0.4")), Level(fraction=D("0.0725"), share=D("0.4"))))
    terms = instrument(lot=D("0.01"))
    of = replace(held(f"{side * D(quantity)}"), kept=Kept(original_quantity=D(quantity), instrument=terms))
    targets = ladder.targets(of)
    assert [f"{target.price:f}" for target in targets] == [f"{100 + side * D(one):f}" for one in ("2.900", "7.2500")]
    assert [f"{target.shares:f}" for target in targets] == parts
    assert D(quantity) - sum(map(D, parts)) == D(runner)
    # The second level asks for no more once the first has filled, whatever the first was rounded to.
    left = D(quantity) - D(parts[0])
    later = replace(of, position=held(f"{side * left}").position)
    assert [f"{target.shares:f}" for target in ladder.targets(later)] == parts[1:]


def test_a_fraction_of_a_share_goes_with_the_last_level_and_with_no_other() -> None:
    of = replace(held("10.5"), kept=Kept(original_quantity=D("10.5"), instrument=instrument()))
    assert closed(of, D(105)) == 6
    (lot,) = of.position.lots
    rest = replace(of, position=replace(of.position, lots=(Lot(D("4.5"), lot.price, lot.at),)))
    assert closed(rest, D(110)) == D("4.5")


def test_books_that_know_of_fewer_shares_than_are_held_know_nothing() -> None:
    for known in (0, 9):
        of = replace(held("10"), kept=Kept(original_quantity=D(known), instrument=instrument()))
        assert RULE.measure(of, D(110)) == Input.ORIGINAL_QUANTITY
        assert RULE.targets(of) == ()


def test_without_the_original_quantity_it_can_not_tell() -> None:
    assert RULE.measure(held("10"), D(110)) == Input.ORIGINAL_QUANTITY
    assert RULE.targets(held("10")) == ()
    assert RULE.level(held("10")).price is None


@pytest.mark.parametrize(("quantity", "prices"), [(10, ["102", "105", "110"]), (7, ["105", "110"]), (-4, ["90"])])
def test_the_level_of_a_scale_out_is_that_of_its_next_shares(quantity: int, prices: list[str]) -> None:
    of = left_of(10, quantity)
    assert [target.price for target in RULE.targets(of)] == [D(price) for price in prices]
    assert sum(target.shares for target in RULE.targets(of)) == abs(quantity)
    assert RULE.level(of).price == D(prices[0])


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([("0.05", 0.3), ("0.02", 0.3)], "must have levels that rise"),
        ([("0.02", 0.7), ("0.05", 0.4)], "must have shares that add up to 1 at most"),
        ([], "scale_out.levels: must not be empty"),
    ],
)
def test_levels_that_contradict_each_other_do_not_load(levels: list[tuple[str, float]], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse([{"scale_out": {"levels": [{"fraction": fraction, "share": share} for fraction, share in levels]}}])


def test_a_level_at_the_profit_target_does_not_load() -> None:
    levels = [{"fraction": 0.02, "share": 0.5}, {"fraction": 0.05, "share": 0.5}]
    with pytest.raises(ValueError, match="the target closes first, so the level could never act"):
        parse([{"scale_out": {"levels": levels}}, {"profit_target": {"fraction": 0.05}}])


def test_a_position_that_was_opened_with_targets_has_them_instead_of_its_strategys() -> None:
    kept = Kept(targets=(ScaleOutLevel(D("0.01"), D("0.5")),))
    assert in_force((RULE,), kept) == (ScaleOut(levels=(Level(fraction=D("0.01"), share=D("0.5")),)),)
