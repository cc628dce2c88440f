"""Strategies by entry point: our own run in this process, everybody else's in one of their own.

A plug-in is code that we did not write. It gets a copy of what it may see, a time limit and an address-space limit, and
an environment without our keys; what it answers comes back as data, never as objects. Where the system lets us, it
reaches neither our files nor our processes nor a network (`confinement.py`). None of this holds back what a package
does while it is installed, or in a `.pth` file that Python runs at each start.
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
"""How long a plug-in's keeper may take to end what the plug-in started, once its time is over."""


@dataclass(frozen=True, slots=True)
class Bounds:
    """What one answer may cost: real seconds, and bytes of address space."""

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
    """What a plug-in's keeper is handed; without a desk it only tells what protects us from the plug-in.

    `private` is out of the plug-in's reach, even where it lies among what Python imports from.
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
    """Return the installed strategies by name. OperatorError where two packages claim one name."""
    found: dict[str, EntryPoint] = {}
    for point in entry_points(group=GROUP):
        held = found.setdefault(point.name, point)
        if held.value != point.value:
            raise OperatorError(
                f"two packages install a strategy named {point.name}: {package_of(held)} and {package_of(point)}",
                f"uninstall one: pip uninstall {package_of(point)}",
            )
    return found


def package_of(point: EntryPoint) -> str:
    """Return the name of the package that an entry point came with."""
    return point.dist.name if point.dist else "an unknown package"


def is_built_in(point: EntryPoint) -> bool:
    """Tell whether a strategy is our own."""
    return package_of(point) == OUR_PACKAGE


def strategies(wanted: Mapping[str, Mapping[str, object]], surroundings: Surroundings) -> tuple[Strategy, ...]:
    """Return the strategies that the configuration names. OperatorError for one that is not installed."""
    found = require_installed(wanted)
    return tuple(_strategy(found[name], settings, surroundings) for name, settings in wanted.items())


def require_installed(wanted: Iterable[str]) -> dict[str, EntryPoint]:
    """Return what is installed. OperatorError for a name that no installed package has."""
    found = installed()
    missing = [name for name in wanted if name not in found]
    if missing:
        raise OperatorError(
            f"strategies.{missing[0]} is configured, but no strategy of this name is installed",
            f"installed: {', '.join(sorted(found))}; install its package here, or set strategies.{missing[0]}: null",
        )
    return found


def protections_from(name: str, surroundings: Surroundings) -> Protections:
    """Return what protects us from an installed plug-in on this machine; its own code isn't run for that."""
    return PluginStrategy(installed()[name], {}, surroundings).protections()


def _strategy(point: EntryPoint, settings: Mapping[str, object], surroundings: Surroundings) -> Strategy:
    if not is_built_in(point):
        return PluginStrategy(point, settings, surroundings)
    made: Strategy = point.load()(settings)
    return made


class PluginStrategy:
    """A strategy that somebody else wrote, asked in a process of its own that lives for one answer."""

    def __init__(self, point: EntryPoint, settings: Mapping[str, object], surroundings: Surroundings) -> None:
        self.name = point.name
        self._target = point.value
        self._settings = dict(settings)
        self._bounds, self._private = surroundings.bounds, surroundings.private
        # The same folders as here, because this is where the plug-in was found; it doesn't run in the same one.
        folders = map(os.path.abspath, filter(None, sys.path))
        self._environ = {**surroundings.environ, "PYTHONPATH": os.pathsep.join(folders)}

    def propose(self, desk: StrategyDesk) -> Sequence[Candidate] | Decision:
        """Return the plug-in's candidates, or the decision that refuses its answer; never raises on what it does."""
        answer = self._told(FlowDesk(desk.now, tuple(desk.universe), dict(desk.facts), desk.tide), Answer)
        if isinstance(answer, Decision):
            return answer
        return answer.refusal or answer.candidates

    def protections(self) -> Protections:
        """Return what protects us from this plug-in on this machine, as its process found; nothing if it didn't."""
        found = self._told(None, Protections)
        return Protections() if isinstance(found, Decision) else found

    def _told(self, desk: FlowDesk | None, kind: type[T]) -> T | Decision:
        """Return what the plug-in's keeper answers, or the decision that refuses it."""
        request = Request(self.name, self._target, self._settings, desk, self._bounds, self._private)
        told = self._ask(pickle.dumps(request))
        if isinstance(told, Decision):
            return told
        try:
            return decode(kind, _parsed(told))
        except CodecError as bad:
            return _failed(f"its process answered what cannot be read: {bad}"[:200])

    def _ask(self, request: bytes) -> bytes | Decision:
        """Return the bytes that the process wrote, or why there are none."""
        command = [sys.executable, "-P", "-m", WORKER]
        pipe, nothing = subprocess.PIPE, subprocess.DEVNULL
        try:
            process = subprocess.Popen(  # noqa: S603 - this interpreter and a module of ours
                command, stdin=pipe, stdout=pipe, stderr=nothing, env=self._environ, cwd="/", start_new_session=True
            )
        except OSError as error:
            return _failed(f"no process could be started for it: {error.strerror}")
        try:
            told, _ = process.communicate(request, timeout=self._bounds.timeout_s)
        except subprocess.TimeoutExpired:
            limit = self._bounds.timeout_s
            return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_TIMEOUT, "no answer", limit)
        finally:
            _end(process)
        if process.returncode or not told:
            return _failed(f"its process ended without an answer, exit code {process.returncode}")
        # It has no key of ours from us, and where nothing confines it, it could have read the file of keys.
        return hide_in(told)


def _end(process: "subprocess.Popen[bytes]") -> None:
    """End a process with whatever it started, and let go of its pipes."""
    with suppress(subprocess.TimeoutExpired):
        process.terminate()
        process.wait(GRACE_S)
    # Its own group holds what it started; the group is gone where all of it has ended.
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe:
            with suppress(BrokenPipeError):
                pipe.close()


def _parsed(told: bytes) -> Any:
    try:
        return json.loads(told)
    except ValueError as bad:
        raise CodecError(str(bad)) from bad


def _failed(why: str) -> Decision:
    return Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, why)
