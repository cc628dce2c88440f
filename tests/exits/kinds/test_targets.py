"""Profits in steps: measured in the initial risk, or in the entry price."""

from decimal import ROUND_FLOOR, Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.kit.values import NOW, held, instrument
from tradebot.exits.exit_rule import Measure, RuleInput, WatchedPosition
from tradebot.exits.kinds.targets import GainLevel, Ladder, ProfitTarget, ScaleOut, TargetRung
from tradebot.exits.rules import ExitRulesError, effective_rules, parse, rule_levels
from tradebot.model.candidate import ScaleOutLevel, Side
from tradebot.model.order import Fill
from tradebot.model.position import EntryTerms, Lot, OwnedFill, Position, add
from tradebot.model.struct_tools import replace

D = Decimal
RISK = D("0.029")
LADDER = Ladder(levels=(TargetRung(r=D(1), share=D("0.4")), TargetRung(r=D("2.5"), share=D("0.4"))))


def of(
    original: str, left: str | None = None, *, seen: str | None = "100", minimum: str = "0.01", side: int = 1
) -> WatchedPosition:
    """Return a position entered at 100 with its stop at 2.9 %, first seen at the price `seen`; a short is a mirror."""
    quantity = D(original if left is None else left)
    kept = EntryTerms(
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


def targets(one: WatchedPosition, rule: Ladder = LADDER) -> list[tuple[str, str]]:
    return [(f"{price.normalize():f}", f"{shares:f}") for price, shares, _ in rule.targets(one)]


def closed(one: WatchedPosition, price: Decimal, rule: Ladder | ScaleOut = LADDER) -> Decimal:
    measure = rule.measure(one, price)
    assert isinstance(measure, Measure)
    return (abs(one.position.quantity) if measure.shares is None else measure.shares) if measure.closes else D(0)


@pytest.mark.parametrize("side", [1, -1])
def test_everything_runs_if_each_part_is_below_the_smallest_order(side: int) -> None:
    assert [shares for _, shares in targets(of("0.05", minimum="0.02", side=side))] == ["0.02", "0.02"]
    assert targets(of("0.05", minimum="0.03", side=side)) == []


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


def test_what_is_left_of_a_level_is_still_due_and_none_moves_when_the_oldest_shares_leave() -> None:
    assert targets(of("1.37", "1.00")) == [("102.9", "0.17"), ("107.25", "0.54")]
    assert targets(of("1.37", "0.50")) == [("107.25", "0.21")]
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
        placed = rule_levels(one, effective_rules((LADDER,), one.kept)).targets
        assert [f"{each.price.normalize():f}" for each in placed] == expected
        if len(placed) == 3:
            assert [each.shares for each in placed] == [D("0.54"), D("0.54"), D("0.29")]
            assert placed[-1].word == "profit_target"


def test_without_a_stop_of_the_entry_nothing_is_a_step_and_the_target_stays() -> None:
    one = of("1.37")
    bare = replace(one, kept=replace(one.kept, stop_loss_fraction=None))
    assert (LADDER.measure(bare, D(110)), targets(bare)) == (RuleInput.ENTRY_STOP, [])
    target = ProfitTarget(fraction=D("0.05"))
    assert target in effective_rules((LADDER, target), bare.kept)
    assert target not in effective_rules((LADDER, target), one.kept)


def test_a_position_that_was_opened_with_targets_has_them_instead_of_its_strategys_and_no_ladder() -> None:
    kept = replace(of("1.37").kept, targets=(ScaleOutLevel(D("0.01"), D("0.5")),), profit_target_fraction=D("0.05"))
    assert [rule.name for rule in effective_rules((LADDER,), kept)] == ["stop_loss", "profit_target", "scale_out"]
    own = ScaleOut(levels=(GainLevel(fraction=D("0.01"), share=D("0.5")),))
    assert effective_rules((SCALE_OUT,), EntryTerms(targets=kept.targets)) == (own,)


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
        found = rule_levels(WatchedPosition(position, position.average_price, kept), effective_rules((LADDER,), kept))
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
    placed = {price: shares for price, shares, _ in LADDER.targets(first)}
    by_pass, resting = original, dict(placed)
    for price in prices:
        one = of(f"{original:f}", f"{by_pass:f}", seen=f"{seen:f}", side=side)
        assert {target.price for target in LADDER.targets(one)} <= set(placed)
        by_pass -= closed(one, on_side(price, side)) if by_pass else D(0)
        resting = {at: n for at, n in resting.items() if (on_side(price, side) - at) * side < 0}
        assert by_pass == original - sum(placed.values()) + sum(resting.values())
        assert by_pass >= 0
    for at, shares in placed.items():
        assert (at - on_side(seen, side)) * side > 0
        assert shares == (original * D("0.4") * 100).to_integral_value(ROUND_FLOOR) / 100


SOURCES = [("0.02", "0.3"), ("0.05", "0.3"), ("0.10", "0.4")]
SCALE_OUT = ScaleOut(levels=tuple(GainLevel(fraction=D(fraction), share=D(share)) for fraction, share in SOURCES))


def left_of(original: int, quantity: int) -> WatchedPosition:
    """Return what is left of a position that was opened with `original` shares."""
    of = held(str(quantity))
    return replace(of, kept=EntryTerms(original_quantity=D(abs(original)), instrument=instrument()))


@given(st.integers(1, 500), st.lists(st.decimals("90", "112", places=1), min_size=1, max_size=12), st.booleans())
def test_whatever_the_price_does_each_level_closes_once(original: int, prices: list[Decimal], is_short: bool) -> None:
    quantity, best = D(original), D(0)
    for price in prices:
        sign = -1 if is_short else 1
        of = left_of(original, int(sign * quantity))
        quantity -= closed(of, 200 - price if is_short else price, SCALE_OUT) if quantity else D(0)
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
def test_a_ladder_has_its_parts_and_the_rest_runs(quantity: str, parts: list[str], runner: str, side: int) -> None:
    ladder = ScaleOut(
        levels=(GainLevel(fraction=D("0.029"), share=D("0.4")), GainLevel(fraction=D("0.0725"), share=D("0.4")))
    )
    terms = instrument(lot=D("0.01"))
    of = replace(held(f"{side * D(quantity)}"), kept=EntryTerms(original_quantity=D(quantity), instrument=terms))
    targets = ladder.targets(of)
    assert [f"{target.price:f}" for target in targets] == [f"{100 + side * D(one):f}" for one in ("2.900", "7.2500")]
    assert [f"{target.shares:f}" for target in targets] == parts
    assert D(quantity) - sum(map(D, parts)) == D(runner)
    # The second level asks for no more once the first has filled, whatever the first was rounded to.
    left = D(quantity) - D(parts[0])
    later = replace(of, position=held(f"{side * left}").position)
    assert [f"{target.shares:f}" for target in ladder.targets(later)] == parts[1:]


def test_a_fraction_of_a_share_goes_with_the_last_level_and_with_no_other() -> None:
    of = replace(held("10.5"), kept=EntryTerms(original_quantity=D("10.5"), instrument=instrument()))
    assert closed(of, D(105), SCALE_OUT) == 6
    (lot,) = of.position.lots
    rest = replace(of, position=replace(of.position, lots=(Lot(D("4.5"), lot.price, lot.at),)))
    assert closed(rest, D(110), SCALE_OUT) == D("4.5")


def test_a_level_closes_what_it_leaves_too_many_of() -> None:
    """Of what was opened and is left, at a price, so many shares: two levels in one leap, each part rounded down."""
    rows = "10 10 101.99 0 | 10 10 102 3 | 10 7 104.99 0 | 10 7 105 3 | 10 10 105 6 | 10 4 110 4 | 10 10 110 10 | "
    rows += "7 7 102 2 | 7 5 105 2 | 7 3 110 3 | 2 2 105 0 | 2 2 110 2 | -10 -10 98 3 | -10 -7 90 7"
    for original, quantity, price, shares in (row.split() for row in rows.split(" | ")):
        found = closed(left_of(int(original), int(quantity)), D(price), SCALE_OUT)
        assert found == D(shares), (original, quantity, price)


def test_scale_out_of_books_that_know_of_no_shares_or_of_fewer_than_are_held_can_not_tell() -> None:
    for known in (None, D(0), D(9)):
        of = replace(held("10"), kept=EntryTerms(original_quantity=known, instrument=instrument()))
        assert SCALE_OUT.measure(of, D(110)) == RuleInput.ORIGINAL_QUANTITY
        assert (SCALE_OUT.targets(of), SCALE_OUT.level(of).price) == ((), None)


@pytest.mark.parametrize(("quantity", "prices"), [(10, ["102", "105", "110"]), (7, ["105", "110"]), (-4, ["90"])])
def test_the_level_of_a_scale_out_is_that_of_its_next_shares(quantity: int, prices: list[str]) -> None:
    of = left_of(10, quantity)
    assert [target.price for target in SCALE_OUT.targets(of)] == [D(price) for price in prices]
    assert sum(target.shares for target in SCALE_OUT.targets(of)) == abs(quantity)
    assert SCALE_OUT.level(of).price == D(prices[0])


@pytest.mark.parametrize(
    ("levels", "words"),
    [
        ([("0.05", 0.3), ("0.02", 0.3)], "must have levels that rise"),
        ([("0.02", 0.7), ("0.04", 0.4)], "must have shares that add up to 1 at most"),
        ([], "scale_out.levels: must not be empty"),
        ([("0.02", 0.5), ("0.06", 0.5)], "the target closes first, so the level could never act"),
    ],
)
def test_levels_that_contradict_themselves_or_the_target_do_not_load(
    levels: list[tuple[str, float]], words: str
) -> None:
    written = [{"fraction": fraction, "share": share} for fraction, share in levels]
    with pytest.raises(ValueError, match=words):
        parse([{"scale_out": {"levels": written}}, {"profit_target": {"fraction": 0.06}}])
