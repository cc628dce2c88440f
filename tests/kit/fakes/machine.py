"""A machine as a test wants it: its mount table, a user without rights, time to wait in, who holds a lock."""

import ctypes
import os
import re
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.kit.bot import forked
from tradebot.model.reasons import Reason

# What must not stand in a text that a person reads who can't look the rest up.

CODES = [str(reason) for reason in Reason if "_" in reason]
FLAWS = {
    "a code": rf"[A-Za-z]_[A-Za-z]|\b(?:{'|'.join(code.replace('_', ' ') for code in CODES)})\b",
    "a value of Python": r"\b(?:None|nan|NaN|inf|True|False|Decimal|datetime)\b|[\[\]{}<>]",
    "a time for programs": r"\d{4}-\d\d-\d\dT|:\d\d\.\d{3}|\+00:00",
    "an empty field": r"  |\( *\)|[:;,] *[:;,]|\(:|^[:;,)]",
    "no end": r"(?:[:;,(+-]|\.\.\.|\b(?:a|and|at|because|by|for|is|of|the|to|with))$",
}


def flaws(text: str) -> list[str]:
    """Return what is wrong with each line of a text."""
    lines = text.split("\n")
    return [f"{what}: {line}" for line in lines for what, found in FLAWS.items() if re.search(found, line.strip())]


# Another process that holds a lock until it is killed or its standard input ends.

ROOT = Path(__file__).parents[3]


@contextmanager
def another_process(taking: str, *words: object) -> Iterator["subprocess.Popen[str]"]:
    """Start a process that takes something by a context manager, an expression that may use `sys.argv` and `folder`."""
    code = (
        "import sys; from pathlib import Path; from tests.kit.adapters.alpaca import intent\n"
        "from tradebot.adapters.state import send_lock, state_locks\n"
        f"folder = Path(sys.argv[1])\nwith {taking}:\n    print('held', flush=True); sys.stdin.read(1)\n"
    )
    with forked.python(code, *words, stdin=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        yield process
        process.kill()


# A clock for what waits: nobody has to.


class Timer:
    """Time that passes when somebody sleeps or a test says so."""

    def __init__(self) -> None:
        self.now = 0.0

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


# Running a program as one who may not do everything, although the tests run as root.

CAPBSET_DROP = 24
VERSION = 0x20080522
"""_LINUX_CAPABILITY_VERSION_3"""
PASS_BY_PERMISSIONS = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: with these a file's permissions do not hold."""


def without_privileges(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program for which the permissions of files hold, whoever runs the tests."""
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, preexec_fn=drop)


def drop() -> None:
    """Drop the capabilities of this process, and from the set that a program to come may have (Linux)."""
    if os.geteuid() != 0:
        return
    kernel = ctypes.CDLL(None)
    header, held = (ctypes.c_uint32 * 2)(VERSION, 0), (ctypes.c_uint32 * 6)()
    assert kernel.capget(header, held) == 0
    for capability in PASS_BY_PERMISSIONS:
        kernel.prctl(CAPBSET_DROP, capability, 0, 0, 0)
        # Effective, permitted and inheritable ones; those beyond the 32nd follow in a second half.
        for kind in range(3):
            held[kind] &= ~(1 << capability)
    assert kernel.capset(header, held) == 0


TABLE = "/proc/self/mounts"


@contextmanager
def table(text: bytes | None) -> Iterator[None]:
    """Let the kernel's table of mounts be this for a while; None is a system that has none."""
    whole = Path.read_bytes

    def read_bytes(path: Path) -> bytes:
        if str(path) != TABLE:
            return whole(path)
        if text is None:
            raise FileNotFoundError(TABLE)
        return text

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Path, "read_bytes", read_bytes)
        yield


@contextmanager
def mounted(place: Path, kind: str) -> Iterator[None]:
    """Let a place lie on a file system of this kind for a while."""
    name = str(place.resolve()).replace("\\", "\\134").replace(" ", "\\040")
    with table(f"/dev/vda / ext4 rw 0 0\nhost:/x {name} {kind} rw 0 0\n".encode()):
        yield
