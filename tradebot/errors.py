"""The error forms and the exit codes, each listed once."""

from enum import IntEnum

LONGEST_WORD = 40


class ExitCode(IntEnum):
    """What the process tells its caller."""

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
    """Return a word that somebody typed as a message repeats it: short, and every letter beyond ASCII spelled out."""
    spelled = ascii(typed)[1:-1]
    return spelled if len(spelled) <= LONGEST_WORD else f"{spelled[:LONGEST_WORD]}…"


class TradebotError(Exception):
    """Base of everything that we raise on purpose."""

    code: ExitCode = ExitCode.ERROR
    retryable = False

    def __init__(self, message: str, hint: str = "", *, code: ExitCode | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if code is not None:
            self.code = code


class OperatorError(TradebotError):
    """A person is needed: the message says what and why, the hint the exact next command."""

    code = ExitCode.USAGE


class ConfigurationError(OperatorError):
    """No settings can be made of what the configuration file and the environment say."""


class DamagedBooksError(OperatorError):
    """The ledger cannot be believed: nothing may be decided from it until it is rebuilt."""


class DamagedJournalError(DamagedBooksError):
    """The journal is lost or damaged; the ledger beside it may be whole."""


class TemporaryError(TradebotError):
    """The world says not now; a later run may succeed. Adapters retry reads before raising it."""

    code = ExitCode.UNAVAILABLE
    retryable = True
