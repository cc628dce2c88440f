"""`why-no-orders --by-symbol` on screens of two widths."""

from commands.shared.tables import Screen
from commands.shared.times import show_utc
from commands.why_no_orders.run import show_by_symbol as show
from tests.kit.values import NOW
from tradebot.views.why_no_orders import BySymbol, GateCount, SymbolCount

SEEN = BySymbol(
    passes=2,
    first_at=NOW,
    last_at=NOW,
    candidates=5,
    orders=1,
    gates=(GateCount("place in the range", 5, 3), GateCount("rest", 2, 1)),
    symbols=(SymbolCount("AAPL", 3, 0, {"place in the range": 2, "rest": 1}), SymbolCount("MSFT", 2, 1, {"rest": 1})),
)


def shown(width: int, data: BySymbol = SEEN) -> list[str]:
    show_utc(False)
    screen = Screen(width=width, highlight=False)
    with screen.capture() as text:
        show(screen, data)
    return [line.rstrip() for line in text.get().splitlines()]


def test_each_symbol_has_a_row_with_its_refusals_by_question() -> None:
    assert shown(100)[1:] == [
        "Funnel: 5 candidates = 1 order + 4 refused; each counts where it was refused first",
        "question            came  refused",
        "place in the range     5        3  ████████████████",
        "rest                   2        1  █████",
        "sent                   1",
        "",
        "symbol  candidates  sent  place in the range  rest",
        "AAPL             3     0                   2     1",
        "MSFT             2     1                         1",
    ]


def test_refusals_move_under_their_symbol_on_a_narrow_screen() -> None:
    of_aapl = ["AAPL             3     0", "    place in the range 2", "    rest 1"]
    assert shown(30)[-5:] == [*of_aapl, "MSFT             2     1", "    rest 1"]


def test_what_a_backtest_left_out_is_said() -> None:
    empty = BySymbol(0, None, None, 0, 0, (), (), "This backtest recorded no candidates.")
    assert shown(80, empty) == ["Left out: This backtest recorded no candidates."]
