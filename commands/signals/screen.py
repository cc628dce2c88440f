"""The screen of `tradebot signals`: the kinds of facts, the components computed from them, and what differs."""

from rich.console import Console
from rich.markup import escape

from commands.shared.plain import clean
from commands.shared.tables import Table, number, sentence, staying
from commands.shared.times import DAY_SECOND, stamp, when, zone
from tradebot.judging.signals import Health, KindHealth, Signals
from tradebot.model.text import counted

STYLE = {Health.HEALTHY: "green", Health.DEGRADED: "yellow", Health.CRITICAL: "red", Health.UNKNOWN: "dim"}
NOTHING = "·"


def show(console: "Console", data: "Signals") -> None:
    """Print both tables, then each difference with an example."""
    asleep = "" if data.market_open else "; the market is asleep"
    console.print(f"Signals at {when(data.as_of)}{asleep}")
    if not data.kinds:
        console.print("No strategy in use reads options flow.")
        return
    console.print(_kinds(data))
    if data.components and data.scored_at:
        console.print(f"Components of the scores at {when(data.scored_at)}")
        console.print(_components(data))
    else:
        console.print("Nothing was scored yet. Next: tradebot score")
    for kind in data.kinds:
        for drift in kind.drifts:
            mark = "[red]broken[/red]" if drift.broken else "[yellow]differs[/yellow]"
            console.print(f"  {mark} {escape(drift.what)}, such as {escape(clean(drift.example))}")
    found = counted(data.findings, "signal")
    console.print(f"{found} to look at" if data.findings else "Nothing to look at.")


def _kinds(data: "Signals") -> Table:
    numbers = (number(name) for name in ("calls", "rows", "match", "nulls", "bad rows", "age s", "limit s"))
    table = Table("state", staying("source"), *numbers, f"last reply {zone()}", sentence("why"))
    for kind in data.kinds:
        name = f"{kind.name} (core)" if kind.core else kind.name
        calls = f"{kind.answered:,}/{kind.wanted:,}"
        shares = (_share(kind.match_rate), _share(kind.null_rate))
        table.row(
            _state(kind.state), name, calls, f"{kind.rows:,}", *shares, f"{kind.bad:,}", _age(kind),
            f"{kind.limit_s:,.0f}", stamp(kind.last_success, DAY_SECOND) if kind.last_success else NOTHING,
            escape(clean(kind.why)),
        )  # fmt: skip
    return table


def _components(data: "Signals") -> Table:
    table = Table("state", staying("component"), number("weight"), number("used"), "strategy", sentence("why"))
    for part in data.components:
        used = f"{part.used:,}/{part.symbols:,}"
        table.row(
            _state(part.state), escape(part.name), f"{part.weight:g}", used, escape(part.strategy),
            escape(clean(part.why)),
        )  # fmt: skip
    return table


def _state(state: Health) -> str:
    return f"[{STYLE[state]}]{state}[/]"


def _share(share: float | None) -> str:
    return NOTHING if share is None else f"{share:.1%}"


def _age(kind: "KindHealth") -> str:
    return NOTHING if kind.age_s is None else f"{kind.age_s:,.0f}"
