"""`tradebot exchange faults`: inject faults into the embedded exchange, and list those that fired."""

import sys
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from msgspec import Struct, convert
from rich.console import Console

from commands.exchange.place import exchange_of, note_if_started
from commands.shared.light_helpers import Identity, clean
from commands.shared.tables import Table, number, sentence
from commands.shared.times import DAY_MINUTE, stamp, zone
from commands.shared.verb_options import Report
from tradebot.app import fault_scripts, sandbox
from tradebot.errors import OperatorError

ACTIONS = ("list", "add", "clear", "show", "ready")

PATH = "/exchange/v1/faults"

STDIN = "-"

_LONGEST = 64 * 1024


class ArmedRule(Struct, frozen=True):
    """One armed rule: `when` and `what` as written, how many requests it matched, and how many it fired on.

    A spent rule can't fire again.
    """

    name: str
    when: Mapping[str, Any]
    what: Any
    armed_at: datetime
    seen: int
    fired: int
    spent: bool


class ReadyScript(Struct, frozen=True):
    """A ready-made fault script with a one-sentence summary."""

    name: str
    summary: str


class Faults(Struct, frozen=True):
    """What the verb did, which rules changed, and which rules are armed now (null if no exchange was asked).

    `script` is the text to show: a script, or a description of a fault.
    """

    action: str
    changed: tuple[str, ...]
    armed: tuple[ArmedRule, ...] | None
    ready: tuple[ReadyScript, ...]
    script: str | None


def run(path: Path, action: str, name: str | None) -> Report:
    """List, arm, clear or show the faults of the exchange in a folder; raise OperatorError if that isn't possible."""
    if action not in ACTIONS:
        raise OperatorError(
            f"there is no action {clean(action)[:20]!r}", f"tradebot exchange faults [{'|'.join(ACTIONS)}]"
        )
    if name is None and action in ("add", "show"):
        raise OperatorError(f"{action} needs a name", "tradebot exchange faults ready")
    if name is not None and action in ("list", "ready"):
        raise OperatorError(f"{action} takes no name", f"tradebot exchange faults {action}")
    data = _looked_up(action, name) if action in ("ready", "show") else _change_faults(path, action, name)
    return Report("exchange-faults", data, _render, bot_identity=Identity("sandbox"))


def _looked_up(action: str, name: str | None) -> Faults:
    if name is not None:
        return Faults(action, (), None, (), _fault_text(name))
    return Faults(action, (), None, tuple(ReadyScript(*row) for row in fault_scripts.ready_faults()), None)


def _fault_text(name: str) -> str:
    text = fault_scripts.fault_script(name) or fault_scripts.fault_explained(name)
    if text is None:
        unknown = f"no ready-made script or fault is called {clean(name)[:40]!r}"
        raise OperatorError(unknown, "tradebot exchange faults ready")
    return text


def _change_faults(path: Path, action: str, name: str | None) -> Faults:
    folder = exchange_of(path)
    script = script_of(name or "") if action == "add" else ""
    with note_if_started(folder):
        sandbox.start(folder)
    changed: tuple[str, ...] = ()
    if action == "add":
        reply = sandbox.ask(folder, "POST", PATH, {"script": script})
        changed = tuple(row["name"] for row in reply["armed"])
    elif action == "clear":
        changed = _clear_faults(folder, name)
    rows = sandbox.ask(folder, "GET", PATH)["faults"]
    return Faults(action, changed, tuple(convert(row, ArmedRule) for row in rows), (), None)


def _clear_faults(folder: Path, name: str | None) -> tuple[str, ...]:
    if name is None:
        return tuple(sandbox.ask(folder, "DELETE", PATH)["cleared"])
    armed = [row["name"] for row in sandbox.ask(folder, "GET", PATH)["faults"]]
    if name not in armed:
        listed = ", ".join(armed) or "none"
        raise OperatorError(f"no rule named {clean(name)[:40]!r} is armed; armed: {listed}", "tradebot exchange faults")
    return tuple(sandbox.ask(folder, "DELETE", f"{PATH}/{name}")["cleared"])


def script_of(name: str) -> str:
    """Return the text of a script, given the name of a ready-made script, a file, or `-` for standard input."""
    if name == STDIN:
        return sys.stdin.read(_LONGEST)
    ready = fault_scripts.fault_script(name)
    if ready is not None:
        return ready
    try:
        with Path(name).open("rb") as file:
            return file.read(_LONGEST).decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as bad:
        why = getattr(bad, "strerror", None) or "not UTF-8 text"
        hint = "give a file, - for standard input, or a name listed by: tradebot exchange faults ready"
        raise OperatorError(f"{clean(name)[:80]}: {why}, and no ready-made script has that name", hint) from bad


def _render(out: "Console", data: Faults) -> None:
    if data.script is not None:
        out.print(data.script.rstrip(), markup=False, soft_wrap=True)
    elif data.armed is None:
        _render_ready(out, data.ready)
    else:
        _render_armed(out, data, data.armed)


def _render_ready(out: "Console", ready: tuple[ReadyScript, ...]) -> None:
    table = Table("script", sentence("summary"), header=False)
    for row in ready:
        table.row(row.name, row.summary)
    out.print(table)
    out.print("Next: tradebot exchange faults show NAME, or tradebot exchange faults add NAME", markup=False)


def _render_armed(out: "Console", data: Faults, armed: tuple[ArmedRule, ...]) -> None:
    if data.changed:
        out.print(f"{'armed' if data.action == 'add' else 'cleared'}: {', '.join(data.changed)}", markup=False)
    if not armed:
        out.print("No faults are armed. List ready-made scripts: tradebot exchange faults ready", markup=False)
        return
    out.print(_table(armed))


def _table(armed: tuple[ArmedRule, ...]) -> Any:
    counters = number(f"armed {zone()}"), number("seen"), number("fired")
    table = Table("rule", sentence("when", "when"), sentence("what", "what"), *counters)
    for rule in armed:
        fired = f"{rule.fired:,}{' (spent)' if rule.spent else ''}"
        counts = (stamp(rule.armed_at, DAY_MINUTE), f"{rule.seen:,}", fired)
        table.row(rule.name, _words(rule.when) or "always", _words(rule.what), *counts)
    return table


def _words(written: Any) -> str:
    """Format a YAML value for people: `status 504, acceptance after`."""
    if isinstance(written, Mapping):
        return ", ".join(f"{key} {_words(value)}".rstrip() for key, value in written.items())
    if isinstance(written, list | tuple):
        return "/".join(map(str, written))
    return "" if written is None else str(written)
