"""Several runs in one forked process that one SIGKILL ends, each of them at its own point.

What is dear in a kill is the process: to fork it, and to touch its memory for the first time. So a process that stands
at the point where it is to die in one folder leaves everything as it is there, files open, locks held, transactions
begun, and turns to the next folder from inside that very point. Once the last folder has had its turn, SIGKILL comes.
No stack was unwound and nothing closed: each folder is left as by its own process.
"""

import gc
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

from tradebot.adapters.faults import failpoint

DIED, ERRED = -int(signal.SIGKILL), 70
"""How a run ends that was killed, and one that raised what nothing may raise."""
POINT, WORD, CODE = "point", "word", "code"


class Child:
    """What a run may do for the campaign: tell words, and arm the points."""

    def __init__(self, tell: Callable[[str], None], reached: Callable[[str], None]) -> None:
        self.tell = tell
        self._reached = reached

    def arm(self) -> None:
        """Reach the points of the run from now on."""
        failpoint.hook = self._reached


class Turn(NamedTuple):
    """One run: its work, which returns its exit code, and whether it dies at a point, asked at each that it reaches."""

    work: Callable[[Child], int]
    dies: Callable[[str], bool]


class Ended(NamedTuple):
    """How a run ended: its code or DIED, the points that it reached, the last one fatal, and the words that it told."""

    code: int
    points: tuple[str, ...]
    words: tuple[str, ...]


def alone(work: Callable[[Child], int], dies: Callable[[str], bool]) -> Ended:
    """Let one run have its own process."""
    return together([Turn(work, dies)])[0]


def together(turns: Sequence[Turn]) -> list[Ended]:
    """Let runs have their turns in one child, and return how each ended."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        os.close(reader)
        _Process(turns, writer).live()
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        told = [line.split(" ", 2) for line in pipe.read().decode().splitlines()]
    _, status = os.waitpid(child, 0)
    end = os.waitstatus_to_exitcode(status)
    if end not in (0, DIED):
        raise AssertionError(f"a child ended with {end}")
    return [_ended(told, str(number)) for number in range(len(turns))]


def _ended(told: list[list[str]], number: str) -> Ended:
    """Return what was told of one run; one that told no code stood at its point to the end."""
    said = {kind: tuple(text for whose, what, text in told if (whose, what) == (number, kind)) for kind in KINDS}
    return Ended(int(said[CODE][0]) if said[CODE] else DIED, said[POINT], said[WORD])


KINDS = (POINT, WORD, CODE)


class _Process:
    """The child."""

    def __init__(self, turns: Sequence[Turn], writer: int) -> None:
        self._waiting: Iterator[tuple[int, Turn]] = iter(enumerate(turns))
        self._writer = writer
        self._told: list[str] = []

    def live(self) -> None:
        """Let all have their turns, and leave without any clean-up that a killed process would not do either."""
        gc.disable()
        self._go_on()
        self._hand_over()
        os._exit(0)

    def _go_on(self) -> None:
        for number, turn in self._waiting:
            failpoint.hook = None
            child = Child(partial(self._tell, number, WORD), partial(self._reached, number, turn))
            try:
                code = int(turn.work(child))
            except BaseException:  # noqa: BLE001 -- a child must never run on as if it were its parent
                sys.excepthook(*sys.exc_info())
                code = ERRED
            self._tell(number, CODE, str(code))

    def _reached(self, number: int, turn: Turn, name: str) -> None:
        self._tell(number, POINT, name)
        if turn.dies(name):
            self._go_on()
            self._hand_over()
            os.kill(os.getpid(), signal.SIGKILL)

    def _tell(self, number: int, kind: str, text: str) -> None:
        self._told.append(f"{number} {kind} {text}\n")

    def _hand_over(self) -> None:
        """Write down what was told, before the end: a pipe keeps what a dead process has written."""
        with os.fdopen(self._writer, "w") as pipe:
            pipe.writelines(self._told)
