"""The screen of a report, where books of a few sessions don't reach."""

from datetime import date, timedelta

from commands.report.screen import GrowthLine, Place, draw_lines

MONDAY = date(2026, 11, 16)


def places(*values: float) -> dict[Place, float]:
    """Return values by place: the first at the start of the books, the others at the ends of sessions."""
    days = (MONDAY + timedelta(days=max(number - 1, 0)) for number in range(len(values)))
    return {(day, number > 0): value for number, (day, value) in enumerate(zip(days, values, strict=True))}


def test_terminal_plot_spans_the_highest_to_the_lowest_value() -> None:
    lines = [GrowthLine("●", "account", places(1.0, 1.02, 1.01)), GrowthLine("-", "SPY", places(1.0, 0.99, 0.98))]
    assert draw_lines(lines, 33, height=5) == [
        " +2.00% ┤         ●●●●●●●●●",
        "        ┤   ●●●●●●         ●●●●●●",
        " +0.00% ┤●●●---",
        "        ┤      ------------",
        " -2.00% ┤                  ------",
        "        2026-11-16    2026-11-17",
        "        ● account  - SPY",
    ]


def test_terminal_plot_puts_a_flat_line_in_the_middle() -> None:
    assert [row for row in draw_lines([GrowthLine("●", "account", places(1.0, 1.0))], 40, height=3) if "●●" in row] == [
        " +0.00% ┤●●●●●●●●●●●●●●●●●●●●●●●●"
    ]


def test_terminal_plot_draws_a_late_line_where_it_is_known() -> None:
    whole, late = places(1.0, 1.01, 1.02, 1.03), places(1.0, 1.01, 1.02, 1.03)
    late = dict(list(late.items())[2:])
    rows = draw_lines([GrowthLine("○", "other", late), GrowthLine("●", "account", whole)], 60, height=4)
    assert "○" in rows[0]
    assert "○" not in rows[3]
