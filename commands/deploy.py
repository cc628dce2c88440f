"""`tradebot deploy verify`: check that the installed version is the running one, and that it is healthy."""

import os
import re
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from commands.doctor.machine import CheckResult, attempt, bad, ok, skip, versions, warn
from commands.shared.declaration import VerbPurpose, group
from commands.shared.verb_options import Report, on_bot, opened_as_found
from commands.upgrade import files
from tradebot import __version__
from tradebot.adapters.ledger.schema import FORM
from tradebot.adapters.state import serve_status
from tradebot.errors import ExitCode
from tradebot.judging.evidence import HealthEvidence, SessionEvidence
from tradebot.judging.judgment import HealthState, Judgment, rank_judgments, worst_state
from tradebot.judging.pass_health import judge_passes
from tradebot.model.sentences import pluralize

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console

    from tradebot.app.wiring import App
    from tradebot.model.serving import ServeNote

group("deploy", "Check what was deployed.")
SYSTEMCTL = ("systemctl", "list-units", "--all", "--plain", "--no-legend", "tradebot*")
WAIT_S = 10.0
AGAIN = "tradebot deploy verify, in a minute"


class Deployed(Struct, frozen=True):
    """The installed version, the judgments about the running processes, and the worst state among them."""

    state_dir: str
    version: str
    state: "HealthState"
    judgments: "tuple[Judgment, ...]"


def run(app: "App") -> Report:
    """Check the running processes without changing anything; exit 10 if anyone has to act."""
    rows = tuple(_rows(app))
    state = worst_state(rows)
    code = ExitCode.FINDINGS if state.is_finding else ExitCode.DONE
    return Report("deploy-verify", Deployed(str(app.folder.path), __version__, state, rows), _render, code)


def _rows(app: "App") -> "Iterator[Judgment]":
    from commands.shared.evidence import evidence_of

    folder = app.folder.path
    note = serve_status.read_serving(folder) if serve_status.is_running(folder) else None
    evidence = evidence_of(app)
    yield attempt("installed", versions)
    yield attempt("version", lambda: _version(note))
    yield attempt("files", lambda: _files(app))
    yield attempt("unit", _units)
    yield attempt("health", lambda: _health(judge_passes(evidence)))
    yield attempt("first pass", lambda: _first_pass(note, evidence))
    yield attempt("journal", lambda: _journal(app))


def _version(note: "ServeNote | None") -> "CheckResult":
    if note is None:
        return skip("serve isn't running; cron and timers run the installed version")
    if note.version == __version__:
        return ok(f"serve, process {note.pid}, runs {note.version}, the installed version", "notes")
    unit = _unit_of(note.pid)
    fix = f"sudo systemctl restart {unit}" if unit else "Restart serve"
    return bad(f"serve, process {note.pid}, runs {note.version}, and {__version__} is installed", fix, "notes")


def _unit_of(pid: int) -> str | None:
    """Return the unit of ours that a process belongs to; None if it belongs to none, or the system doesn't say."""
    with suppress(OSError):
        named = re.findall(r"/(tradebot[^/\n]*\.service)", Path(f"/proc/{pid}/cgroup").read_text())
        return str(named[-1]) if named else None
    return None


def _units() -> "CheckResult":
    """Check the units known to systemd, including those of other bots on the machine."""
    if shutil.which(SYSTEMCTL[0]) is None:
        return skip("there is no systemd here")
    # The keys of our environment are none of its business.
    bare = {"PATH": os.environ.get("PATH", os.defpath)}
    try:
        process = subprocess.run(  # noqa: S603 - a fixed command
            SYSTEMCTL, capture_output=True, text=True, timeout=WAIT_S, check=False, env=bare
        )
    except subprocess.TimeoutExpired:
        return warn(f"systemd didn't answer in {WAIT_S:.0f} s", "systemctl status", "question")
    rows = [line.split() for line in process.stdout.splitlines()]
    units = {row[0]: row[2] for row in rows if len(row) > 2}
    if not units:
        return skip("systemd has no tradebot units here")
    failed = [name for name, active in units.items() if active == "failed"]
    if failed:
        return bad(f"{', '.join(failed)} failed", f"journalctl -u {failed[0]} -o cat -n 50", "units", len(units))
    active = [name for name, active in units.items() if active == "active"]
    if not active:
        return warn(f"none is active: {', '.join(units)}", "sudo systemctl start tradebot@NAME", "units", len(units))
    return ok(f"active: {', '.join(active)}", "units", len(units))


def _files(app: "App") -> "CheckResult":
    """Check the files as `upgrade --check` does; the worst one decides."""
    every = tuple(files(app.folder, FORM, lambda: app.loaded))
    for worst in rank_judgments(every):
        return CheckResult(
            worst.state, f"{worst.subject}: {worst.found}", worst.looked_at, worst.count, worst.next, None
        )
    return ok("this version needs no change in the bot's files", "files", sum(each.count for each in every))


def _health(judgments: "tuple[Judgment, ...]") -> "CheckResult":
    from commands.health.report import summary

    finding, worst = summary(judgments), next(iter(rank_judgments(judgments)), None)
    if worst is None:
        return CheckResult(worst_state(judgments), finding, "parts", len(judgments))
    return CheckResult(worst.state, f"{finding}; {worst.subject}: {worst.found}", "parts", len(judgments), worst.next)


def _first_pass(note: "ServeNote | None", evidence: "HealthEvidence") -> "CheckResult":
    """Check whether `serve` has worked since it started: it compares books and broker first, then runs slots."""
    if note is None:
        return skip("serve isn't running; tradebot health judges the passes of cron and timers")
    if note.ready_at is None:
        return warn(
            f"books and broker haven't been compared since the start at {note.since:%Y-%m-%d %H:%M:%S} UTC",
            AGAIN,
            "notes",
        )
    claims = evidence.past.claims if isinstance(evidence.past, SessionEvidence) else ()
    own = [claim for claim in claims if claim.missed_reason is None and claim.by.endswith(f"/{note.pid}")]
    if own:
        last = max(own, key=lambda claim: claim.at)
        return ok(
            f"{pluralize(len(own), 'slot')} ran since the start; the last one was {last.job} {last.slot}",
            "claimed slots",
            len(own),
        )
    return CheckResult(
        HealthState.NOT_DUE, "books and broker agree; no slot has been due since the start", "", 0, age_s=None
    )


def _journal(app: "App") -> "CheckResult":
    head = app.ledger_view.file.check_journal()
    return ok(f"intact up to record {head.sequence:,}, the last one in the ledger", "records", head.sequence)


def _render(console: "Console", data: Deployed) -> None:
    from commands.shared.tables import table

    console.print(f"tradebot {data.version} on {data.state_dir}", markup=False)
    console.print(table(data.judgments))


@on_bot(
    "deploy verify",
    VerbPurpose.OPERATE,
    270,
    {"deploy-verify/1": (Deployed,)},
    epilog="tradebot deploy verify\ntradebot deploy verify --json",
    opens=opened_as_found,
)
def _verify(bot: "App") -> Report:
    """Check the running bot after an upgrade or a downgrade.

    Checks versions, units, health, the first pass and the journal, and changes nothing. Exits with code 10 if anyone
    has to act, and says what to type next.
    """
    return run(bot)
