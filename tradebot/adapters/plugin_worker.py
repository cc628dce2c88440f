"""The process of one plug-in's answer: a request on standard input, the answer as JSON on standard output."""

import os
import pickle
import resource
import signal
import sys
from contextlib import suppress
from importlib.metadata import EntryPoint
from pathlib import Path
from traceback import walk_tb
from types import FrameType

from tradebot.adapters.canonical import json_text
from tradebot.adapters.codec import encode
from tradebot.adapters.plugin import GROUP, Answer, Bounds, Request
from tradebot.model.decision import Decision, Gate, Verdict
from tradebot.model.reasons import Reason
from tradebot.proposals import MAX_TEXT, checked

GRACE_S = 1.0
"""How much later than the one who asks this process ends itself; it then lives on its own, and nobody waits."""


def main() -> None:
    """Answer one request; what the plug-in prints goes nowhere, and what it reads is empty."""
    request: Request = pickle.load(sys.stdin.buffer)  # noqa: S301 - from the process that started this one
    reply = os.dup(1)
    nothing = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1):
        os.dup2(nothing, standard)
    confine(request.bounds)
    told = answer(request)
    with os.fdopen(reply, "wb") as pipe:
        pipe.write(told)
    sys.stdout.flush()
    # Threads that the plug-in left behind must not hold the answer back.
    os._exit(0)


def confine(bounds: Bounds) -> None:
    """Set the limits of this process; the kernel holds it to them, whatever the plug-in is busy with."""
    # A plug-in that crashes leaves no picture of its memory behind: it may have read what it must not.
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _, hard = resource.getrlimit(resource.RLIMIT_AS)
    wanted = bounds.memory_bytes if hard == resource.RLIM_INFINITY else min(bounds.memory_bytes, hard)
    # macOS takes no such limit below what is mapped already; the time limit still holds there.
    with suppress(ValueError):
        resource.setrlimit(resource.RLIMIT_AS, (wanted, wanted))
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, bounds.timeout_s + GRACE_S)


def answer(request: Request) -> bytes:
    """Return the plug-in's checked candidates as JSON, or the decision that refuses them."""
    try:
        factory = EntryPoint(request.name, request.target, GROUP).load()
        proposed = factory(dict(request.settings)).propose(request.desk)
        found = checked(request.name, request.desk, proposed)
        told = Answer(refusal=found) if isinstance(found, Decision) else Answer(found)
        return json_text(encode(told)).encode()
    except Exception as error:  # noqa: BLE001 - the boundary of a plug-in: whatever it raises costs its cycle alone
        refusal = Decision(Gate.STRATEGY, Verdict.FAIL, Reason.STRATEGY_FAILED, told_of(error, request.target))
        return json_text(encode(Answer(refusal=refusal))).encode()


def told_of(error: Exception, target: str) -> str:
    """Return an error in one line, with the last place in the plug-in's own package that led to it."""
    package = target.partition(":")[0].partition(".")[0]
    frames = [(frame, line) for frame, line in walk_tb(error.__traceback__) if _package(frame) == package]
    places = [f" ({Path(frame.f_code.co_filename).name} line {line})" for frame, line in frames[-1:]]
    place = "".join(places)
    said = " ".join(f"{type(error).__name__}: {error}".split())
    return said[: MAX_TEXT - len(place)] + place


def _package(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__")).partition(".")[0]


if __name__ == "__main__":
    main()
