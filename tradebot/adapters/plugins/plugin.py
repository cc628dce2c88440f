"""Load strategies by entry point: our own run in this process, everyone else's in a process of their own.

A plug-in is code that we did not write. It gets a copy of what it may see, a time limit, an address-space limit, and an
environment without our keys. Its answer comes back as data, never as objects. Where the system allows it, it can't
reach our files, our processes or a network (`confinement.py`). None of this stops what a package does while it is being
installed, or in a `.pth` file that Python runs at each start.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from tradebot.adapters.plugins.confinement import Protections
from tradebot.adapters.text.canonical import CodecError
from tradebot.adapters.text.codec import decode
from tradebot.adapters.text.redaction import hide_in
from tradebot.errors import OperatorError
from tradebot.model.candidate import Candidate
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import FlowDesk
from tradebot.model.reasons import Reason
from tradebot.ports.strategy import Strategy, StrategyDesk

T = TypeVar("T")
GROUP = "tradebot.strategies"
OUR_PACKAGE = "tradebot"
WORKER = "tradebot.adapters.plugins.plugin_worker"
GRACE_S = 1.0
"""How long a plug-in's keeper may take to kill whatever the plug-in started, once its time is up."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer may cost: seconds of real time, and bytes of address space."""

    timeout_s: float
    memory_bytes: int


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a plug-in runs in: its limits, its environment, and the files that are kept from it."""

    bounds: Bounds
    environ: Mapping[str, str]
    private: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """What a plug-in's keeper receives; without a desk, it only reports what protects us from the plug-in.

    The paths in `private` are out of the plug-in's reach, even if Python imports from that folder.
    """

    name: str
    target: str
    settings: Mapping[str, object]
    desk: FlowDesk | None
    bounds: Bounds
    private: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back: candidates, or the decision that refuses them all."""

    candidates: tuple[Candidate, ...] = ()
    refusal: Decision | None = None


def installed() -> dict[str, EntryPoint]:
    """Return the installed strategies by name. OperatorError if two packages use the same name."""
    strategies_by_name: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        first = strategies_by_name.setdefault(point.name, point)
        if first.value != point.value:
            raise OperatorError(
                f"two packages install a strategy named {point.name}: {package_of(first)} and {package_of(point)}",
                f"uninstall one: pip uninstall {package_of(point)}",
            )
    return strategies_by_name


def package_of(point: EntryPoint) -> str:
    """Return the name of the package that an entry point came with."""
    return point.dist.name if point.dist else "an unknown package"


def is_built_in(point: EntryPoint) -> bool:
    """Return True if a strategy is our own."""
    return package_of(point) == OUR_PACKAGE


def strategies(wanted: Mapping[str, Mapping[str, object]], surroundings: Surroundings) -> tuple[Strategy, ...]:
    """Return the strategies that the configuration names. OperatorError if one is not installed."""
    available = require_installed(wanted)
    return tuple(_strategy(available[name], settings, surroundings) for name, settings in wanted.items())


def require_installed(wanted: Iterable[str]) -> dict[str, EntryPoint]:
    """Return the installed strategies by name. OperatorError if a wanted one is not among them."""
    available = installed()
    missing = [name for name in wanted if name not in available]
    if missing:
        raise OperatorError(
            f"strategies.{missing[0]} is configured, but no strategy with this name is installed",
            f"installed: {', '.join(sorted(available))}; install its package, or set strategies.{missing[0]}: null",
        )
    return available


def protections_from(name: str, surroundings: Surroundings) -> Protections:
    """Return what protects us from an installed plug-in on this machine, without running the plug-in's code."""
    return PluginStrategy(installed()[name], {}, surroundings).protections()


def _strategy(point: EntryPoint, settings: Mapping[str, object], surroundings: Surroundings) -> Strategy:
    if not is_built_in(point):
        return PluginStrategy(point, settings, surroundings)
    strategy: Strategy = point.load()(settings)
    return strategy


class PluginStrategy:
    """A strategy that someone else wrote; each answer comes from a new process of its own."""

    def __init__(self, point: EntryPoint, settings: Mapping[str, object], surroundings: Surroundings) -> None:
        self.name = point.name
        self._target = point.value
        self._settings = dict(settings)
        self._bounds, self._private = surroundings.bounds, surroundings.private
        # The plug-in was found in these folders, so its process, which runs elsewhere, needs their full paths.
        folders = map(os.path.abspath, filter(None, sys.path))
        self._environ = {**surroundings.environ, "PYTHONPATH": os.pathsep.join(folders)}

    def propose(self, desk: StrategyDesk) -> Sequence[Candidate] | Decision:
        """Return the plug-in's candidates, or the decision that refuses its answer; never raises for what it does."""
        answer = self._query(FlowDesk(desk.now, tuple(desk.universe), dict(desk.facts), desk.tide), Answer)
        if isinstance(answer, Decision):
            return answer
        return answer.refusal or answer.candidates

    def protections(self) -> Protections:
        """Return what protects us from this plug-in here, as its process reports; empty if it doesn't."""
        result = self._query(None, Protections)
        return Protections() if isinstance(result, Decision) else result

    def _query(self, desk: FlowDesk | None, kind: type[T]) -> T | Decision:
        """Return what the plug-in's keeper answers, or the decision that refuses it."""
        request = Request(self.name, self._target, self._settings, desk, self._bounds, self._private)
        reply = self._ask(pickle.dumps(request))
        if isinstance(reply, Decision):
            return reply
        try:
            return decode(kind, _parsed(reply))
        except CodecError as error:
            return _failed(f"its process returned an unreadable answer: {error}"[:200])

    def _ask(self, request: bytes) -> bytes | Decision:
        """Return the bytes that the process wrote, or why there are none."""
        command = [sys.executable, "-P", "-m", WORKER]
        pipe, devnull = subprocess.PIPE, subprocess.DEVNULL
        try:
            process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
                command, stdin=pipe, stdout=pipe, stderr=devnull, env=self._environ, cwd="/", start_new_session=True
            )
        except OSError as error:
            return _failed(f"its process could not be started: {error.strerror}")
        try:
            reply, _ = process.communicate(request, timeout=self._bounds.timeout_s)
        except subprocess.TimeoutExpired:
            limit = self._bounds.timeout_s
            return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_TIMEOUT, "no answer", limit)
        finally:
            _end(process)
        if process.returncode or not reply:
            return _failed(f"its process ended without an answer, exit code {process.returncode}")
        # We gave it no key, but without confinement it could have read the key file.
        return hide_in(reply)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """Kill a process and everything it started, and close its pipes."""
    with suppress(subprocess.TimeoutExpired):
        process.terminate()
        process.wait(GRACE_S)
    # Its process group holds what it started; once all of it has ended, the group no longer exists.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(BrokenPipeError):
                pipe.close()


def _parsed(reply: bytes) -> Any:
    try:
        return json.loads(reply)
    except ValueError as error:
        raise CodecError(str(error)) from error


def _failed(why: str) -> Decision:
    return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, why)
