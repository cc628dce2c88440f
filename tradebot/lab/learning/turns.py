"""Let two sides take turns: one asks from the middle of its work, the other answers when it likes."""

from __future__ import annotations

from queue import Empty, SimpleQueue
from threading import Thread
from typing import TYPE_CHECKING, Generic, Self, TypeVar

from tradebot.errors import TradebotError

if TYPE_CHECKING:
    from collections.abc import Callable

Q = TypeVar("Q")
A = TypeVar("A")
LONGEST_S = 300.0
"""How long the work may take from one question to the next."""


class StoppedError(BaseException):
    """The work is given up in its middle. What catches ordinary errors lets this through."""


class _Caught:
    """Keeps the error that a block ends with."""

    error: BaseException | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, *where: object) -> bool:
        self.error = error
        return True


class Turns(Generic[Q, A]):
    """Work in a thread of its own that stands still while its question isn't answered.

    Only one of the two sides runs at any time. `work` is given the function that puts a question and returns its
    answer. Whoever begins this ends it with `stop`, which is safe to call twice.
    """

    def __init__(self, work: Callable[[Callable[[Q], A]], None], longest_s: float = LONGEST_S) -> None:
        self._work, self._longest_s = work, longest_s
        self._questions: SimpleQueue[Q | None] = SimpleQueue()
        self._answers: SimpleQueue[tuple[A] | None] = SimpleQueue()
        self._caught = _Caught()
        self._thread = Thread(target=self._run, name="episode", daemon=True)
        self._thread.start()

    def _run(self) -> None:
        with self._caught:
            self._work(self._put)
        self._questions.put(None)

    def _put(self, question: Q) -> A:
        self._questions.put(question)
        answer = self._answers.get()
        if answer is None:
            raise StoppedError
        return answer[0]

    def answer(self, answer: A) -> None:
        """Answer the last question, so that the work goes on."""
        self._answers.put((answer,))

    def question(self) -> Q | None:
        """Return the next question, None once the work is done; raise the error that it ended with."""
        try:
            question = self._questions.get(timeout=self._longest_s)
        except Empty:
            raise TradebotError(f"nothing was asked within {self._longest_s:g} s", "play fewer sessions") from None
        if question is None:
            self._thread.join(self._longest_s)
            if self._caught.error is not None:
                raise self._caught.error
        return question

    def stop(self) -> None:
        """Give the work up where it stands, and wait until its thread has ended."""
        self._answers.put(None)
        self._thread.join(self._longest_s)
