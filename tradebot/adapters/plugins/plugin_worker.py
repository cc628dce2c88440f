"""Run one plug-in's answer in two processes: the confined plug-in, and the keeper that watches it.

The keeper reads a request on standard input and writes the answer as JSON on standard output. It runs none of the
plug-in's code, so it can always kill whatever the plug-in leaves running.
"""

import os
import pickle
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from traceback import walk_tb
from types import FrameType
from typing import IO, NoReturn

from tradebot.adapters.faults.failpoint import around
from tradebot.adapters.plugins.confinement import Confinement, confinement
from tradebot.adapters.plugins.kernel import end_with_parent
from tradebot.adapters.plugins.plugin import GRACE_S, GROUP, Answer, Bounds, Declared, Question, Request
from tradebot.adapters.plugins.reach import reach_of
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import encode
from tradebot.desk.answers import MAX_TEXT, checked
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.needs import Needs
from tradebot.model.reasons import Reason
from tradebot.ports.strategy import Strategy
from tradebot.text import expected

MAX_BYTES = 2**24
"""The size limit for any file a plug-in writes, including its answer."""
MAX_TASKS = 256
"""How many processes and threads a plug-in may add to those already running."""
PLACE = "tradebot-plugin-"
LEFT_AFTER_S = 3600
"""Folders older than this can't belong to a keeper that is still running."""


def main() -> None:
    """Get one request answered by a confined process, pass the answer on, and kill whatever was left running."""
    request: Request = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    reply = os.dup(1)
    devnull = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(devnull, standard)
    _limit_lifetime(request.bounds)
    _remove_leftovers(Path(tempfile.gettempdir()))
    try:
        with tempfile.TemporaryDirectory(prefix=PLACE, ignore_cleanup_errors=True) as place:
            reply_bytes = _ask(request, Path(place), reply)
    except OSError as error:
        reply_bytes = _refusal(f"it can't be confined, so it was not asked: {error}")
    with os.fdopen(reply, "wb") as pipe:
        pipe.write(reply_bytes)
    os._exit(0)


def _remove_leftovers(temporary: Path) -> None:
    """Remove folders left behind by keepers of this user that were killed."""
    for path in temporary.glob(f"{PLACE}*"):
        with suppress(OSError):
            status = path.lstat()
            is_old = time.time() - status.st_mtime > LEFT_AFTER_S
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and is_old:
                with around("plugin_worker.forget_leftover"):
                    shutil.rmtree(path, onerror=_unlock_and_remove)


def _unlock_and_remove(_function: object, path: str, _error: object) -> None:
    """Remove the contents of a folder that the plug-in has locked."""
    if not os.path.islink(path):
        os.chmod(path, 0o700)
        with around("plugin_worker.forget_shut"):
            shutil.rmtree(path, ignore_errors=True)


def _limit_lifetime(bounds: Bounds) -> None:
    """Let this process clean up and exit when told to, when its parent ends, or when its time is up."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    signal.setitimer(signal.ITIMER_REAL, bounds.timeout_s + GRACE_S)
    with suppress(OSError):
        end_with_parent(signal.SIGTERM)


def _ask(request: Request, place: Path, reply: int) -> bytes:
    """Return the plug-in's answer or, if there is nothing to ask it, what protects us from it."""
    own, root = place / "own", place / "root"
    own.mkdir()
    root.mkdir()
    confined = confinement(reach_of(request.target, own, request.private), root, request.private)
    if request.question is Question.PROTECTIONS:
        return json_text(encode(confined.protections)).encode()
    with tempfile.TemporaryFile(buffering=0) as file:
        with confined.all_ended():
            child = os.fork()
            if not child:
                os.close(reply)
                _answer(request, confined, file)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        file.seek(0)
        reply_bytes = file.read(MAX_BYTES)
    return (
        reply_bytes if reply_bytes and not code else _refusal(f"its process ended without an answer, exit code {code}")
    )


def _answer(request: Request, confined: Confinement, file: IO[bytes]) -> NoReturn:
    """Write the plug-in's answer to a file, confined, and exit without running any of the parent's cleanup."""
    code: object = 1
    try:
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        file.write(_confined_answer(request, confined))
        code = 0
    except SystemExit as ended:
        code = ended.code
    finally:
        # Threads that the plug-in left behind must not delay the answer.
        os._exit(code if isinstance(code, int) else 1)


def _confined_answer(request: Request, confined: Confinement) -> bytes:
    own = str(confined.reach.own)
    try:
        _bound_tasks()
        confined.enter()
        os.chdir(own)
    except OSError as error:
        return _refusal(f"it could not be confined, so it was not asked: {error}")
    confine(request.bounds)
    tempfile.tempdir = own
    os.environ.update(HOME=own, TMPDIR=own)
    return answer(request)


def _bound_tasks() -> None:
    """Limit how many processes this user may have; the kernel counts threads too, and doesn't limit root."""
    with suppress(OSError, ValueError, IndexError):
        running = int(Path("/proc/loadavg").read_text().split()[3].rpartition("/")[2])
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        limit = running + MAX_TASKS
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def confine(bounds: Bounds) -> None:
    """Set the limits of this process, which the kernel enforces whatever the plug-in is doing."""
    # If the plug-in crashes, write no core dump, because it may have read something it must not.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = bounds.memory_bytes if hard == resource.RLIM_INFINITY else min(bounds.memory_bytes, hard)
    # macOS refuses a limit below what is already mapped; there, only the time limit applies.
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # An endless file would fill the disk. The answer is a file too.
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_BYTES, MAX_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, bounds.timeout_s + GRACE_S)


def answer(request: Request) -> bytes:
    """Return what the plug-in needs or its checked wants as JSON, or the decision that refuses them."""
    try:
        strategy = EntryPoint(request.name, request.target, GROUP).load()(dict(request.settings))
        if request.view is None:
            return json_text(encode(_declared(strategy))).encode()
        result = checked(request.view, strategy.propose(request.view))
        complete = Answer(refusal=result) if isinstance(result, Decision) else Answer.of(result)
        return json_text(encode(complete)).encode()
    except Exception as error:  # noqa: BLE001 - the boundary of a plug-in: whatever it raises costs its cycle alone
        return _refusal(describe_error(error, request.target))


def _declared(strategy: Strategy) -> Declared:
    needs = strategy.needs
    if type(needs) is not Needs or type(strategy.times) is not str:
        raise TypeError("its needs are not a Needs, or its times are not a text")
    return Declared(tuple(sorted(needs.facts)), needs.bars, needs.quotes, needs.lots, needs.equity, strategy.times)


def _refusal(why: str) -> bytes:
    refusal = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, why)
    return json_text(encode(Answer(refusal=refusal))).encode()


def describe_error(error: Exception, target: str) -> str:
    """Return an error on one line, with the last place in the plug-in's own package that led to it."""
    package = target.partition(":")[0].partition(".")[0]
    frames = [(frame, line) for frame, line in walk_tb(error.__traceback__) if _package(frame) == package]
    places = [f" ({Path(frame.f_code.co_filename).name} line {line})" for frame, line in frames[-1:]]
    place = "".join(places)
    text = " ".join(f"{type(error).__name__}: {_error_text(error)}".split())
    return text[: MAX_TEXT - len(place)] + place


def _error_text(error: Exception) -> str:
    """Return an error's text; a validator's problems with settings are put in configuration terms."""
    validator = sys.modules.get("pydantic")
    if validator is None or not isinstance(error, validator.ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, each['loc']))} {expected(each)}" for each in error.errors())


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


if __name__ == "__main__":
    main()
