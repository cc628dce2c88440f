"""Two processes that run a command line at the same moment."""

import os

from tests.kit.bot.folder import Said
from tests.kit.bot.forked import start

PATIENCE_S = 120


def at_once(*arguments: str) -> list[Said]:
    """Run a command line in two processes at once and return how each run ended."""
    gate, opening = os.pipe()
    # Each of them is there when `start` returns, and waits for its byte.
    both = [start(arguments, gate, first=_wait) for _ in range(2)]
    os.write(opening, b"go")
    for end in (gate, opening):
        os.close(end)
    try:
        texts = [program.communicate(timeout=PATIENCE_S) for program in both]
    finally:
        for program in both:
            program.kill()
    return [Said(program.returncode, *said) for program, said in zip(both, texts, strict=True)]


def _wait() -> None:
    os.read(0, 1)
