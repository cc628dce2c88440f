"""Show what followed the recorded candidates."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape

from commands.score.outcomes import Outcomes
from commands.shared.drawing import signed
from commands.shared.tables import Table, number, sentence
from commands.shared.times import MINUTE, when
from tradebot.auditing.outcomes import Measured, OutcomeRow, StrategyOutcomes, verdict
from tradebot.model.text import counted

DOT = "·"


def render(out: "Console", data: "Outcomes") -> None:
    """Print each strategy's tables, and what its gates' refusals cost or saved."""
    if not data.strategies:
        out.print(f"No recorded candidate can be measured at {when(data.at, MINUTE)}.")
        out.print("Next: tradebot score, in an open session; then wait, because a return needs time")
        return
    net = f"net of {data.benchmark}" if data.benchmark else "not net of SPY, which has no bars here"
    out.print(
        f"What followed the candidates since {data.since} ({counted(data.sessions, 'session')}), at "
        f"{when(data.at, MINUTE)}. Returns run from the open of the next minute, {net}, before costs."
    )
    for strategy in data.strategies:
        _render_strategy(out, strategy, data)
    out.print(
        f"± is a 95% interval; a session counts once, because its candidates move together. A star is more than "
        f"chance: in a table without any effect, one appears with a chance of at most {data.level:.0%}.",
        markup=False,
    )


def _render_strategy(out: "Console", found: "StrategyOutcomes", data: "Outcomes") -> None:
    without = f"; {found.unmeasured:,} more had no bar to enter at yet" if found.unmeasured else ""
    out.print(f"\nStrategy {found.strategy}, {counted(found.candidates, 'scored candidate')}{without}", markup=False)
    out.print("Following the score, each candidate in proportion to it:")
    table = Table("until", number("candidates"), number("sessions"), number("return %"), sentence("meaning"))
    for each in found.score:
        table.row(each.horizon, f"{each.candidates:,}", f"{each.sessions:,}", _number(each), verdict(each))
    out.print(table)
    _render_rows(
        out,
        "Buying, by decile of the score (%; 3d: until the close three sessions later):",
        "scores",
        [(_span(row), row) for row in found.deciles],
    )
    _render_rows(out, "Following one component (%):", "component", [(row.name, row) for row in found.components])
    _render_rows(out, "Trades by the gate that refused them (%):", "gate", [(row.name, row) for row in found.gates])
    out.print(data.sentences[found.strategy], markup=False)


def _render_rows(out: "Console", title: str, kind: str, rows: "Sequence[tuple[str, OutcomeRow]]") -> None:
    if not rows:
        return
    out.print(title)
    table = Table(
        kind, number("candidates"), number("sessions"), *(number(_short(each.horizon)) for each in rows[0][1].horizons)
    )
    for name, row in rows:
        most = max(row.horizons, key=lambda each: each.candidates)
        table.row(escape(name), f"{most.candidates:,}", f"{most.sessions:,}", *map(_number, row.horizons))
    out.print(table)


def _span(row: "OutcomeRow") -> str:
    assert row.lowest is not None, "a decile has a lowest score"
    assert row.highest is not None, "a decile has a highest score"
    return f"{signed(row.lowest, 3)} to {signed(row.highest, 3)}"


def _short(horizon: str) -> str:
    """Return a horizon as a heading: 1h, close, 3d."""
    number, _, unit = horizon.partition(" ")
    return number + unit[:1].replace("s", "d")


def _number(found: "Measured") -> str:
    if found.mean is None:
        return DOT
    mean = signed(100 * found.mean, 2)
    if found.high is None:
        return mean
    return f"{mean} ±{100 * (found.high - found.mean):.2f}{'*' if found.is_found else ''}"
