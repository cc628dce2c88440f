"""Each level of a ladder is judged by itself, once, and closes its part of the filled entry in whole lots."""

from decimal import ROUND_FLOOR, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW, held, instrument
from tradebot.exits.kind import Held, Input, Measure
from tradebot.exits.kinds.ladder import Ladder, Rung
from tradebot.exits.kinds.profit_target import ProfitTarget
from tradebot.exits.lists import ExitRulesError, in_force, levels, parse
from tradebot.model.candidate import ScaleOutLevel, Side
from tradebot.model.order import Fill
from tradebot.model.position import Kept, Lot, OwnedFill, Position, add
from tradebot.model.values import replace

D = Decimal
RISK = D("0.029")
RULE = Ladder(levels=(Rung(r=D(1), share=D("0.4")), Rung(r=D("2.5"), share=D("0.4"))))


def of(
    original: str, left: str | None = None, *, seen: str | None = "100", minimum: str = "0.01", side: int = 1
) -> Held:
    """Return a position entered at 100 with its stop at 2.9 %, first seen at the price `seen`; a short is a mirror."""
    quantity = D(original if left is None else left)
    kept = Kept(
        original_quantity=D(original),
        instrument=instrument(lot=D("0.01")),
        minimum=D(minimum),
        stop_loss_fraction=RISK,
        first_gain=None if seen is None else D(seen) / 100 - 1,
    )
    return replace(held(f"{side * quantity:f}"), kept=kept)


def on_side(price: Decimal, side: int) -> Decimal:
    """Return a price of a long, or its mirror image at 100."""
    return price if side > 0 else 200 - price


def fill(name: str, side: Side, quantity: Decimal, price: Decimal) -> Fill:
    return Fill(name, "", "AAPL", side, quantity, price, NOW)


def targets(one: Held, rule: Ladder = RULE) -> list[tuple[str, str]]:
    return [(f"{price.normalize():f}", f"{shares:f}") for price, shares, _ in rule.targets(one)]


def closed(one: Held, price: Decimal, rule: Ladder = RULE) -> Decimal:
    measure = rule.measure(one, price)
    assert isinstance(measure, Measure)
    return (abs(one.position.quantity) if measure.shares is None else measure.shares) if measure.closes else D(0)


@pytest.mark.parametrize(
    ("original", "minimum", "parts"),
    [
        ("1.37", "0.01", [("102.9", "0.54"), ("107.25", "0.54")]),
        ("0.05", "0.01", [("102.9", "0.02"), ("107.25", "0.02")]),
        ("0.05", "0.03", []),  # everything runs
    ],
)
def test_parts_are_those_of_the_filled_entry_and_small_ones_run(
    original: str, minimum: str, parts: list[tuple[str, str]]
) -> None:
    assert targets(of(original, minimum=minimum)) == parts
    mirror = [(f"{200 - D(price):f}", shares) for price, shares in parts]
    assert targets(of(original, minimum=minimum, side=-1)) == mirror


@pytest.mark.parametrize(
    ("seen", "placed"),
    [
        ("100", ["102.9", "107.25"]),
        ("102.59", ["102.9", "107.25"]),
        ("102.5913", ["107.25"]),  # 0.3 % of 102.9 away, which is near
        ("103", ["107.25"]),  # TP1 was passed
        ("106.9", ["107.25"]),
        ("106.95", []),  # none only if all are invalid
        ("110", []),
        (None, ["102.9", "107.25"]),
    ],
)
def test_one_invalid_level_never_throws_the_others_away(seen: str | None, placed: list[str]) -> None:
    assert [price for price, _ in targets(of("1.37", seen=seen))] == placed
    assert {shares for _, shares in targets(of("1.37", seen=seen))} <= {"0.54"}


def test_a_skipped_level_stays_skipped_and_a_placed_one_fills_when_the_price_comes_back() -> None:
    one = of("1.37", seen="103")
    # A pass does what a resting order would: nothing at the skipped level, TP2's part at TP2.
    assert [closed(one, D(price)) for price in ("103", "101", "102.9", "107.24", "107.25")] == [0, 0, 0, 0, D("0.54")]
    after = of("1.37", "0.83", seen="103")
    assert (closed(after, D("107.25")), targets(after)) == (D(0), [])
    assert closed(of("1.37"), D("103")) == D("0.54")


def test_what_is_left_of_a_partly_filled_level_is_still_due() -> None:
    assert targets(of("1.37", "1.00")) == [("102.9", "0.17"), ("107.25", "0.54")]
    assert targets(of("1.37", "0.50")) == [("107.25", "0.21")]


def test_a_level_does_not_move_when_the_oldest_shares_leave() -> None:
    one = of("2")
    (lot,) = one.position.lots
    both = (Lot(D(1), D(98), lot.at), Lot(D(1), D(102), lot.at))
    whole = replace(one.position, lots=both, original_quantity=D(2), entry_cost=D(200))
    rest = replace(whole, lots=both[1:])
    assert rest.average_price == 102
    assert targets(replace(one, position=whole)) == [("102.9", "0.8"), ("107.25", "0.8")]
    assert targets(replace(one, position=rest)) == [("107.25", "0.6")]


def test_the_final_target_ends_the_runner_only_beyond_the_last_level() -> None:
    for target, expected in (
        ("0.08", ["102.9", "107.25", "108"]),
        ("0.0725", ["102.9", "107.25"]),
        ("0.05", ["102.9", "107.25"]),
    ):
        one = of("1.37")
        one = replace(one, kept=replace(one.kept, profit_target_fraction=D(target)))
        placed = levels(one, in_force((RULE,), one.kept)).targets
        assert [f"{each.price.normalize():f}" for each in placed] == expected
        if len(placed) == 3:
            assert [each.shares for each in placed] == [D("0.54"), D("0.54"), D("0.29")]
            assert placed[-1].word == "profit_target"


def test_without_a_stop_of_the_entry_nothing_is_a_step_and_the_target_stays() -> None:
    one = of("1.37")
    bare = replace(one, kept=replace(one.kept, stop_loss_fraction=None))
    assert (RULE.measure(bare, D(110)), targets(bare)) == (Input.ENTRY_STOP, [])
    target = ProfitTarget(fraction=D("0.05"))
    assert target in in_force((RULE, target), bare.kept)
    assert target not in in_force((RULE, target), one.kept)


def test_a_position_with_its_own_scale_out_has_no_ladder() -> None:
    kept = replace(of("1.37").kept, targets=(ScaleOutLevel(D("0.01"), D("0.5")),), profit_target_fraction=D("0.05"))
    assert [rule.name for rule in in_force((RULE,), kept)] == ["stop_loss", "profit_target", "scale_out"]


def test_a_short_never_waits_for_a_price_of_nothing() -> None:
    one = of("1.37", side=-1)
    wide = replace(one, kept=replace(one.kept, stop_loss_fraction=D("0.5")))
    assert targets(wide) == [("50", "0.54")]


@pytest.mark.parametrize(
    ("listed", "fault"),
    [
        ([{"ladder": {"levels": [{"r": 2, "share": 0.4}, {"r": 1, "share": 0.4}]}}], "rise from one to the next"),
        ([{"ladder": {"levels": [{"r": 1, "share": 0.6}, {"r": 2, "share": 0.5}]}}], "add up to 1 at most"),
        (
            [
                {"ladder": {"levels": [{"r": 1, "share": 0.4}]}},
                {"scale_out": {"levels": [{"fraction": 1, "share": 1}]}},
            ],
            "list one of them",
        ),
    ],
)
def test_a_ladder_that_makes_no_sense_does_not_load(listed: list[object], fault: str) -> None:
    with pytest.raises(ExitRulesError, match=fault):
        parse(listed)


FILLS = st.lists(st.tuples(st.integers(1, 40), st.decimals("95", "105", places=2)), min_size=1, max_size=4)


@given(FILLS, st.permutations(range(4)), st.integers(0, 160), st.sampled_from(Side))
def test_stop_and_targets_stay_whatever_fills_came_first_and_whichever_shares_leave(
    fills: list[tuple[int, Decimal]], order: list[int], closes: int, side: Side
) -> None:
    def levels_of(drawn: list[tuple[int, Decimal]], closed: int) -> tuple[Decimal | None, list[Decimal]]:
        position = Position("flow", "AAPL", (), D(0))
        exit_side = Side.SELL if side is Side.BUY else Side.BUY
        done = [(side, lots, price) for lots, price in drawn] + [(exit_side, closed, D(100))] * bool(closed)
        for number, (of_fill, lots, price) in enumerate(done):
            position = add(position, OwnedFill("flow", fill(f"{number}", of_fill, D(lots) / 100, price)))
        kept = replace(of("1").kept, original_quantity=position.original_quantity)
        found = levels(Held(position, position.average_price, kept), in_force((RULE,), kept))
        return found.stop, [target.price for target in found.targets]

    bought = sum(lots for lots, _ in fills)
    closed = min(closes, bought - 1)
    stop, placed = levels_of(fills, 0)
    shuffled = [fills[place] for place in order if place < len(fills)]
    assert levels_of(shuffled, 0) == (stop, placed)
    later_stop, left = levels_of(shuffled, closed)
    assert later_stop == stop
    assert left == placed[len(placed) - len(left) :], "only the nearest are done"


@given(
    st.integers(1, 500),
    st.decimals("90", "112", places=1),
    st.lists(st.decimals("90", "112", places=1), min_size=1, max_size=10),
    st.sampled_from([1, -1]),
)
def test_passes_and_resting_targets_close_the_same_whatever_way_the_price_takes(
    lots: int, seen: Decimal, prices: list[Decimal], side: int
) -> None:
    """Follow the price by passes, and by orders that rest; no level moves, and no more is closed than was entered."""
    original = D(lots) / 100
    first = of(f"{original:f}", seen=f"{seen:f}", side=side)
    placed = {price: shares for price, shares, _ in RULE.targets(first)}
    by_pass, resting = original, dict(placed)
    for price in prices:
        one = of(f"{original:f}", f"{by_pass:f}", seen=f"{seen:f}", side=side)
        assert {target.price for target in RULE.targets(one)} <= set(placed)
        by_pass -= closed(one, on_side(price, side)) if by_pass else D(0)
        resting = {at: n for at, n in resting.items() if (on_side(price, side) - at) * side < 0}
        assert by_pass == original - sum(placed.values()) + sum(resting.values())
        assert by_pass >= 0
    for at, shares in placed.items():
        assert (at - on_side(seen, side)) * side > 0
        assert shares == (original * D("0.4") * 100).to_integral_value(ROUND_FLOOR) / 100
