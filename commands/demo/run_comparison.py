"""Compare a demo's result with the previous run: the changed settings and the effect."""

from collections import Counter
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path

import msgspec
from msgspec import Struct
from rich.console import Console

from commands.shared.setting_args import DifferingSetting, differing_settings, format_setting, leaves
from commands.shared.tables import Table, last_folded_column, number
from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import cannot_write, write_durably
from tradebot.app.baseline import effective
from tradebot.app.settings import Settings
from tradebot.model.sentences import pluralize

FILE = "demo.json"
FEWEST = 30
"""With fewer closed trades than this, a difference may well be chance."""
LONG = 8
"""A section with more changed settings than this is shown as one."""
MARKET = "sandbox."
PLAYED = "played."


class RunOutcome(Struct, frozen=True):
    """The outcome of a run: counts, its result in USD, and the number of refused candidates by reason.

    `closed`, `won` and `result_usd` are None if the books and the exchange disagreed.
    """

    candidates: int
    orders: int
    fills: int
    closed: int | None
    won: int | None
    open_positions: int
    result_usd: Decimal | None
    refused: dict[str, int]


class DemoRun(Struct, frozen=True):
    """A stored run: its settings as text by dotted name, and its results."""

    settings: dict[str, str]
    outcome: RunOutcome


class PreviousRunComparison(Struct, frozen=True):
    """A run compared with the previous one. Each setting has its previous and its current value."""

    settings: tuple[DifferingSetting, ...]
    last: RunOutcome
    now: RunOutcome
    cautions: tuple[str, ...]

    @property
    def same(self) -> bool:
        """Return True if neither the settings nor the results changed."""
        return not self.settings and self.last == self.now


def run_of(settings: "Settings", played: Mapping[str, object], outcome: RunOutcome) -> DemoRun:
    """Return the stored form of a run; `played` describes its length and version."""
    named = dict(leaves("", effective(settings))) | {f"{PLAYED}{name}": str(answer) for name, answer in played.items()}
    # How many of its sessions were played is what counts.
    named.pop(f"{MARKET}sessions", None)
    return DemoRun(named, outcome)


def last_run(folder: Path) -> DemoRun | None:
    """Return the last run in a demo's folder; None if there is none, or if it can't be read."""
    try:
        return msgspec.json.decode(read_plain(folder / FILE), type=DemoRun)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return None


def store_run(folder: Path, run: DemoRun) -> None:
    """Store a run for comparison with the next one; raise OperatorError if the folder can't be written."""
    try:
        write_durably(folder / FILE, msgspec.json.encode(run).decode())
    except OSError as error:
        raise cannot_write(folder, error) from error


def compare_with_previous(last: DemoRun, now: DemoRun) -> PreviousRunComparison:
    settings = tuple(differing_settings([last.settings, now.settings]))
    return PreviousRunComparison(
        settings, last.outcome, now.outcome, tuple(_cautions(settings, last.outcome, now.outcome))
    )


def _cautions(settings: tuple[DifferingSetting, ...], last: RunOutcome, now: RunOutcome) -> Iterator[str]:
    others = [setting.name for setting in settings if setting.name.startswith((MARKET, PLAYED))]
    if others and len(others) < len(settings):
        yield f"They differ in {', '.join(others)} too, so the settings alone don't explain the results."
    closed = [outcome.closed for outcome in (last, now) if outcome.closed is not None]
    if settings and closed and min(closed) < FEWEST:
        few = f"only {pluralize(min(closed), 'trade')}" if min(closed) else "no trade"
        yield f"One of them closed {few}, so a difference may well be chance."


def render(console: "Console", data: PreviousRunComparison) -> None:
    """Print both runs; print nothing if they are equal."""
    if data.same:
        return

    console.print("Compared with the last run")
    if data.settings:
        table = Table(last_folded_column("  changed"), "last", "now")
        for row in _condense_rows(data.settings):
            table.row(*row)
        console.print(table)
    else:
        console.print("  The settings are the same.")
    table = Table(last_folded_column("  result"), number("last"), number("now"), number("change"))
    for name, last, now in _rows(data):
        table.row(f"  {name}", _text(last), _text(now), _change(last, now))
    console.print(table)
    for line in data.cautions:
        console.print(f"  {line}", markup=False)


def _condense_rows(settings: tuple[DifferingSetting, ...]) -> Iterator[tuple[str, ...]]:
    """Yield a row for each setting, but only one for a section that changed a lot, such as another strategy."""
    sections = Counter(map(_section, settings))
    for section, count in sections.items():
        of_it = [setting for setting in settings if _section(setting) == section]
        if count > LONG:
            changed = [
                sum(value is not None for value in each) for each in zip(*(row.values for row in of_it), strict=True)
            ]
            yield (f"  {section}", *(pluralize(number, "setting") if number else "-" for number in changed))
            continue
        yield from ((f"  {setting.name}", *map(format_setting, setting.values)) for setting in of_it)


def _section(setting: DifferingSetting) -> str:
    return ".".join(setting.name.split(".")[:2])


def _rows(data: PreviousRunComparison) -> Iterator[tuple[str, Decimal | int | None, Decimal | int | None]]:
    last, now = data.last, data.now
    yield "candidates", last.candidates, now.candidates
    yield "orders", last.orders, now.orders
    yield "fills", last.fills, now.fills
    yield "trades closed", last.closed, now.closed
    yield "trades won", last.won, now.won
    yield "positions open", last.open_positions, now.open_positions
    yield "result USD", last.result_usd, now.result_usd
    for reason in dict.fromkeys((*last.refused, *now.refused)):
        yield reason, last.refused.get(reason, 0), now.refused.get(reason, 0)


def _text(value: Decimal | int | None) -> str:
    if value is None:
        return "-"
    return f"{value:+,.2f}" if isinstance(value, Decimal) else f"{value:,}"


def _change(last: Decimal | int | None, now: Decimal | int | None) -> str:
    if last is None or now is None or last == now:
        return ""
    change = now - last
    return f"{change:+,.2f}" if isinstance(change, Decimal) else f"{change:+,}"
