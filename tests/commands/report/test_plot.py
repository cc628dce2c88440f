"""A plot in characters: what rises goes up, and each line is where its values are."""

from datetime import date, timedelta

from commands.report.screen import Line, Place, drawn

MONDAY = date(2026, 11, 16)


def places(*values: float) -> dict[Place, float]:
    """Return values by place: the first at the start of the books, the others at the ends of sessions."""
    days = (MONDAY + timedelta(days=max(number - 1, 0)) for number in range(len(values)))
    return {(day, number > 0): value for number, (day, value) in enumerate(zip(days, values, strict=True))}


def test_terminal_plot_spans_the_highest_to_the_lowest_value() -> None:
    lines = [Line("●", "account", places(1.0, 1.02, 1.01)), Line("-", "SPY", places(1.0, 0.99, 0.98))]
    assert drawn(lines, 33, height=5) == [
        " +2.00% ┤         ●●●●●●●●●",
        "        ┤   ●●●●●●         ●●●●●●",
        " +0.00% ┤●●●---",
        "        ┤      ------------",
        " -2.00% ┤                  ------",
        "        2026-11-16    2026-11-17",
        "        ● account  - SPY",
    ]


def test_terminal_plot_puts_a_flat_line_in_the_middle() -> None:
    assert [row for row in drawn([Line("●", "account", places(1.0, 1.0))], 40, height=3) if "●●" in row] == [
        " +0.00% ┤●●●●●●●●●●●●●●●●●●●●●●●●"
    ]


def test_terminal_plot_labels_near_zero_without_a_minus() -> None:
    assert drawn([Line("●", "account", places(1.01, 0.99999))], 40, height=3)[2].startswith(" +0.00% ┤")


def test_terminal_plot_draws_a_late_line_where_it_is_known() -> None:
    whole, late = places(1.0, 1.01, 1.02, 1.03), places(1.0, 1.01, 1.02, 1.03)
    late = dict(list(late.items())[2:])
    rows = drawn([Line("○", "other", late), Line("●", "account", whole)], 60, height=4)
    assert "○" in rows[0]
    assert "○" not in rows[3]
