"""The two processes of one plug-in's answer: the plug-in's own, confined, and the one that keeps it.

The keeper reads a request on standard input and writes the answer as JSON on standard output. It runs none of the
plug-in's code, so it is still there to end whatever the plug-in leaves running.
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
from tradebot.adapters.plugins.plugin import GRACE_S, GROUP, Answer, Bounds, Request
from tradebot.adapters.plugins.reach import reach_of
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import encode
from tradebot.desk.proposals import MAX_TEXT, checked
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.desk import FlowDesk
from tradebot.model.reasons import Reason
from tradebot.text import expected

MOST_BYTES = 2**24
"""How long a file may be that a plug-in writes, its answer included."""
MOST_TASKS = 256
"""How many processes and threads a plug-in may add to those that run."""
PLACE = "tradebot-plugin-"
LEFT_AFTER_S = 3600
"""How old a folder is that no running keeper can have made."""


def main() -> None:
    """Have one request answered by a confined process, hand the answer on, and end whatever was left running."""
    request: Request = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    reply = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    _end_in_time(request.bounds)
    _remove_leftovers(Path(tempfile.gettempdir()))
    try:
        with tempfile.TemporaryDirectory(prefix=PLACE, ignore_cleanup_errors=True) as place:
            told = _told(request, Path(place), reply)
    except OSError as error:
        told = _refused(f"it cannot be confined, so it was not asked: {error}")
    with os.fdopen(reply, "wb") as pipe:
        pipe.write(told)
    os._exit(0)


def _remove_leftovers(temporary: Path) -> None:
    """Remove the folders that keepers of this user left behind because they were killed."""
    for path in temporary.glob(f"{PLACE}*"):
        with suppress(OSError):
            found = path.lstat()
            is_old = time.time() - found.st_mtime > LEFT_AFTER_S
            if stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and is_old:
                with around("plugin_worker.forget_leftover"):
                    shutil.rmtree(path, onerror=_remove_shut)


def _remove_shut(_function: object, path: str, _error: object) -> None:
    """Remove what lies in a folder that the plug-in has shut."""
    if not os.path.islink(path):
        os.chmod(path, 0o700)
        with around("plugin_worker.forget_shut"):
            shutil.rmtree(path, ignore_errors=True)


def _end_in_time(bounds: Bounds) -> None:
    """Let this process clean up and end when it is told to, when its parent ends, and when nobody tells it anything."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    signal.setitimer(signal.ITIMER_REAL, bounds.timeout_s + GRACE_S)
    with suppress(OSError):
        end_with_parent(signal.SIGTERM)


def _told(request: Request, place: Path, reply: int) -> bytes:
    """Return the plug-in's answer, or where nothing is asked of it, what protects us from it."""
    own, root = place / "own", place / "root"
    own.mkdir()
    root.mkdir()
    confined = confinement(reach_of(request.target, own, request.private), root, request.private)
    desk = request.desk
    if desk is None:
        return json_text(encode(confined.protections)).encode()
    with tempfile.TemporaryFile(buffering=0) as file:
        with confined.all_ended():
            child = os.fork()
            if not child:
                os.close(reply)
                _answer(request, desk, confined, file)
            code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        file.seek(0)
        told = file.read(MOST_BYTES)
    return told if told and not code else _refused(f"its process ended without an answer, exit code {code}")


def _answer(request: Request, desk: FlowDesk, confined: Confinement, file: IO[bytes]) -> NoReturn:
    """Write the plug-in's answer into a file, confined, and end without a step of the parent's cleaning up."""
    code: object = 1
    try:
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        file.write(_confined_answer(request, desk, confined))
        code = 0
    except SystemExit as ended:
        code = ended.code
    finally:
        # Threads that the plug-in left behind must not hold the answer back.
        os._exit(code if isinstance(code, int) else 1)


def _confined_answer(request: Request, desk: FlowDesk, confined: Confinement) -> bytes:
    own = str(confined.reach.own)
    try:
        _bound_tasks()
        confined.enter()
        os.chdir(own)
    except OSError as error:
        return _refused(f"it could not be confined, so it was not asked: {error}")
    confine(request.bounds)
    tempfile.tempdir = own
    os.environ.update(HOME=own, TMPDIR=own)
    return answer(request, desk)


def _bound_tasks() -> None:
    """Limit how many processes this user may have; the kernel counts threads too, and asks nothing of root."""
    with suppress(OSError, ValueError, IndexError):
        running = int(Path("/proc/loadavg").read_text().split()[3].rpartition("/")[2])
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        wanted = running + MOST_TASKS
        wanted = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (wanted, wanted))


def confine(bounds: Bounds) -> None:
    """Set the limits of this process; the kernel holds it to them, whatever the plug-in is busy with."""
    # A plug-in that crashes leaves no picture of its memory behind: it may have read what it must not.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = bounds.memory_bytes if hard == resource.RLIM_INFINITY else min(bounds.memory_bytes, hard)
    # macOS takes no such limit below what is mapped already; the time limit still holds there.
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))
    # A file without end would fill the disk; the answer is a file too.
    resource.setrlimit(resource.RLIMIT_FSIZE, (MOST_BYTES, MOST_BYTES))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, bounds.timeout_s + GRACE_S)


def answer(request: Request, desk: FlowDesk) -> bytes:
    """Return the plug-in's checked candidates as JSON, or the decision that refuses them."""
    try:
        factory = EntryPoint(request.name, request.target, GROUP).load()
        proposed = factory(dict(request.settings)).propose(desk)
        found = checked(request.name, desk, proposed)
        told = Answer(refusal=found) if isinstance(found, Decision) else Answer(found)
        return json_text(encode(told)).encode()
    except Exception as error:  # noqa: BLE001 - the boundary of a plug-in: whatever it raises costs its cycle alone
        return _refused(told_of(error, request.target))


def _refused(why: str) -> bytes:
    refusal = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, why)
    return json_text(encode(Answer(refusal=refusal))).encode()


def told_of(error: Exception, target: str) -> str:
    """Return an error in one line, with the last place in the plug-in's own package that led to it."""
    package = target.partition(":")[0].partition(".")[0]
    frames = [(frame, line) for frame, line in walk_tb(error.__traceback__) if _package(frame) == package]
    places = [f" ({Path(frame.f_code.co_filename).name} line {line})" for frame, line in frames[-1:]]
    place = "".join(places)
    said = " ".join(f"{type(error).__name__}: {_plainly(error)}".split())
    return said[: MAX_TEXT - len(place)] + place


def _plainly(error: Exception) -> str:
    """Return an error's text; what a validator says of settings, in the words of a configuration."""
    validator = sys.modules.get("pydantic")
    if validator is None or not isinstance(error, validator.ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, found['loc']))} {expected(found)}" for found in error.errors())


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


if __name__ == "__main__":
    main()
