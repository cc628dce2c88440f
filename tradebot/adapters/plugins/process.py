"""Manage a plug-in's process from the bot's side. It is started once, used for many requests, and ended on failure.

The bot and the plug-in talk over two pipes. The plug-in's keeper starts, watches and ends it, but no message goes
through the keeper. The plug-in lives as long as the `App` that uses it: the first request includes the start, and later
requests cost little more than copying the view. If a request fails in any way, the process is ended with everything it
started, and the strategy is skipped in this pass; the next pass starts a new process. The kernel ends the process with
the thread that started it, so an `App` and its plug-ins belong to one thread.
"""

import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import cached_property
from typing import NoReturn, TypeVar

from tradebot.adapters.plugins.confinement import Protections
from tradebot.adapters.plugins.protocol import (
    BEGIN,
    DECLARATION,
    ENDED,
    GRACE_S,
    JSON,
    LEFT,
    MAX_BYTES,
    PROTECTIONS,
    Pipes,
    PluginDeclaration,
    PluginReply,
    PluginStarted,
    RequestNumber,
    Start,
    pack_view,
    pack_views,
    unpack_slot_wants,
    unpack_wants,
)
from tradebot.adapters.text.codec import decode
from tradebot.adapters.text.redaction import hide_in
from tradebot.desk.want_validation import MAX_TEXT, is_refusal
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.series import MOST_BARS, width_of
from tradebot.model.view import BarNeed, FeatureNeed, SlotWants, StrategyView, Want
from tradebot.signals.kinds import kind_names

MOST_NEEDS = 20
"""The most series of bars per symbol that a plug-in may need."""
MOST_SYMBOLS = 1000
"""The most symbols in one need."""
MOST_LETTERS = 32
"""The longest symbol, in characters."""


def require_valid(declared: PluginDeclaration) -> None:
    """Raise ValueError with the first problem unless the declared needs can be met."""
    kinds = kind_names()
    unknown = [kind for kind in declared.facts if kind not in kinds]
    if unknown:
        raise ValueError(f"it needs {unknown[0][:40]!r}, which isn't a kind of facts; known: {', '.join(kinds)}")
    if len(declared.bars) > MOST_NEEDS:
        raise ValueError(f"it needs {len(declared.bars)} series of bars per symbol; at most {MOST_NEEDS} are allowed")
    for need in declared.bars:
        _require_bars(need)
    if len(declared.features) > MOST_NEEDS:
        raise ValueError(f"it needs features of {len(declared.features)} timeframes; at most {MOST_NEEDS} are allowed")
    for wanted in declared.features:
        _require_features(wanted)
    if len(declared.times) > MAX_TEXT:
        raise ValueError(f"its times are longer than {MAX_TEXT} characters")


def _require_bars(need: BarNeed) -> None:
    width_of(need.timeframe[:40])
    if not 1 <= need.depth <= MOST_BARS:
        raise ValueError(f"it needs {need.depth} bars of {need.timeframe}; the depth must be 1 to {MOST_BARS}")
    if not 1 <= need.enough <= need.depth:
        raise ValueError(f"it needs at least {need.least} of {need.depth} bars; least must be between 1 and the depth")
    if need.max_age_s is not None and need.max_age_s <= 0:
        raise ValueError(f"it needs bars that are {need.max_age_s} s old at most; max_age_s must be above 0")
    if len(need.symbols) > MOST_SYMBOLS or not all(0 < len(symbol) <= MOST_LETTERS for symbol in need.symbols):
        raise ValueError(f"a need may name at most {MOST_SYMBOLS} symbols of at most {MOST_LETTERS} characters each")


def _require_features(need: FeatureNeed) -> None:
    # The library for features is slow to import, and few strategies need it.
    from tradebot.signals.features import validate_feature

    width_of(need.timeframe[:40])
    if not need.names or len({*need.names, *need.optional}) < len(need.names) + len(need.optional):
        raise ValueError("a need must name at least one feature, and each only once")
    for name in (*need.names, *need.optional):
        validate_feature(name[:40])
    if need.max_age_s is not None and need.max_age_s <= 0:
        raise ValueError(f"it needs features that are {need.max_age_s} s old at most; max_age_s must be above 0")


T = TypeVar("T")
WORKER = "tradebot.adapters.plugins.plugin_worker"
REFUSALS = frozenset({Reason.STRATEGY_FAILED, Reason.STRATEGY_INVALID, Reason.STRATEGY_TOO_MANY})
"""Reasons for which a plug-in's own process may refuse its answer."""


class NoValidReplyError(Exception):
    """Raised if there is no valid reply, with the decision as its reason; the caller must then end the process."""

    def __init__(self, decision: Decision) -> None:
        super().__init__(str(decision.observed))
        self.decision = decision


class PluginHandle:
    """A handle for suspending and resuming a plug-in's process, which never affects a different process."""

    def __init__(self, process: int) -> None:
        self._process = process
        self._file: int | None = None
        # Not every system has file descriptors for processes. Without one, the keeper prevents reuse of the process id.
        with suppress(AttributeError, OSError):
            self._file = os.pidfd_open(process)

    def deliver_signal(self, signal_number: signal.Signals) -> None:
        """Send a signal; raise OSError if the process is gone."""
        if self._file is None:
            os.kill(self._process, signal_number)
        else:
            signal.pidfd_send_signal(self._file, signal_number)

    def close(self) -> None:
        """Release the handle; the process isn't affected."""
        if self._file is not None:
            os.close(self._file)


class PluginProcess:
    """A running keeper with its plug-in. Both end with `end`, or with the thread that started them."""

    def __init__(self, start: Start, environ: Mapping[str, str]) -> None:
        """Start the keeper; raise NoValidReplyError if that fails."""
        self._timeout_s = start.bounds.timeout_s
        self._started_s = time.monotonic()
        pipe, devnull = subprocess.PIPE, subprocess.DEVNULL
        try:
            with ExitStack() as theirs, ExitStack() as ours:
                requests, replies = os.pipe(), os.pipe()
                for end in (requests[0], replies[1]):
                    theirs.callback(os.close, end)
                for end in (replies[0], requests[1]):
                    ours.callback(os.close, end)
                noted = theirs.enter_context(tempfile.TemporaryFile())
                noted.write(bytes(RequestNumber.size()))
                noted.flush()
                passed = (requests[0], replies[1], noted.fileno())
                self._process = subprocess.Popen(  # noqa: S603 - this interpreter and our own module
                    [sys.executable, "-P", "--check-hash-based-pycs", "always", "-m", WORKER, *map(str, passed)],
                    stdin=pipe,
                    stdout=pipe,
                    stderr=devnull,
                    env=environ,
                    cwd="/",
                    start_new_session=True,
                    pass_fds=passed,
                )
                self._number = RequestNumber(noted.fileno())
                ours.callback(self._number.close)
                self._ours = ours.pop_all()
            assert self._process.stdin
            assert self._process.stdout
            self._pipes = Pipes(replies[0], requests[1])
            self._keeper = Pipes(self._process.stdout.fileno(), self._process.stdin.fileno())
            self._keeper.put(pickle.dumps(start), self._started_s + self._timeout_s)
        except OSError as error:
            _fail(f"its process could not be started: {error.strerror}")

    @cached_property
    def protections(self) -> Protections:
        """Return the protections against the plug-in, without running its code; raise NoValidReplyError without a
        reply.
        """
        return self._ask_keeper(PROTECTIONS, lambda reply: reply.protections, self._started_s + self._timeout_s)

    @cached_property
    def declaration(self) -> PluginDeclaration:
        """Return the plug-in's declaration, which is its first reply; raise NoValidReplyError if it is invalid."""
        declared = _require(self._exchange(DECLARATION, self._started_s, None, _refuse_other_form).declared)
        try:
            require_valid(declared)
        except ValueError as error:
            _fail(str(error)[:MAX_TEXT])
        return declared

    def wants(self, view: StrategyView, timeout_s: float | None = None) -> tuple[Want, ...] | Decision:
        """Return the plug-in's wants, once it has declared its needs; raise NoValidReplyError without a valid reply.

        A plug-in that can't decide returns a decision, which isn't an error. The time limit is the one set at the
        start, unless `timeout_s` is given.
        """
        answer = self._exchange(pack_view(view), time.monotonic(), timeout_s, unpack_wants)
        if not isinstance(answer, PluginReply):
            return answer
        wants = _require(answer.wants)
        if wants.declined is None:
            return wants.all
        if not is_refusal(wants.declined):
            _fail("a decision that a plug-in can't make")
        return wants.declined

    def session_wants(self, views: Sequence[StrategyView]) -> tuple[SlotWants, ...]:
        """Return the plug-in's wants for each of a session's views; raise NoValidReplyError without a valid reply."""
        answers = self._exchange(pack_views(views), time.monotonic(), None, unpack_slot_wants)
        if isinstance(answers, PluginReply) or len(answers) != len(views):
            _fail("its process answered another request")
        return answers

    def end(self) -> None:
        """Kill the process and everything it started, and close its pipes."""
        process = self._process
        with suppress(subprocess.TimeoutExpired):
            process.terminate()
            process.wait(GRACE_S)
        # Its process group has what it started; the group disappears once all of that has ended.
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        self._ours.close()
        for pipe in (process.stdin, process.stdout):
            if pipe:
                pipe.close()

    def _exchange(
        self, request: bytes, began_s: float, timeout_s: float | None, unpack: Callable[[bytes], T]
    ) -> T | PluginReply:
        """Let the plug-in run for one request, and return its reply.

        `unpack` reads a reply that isn't JSON.
        """
        timeout_s = timeout_s or self._timeout_s
        deadline_s = began_s + timeout_s
        begun, handle = self._plugin_process
        try:
            if not self._pipes.is_empty:
                _fail("its answer can't be used: it wrote an answer before the request")
            self._number.advance()
            handle.deliver_signal(signal.SIGCONT)
            self._pipes.put(request, deadline_s)
            # The bot gave it no key, but without confinement it could have read the key file.
            message = hide_in(self._pipes.get(MAX_BYTES, deadline_s))
            handle.deliver_signal(signal.SIGSTOP)
            self._number.advance()
        except TimeoutError:
            raise _timeout_error(timeout_s) from None
        except (OSError, EOFError):
            code = self._ask_keeper(ENDED, lambda reply: reply.remains, deadline_s).code
            _fail(f"its process ended without an answer, exit code {code}")
        except ValueError as error:
            _fail(f"its answer can't be used: {error}")
        reply = unpack_reply(message, unpack)
        if begun.may_leave and self._ask_keeper(LEFT, lambda reply: reply.remains, deadline_s).running:
            _fail("it left a process running")
        return reply

    @cached_property
    def _plugin_process(self) -> tuple[PluginStarted, PluginHandle]:
        """Have the keeper start the plug-in; return its process and a handle on it."""
        begun = self._ask_keeper(BEGIN, lambda reply: reply.begun, self._started_s + self._timeout_s)
        handle = PluginHandle(begun.process)
        self._ours.callback(handle.close)
        return begun, handle

    def _ask_keeper(self, request: bytes, part: Callable[[PluginReply], T | None], deadline_s: float) -> T:
        """Query the keeper, and return the part of its reply that answers the request."""
        try:
            self._keeper.put(request, deadline_s)
            reply = unpack_reply(hide_in(self._keeper.get(MAX_BYTES, deadline_s)), _refuse_other_form)
        except TimeoutError:
            raise _timeout_error(self._timeout_s) from None
        except (OSError, EOFError):
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(GRACE_S)
            _fail(f"its process ended without an answer, exit code {self._process.returncode}")
        return _require(part(reply))


def _require(answer: T | None) -> T:
    """Return the part of a reply that answers a request."""
    if answer is None:
        _fail("its process answered another request")
    return answer


def _refuse_other_form(message: bytes) -> PluginReply:
    raise ValueError("it isn't in JSON")


def unpack_reply(message: bytes, unpack: Callable[[bytes], T]) -> T | PluginReply:
    """Parse a reply; raise NoValidReplyError if it is invalid or refuses the request.

    `unpack` parses replies that aren't JSON.
    """
    try:
        if message[:1] != JSON:
            return unpack(message)
        reply = decode(PluginReply, json.loads(message))
    except ValueError as error:
        _fail(f"its process returned an unreadable answer: {error}"[:MAX_TEXT])
    refusal = reply.refusal
    if refusal is None:
        return reply
    if refusal.gate is not Gate.STRATEGY or refusal.reason not in REFUSALS or len(str(refusal.observed)) > MAX_TEXT:
        _fail("its process returned an unreadable answer: a decision that a plug-in can't make")
    raise NoValidReplyError(refusal)


def _timeout_error(timeout_s: float) -> NoValidReplyError:
    return NoValidReplyError(Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_TIMEOUT, "no answer", timeout_s))


def _fail(why: str) -> NoReturn:
    raise NoValidReplyError(Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, why))
