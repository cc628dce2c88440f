"""Check that each configured strategy is installed and, unless offline, that it answers."""

from pathlib import Path

from commands.doctor.checks.row import Seen, bad, ok, warn
from commands.shared.plain import clean
from commands.strategy.verb import MISSING, OFF, WELL, StrategyRow, guarded, look, remedy
from tradebot.app.settings import Settings

UNPROTECTED = "Run only plug-ins whose code you trust, or run the bot on Linux 5.13 or later"


def strategies(settings: "Settings", folder: Path, *, ask: bool) -> Seen:
    """Look for each strategy in use and, if `ask`, run it once on a desk without facts.

    A plug-in that could read our keys still works, so that is only a warning.
    """
    used = [row for row in look(settings, folder, ask=ask) if row.state != OFF]
    ill = [row for row in used if row.state != WELL]
    if ill:
        found = "; ".join(map(_fault, ill))
        return bad(found, f"{ill[0].name}: {remedy(ill[0])}", "strategies", len(used))
    for row in used:
        if row.protections and not row.protections.keep_keys:
            found = f"{row.name} {guarded(row.protections)}"
            return warn(found, UNPROTECTED, "strategies", len(used))
    found = f"{'working' if ask else 'installed, not run'}: {', '.join(row.name for row in used)}"
    return ok(found, "strategies", len(used))


def _fault(row: StrategyRow) -> str:
    if row.state == MISSING:
        return f"{row.name} is configured, but no installed package provides it"
    return f"{row.name}: {row.state} ({clean(row.observed or '')})"
