"""Run one plug-in in two processes: the confined plug-in, and the keeper that watches it.

The bot talks to the plug-in over two pipes that the keeper passes on, and suspends the plug-in between requests. The
keeper runs none of the plug-in's code, so it can always kill what the plug-in leaves running. It answers the bot's
questions about the plug-in over standard input and output, and ends a plug-in that takes too long, even if the bot
hangs. It starts without the bot's keys.

The plug-in writes only to a small folder in memory, or to a temporary one, which the keeper removes; if the keeper was
killed, a later one removes it after an hour. If system calls can't be filtered, the keeper looks after each request for
processes that the plug-in started, and ends them all, including daemons. The confined process handles one request at a
time.
"""

import fcntl
import gc
import os
import pickle
import resource
import shutil
import signal
import stat
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import cached_property
from pathlib import Path
from pkgutil import resolve_name
from traceback import walk_tb
from types import FrameType
from typing import NamedTuple, NoReturn

from tradebot.adapters.failpoint import around
from tradebot.adapters.plugins.confinement import Confinement, confinement, descendants
from tradebot.adapters.plugins.file_access import reach_of
from tradebot.adapters.plugins.linux_isolation import MOST_FILES
from tradebot.adapters.plugins.linux_syscalls import end_with_parent
from tradebot.adapters.plugins.protocol import (
    DECLARATION,
    ENDED,
    GRACE_S,
    LEFT,
    MAX_BYTES,
    PROTECTIONS,
    SESSION,
    AnswerBounds,
    LeftoverProcesses,
    Pipes,
    PluginDeclaration,
    PluginReply,
    PluginStarted,
    RequestNumber,
    SessionViews,
    Start,
    Wants,
    pack_slot_wants,
    pack_wants,
    unpack_view,
)
from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import encode
from tradebot.desk.want_validation import MAX_TEXT, is_refusal, validate_wants
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.model.sentences import describe_validation_error
from tradebot.model.view import Needs, SlotWants
from tradebot.ports.strategy import SessionStrategy, Strategy

LONGEST_PATH = 60

"""The longest path that a message shows, in characters."""


class ServedStrategy:
    """A plug-in's strategy, created from its settings at the first request."""

    def __init__(self, start: Start) -> None:
        self._start = start

    def reply(self, request: bytes) -> bytes:
        """Return the encoded reply: the plug-in's declaration, its validated wants, or why they are refused."""
        try:
            if request == DECLARATION:
                return text_of(PluginReply(declared=_declare_needs(self._strategy)))
            if request[:1] == SESSION:
                return self._answer_session(SessionViews(request))
            view = unpack_view(request)
            wants = validate_wants(view, self._strategy.propose(view))
            if not isinstance(wants, Decision):
                return pack_wants(wants)
            return text_of(
                PluginReply(wants=Wants(declined=wants)) if is_refusal(wants) else PluginReply(refusal=wants)
            )
        except Exception as error:  # noqa: BLE001 - the boundary of a plug-in: whatever it raises costs its pass alone
            return refusal(describe_error(error, self._start))

    def _answer_session(self, views: SessionViews) -> bytes:
        """Return the wants in all of a session's slots."""
        assert isinstance(self._strategy, SessionStrategy), (
            "the strategy must be able to answer for a session, as it declared"
        )
        answers = list(self._strategy.propose_many(views))
        if len(answers) != len(views):
            raise ValueError(f"propose_many gave {len(answers)} answers for {len(views)} views")
        strange = next((answer for answer in answers if type(answer) is not SlotWants), None)
        if strange is not None:
            raise TypeError(f"propose_many gave a {type(strange).__name__}, not a SlotWants")
        return pack_slot_wants(answers)

    @cached_property
    def _strategy(self) -> Strategy:
        start = self._start
        # Load it like an entry point, but without importlib.metadata, whose import takes a third of the start.
        target = start.target.replace(" ", "").partition("[")[0]
        strategy: Strategy = resolve_name(target)(dict(start.settings))
        return strategy


def _declare_needs(strategy: Strategy) -> PluginDeclaration:
    needs, times = strategy.needs, strategy.times
    if type(needs) is not Needs:
        raise TypeError(f"its needs are a {type(needs).__name__}, not a Needs")
    return PluginDeclaration.of(needs, times, sessions=isinstance(strategy, SessionStrategy))


def text_of(reply: PluginReply) -> bytes:
    """Format a reply for sending."""
    return json_text(encode(reply)).encode()


def refusal(why: str) -> bytes:
    """Format a failure of the plug-in as a reply that refuses the request."""
    return text_of(PluginReply(refusal=Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, why[:MAX_TEXT])))


def describe_error(error: Exception, start: Start) -> str:
    """Describe an error in one line, with the last line of the plug-in's own package in its traceback."""
    package = start.target.partition(":")[0].partition(".")[0]
    frames = [(frame, line) for frame, line in walk_tb(error.__traceback__) if _package(frame) == package]
    places = [f" ({Path(frame.f_code.co_filename).name} line {line})" for frame, line in frames[-1:]]
    locations = "".join(places)
    text = " ".join(f"{type(error).__name__}: {_file_text(error, start) or _error_text(error)}".split())
    return text[: MAX_TEXT - len(locations)] + locations


def _file_text(error: Exception, start: Start) -> str:
    """Describe which files the plug-in can open, if it failed to open another one; empty for other errors."""
    if not isinstance(error, FileNotFoundError | PermissionError) or not isinstance(error.filename, str):
        return ""
    name = error.filename if len(error.filename) <= LONGEST_PATH else f"…{error.filename[-LONGEST_PATH:]}"
    declared = ", ".join(path.name for path in start.files) or "none yet"
    allowed = f"strategies.{start.section}.files ({declared})"
    return f"{name} can't be opened: of your files, it can read only those in {allowed}"


def _error_text(error: Exception) -> str:
    """Return an error's text; errors of settings are described in the configuration's terms."""
    validator = sys.modules.get("pydantic")
    if validator is None or not isinstance(error, validator.ValidationError):
        return str(error)
    return "; ".join(f"{'.'.join(map(str, each['loc']))} {describe_validation_error(each)}" for each in error.errors())


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


MAX_TASKS = 256

"""How many processes and threads a plug-in may add to those already running."""

WATCH_S = 1.0

"""How often a keeper checks its plug-in's time limit, in seconds."""

VIEW_OBJECTS = 50_000

"""The number of objects created between Python's garbage collections."""

PLACE = "tradebot-plugin-"

LEFT_AFTER_S = 3600

"""How old a folder must be before a later keeper removes it, in seconds."""


def main() -> None:
    """Run a plug-in until standard input ends, then kill every process it left running."""
    bot = Pipes(os.dup(0), os.dup(1))
    ends = _move_to_low_numbers([*map(int, sys.argv[1:])])
    devnull = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(devnull, standard)
    with suppress(EOFError):
        start: Start = pickle.loads(bot.get(sys.maxsize))  # noqa: S301 - from the process that started this one
        _exit_on_signal()
        _limit_time(start.bounds)
        _remove_leftovers(Path(tempfile.gettempdir()))
        try:
            with _locked_folder() as path:
                _keep(start, path, bot, ends)
        except OSError as error:
            bot.put(refusal(f"it can't be confined, so it was not run: {error}"))
    os._exit(0)


def _exit_on_signal() -> None:
    """Let this process clean up and exit on a signal: at a request, when its parent ends, or at the time limit."""
    for number in (signal.SIGTERM, signal.SIGALRM):
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    with suppress(OSError):
        end_with_parent(signal.SIGTERM)


def _limit_time(bounds: AnswerBounds | None) -> None:
    """End this process if it is still answering at the time limit; without bounds, it may wait forever."""
    signal.setitimer(signal.ITIMER_REAL, bounds.timeout_s + GRACE_S if bounds else 0)


@contextmanager
def _locked_folder() -> Iterator[Path]:
    """Yield a new folder that is locked while this process lives, and then removed."""
    with tempfile.TemporaryDirectory(prefix=PLACE, ignore_cleanup_errors=True) as name:
        _lock(Path(name))
        yield Path(name)


def _lock(folder: Path) -> None:
    """Lock a folder for as long as this process lives; raise OSError if another process has it locked."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise


def _remove_leftovers(temporary: Path) -> None:
    """Remove folders that killed keepers of this user left behind."""
    for path in temporary.glob(f"{PLACE}*"):
        with suppress(OSError):
            status = path.lstat()
            is_old = time.time() - status.st_mtime > LEFT_AFTER_S
            if stat.S_ISDIR(status.st_mode) and status.st_uid == os.geteuid() and is_old:
                # A running keeper has its folder locked.
                _lock(path)
                with around("plugin_worker.forget_leftover"):
                    shutil.rmtree(path, onerror=_unlock_and_remove)


def _unlock_and_remove(_function: object, path: str, _error: object) -> None:
    """Remove the contents of a folder that the plug-in has locked."""
    if not os.path.islink(path):
        os.chmod(path, 0o700)
        with around("plugin_worker.forget_shut"):
            shutil.rmtree(path, ignore_errors=True)


class PluginEnds(NamedTuple):
    """The plug-in's ends of the connection: where requests arrive, where replies go, and the file with the request's
    number.
    """

    source: int
    sink: int
    number: int


def _move_to_low_numbers(files: Sequence[int]) -> PluginEnds:
    """Give open files the lowest free numbers, in the same order."""
    ends = PluginEnds(*map(os.dup, files))
    for file in files:
        os.close(file)
    return ends


def _keep(start: Start, path: Path, bot: Pipes, ends: PluginEnds) -> None:
    """Report the protections if asked, then start the plug-in and watch it until the bot no longer needs it."""
    own, root = path / "own", path / "root"
    own.mkdir()
    root.mkdir()
    confined = confinement(reach_of(start.target, own, start.private, start.files), root, start.private)
    if bot.get(sys.maxsize) == PROTECTIONS:
        bot.put(text_of(PluginReply(protections=confined.protections)))
        _limit_time(None)
        bot.get(sys.maxsize)
    _limit_time(start.bounds)
    with confined.all_ended():
        plugin = _Plugin(start, confined, ends)
        bot.put(text_of(PluginReply(begun=PluginStarted(plugin.process, confined.may_leave))))
        _limit_time(None)
        plugin.watch(bot, start.bounds)


class _Plugin:
    """The plug-in's process, as its keeper manages it."""

    def __init__(self, start: Start, confined: Confinement, ends: PluginEnds) -> None:
        self._confined = confined
        self.process = os.fork()
        if not self.process:
            _be_the_plugin(start, confined, ends.source, ends.sink)
        # Map this only now, so that the plug-in never has this memory.
        self._number = RequestNumber(ends.number)
        for end in ends:
            os.close(end)
        self._known = descendants()

    def watch(self, bot: Pipes, bounds: AnswerBounds) -> NoReturn:
        """Answer the bot's questions about the plug-in, and exit if a request takes too long; raise EOFError after the
        last question.

        As long as the request's number stays the same, it has no answer yet. If the bot hangs, only the keeper can end
        the plug-in.
        """
        number, since_s = 0, time.monotonic()
        while True:
            with suppress(TimeoutError):
                request = bot.get(sys.maxsize, time.monotonic() + WATCH_S)
                _limit_time(bounds)
                bot.put(text_of(PluginReply(remains=self._remains(request))))
                _limit_time(None)
            if self._number.value != number:
                number, since_s = self._number.value, time.monotonic()
            if number % 2 and time.monotonic() - since_s > bounds.timeout_s + GRACE_S:
                sys.exit(128 + signal.SIGALRM)

    def _remains(self, request: bytes) -> LeftoverProcesses:
        if request == ENDED:
            return LeftoverProcesses(code=os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1]))
        assert request == LEFT, "the bot must send no request other than ENDED and LEFT"
        return LeftoverProcesses(self._confined.has_started(self._known))


def _be_the_plugin(start: Start, confined: Confinement, source: int, sink: int) -> NoReturn:
    """Answer requests, confined, and exit without running any of the keeper's cleanup."""
    code: object = 1
    try:
        for number in (signal.SIGTERM, signal.SIGALRM):
            signal.signal(number, signal.SIG_DFL)
        _close_all_but(source, sink)
        _answer_all(start, confined, Pipes(source, sink))
    except EOFError:
        code = 0
    except SystemExit as ended:
        code = ended.code
    finally:
        # Threads that the plug-in left behind must not delay the end.
        os._exit(code if isinstance(code, int) else 1)


def _close_all_but(*open_descriptors: int) -> None:
    for number in set(range(3, MOST_FILES)) - {*open_descriptors}:
        with suppress(OSError):
            os.close(number)


def _answer_all(start: Start, confined: Confinement, bot: Pipes) -> NoReturn:
    own = str(confined.reach.own)
    try:
        _bound_tasks()
        confined.enter()
        os.chdir(own)
    except OSError as error:
        # Nobody would read an answer without a request.
        bot.get(sys.maxsize)
        bot.put(refusal(f"it could not be confined, so it was not run: {error}"))
        sys.exit(0)
    limit_resources(start.bounds)
    tempfile.tempdir = own
    os.environ.update(HOME=own, TMPDIR=own)
    # A view has many objects and no cycles, and looking for cycles takes as long as reading the view.
    gc.set_threshold(VIEW_OBJECTS)
    answering = ServedStrategy(start)
    while True:
        request = bot.get(sys.maxsize)
        limit_time(start.bounds)
        answer = answering.reply(request)
        _limit_time(None)
        bot.put(answer)


def _bound_tasks() -> None:
    """Limit how many processes this user may have; the kernel counts threads too, and doesn't limit root."""
    with suppress(OSError, ValueError, IndexError):
        running = int(Path("/proc/loadavg").read_text().split()[3].rpartition("/")[2])
        _, hard = resource.getrlimit(resource.RLIMIT_NPROC)
        limit = running + MAX_TASKS
        limit = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(resource.RLIMIT_NPROC, (limit, limit))


def limit_resources(bounds: AnswerBounds) -> None:
    """Set this process's limits for good; the kernel enforces them whatever the plug-in does."""
    # If the plug-in crashes, write no core dump, because it may have read something it must not.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    limit = bounds.memory_bytes if hard == resource.RLIM_INFINITY else min(bounds.memory_bytes, hard)
    # macOS refuses a limit below what is already mapped; there, only the time limit applies.
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    # An endless file would fill the disk.
    resource.setrlimit(resource.RLIMIT_FSIZE, (MAX_BYTES, MAX_BYTES))


def limit_time(bounds: AnswerBounds) -> None:
    """Have the kernel end this process if a request exceeds the time limit, even if its parents are dead."""
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    _limit_time(bounds)


if __name__ == "__main__":
    main()
