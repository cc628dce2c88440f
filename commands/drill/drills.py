"""The drills: what each does, and the expected consequences."""

import json
import random
import signal
import subprocess
import time
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from msgspec import Struct

from commands.drill.stage import DrillCheck, Stage
from commands.report.page import render_template
from tradebot.adapters.state.serve_status import read_serving
from tradebot.adapters.text.canonical import CodecError, json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.model.finding import FindingKind
from tradebot.model.sentences import pluralize

KILLS = 4
SERVE_S = 20.0
CANNOT_ARRIVE = "12h"
"""How far the clock advances until the bot gives up an order that the broker doesn't know: hours after the close."""
AWAY = """- name: drill-away
  when: {request: any trading}
  what: {status: 503}
- name: drill-away-data
  when: {request: any data}
  what: {status: 503}
"""
REFUSED = """- name: drill-keys
  when: {request: any}
  what: expired_keys
"""
"""Fault scripts of the embedded exchange."""


class Drill(Struct, frozen=True):
    """One drill: a sentence that describes it, and its function."""

    name: str
    what: str
    play: Callable[[Stage], None]


def _pass(stage: Stage, *words: str) -> tuple[int, str]:
    verb_result = stage.says(*words, "--force-slot")
    return verb_result.code, verb_result.error


def _check_nothing_lost(stage: Stage, before: list[str], stops: list[str]) -> None:
    """Check what applies to every drill: nothing was bought, and each stop still rests."""
    stage.check("nothing was bought meanwhile", stage.entries() == before, f"{_entries_text(before)} before and after")
    stage.check("every stop still rests at the broker", stage.resting() == stops, ", ".join(stops))


def _entries_text(entries: list[str]) -> str:
    return pluralize(len(entries), "entry", "entries")


def _recovers(stage: Stage) -> None:
    """Check that the bot recovers once the trouble is over, and that books and broker agree."""
    code, error = _pass(stage, "evaluate-exits")
    stage.check("exits are checked again", code == 0, error or "exit code 0")
    result = stage.says("reconcile")
    differ = [f"{row['subject']}: {row['kind']}" for row in result.data.get("findings", ())]
    stage.check("books and broker agree", result.code == 0, result.error or ", ".join(differ) or "no difference")


def _faults(stage: Stage, script: str) -> None:
    stage.steps.append("the embedded exchange injects a fault")
    path = stage.folder / "faults.yaml"
    path.write_text(script, encoding="utf-8")
    stage.must("exchange", "faults", "add", str(path))


def _broker_down(stage: Stage) -> None:
    before, stops = stage.entries(), stage.resting()
    _faults(stage, AWAY)
    code, error = _pass(stage, "evaluate-exits")
    stage.check("the pass reports that the broker doesn't answer", code == 5, error)
    code, error = _pass(stage, "trade-once")
    stage.check("the entry pass reports it too", code == 5, error)
    health = stage.part("broker")
    stage.check("health isn't OK", not health.startswith("OK"), health)
    stage.must("exchange", "faults", "clear")
    _check_nothing_lost(stage, before, stops)
    state = stage.says("status").data.get("trading_state")
    stage.check("the bot didn't halt itself for an outage", state == "ACTIVE", state)
    _recovers(stage)


def _wrong_keys(stage: Stage) -> None:
    before, stops = stage.entries(), stage.resting()
    _faults(stage, REFUSED)
    code, error = _pass(stage, "trade-once")
    stage.check("the pass ends with exit code 4, which no supervisor starts again", code == 4, error)
    stage.must("exchange", "faults", "clear")
    _check_nothing_lost(stage, before, stops)
    _recovers(stage)


def _slow(stage: Stage) -> None:
    stops = stage.resting()
    stage.must("exchange", "faults", "add", "slow-venue")
    began = time.monotonic()
    code, error = _pass(stage, "evaluate-exits")
    took_s = time.monotonic() - began
    stage.check("an exit pass ends in time", took_s < 60, f"{took_s:.1f} s, exit code {code} {error}")
    stage.must("exchange", "faults", "clear")
    stage.check("every stop still rests at the broker", stage.resting() == stops, ", ".join(stops))
    _recovers(stage)


def _corrupt_ledger(stage: Stage) -> None:
    before, stops, positions = stage.entries(), stage.resting(), stage.positions()
    ledger = stage.state / "ledger.db"
    content = bytearray(ledger.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 4096] = bytes(4096)
    ledger.write_bytes(bytes(content))
    stage.steps.append("a page in the middle of ledger.db is overwritten")
    code, error = _pass(stage, "trade-once")
    stage.check("no verb trades on damaged books", code != 0, error)
    verb_result = stage.says("health")
    stage.check("health can't be OK", verb_result.code != 0, verb_result.error or stage.part("ledger"))
    _check_nothing_lost(stage, before, stops)
    verb_result = stage.says("recover")
    name, tail = str(verb_result.data.get("name") or ""), _tail_of(stage)
    stage.check("recover rebuilds the books from journal and broker", bool(name), verb_result.error or name)
    verb_result = stage.says("recover", "--accept", name, "--confirm", tail)
    stage.check("the rebuilt books are accepted", verb_result.code == 0, verb_result.error or name)
    verb_result = stage.says("unhalt", "--confirm", tail)
    stage.check("the halt is ended", verb_result.code == 0, verb_result.error or "ACTIVE")
    quantities = {row["symbol"]: row["quantity"] for row in stage.says("positions").data.get("positions", ())}
    stage.check("positions match the broker's", set(quantities) == set(positions), quantities)
    _recovers(stage)


def _tail_of(stage: Stage) -> str:
    marker = (stage.state / "state.id").read_text(encoding="utf-8")
    number = next(line for line in marker.splitlines() if "account" in line)
    return number.strip().strip('",')[-4:]


def _flow_contaminated(stage: Stage) -> None:
    before, stops = stage.entries(), stage.resting()
    stage.must("exchange", "faults", "add", "drifting-flow")
    stage.must("exchange", "tick", "5m")
    fetched = stage.says("fetch-flow")
    stage.check("the fetch ends and reports what it got", fetched.code in (0, 5), fetched.error or "exit code 0")
    code, error = _pass(stage, "trade-once")
    stage.check("the entry pass ends", code == 0, error or "exit code 0")
    bought = f"{_entries_text(before)} before and after"
    stage.check("nothing is bought on another symbol's flow", stage.entries() == before, bought)
    health = stage.part("signals")
    stage.check("health shows that the source has changed", not health.startswith("OK"), health)
    stage.must("exchange", "faults", "clear")
    stage.check("every stop still rests at the broker", stage.resting() == stops, ", ".join(stops))


def _clock_skew(stage: Stage) -> None:
    before, stops = stage.entries(), stage.resting()
    stage.must("exchange", "faults", "add", "clock-skew")
    code, error = _pass(stage, "trade-once")
    stage.check("entries stay blocked while the clocks differ", stage.entries() == before, f"exit code {code} {error}")
    code, error = _pass(stage, "evaluate-exits")
    stage.check("exits continue", code == 0, error or "exit code 0")
    stage.must("exchange", "faults", "clear")
    _check_nothing_lost(stage, before, stops)


def _kill_passes(stage: Stage) -> None:
    stops = stage.resting()
    for _ in range(KILLS):
        stage.must("exchange", "tick", "5m")
        stage.says("fetch-flow")
        command, environment = stage.command("trade-once", "--force-slot")
        process = subprocess.Popen(  # noqa: S603 - this interpreter and our own program
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=stage.folder
        )
        time.sleep(random.uniform(0.2, 1.5))  # noqa: S311 - any moment will do
        process.kill()
        process.wait()
        stage.steps.append("trade-once is killed in the middle")
        code, error = _pass(stage, "trade-once")
        stage.check("the next pass resumes", code == 0, error or "exit code 0")
    entries = stage.entries()
    stage.check("no order was sent twice", len(entries) == len(set(entries)), _entries_text(entries))
    stage.check("every earlier stop still rests, or its position is closed", _protects(stage, stops), stage.resting())
    if lost := _unsent_intents(stage):
        stage.steps.append(
            f"after a kill, only the record of {', '.join(lost)} exists: the order may still arrive, so the bot waits"
        )
        stage.must("exchange", "tick", CANNOT_ARRIVE)
    _recovers(stage)


def _unsent_intents(stage: Stage) -> list[str]:
    """Return the orders that were recorded but never reached the exchange."""
    findings = stage.says("reconcile").data.get("findings", ())
    accepted = {event.get("client_order_id") for event in stage.log()}
    recorded = [str(finding["subject"]) for finding in findings if finding["kind"] == FindingKind.UNRESOLVED]
    return [name for name in recorded if name not in accepted]


def _protects(stage: Stage, stops: list[str]) -> bool:
    positions = stage.positions()
    return all(symbol in stage.resting() for symbol in stops if symbol in positions)


def _halt(stage: Stage) -> None:
    before, stops = stage.entries(), stage.resting()
    began = time.monotonic()
    verb_result = stage.says("halt", "--reason", "a drill")
    took_s = time.monotonic() - began
    stage.check("halt returns at once", verb_result.code == 0 and took_s < 10, f"{took_s:.1f} s {verb_result.error}")
    stage.must("exchange", "tick", "5m")
    stage.says("fetch-flow")
    _pass(stage, "trade-once")
    code, error = _pass(stage, "evaluate-exits")
    stage.check("exits continue", code == 0, error or "exit code 0")
    stage.check("nothing was bought meanwhile", stage.entries() == before, f"{_entries_text(before)} before and after")
    stage.check("every position keeps its stop", _protects(stage, stops), stage.resting())
    messages = stage.messages()
    stage.check("people were notified", "HALTED" in messages, messages or "nothing")
    verb_result = stage.says("unhalt", "--confirm", _tail_of(stage))
    stage.check("unhalt ends the halt", verb_result.code == 0, verb_result.error or "ACTIVE")


def _supervisor(stage: Stage) -> None:
    stops = stage.resting()
    _serve_until_ready(stage, signal.SIGKILL)
    stage.steps.append("serve is killed")
    health = stage.part("serve")
    stage.check("health shows that serve is gone", health.startswith("FAILED"), health)
    code = _serve_until_ready(stage, signal.SIGTERM)
    stage.check("it starts again, compares books and broker, and ends on request", code == 0, f"exit code {code}")
    entries = stage.entries()
    stage.check("no order was sent twice", len(entries) == len(set(entries)), _entries_text(entries))
    stage.check("every position keeps its stop", _protects(stage, stops), stage.resting())


def _serve_until_ready(stage: Stage, end: signal.Signals) -> int:
    """Run `serve` until it is ready, then end it; return its exit code."""
    command, environment = stage.command("serve", "--speed", "5")
    process = subprocess.Popen(  # noqa: S603 - this interpreter and our own program
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment, cwd=stage.folder
    )
    deadline = time.monotonic() + SERVE_S
    while not _works(stage, process.pid) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.1)
    process.send_signal(end)
    return process.wait(timeout=60)


def _works(stage: Stage, pid: int) -> bool:
    """Return True once a `serve` has compared books and broker, and its lanes look for work."""
    note = read_serving(stage.state)
    return note is not None and note.pid == pid and note.ready_at is not None and bool(note.lanes)


DRILLS: Mapping[str, Drill] = {
    drill.name: drill
    for drill in (
        Drill("broker_down", "The broker stops answering in the middle of a session, and comes back.", _broker_down),
        Drill("wrong_keys", "The broker refuses the keys.", _wrong_keys),
        Drill("slow", "The broker's answers arrive slowly, and one never arrives.", _slow),
        Drill("corrupt_ledger", "A page of the books is overwritten; they are rebuilt and accepted.", _corrupt_ledger),
        Drill("flow_contaminated", "The flow source sends another symbol's alerts, and old ones.", _flow_contaminated),
        Drill("clock_skew", "The broker's clock is three minutes ahead.", _clock_skew),
        Drill("killed", "Entry passes are killed at random moments, without warning.", _kill_passes),
        Drill("halt", "A person halts the bot, then ends the halt.", _halt),
        Drill("supervisor", "serve is killed, and started again.", _supervisor),
    )
}
"""The drills by name, in the recommended order."""


class PlayedDrill(Struct, frozen=True):
    """The record of a drill: time and version, its steps, and the checks of their consequences."""

    name: str
    what: str
    at: datetime
    version: str
    took_s: float
    steps: tuple[str, ...]
    checks: tuple[DrillCheck, ...]

    @property
    def passed(self) -> bool:
        """Return True if there were checks and all passed."""
        return bool(self.checks) and all(check.held for check in self.checks)


def keep(folder: Path, played: PlayedDrill) -> Path:
    """Write the evidence of a drill, replacing that of an earlier one, and return the page's path."""
    folder.mkdir(mode=0o700, exist_ok=True)
    (folder / f"{played.name}.json").write_text(json_text(encode(played)), encoding="utf-8")
    page = folder / f"{played.name}.html"
    page.write_text(render_template("drill.html", drill=played), encoding="utf-8")
    return page


def read(folder: Path) -> Mapping[str, PlayedDrill]:
    """Return the recorded drills by name; unreadable records are skipped."""
    runs = {}
    for path in sorted(folder.glob("*.json")):
        try:
            runs[path.stem] = decode(PlayedDrill, json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, CodecError):
            continue
    return runs
