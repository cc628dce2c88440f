"""The boundary around every command: every error becomes an exit code, a sentence, and the next step.

`halt` imports this file too, so it uses only fast parts of the standard library.
"""

import errno
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType

from commands.shared import hints
from commands.shared.light_helpers import (
    NOBODY,
    Identity,
    OutputError,
    discard_output,
    print_error,
    print_error_document,
    print_to_stderr,
    repair_streams,
)
from tradebot.adapters.ledger import deferred_signals
from tradebot.adapters.state import state_folder
from tradebot.errors import ExitCode, TradebotError
from tradebot.model import variables

WHAT_IS_KEPT = "everything done so far is recorded; see tradebot status"
GOES_ON = "finished parts are stored, and the same command continues"
KEPT_OTHERWISE: Mapping[str, str] = {
    "learn policy train": "nothing was kept; run the same command again",
    "learn policy walk": GOES_ON,
    "learn policy study": GOES_ON,
    "learn policy judge": "nothing was written; run the same command again",
}
"""What verbs without a state folder leave behind when they are interrupted."""


class TerminatedError(BaseException):
    """SIGTERM arrived. Like KeyboardInterrupt, it isn't caught by handlers of ordinary errors."""


def run_command(work: Callable[[], int], arguments: Sequence[str]) -> int:
    """Run a command and return its exit code; print every error as a sentence with the next step."""
    repair_streams()
    hints.set_hint_folder(arguments)
    deferred_signals.begin()
    signal.signal(signal.SIGTERM, _on_terminate)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        # If a shell starts a command in the background so that it ignores SIGINT, keep that.
        signal.signal(signal.SIGINT, _on_interrupt)
    try:
        code = work()
        sys.stdout.flush()
        return code
    except BrokenPipeError:
        # The reader is gone (| head). That isn't an error, and further output isn't read.
        discard_output(sys.stdout)
        return ExitCode.DONE
    except TradebotError as expected:
        error = expected
    except (KeyboardInterrupt, TerminatedError) as signalled:
        error = _cut_short(signalled, arguments)
    except OSError as refused:
        error = _unusable(refused)
    except Exception as fault:  # noqa: BLE001 - the boundary of a command: anything else is a bug of ours
        error = _fault(fault, arguments)
    if "--json" in arguments:
        print_error_document(error, identify_bot(arguments))
    else:
        print_error(error)
    return error.code


def identify_bot(arguments: Sequence[str]) -> Identity:
    """Return the identity of the bot that a command line selects; an empty one if it can't be read."""
    try:
        folder = state_folder.open_state(hints.target_folder(arguments), os.environ)
    except (TradebotError, OSError, ValueError, RecursionError):
        # Another error is already being reported, and an unreadable marker may be the same one.
        return NOBODY
    return Identity(folder.mode, folder.venue, folder.tail)


def _cut_short(signalled: BaseException, arguments: Sequence[str]) -> TradebotError:
    code = ExitCode.TERMINATED if isinstance(signalled, TerminatedError) else ExitCode.INTERRUPTED
    words = [word for word in arguments if not word.startswith("-")]
    return TradebotError("interrupted", KEPT_OTHERWISE.get(" ".join(words[:3]), WHAT_IS_KEPT), code=code)


def _unusable(refused: OSError) -> TradebotError:
    """Name the file that the system refused. Our own files have names, so an error without one concerns the output."""
    problem = refused.strerror or str(refused)
    if refused.filename is None:
        discard_output(sys.stdout)
        return OutputError(f"the output can't be written: {problem}", WHAT_IS_KEPT)
    if refused.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return TradebotError(
            f"{refused.filename}: {problem}", f"check its owner and permissions: ls -ld {refused.filename}"
        )
    return TradebotError(f"{refused.filename}: {problem}", "check that the path is right and the disk isn't full")


def _damage(arguments: Sequence[str]) -> TradebotError | None:
    """Return which of the bot's stores is damaged, if any, because reading damaged data may fail in any way."""
    from tradebot.adapters.recovery.integrity_check import blame

    try:
        return blame(state_folder.read_marker(hints.target_folder(arguments), os.environ))
    except (TradebotError, OSError, ValueError, RecursionError):
        return None


def _fault(fault: Exception, arguments: Sequence[str]) -> TradebotError:
    """Return the cause of an error that isn't ours: a signal, a damaged store, or else a bug."""
    if signalled := deferred_signals.pending_signal():
        return _cut_short(signalled, arguments)
    if damaged := _damage(arguments):
        return damaged
    if "--debug" in arguments or os.environ.get(variables.DEBUG):
        import traceback

        print_to_stderr("".join(traceback.format_exception(fault)).rstrip())
    message = f"this is a bug in tradebot: {type(fault).__name__}: {fault}"
    return TradebotError(message, "run it again as tradebot --debug VERB, and report what it prints")


def _on_terminate(number: int, frame: FrameType | None) -> None:
    # A second signal ends the process at once.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    deferred_signals.interrupt(TerminatedError())


def _on_interrupt(number: int, frame: FrameType | None) -> None:
    deferred_signals.interrupt(KeyboardInterrupt())
