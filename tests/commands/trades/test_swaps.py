"""`trades --swaps` on screens of two widths: a row for each swap, with both values."""

from decimal import Decimal
from typing import Any

import pytest

from commands.shared.tables import Screen
from commands.shared.times import show_utc
from commands.trades.swaps import EARNED, VALUES, Swaps, _is_chosen, show, swap_assumptions
from tests.kit.values import NOW, ago, fill
from tests.views.trades.test_trade_row import gave_way
from tests.views.trades.test_trades import MARKET, past
from tradebot.model.struct_tools import replace
from tradebot.views.trades.swaps import SwapRow
from tradebot.views.trades.trade_row import Choice
from tradebot.views.trades.trades import rows_of

D = Decimal
ROW = SwapRow(
    at=NOW, strategy="smart_money", symbol="PF_XRPUSD", newcomer="PF_TRXUSD", score=D("0.5"), gained=D("0.1"),
    cost=D("0.02"), r=D(2), value=D("0.58"), value_of_newcomer=D("0.88"), needed=D("0.68"), advantage=D("0.3"),
    threshold=D("0.1"), trade_id="lj3ue55", closed_usd=D("312.8"), newcomer_id=None, newcomer_usd=None,
    last=D("2.1"), left_usd=D("-70"), quantity=D(10), closes=1, held=D(0), works=False,
)  # fmt: skip


def shown(width: int, *rows: SwapRow) -> list[str]:
    show_utc(True)
    screen = Screen(width=width, highlight=False)
    with screen.capture() as text:
        show(screen, Swaps(NOW, None, None, rows, (VALUES, EARNED) if rows else ()))
    show_utc(False)
    return [line.rstrip() for line in text.get().splitlines()]


def test_swap_has_one_line_where_there_is_room() -> None:
    head, row = shown(150, ROW)[1:3]
    assert head.split("  ")[0] == "decided UTC"
    assert row.split() == [
        *("11-16", "15:00", "PF_XRPUSD", "PF_TRXUSD", "0.58", "2.00", "0.02", "0.10", "0.88"),
        *("+312.80", "-70.00", "lj3ue55", "not", "opened"),
    ]


def test_amounts_move_under_their_swap_on_a_narrow_screen() -> None:
    lines = shown(80, ROW)
    assert lines[2].startswith("11-16 15:00  PF_XRPUSD  PF_TRXUSD")
    assert max(map(len, lines)) <= 80
    assert "left behind -70.00" in "\n".join(lines)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"held": D(4)}, "4 of 10 are still open after 1 close. The broker ended the last one early; the rest is"),
        (
            {"held": D(4), "closes": 2, "works": True},
            "4 of 10 are still open after 2 closes, one of which is still working",
        ),
        ({"closes": 2}, "it took 2 closes to close 10"),
        ({"closes": 2, "held": None}, "2 closes"),
        ({}, None),
    ],
)
def test_swap_whose_close_ended_early_says_what_is_still_held(changes: Any, said: str | None) -> None:
    lines = [
        line for line in shown(200, replace(ROW, **changes)) if line.startswith("PF_XRPUSD for PF_TRXUSD at 11-16")
    ]
    assert ([said in line for line in lines if said], len(lines)) == ([True] * bool(said), bool(said))


def test_no_swap_is_said() -> None:
    assert shown(80) == ["0 swaps", "No position was closed to make room for another."]


def test_fees_that_are_not_known_yet_are_said_beside_the_words_after_fees() -> None:
    (held,) = rows_of(past([fill(0, at=ago(600))]), MARKET).trades
    untold = replace(held, unknown_fees=2)
    swap = replace(ROW, trade_id=untold.id)
    said = "Not known yet: the fees of 2 fills. Profit doesn't include them."
    assert list(swap_assumptions([swap], [untold, replace(untold, id="other")])) == [VALUES, EARNED, said]
    assert list(swap_assumptions([swap], [replace(untold, unknown_fees=0)])) == [VALUES, EARNED]
    assert list(swap_assumptions([], [untold])) == []


def test_a_symbol_chooses_swaps_on_either_side() -> None:
    one = gave_way()
    closed, newcomer, strategy = one.intent.key.symbol, one.intent.displaced_by, one.intent.key.strategy
    for symbol, chosen in ((closed, True), (newcomer, True), ("IWM", False)):
        assert _is_chosen(one, Choice(strategy=strategy, symbol=symbol)) is chosen
    assert not _is_chosen(one, Choice(strategy="another", symbol=newcomer))
