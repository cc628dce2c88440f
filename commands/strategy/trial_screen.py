"""The screen of `tradebot strategy test`."""

from typing import TYPE_CHECKING

from commands.shared.drawing import measured, signed
from commands.shared.not_run import remedy_for
from commands.shared.plain import clean
from commands.shared.times import when
from commands.strategy.needs import EVERY_PASS, in_words
from tradebot.model.reasons import REASONS
from tradebot.model.text import counted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from decimal import Decimal

    from rich.console import Console

    from commands.strategy.trial import Cost, Tried, WantRow
    from tradebot.model.decision import Decision
    from tradebot.model.record import StrategyRefusal


def render(console: "Console", data: "Tried") -> None:
    """Print what the strategy saw, what it wants and why not, and what its answer cost."""
    runs = "its own process" if data.own_process else "this process"
    console.print(f"{data.name} of {data.package}, asked in {runs} about {when(data.at)}", markup=False)
    source = "recorded by this bot" if data.seed is None else f"generated from seed {data.seed}; no bot's records"
    console.print(f"Data      {source}", markup=False)
    console.print(f"Needs     {in_words(data.needs)}", markup=False)
    console.print(f"Asked     {data.times or EVERY_PASS}", markup=False)
    left_out = f"; {counted(len(data.left_out), 'symbol')} left out" if data.left_out else ""
    console.print(f"Sees      {counted(len(data.universe), 'symbol')}{left_out}")
    for why, symbols in _by_reason(data.left_out).items():
        console.print(f"  {why}: {', '.join(symbols)}", markup=False)
    _render_answer(console, data)
    console.print(f"Cost      {_cost(data.cost, own_process=data.own_process)}")


def _by_reason(left_out: "Sequence[StrategyRefusal]") -> dict[str, list[str]]:
    symbols = dict[str, list[str]]()
    for refusal in left_out:
        symbols.setdefault(_decided(refusal.decision), []).append(clean(str(refusal.symbol)))
    return symbols


def _render_answer(console: "Console", data: "Tried") -> None:
    if data.refusal:
        assert data.refusal.reason is not None, "a refusal has a reason"
        row, remedy = REASONS[data.refusal.reason], remedy_for(data.name, data.refusal.reason)
        console.print(f"Answer    [red]refused[/red]: {data.refusal.reason}", highlight=False)
        console.print(f"  {_numbers(data.refusal)}\n  {row.meaning}\n  Next: {remedy}", markup=False)
        return
    declined = sum(want.declined is not None for want in data.wants)
    console.print(
        f"Answer    {counted(len(data.wants), 'want')}: {len(data.wants) - declined:,} for the gates, "
        f"{declined:,} declined by the strategy itself"
    )
    if data.wants:
        _render_wants(console, data.wants)
    if data.repeats is False:
        console.print("[red]The same view got a different answer when it was asked again.[/red]")
        console.print("  Next: remove chance, clocks and memory from propose; it must depend on the view alone")


def _render_wants(console: "Console", wants: "tuple[WantRow, ...]") -> None:
    from rich.markup import escape

    from commands.score.screen import SHORT
    from commands.shared.tables import Table, number, sentence, staying

    names = list(dict.fromkeys(part.name for want in wants for part in want.components))
    numbers = ("score", "coverage", "weight", "quantity", "stop", "target", *(SHORT.get(name, name) for name in names))
    table = Table("symbol", staying("want"), staying("side"), *map(number, numbers), sentence("result", "result:"))
    for want in wants:
        values = {part.name: "·" if part.value is None else signed(part.value, 2) for part in want.components}
        table.row(
            escape(want.symbol),
            want.want.value,
            want.side or "",
            "" if want.score is None else signed(want.score, 3),
            "" if want.coverage is None else f"{want.coverage:.0%}",
            _percent(want.weight),
            "" if want.quantity is None else f"{want.quantity:,f}",
            _percent(want.stop_loss_fraction),
            "/".join(map(_percent, (want.profit_target_fraction, *(level.fraction for level in want.targets)))).strip(
                "/"
            ),
            *(values.get(name, "") for name in names),
            escape(f"declined: {_decided(want.declined)}" if want.declined else clean(want.why) or "wanted"),
        )
    console.print(table)


def _percent(fraction: "Decimal | None") -> str:
    return "" if fraction is None else f"{fraction:.2%}"


def _decided(decision: "Decision") -> str:
    return f"{decision.reason or decision.verdict} {_numbers(decision)}"


def _numbers(decision: "Decision") -> str:
    observed, limit = (
        clean(measured(round(value, 4) if isinstance(value, float) else value, unit))
        for value, unit in zip((decision.observed, decision.limit), decision.units, strict=True)
    )
    return (observed or "nothing") + (f" against {limit}" if limit else "")


def _cost(cost: "Cost", *, own_process: bool) -> str:
    start = ", with the start of its process" if own_process else ""
    later = "" if cost.later_s is None else f"; asked again, {_took(cost.later_s)} (median of {cost.again})"
    limit = "" if cost.limit_s is None else f"; it may take {cost.limit_s:g} s"
    return f"first answer {_took(cost.first_s)}{start}{later}{limit}"


def _took(seconds: float) -> str:
    return f"{seconds:.2f} s" if seconds >= 1 else f"{seconds * 1000:.3g} ms"
