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
from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from typing import Any, TypeVar

from tradebot.adapters.plugins.confinement import Protections
from tradebot.adapters.text.canonical import CodecError
from tradebot.adapters.text.codec import decode
from tradebot.adapters.text.redaction import hide_in
from tradebot.errors import OperatorError
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.needs import NOTHING, BarNeed, Needs
from tradebot.model.reasons import Reason
from tradebot.model.view import StrategyView
from tradebot.model.wants import Close, Open, Reduce, Target, Want
from tradebot.ports.strategy import Strategy

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


class Question(Enum):
    """What a plug-in's keeper is asked."""

    PROTECTIONS = "protections"
    NEEDS = "needs"
    WANTS = "wants"


@dataclass(frozen=True, slots=True)
class Request:
    """What a plug-in's keeper receives. Only a question about its wants comes with a view.

    The paths in `private` are out of the plug-in's reach, even if Python imports from that folder.
    """

    name: str
    target: str
    settings: Mapping[str, object]
    question: Question
    view: StrategyView | None
    bounds: Bounds
    private: tuple[Path, ...]


@dataclass(frozen=True, slots=True)
class Answer:
    """What comes back: wants by kind, or the decision that refuses them all."""

    opens: tuple[Open, ...] = ()
    targets: tuple[Target, ...] = ()
    reduces: tuple[Reduce, ...] = ()
    closes: tuple[Close, ...] = ()
    refusal: Decision | None = None

    @classmethod
    def of(cls, wants: Sequence[Want]) -> "Answer":
        """Return the answer that holds these wants."""
        return cls(
            tuple(want for want in wants if isinstance(want, Open)),
            tuple(want for want in wants if isinstance(want, Target)),
            tuple(want for want in wants if isinstance(want, Reduce)),
            tuple(want for want in wants if isinstance(want, Close)),
        )

    @property
    def wants(self) -> tuple[Want, ...]:
        """Return all wants."""
        return (*self.opens, *self.targets, *self.reduces, *self.closes)


@dataclass(frozen=True, slots=True)
class Declared:
    """What a plug-in says of itself: what it needs, and when it wants to be asked; or why it can't be asked."""

    facts: tuple[str, ...] = ()
    bars: tuple[BarNeed, ...] = ()
    quotes: bool = False
    lots: bool = False
    equity: bool = False
    times: str = ""
    refusal: Decision | None = None

    @property
    def needs(self) -> Needs:
        """Return what it needs."""
        return Needs(frozenset(self.facts), self.bars, self.quotes, self.lots, self.equity)


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

    @property
    def needs(self) -> Needs:
        """Return what the plug-in needs; nothing if it can't say, which `propose` then reports."""
        return NOTHING if isinstance(self._declared, Decision) else self._declared.needs

    @property
    def times(self) -> str:
        """Return when the plug-in wants to be asked."""
        return "" if isinstance(self._declared, Decision) else self._declared.times

    def propose(self, view: StrategyView) -> Sequence[Want] | Decision:
        """Return the plug-in's wants, or the decision that refuses its answer; never raises for what it does."""
        if isinstance(self._declared, Decision) or self._declared.refusal:
            return self._declared if isinstance(self._declared, Decision) else self._declared.refusal or ()
        answer = self._query(Question.WANTS, Answer, plain(view))
        if isinstance(answer, Decision):
            return answer
        return answer.refusal or answer.wants

    @cached_property
    def _declared(self) -> Declared | Decision:
        return self._query(Question.NEEDS, Declared)

    def protections(self) -> Protections:
        """Return what protects us from this plug-in here, as its process reports; empty if it doesn't."""
        result = self._query(Question.PROTECTIONS, Protections)
        return Protections() if isinstance(result, Decision) else result

    def _query(self, question: Question, kind: type[T], view: StrategyView | None = None) -> T | Decision:
        """Return what the plug-in's keeper answers, or the decision that refuses it."""
        request = Request(self.name, self._target, self._settings, question, view, self._bounds, self._private)
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


def plain(view: StrategyView) -> StrategyView:
    """Return a view that can be sent to another process: its mappings are read-only here, but copies there."""
    return replace(
        view,
        universe=tuple(view.universe),
        facts=dict(view.facts),
        series=dict(view.series),
        quotes=dict(view.quotes),
        lots=dict(view.lots),
    )


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
