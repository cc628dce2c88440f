"""All error classes and exit codes."""

from enum import IntEnum
from typing import Any

LONGEST_WORD = 40


class ExitCode(IntEnum):
    """The exit codes of the process."""

    DONE = 0
    ERROR = 1
    USAGE = 2
    REFUSED = 3
    AUTHENTICATION = 4
    UNAVAILABLE = 5
    ANOTHER_INSTANCE = 6
    FINDINGS = 10
    INTERRUPTED = 130
    TERMINATED = 143


def word(typed: str) -> str:
    """Return a typed word in a form that is safe to repeat in a message: short, with non-ASCII characters escaped."""
    escaped = ascii(typed)[1:-1]
    return escaped if len(escaped) <= LONGEST_WORD else f"{escaped[:LONGEST_WORD]}…"


class TradebotError(Exception):
    """The base of every error that we raise on purpose."""

    code: ExitCode = ExitCode.ERROR
    retryable = False

    def __init__(self, message: str, hint: str = "", *, code: ExitCode | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle all fields, so that another process can raise the same error, whatever its constructor takes."""
        return _rebuild, (type(self), self.args, self.__dict__)


def _rebuild(kind: type[TradebotError], args: tuple[Any, ...], fields: dict[str, Any]) -> TradebotError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(fields)
    return error


def one_line(error: TradebotError) -> str:
    """Return an error and its next step as one line, for the middle of a report."""
    join = ". " if error.hint[:1].isupper() else "; "
    return error.message.rstrip(".") + join + error.hint if error.hint else error.message


class YieldToExits(BaseException):
    """Raised to abort a pass that yields to an exit pass, as abruptly as if the process were killed.

    It isn't an Exception, so no handler mistakes it for a failed request or a bug.
    """


class OperatorError(TradebotError):
    """Raised when a person has to act: the message says what happened and why, the hint gives the next command."""

    code = ExitCode.USAGE


class CannotWriteError(OperatorError):
    """Raised when the state folder can't be written, for example because its disk is full; a later run may succeed."""


class ConfigurationError(OperatorError):
    """Raised when the configuration file and the environment don't make valid settings.

    `names` is True if the message names one setting that is invalid on its own, not only in combination with others.
    """

    def __init__(self, message: str, hint: str = "", *, code: ExitCode | None = None, names: bool = False) -> None:
        super().__init__(message, hint, code=code)
        self.names = names


class DamagedMarkerError(OperatorError):
    """Raised when a state folder's marker was changed or damaged; a copy may still have its original contents."""


class DamagedBooksError(OperatorError):
    """Raised when the ledger can't be trusted; nothing may be decided from it until it is rebuilt."""


class DamagedJournalError(DamagedBooksError):
    """Raised when the journal is lost or damaged, although the ledger may be intact."""


class TemporaryError(TradebotError):
    """Raised when something outside the bot isn't available right now and a later run may succeed.

    Adapters retry reads before they raise it.
    """

    code = ExitCode.UNAVAILABLE
    retryable = True


class ClocksDisagreeError(TemporaryError):
    """Raised when the time is unknown because the clocks that answered disagree."""


class AllowanceSpentError(TemporaryError):
    """Raised when a source's allowance is used up for longer than a minute, so that further calls are pointless."""


class NotServedError(TemporaryError):
    """Raised when a source works but refuses this single request, such as one about an unknown ticker."""


class NotInPlanError(NotServedError):
    """Raised when our plan with a data source doesn't include the request, whatever symbol it is for."""
