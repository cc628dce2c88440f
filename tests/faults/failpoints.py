"""The list of failpoints, read from the source of the adapters, and what must stand between two of them."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ADAPTERS = Path(__file__).resolve().parents[2] / "tradebot" / "adapters"
VENUES = ADAPTERS.with_name("venues")


def modules() -> list[Path]:
    """Return the modules that reach a disk or a venue."""
    return sorted([*ADAPTERS.rglob("*.py"), *VENUES.rglob("*.py")])


EFFECTS = frozenset(
    {"fsync", "fdatasync", "rename", "unlink", "rmdir", "remove", "ftruncate", "truncate", "link", "rmtree"}
)
"""Calls that outlive the process, by their last name."""
SENDERS = frozenset({"request", "send", "_read_body"})
"""Calls that put a request on the wire, and that take its reply off it."""
WRITES = ("COMMIT", "VACUUM")
"""How the statements of SQLite begin that make something durable."""
AT_IBKR = ("ibkr.send", "ibkr.send_stop", "ibkr.change", "ibkr.cancel")
"""Points around what is sent to Interactive Brokers."""
OFF_THE_ROAD = {
    "pass_rows.commit": "a backtest that is saved; a draft that is cut short is made again",
    "evidence.cut": "a list of trials, which a backtest or a search adds to",
    "evidence.sync": "a list of trials, which a backtest or a search adds to",
    "journal.undo": "a write of the journal that fails",
    "state_folder.drop_draft": "a write of a small file that fails",
    "halt_switch.put_back": "a second halt that comes while one is being ended",
    "kraken.send": "a bot at Kraken Futures, which the campaigns there kill",
    **dict.fromkeys(AT_IBKR, "a bot at Interactive Brokers, which the campaigns of brackets kill at each of them"),
    "archive.name": "what is fetched from an archive",
    "archive.sync": "what is fetched from an archive",
    "archive.drop_earlier": "what is fetched from an archive over an earlier draft",
    "archive.drop": "what can't be fetched from an archive",
    "signing.sync_key": "a key to sign models with",
    "models.sync_file": "a model that is signed",
    "models.name": "a model that is signed",
    "models.name_draft": "a model that is trained",
    "models.drop_draft": "a model that is signed again",
    "models.forget_leftover": "what a killed writer of models left behind an hour ago",
    "user_files.sync": "a change of a person's configuration",
    "user_files.make": "a change of a person's configuration",
    "user_files.replace": "a change of a person's configuration",
    "user_files.drop_draft": "a change of a person's configuration",
    "halt_switch.empty": "a file that can be emptied and not removed",
    "ledger_migration.bring_up": "a ledger of an earlier version",
    "ledger_migration.sync_copy": "a ledger of an earlier version",
    "ledger_migration.keep": "a ledger of an earlier version",
    "downgrade.put_back": "a ledger of a later version",
    "cache_database.set_aside": "facts or bars that are damaged",
    "cache_database.set_companion_aside": "facts or bars that are damaged",
    "parquet.replace": "a strategy that reads bars",
    "parquet.drop_draft": "a file of bars that can't be written",
    "parquet.set_aside": "a file of bars that is damaged",
    "json_lines.repair": "a line that was cut short",
    "rate_quota.keep": "a flow source whose calls are limited",
    "account_feed.say": "a serve in real time, at a venue that tells of fills",
    "stream.join": "a flow source whose alerts are streamed",
    "backups.name": "a backup",
    "backups.sync": "a backup",
    "backups.drop_copy": "a backup",
    "backups.forget_part": "a backup",
    "backups.forget_draft": "a backup",
    "backups.forget_old": "a backup",
    "backups.forget_scratch": "a backup beside what a killed reader left",
    "backups.drop_damaged": "a backup with a damaged part",
    "backup_parts.name": "a backup",
    "offsite_copy.put": "a backup that is copied off the machine",
    "offsite_copy.sync": "a backup that is copied off the machine",
    "offsite_copy.drop_draft": "a backup that is copied off the machine",
    "offsite_copy.sweep": "a copy off the machine where one that was cut short left a draft a day ago",
    "offsite_copy.drop": "a part of a copy that is damaged there too",
    "offsite_copy.fetch": "a backup that is brought back",
    "offsite_copy.name": "a backup that is brought back",
    "approvals.forget_old": "more plans of reconcile than are kept",
    "serve_status.replace": "a serve that runs",
    "serve_status.drop_draft": "a serve on a disk that fails",
    "plugin_worker.forget_leftover": "what a killed keeper of a plug-in left behind an hour ago",
    "plugin_worker.forget_shut": "a folder that a plug-in shut before its keeper was killed",
    "rebuild.take_ledger": "books that are rebuilt from a backup",
    "journal_reader.move": "books that are rebuilt from a backup",
    "integrity.revoke": "books that are found damaged at work",
    "quarantine.move": "books that are damaged",
    "rebuild.install": "books that are rebuilt",
    "rebuild.forget_scratch": "books that are rebuilt",
    "rebuild.forget_last": "books that are rebuilt",
}
"""Points that no campaign of kills passes, and what it takes to reach them."""


class Effect(NamedTuple):
    """One call that outlives the process, and the name of the points around it, None where there are none."""

    where: str
    call: str
    point: str | None


def effects() -> Iterator[Effect]:
    """Yield every effect of the adapters, but those of `UnhurriedSession`, which `wire/http.py` has points for."""
    for path in modules():
        # What `doctor` asks through a door changes nothing.
        if path.parent.name != "memory" and path.name != "door.py":
            found = effects_of(ast.parse(path.read_text()), path.name)
            yield from (effect for effect in found if effect.call != "self._adapter.send")


def effects_of(tree: ast.AST, name: str, point: str | None = None) -> Iterator[Effect]:
    """Yield the effects inside a piece of source, each with the nearest `with around(...)` of one statement."""
    for node in ast.iter_child_nodes(tree):
        inner = _named_by(node) or point
        # A function that is only defined inside runs at another time.
        inner = None if isinstance(node, ast.FunctionDef | ast.Lambda) else inner
        if isinstance(node, ast.Call) and _is_effect(node):
            yield Effect(f"{name}:{node.lineno}", ast.unparse(node.func), inner)
        yield from effects_of(node, name, inner)


def _named_by(node: ast.AST) -> str | None:
    if not isinstance(node, ast.With) or len(node.body) != 1:
        return None
    for item in node.items:
        call = item.context_expr
        if isinstance(call, ast.Call) and ast.unparse(call.func).endswith("around"):
            return str(ast.literal_eval(call.args[0]))
    return None


def _is_effect(call: ast.Call) -> bool:
    name = ast.unparse(call.func).rpartition(".")[2]
    if name == "replace":
        # One path to another has one argument, a text has two, and a time or a dataclass names them.
        return isinstance(call.func, ast.Attribute) and len(call.args) == 1 and not call.keywords
    if name == "ask":
        return not (call.args and isinstance(call.args[0], ast.Constant) and call.args[0].value == "GET")
    if name == "execute":
        return any(isinstance(a, ast.Constant) and str(a.value).startswith(WRITES) for a in call.args)
    # A method that hands on to its parent stands where it is called, and there it has its points.
    return ast.unparse(call.func) != f"super().{name}" and (name in EFFECTS or name in SENDERS)


def names() -> list[str]:
    """Return the name of every `around` in the adapters, as often as it stands there."""
    found = []
    for path in modules():
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("around") and node.args:
                found.append(ast.literal_eval(node.args[0]))
    return found


def every_point() -> frozenset[str]:
    """Return every point that there is."""
    return frozenset(f"{name}.{side}" for name in names() for side in ("before", "after"))
