"""Look at a bot from outside: what is wrong with it, by its own judgment or because it doesn't answer at all."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import requests
import urllib3
from msgspec import Struct

from commands.watchdog.settings import watched_folder
from tradebot.adapters.state import state_locks
from tradebot.judging.judgment import HealthState
from tradebot.model import variables

LIMIT_S = 60.0
"""How long a bot's health may take to tell."""
WAIT_S = (5.0, 15.0)
LONGEST = 1 << 20
ALARMING = frozenset({HealthState.FAILED.value})
SERVE = "serve"
"""The part that says whether the daemon works."""


class ProbeFindings(Struct, frozen=True):
    """What is wrong with a bot, by cause; `rested_at` differs after each session's last chore."""

    causes: Mapping[str, str]
    rested_at: str = ""


def look(bot: str) -> ProbeFindings:
    """Return what is wrong with the bot in a state folder, or behind a health port."""
    folder = watched_folder(bot)
    return _by_folder(folder) if folder is not None else _by_port(bot)


def _by_folder(folder: Path) -> ProbeFindings:
    # In a process of its own: whatever is wrong with the bot mustn't reach the watch.
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
        told = json.loads(done.stdout)
    except subprocess.TimeoutExpired:
        return ProbeFindings({"health": f"its health couldn't be told in {LIMIT_S:.0f} s"})
    except ValueError:
        return ProbeFindings({"health": f"its health couldn't be told: exit code {done.returncode}"})
    if "error" in told:
        return ProbeFindings({"folder": str(told["error"]["message"])})
    try:
        runs = state_locks.holder(folder, state_locks.SERVE_LOCK) is not None
    except OSError:
        runs = True
    return _found(told["data"]["judgments"], runs=runs)


def _by_port(address: str) -> ProbeFindings:
    try:
        url = f"{address.rstrip('/')}/health"
        with requests.get(url, timeout=WAIT_S, allow_redirects=False, stream=True) as answer:
            text = _read(answer)
        if answer.status_code not in (200, 503):
            return ProbeFindings({"port": f"its health port answered {answer.status_code}"})
        return _found(json.loads(text)["subsystems"])
    except TimeoutError:
        return ProbeFindings({"port": f"its health port's answer wasn't complete in {LIMIT_S:.0f} s"})
    except requests.RequestException as failed:
        return ProbeFindings({"port": f"its health port can't be reached: {type(failed).__name__}"})
    except urllib3.exceptions.HTTPError as failed:
        return ProbeFindings({"port": f"its health port's answer broke off: {type(failed).__name__}"})
    except (ValueError, LookupError, TypeError):
        return ProbeFindings({"port": "its health port answered something else"})


def _read(answer: requests.Response) -> bytes:
    """Read an answer piece by piece; TimeoutError if it takes too long, because one that trickles in never ends."""
    text, deadline = bytearray(), time.monotonic() + LIMIT_S
    while len(text) < LONGEST and (piece := answer.raw.read1(LONGEST, decode_content=True)):
        text += piece
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(text)


def _found(judgments: Iterable[Mapping[str, Any]], *, runs: bool = True) -> ProbeFindings:
    """Return what is wrong by judgments; that `serve` was stopped is, too, even where time stands still without it."""
    found = {str(each["subject"]): each for each in judgments}
    wrong = {name: each for name, each in found.items() if each["state"] in ALARMING}
    if not runs and SERVE in found and found[SERVE]["state"] == HealthState.DEGRADED.value:
        wrong[SERVE] = found[SERVE]
    causes = {name: f"{name}: {each['found']}" for name, each in wrong.items()}
    return ProbeFindings(causes, str(found.get("chores", {}).get("at") or ""))
