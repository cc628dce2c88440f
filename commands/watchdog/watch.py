"""One round of a watch: check each bot, send one alarm per cause, and give the all-clear once the cause is gone."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import requests
import urllib3
from msgspec import Struct, field
from pydantic import Field, StringConstraints, ValidationError

from commands.shared.times import venue_day
from tradebot.adapters.notices.sender import Attempt
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.safe_open import create_draft, read_plain
from tradebot.adapters.text.canonical import CodecError, json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.adapters.text.yaml_loader import load_yaml
from tradebot.errors import ConfigurationError, OperatorError
from tradebot.judging.judgment import HealthState
from tradebot.model import variables
from tradebot.model.event import Severity
from tradebot.model.limits import Frozen, Seconds
from tradebot.model.notice import NoticeEvent, Topic
from tradebot.model.sentences import LABEL_PATTERN, describe_validation_error, span
from tradebot.model.struct_tools import replace
from tradebot.views.notification_events import compose_notification

LIMIT_S = 60.0
"""The time limit for a bot's health."""
WAIT_S = (5.0, 15.0)
ALARMING = frozenset({HealthState.FAILED.value})
SERVE = "serve"
"""The part with the daemon's state."""


class ProbeFindings(Struct, frozen=True):
    """A bot's problems by cause; `rested_at` changes after each session's last chore."""

    causes: Mapping[str, str]
    rested_at: str = ""


def find_problems(bot: str) -> ProbeFindings:
    """Return the problems of the bot in a state folder, or behind a health port."""
    folder = watched_folder(bot)
    return _by_folder(folder) if folder is not None else _by_port(bot)


def _by_folder(folder: Path) -> ProbeFindings:
    # In a separate process, so that a problem of the bot can't reach the watch.
    command = [sys.executable, "-m", "tradebot", "health", "--json", "--state-dir", str(folder)]
    try:
        done = subprocess.run(  # noqa: S603 - this interpreter and our own program
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=LIMIT_S,
            check=False,
            env={**os.environ, variables.STATE: str(folder)},
        )
        document = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return ProbeFindings({"health": f"its health couldn't be determined in {LIMIT_S:.0f} s"})
    except ValueError:
        return ProbeFindings({"health": f"its health couldn't be determined: exit code {done.returncode}"})
    if "error" in document:
        return ProbeFindings({"folder": str(document["error"]["message"])})
    try:
        runs = state_locks.holder(folder, state_locks.SERVE_LOCK) is not None
    except OSError:
        runs = True
    return _problems_found(document["data"]["judgments"], runs=runs)


def _by_port(address: str) -> ProbeFindings:
    try:
        url = f"{address.rstrip('/')}/health"
        with requests.get(url, timeout=WAIT_S, allow_redirects=False, stream=True) as answer:
            text = _read(answer)
        if answer.status_code not in (200, 503):
            return ProbeFindings({"port": f"its health port answered {answer.status_code}"})
        return _problems_found(json.loads(text)["subsystems"])
    except TimeoutError:
        return ProbeFindings({"port": f"its health port's answer wasn't complete in {LIMIT_S:.0f} s"})
    except requests.RequestException as failed:
        return ProbeFindings({"port": f"its health port can't be reached: {type(failed).__name__}"})
    except urllib3.exceptions.HTTPError as failed:
        return ProbeFindings({"port": f"its health port's answer was interrupted: {type(failed).__name__}"})
    except (ValueError, LookupError, TypeError):
        return ProbeFindings({"port": "its health port's answer isn't a health document"})


def _read(answer: requests.Response) -> bytes:
    """Read a response piece by piece; raise TimeoutError after LIMIT_S seconds, because a trickle might never end."""
    text, deadline = bytearray(), time.monotonic() + LIMIT_S
    while len(text) < LONGEST and (piece := answer.raw.read1(LONGEST, decode_content=True)):
        text += piece
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(text)


def _problems_found(judgments: Iterable[Mapping[str, Any]], *, runs: bool = True) -> ProbeFindings:
    """Return the findings. A `serve` that doesn't run is a finding, too, even if health rates it only as DEGRADED."""
    by_name = {str(each["subject"]): each for each in judgments}
    wrong = {name: each for name, each in by_name.items() if each["state"] in ALARMING}
    if not runs and SERVE in by_name and by_name[SERVE]["state"] == HealthState.DEGRADED.value:
        wrong[SERVE] = by_name[SERVE]
    causes = {name: f"{name}: {each['found']}" for name, each in wrong.items()}
    return ProbeFindings(causes, str(by_name.get("chores", {}).get("at") or ""))


DEFAULT = "~/.tradebot-watchdog"
FILE, KEYS = "watchdog.yaml", ".env"
EXAMPLE = """channels: [phone]                  # its address: NOTIFY_PHONE in the .env beside this file
bots:
  main: /var/lib/tradebot/main/state     # a state folder on this machine
  other: http://127.0.0.1:8081      # or the health port of a bot, also through a tunnel to another machine
late_s: 180                         # for how long something may be wrong before it raises an alarm
"""
PING = "WATCHDOG_PING"
"""The variable with the address of a dead-man service, which raises an alarm itself without pings."""

Name = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]


class WatchSettings(Frozen):
    """The watched bots, by a name that the user chooses: each a state folder, or the address of its health port."""

    channels: Annotated[list[Name], Field(min_length=1, max_length=20)]
    bots: Annotated[dict[Name, str], Field(min_length=1, max_length=50)]
    late_s: Seconds = 180


def folder_of(named: str | None, environ: Mapping[str, str]) -> Path:
    """Return the watch's folder: the named one, the environment's, or the default."""
    return Path(named or environ.get(variables.WATCHDOG) or DEFAULT).expanduser()


def load(folder: Path) -> WatchSettings:
    """Return a watch's settings.

    Raises an OperatorError that shows the format of the settings, or that names the error in them.
    """
    file = folder / FILE
    if not file.is_file():
        raise OperatorError(f"{file} doesn't exist, so nothing is watched", f"create it, for example:\n{EXAMPLE}")
    try:
        return WatchSettings.model_validate(load_yaml(file))
    except ValidationError as bad:
        wrong = "\n".join(
            f"{'.'.join(map(str, each['loc']))} ({file}): {describe_validation_error(each)}" for each in bad.errors()
        )
        raise ConfigurationError(wrong, f"correct it in {file}") from None


def watched_folder(bot: str) -> Path | None:
    """Return the state folder that is watched; None if a health port is watched instead."""
    return None if bot.startswith(("http://", "https://")) else Path(os.path.expanduser(bot))


MEMORY = "memory.json"
LONGEST = 1 << 20
PAUSE_S = 0.1
PING_EVERY = timedelta(hours=1)
PING_WAIT_S = (5.0, 10.0)


class WatchCause(Struct, frozen=True):
    """A bot's problem: since when it exists, the evidence, and whether people were notified."""

    since: datetime
    found: str
    told: bool = False


class WatchMemory(Struct, frozen=True):
    """What a watch remembers from its last round: causes by bot and name, and when it last pinged the dead-man service.

    `rested` has each bot's last `rested_at`.
    """

    causes: Mapping[str, WatchCause] = field(default_factory=dict)
    pinged_at: datetime | None = None
    rested: Mapping[str, str] = field(default_factory=dict)


class WatchRound(Struct, frozen=True):
    """The result of a round: current problems, those that are over, and notices that couldn't be sent.

    It also says whether the dead-man service was notified.
    """

    at: datetime
    wrong: Mapping[str, WatchCause]
    over: Mapping[str, WatchCause]
    problems: Mapping[str, str]
    pinged: bool


def read(folder: Path) -> WatchMemory:
    """Return the watch's memory; empty if it is lost, so that problems are reported again."""
    try:
        return decode(WatchMemory, json.loads(read_plain(folder / MEMORY)[:LONGEST]))
    except (OSError, ValueError, CodecError):
        return WatchMemory()


def write(folder: Path, memory: WatchMemory) -> str:
    """Store the watch's memory; return why that failed, or an empty text."""
    draft = None
    try:
        draft, descriptor = create_draft(folder / MEMORY)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json_text(encode(memory)))
        draft.replace(folder / MEMORY)
    except OSError as error:
        if draft is not None:
            with suppress(OSError):
                draft.unlink(missing_ok=True)
        return f"{folder / MEMORY} can't be written, so alarms are sent at once and repeated: {error.strerror}"
    return ""


def watch(
    folder: Path, settings: WatchSettings, addresses: Mapping[str, str], ping: str | None, failed: str | None = None
) -> WatchRound:
    """Run one round, and return its findings. A systemd unit in `failed` is reported at once."""
    now, memory = datetime.now(UTC), read(folder)
    looked = {bot: find_problems(target) for bot, target in settings.bots.items()}
    by_name = {f"{bot} {name}": cause for bot, findings in looked.items() for name, cause in findings.causes.items()}
    wrong = {name: WatchCause(now, cause) for name, cause in by_name.items()}
    wrong |= {
        name: WatchCause(each.since, by_name[name], each.told)
        for name, each in memory.causes.items()
        if name in by_name
    }
    # If no channel could report a unit's end, the next round reports it. A unit's name has no space; a cause's has one.
    units = {name: each for name, each in memory.causes.items() if " " not in name}
    if failed:
        name = "-".join(failed.split())
        units[name] = WatchCause(now, f"{name} failed, and systemd doesn't start it again: systemctl status")
    over = {name: each for name, each in memory.causes.items() if name not in by_name and name not in units}
    # Without stored data, nothing counts as late, so the alarm is raised at once.
    unwritten = write(folder, replace(memory, causes={**over, **wrong, **units}))
    late = {name for name, each in wrong.items() if unwritten or now - each.since >= timedelta(seconds=settings.late_s)}
    alarms = {name: each for name, each in wrong.items() if name in late and not each.told}
    cleared = {name: each for name, each in over.items() if each.told}
    problems = _tell(settings, addresses, {**units, **alarms}, cleared, now) if units or alarms or cleared else {}
    somebody = set(problems) != set(settings.channels)
    if somebody:
        wrong |= {name: WatchCause(each.since, each.found, told=True) for name, each in alarms.items()}
        cleared = {}
    rested = {bot: findings.rested_at for bot, findings in looked.items()}
    due = memory.pinged_at is None or now - memory.pinged_at >= PING_EVERY or rested != memory.rested
    pinged = bool(ping) and not wrong and due and _ping(str(ping))
    untold = {} if somebody else units
    watch_memory = WatchMemory(
        {**cleared, **wrong, **untold}, now if pinged else memory.pinged_at, rested if pinged else memory.rested
    )
    unwritten = write(folder, watch_memory) or unwritten
    wrong |= {name: WatchCause(each.since, each.found, told=somebody) for name, each in units.items()}
    return WatchRound(now, wrong, over, {**problems, **({"memory": unwritten} if unwritten else {})}, pinged)


def _tell(
    settings: WatchSettings,
    addresses: Mapping[str, str],
    alarms: Mapping[str, WatchCause],
    cleared: Mapping[str, WatchCause],
    now: datetime,
) -> Mapping[str, str]:
    """Notify every channel, all at once; return why some weren't notified."""
    lines = [_happening(name, each, Severity.CRITICAL, each.found) for name, each in alarms.items()]
    for name, each in cleared.items():
        lasted = span((now - each.since).total_seconds())
        lines.append(_happening(name, each, Severity.INFO, f"over after {lasted}: {each.found}", now))
    notice = compose_notification("tradebot watchdog", lines, venue_day())
    attempts = {name: Attempt(addresses[name], notice) for name in settings.channels if name in addresses}
    try:
        while not all(attempt.has_ended() for attempt in attempts.values()):
            time.sleep(PAUSE_S)
        failed = {name: problem for name, attempt in attempts.items() if (problem := attempt.problem())}
    finally:
        for attempt in attempts.values():
            attempt.close()
    return {name: "it has no address" for name in settings.channels if name not in addresses} | failed


def _happening(name: str, cause: WatchCause, severity: Severity, text: str, at: datetime | None = None) -> NoticeEvent:
    bot, _, part = name.partition(" ")
    sentence = f"{bot}: {text}" if part else text
    return NoticeEvent(at or cause.since, Topic.HEALTH, severity, f"causes of {name}", sentence)


def _ping(address: str) -> bool:
    """Notify the dead-man service that all is well; return False if it wasn't reached."""
    try:
        with requests.get(address, timeout=PING_WAIT_S, allow_redirects=False, stream=True) as answer:
            return answer.status_code < 400
    except requests.RequestException:
        return False
