"""Values for shell completion, read quickly from the bot's files, never from a broker.

A completion without values offers nothing; it never prints an error into a half-typed line.
"""

import json
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from pathlib import Path

import typer

import tradebot
from tradebot.adapters.state.marker_text import FIRST_VENUE
from tradebot.adapters.state.state_folder import resolve
from tradebot.errors import TradebotError

NEWEST = 50
"""How many of the newest plans are searched for symbols."""


def _one_of(*words: str) -> Callable[[str], list[str]]:
    return lambda incomplete: _matching(words, incomplete)


fault_actions = _one_of("list", "add", "clear", "show", "ready")
steps = _one_of("5m", "1h", "open", "close", "next_open")
paces = _one_of("step", "real", "60x")
fills = _one_of("paper", "next-bar", "next-open", "close")
data_plans = _one_of("free", "paid")


def symbols(context: typer.Context, incomplete: str) -> list[str]:
    """Return the symbols in the bot's universe and positions."""
    universe = next((layer["universe"] for layer in _layers(context) if "universe" in layer), None)
    names = map(str, universe) if isinstance(universe, list) else ()
    return _matching([*names, *_held_symbols(context)], incomplete)


def complete_symbols(context: typer.Context, incomplete: str) -> list[str]:
    """Complete the last symbol of a list from the exchange's symbols or, if there is no exchange, the bot's."""
    listed_symbols = _strings(_exchange_file(context, "market.json").get("symbols"))
    before, comma, last = incomplete.rpartition(",")
    taken = {*before.split(",")}
    names = _matching(listed_symbols, last) if listed_symbols else symbols(context, last)
    return [f"{before}{comma}{name}" for name in names if name not in taken]


def accounts(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the embedded exchange's accounts."""
    return _matching(_strings(_exchange_file(context, "accounts.json").get("accounts")), incomplete)


def schedule_words(context: typer.Context, incomplete: str) -> list[str]:
    """Return the subcommands of `schedule`, or the chores that it can run."""
    if context.params.get("what") != "run":
        return _matching(("check", "run"), incomplete)
    layers = [layer.get("timetable") for layer in _layers(context)]
    lines = {str(name): line for layer in reversed(layers) if isinstance(layer, dict) for name, line in layer.items()}
    return _matching([name for name, line in lines.items() if isinstance(line, dict) and "verb" in line], incomplete)


def fault_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of ready-made fault scripts, and of faults for `show`; nothing for other actions."""
    action = context.params.get("action")
    if action == "show":
        from tradebot.app.fault_scripts import fault_words

        return _matching([*ready_names(incomplete), *fault_words()], incomplete)
    return ready_names(incomplete) if action == "add" else []


def reset_account(context: typer.Context, incomplete: str) -> list[str]:
    """Return the name of the account to reset, which confirms the reset."""
    return _matching([context.params.get("account") or "main"], incomplete)


def profiles(incomplete: str) -> list[str]:
    """Return the names of the profiles for a new bot."""
    from tradebot.app.settings import shipped_path

    return _matching(("flow", *(path.stem for path in shipped_path("profiles").glob("*.yaml"))), incomplete)


def venues(incomplete: str) -> list[str]:
    """Return the venues that come with the bot."""
    return _matching((FIRST_VENUE, *(path.stem for path in _base().with_name("venues").glob("*.yaml"))), incomplete)


def ready_names(incomplete: str) -> list[str]:
    """Return the names of the ready-made fault scripts."""
    from tradebot.app.fault_scripts import ready_faults

    return _matching((name for name, _ in ready_faults()), incomplete)


def own_symbols(context: typer.Context, incomplete: str) -> list[str]:
    """Return the symbols of the bot's own positions."""
    return _matching(_held_symbols(context), incomplete)


def foreign_symbols(context: typer.Context, incomplete: str) -> list[str]:
    """Return the symbols of foreign positions that appear in plans."""
    strangers_found = (finding for name in _plan_files(context)[:NEWEST] for finding in _findings(name))
    return _matching((text for kind, text in strangers_found if kind == "foreign_position"), incomplete)


def plans(context: typer.Context, incomplete: str) -> list[str]:
    """Return the ids of plans, the newest first."""
    return [path.stem for path in _plan_files(context) if path.stem.startswith(incomplete)]


def backups(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the bot's backups, the newest first."""
    from tradebot.adapters.recovery.backups import places

    return [path.name for path in places(_folder(context)) if path.name.startswith(incomplete)]


def reasons(incomplete: str) -> list[str]:
    """Return the reason codes."""
    from tradebot.model.reasons import Reason

    return _matching(Reason, incomplete)


def cuts(incomplete: str) -> list[str]:
    """Return the possible groupings of profit."""
    from tradebot.views.trades.pnl import ProfitGrouping

    return _matching((cut.value for cut in ProfitGrouping), incomplete)


def installed_strategies(incomplete: str) -> list[str]:
    """Return the names of the installed strategies."""
    from importlib.metadata import entry_points

    return _matching((point.name for point in entry_points(group="tradebot.strategies")), incomplete)


def strategies(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the strategies that a configuration file turns on."""
    sections = [layer.get("strategies") for layer in _layers(context)]
    named = {name: own for section in reversed(sections) if isinstance(section, dict) for name, own in section.items()}
    return _matching((str(name) for name, own in named.items() if own is not None), incomplete)


def settings(context: typer.Context, incomplete: str) -> list[str]:
    """Return the dotted names of settings and sections, one level below the typed text."""
    depth = incomplete.count(".") + 1
    keys = (name for layer in _layers(context) for name in _dotted_keys(layer, ""))
    return _matching((".".join(name.split(".")[:depth]) for name in keys), incomplete)


def complete_assignments(context: typer.Context, incomplete: str) -> list[str]:
    """Return the settings that KEY=VALUE may begin with; nothing once the value is being typed."""
    return [] if "=" in incomplete else settings(context, incomplete)


def _matching(names: Iterable[str], incomplete: str) -> list[str]:
    # Names from a broker or a file reach the terminal unchanged, so offer only those that can be typed.
    return sorted({str(name) for name in names if name.startswith(incomplete) and name.isprintable()})


def _folder(context: typer.Context) -> Path:
    return resolve(context.params.get("state_dir"), os.environ)


def _exchange_file(context: typer.Context, name: str) -> dict[str, object]:
    try:
        content = json.loads((_folder(context) / "exchange" / name).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _strings(items: object) -> list[str]:
    return [str(item) for item in items] if isinstance(items, list) else []


def _layers(context: typer.Context) -> list[dict[str, object]]:
    """Return the bot's own file and under it the shipped configuration, unchecked."""
    from tradebot.adapters.text.yaml_loader import load_yaml

    own_file = _folder(context) / "tradebot.yaml"
    try:
        own = load_yaml(own_file) if own_file.exists() else {}
        of_venue = _base().with_name("venues") / f"{own.get('venue')}.yaml"
        return [own, *([load_yaml(of_venue)] if of_venue.exists() else []), load_yaml(_base())]
    except TradebotError:
        return []


def _base() -> Path:
    """Return base.yaml without the settings module, which takes too long to load for completion."""
    here = Path(tradebot.__file__).parent
    installed = here / "config" / "base.yaml"
    return installed if installed.exists() else here.parent / "config" / "base.yaml"


def _dotted_keys(values: dict[str, object], prefix: str) -> Iterator[str]:
    for key, value in values.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _dotted_keys(value, f"{prefix}{key}.")


def _held_symbols(context: typer.Context) -> list[str]:
    from tradebot.adapters.ledger.ledger import SqliteLedger

    try:
        with closing(SqliteLedger.open(_folder(context), read_only=True)) as ledger:
            return [position.symbol for position in ledger.totals().own_positions()]
    except TradebotError:
        return []


def _plan_files(context: typer.Context) -> list[Path]:
    paths = (_folder(context) / "plans").glob("*.json")
    return sorted(paths, key=lambda path: path.stat().st_mtime, reverse=True)


def _findings(path: Path) -> list[tuple[str, str]]:
    try:
        plan = json.loads(path.read_text(encoding="utf-8"))["plan"]
        return [(str(finding["kind"]), str(finding["subject"])) for finding in plan["findings"]]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def backtest_names(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the finished backtests in the bot's folder."""
    home = _folder(context) / "backtests"
    return _matching((path.parent.name for path in home.glob("*/result.json")), incomplete)
