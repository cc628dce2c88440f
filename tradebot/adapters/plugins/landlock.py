"""Restrict a process with Landlock (Linux 5.13 and later): only named files, and no process outside its domain.

Once restricted, a process can't trace another one, or read its environment or memory under /proc, whoever owns it.
See https://docs.kernel.org/userspace-api/landlock.html; `abi` below is the version that page refers to.
"""

import ctypes
import os
import stat
from contextlib import ExitStack
from pathlib import Path

from tradebot.adapters.plugins.kernel import forbid_new_privileges, system_call
from tradebot.adapters.plugins.reach import Reach

CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
ASK_VERSION, PATH_BENEATH = 1, 1
EXECUTE, WRITE_FILE, READ_FILE, READ_DIR = 1, 2, 4, 8
TRUNCATE, IOCTL_DEV = 1 << 14, 1 << 15
READ = EXECUTE | READ_FILE | READ_DIR
OF_A_FILE = EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEV
"""The rights that a rule for a plain file may name; the others concern what a folder contains."""
FILE_RIGHTS = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
"""All file rights each version knows, by the version that introduced them; anything not granted is refused."""
TCP_RIGHTS, TCP_SINCE = 0b11, 4
SCOPES, SCOPED_SINCE = 0b11, 6
"""With these, neither an abstract socket nor a signal can leave the domain."""


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("network", ctypes.c_uint64), ("scoped", ctypes.c_uint64))


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """Return the version of Landlock in force; OSError if there is none."""
    return system_call(CREATE_RULESET, None, 0, ASK_VERSION)


def confines_signals() -> bool:
    """Return True if a restricted process can't signal a process outside its domain."""
    return version() >= SCOPED_SINCE


def restrict(reach: Reach) -> None:
    """Restrict this process, and everything it starts, to what it may reach. OSError if the system can't do that."""
    abi = version()
    rights = FILE_RIGHTS[max(since for since in FILE_RIGHTS if since <= abi)]
    network, scoped = (TCP_RIGHTS if abi >= TCP_SINCE else 0), (SCOPES if abi >= SCOPED_SINCE else 0)
    rules = _Ruleset(rights, network, scoped)
    with ExitStack() as opened:
        ruleset = system_call(CREATE_RULESET, ctypes.byref(rules), ctypes.sizeof(rules), 0)
        opened.callback(os.close, ruleset)
        for paths, allowed in ((reach.read, READ), (reach.listed, READ_DIR), (reach.write, rights)):
            for path in paths:
                _allow(ruleset, path, allowed & rights)
        forbid_new_privileges()
        system_call(RESTRICT_SELF, ruleset, 0)


def _allow(ruleset: int, path: Path, allowed: int) -> None:
    held = os.open(path, os.O_PATH | os.O_CLOEXEC)
    try:
        is_folder = stat.S_ISDIR(os.fstat(held).st_mode)
        rule = _PathBeneath(allowed if is_folder else allowed & OF_A_FILE, held)
        system_call(ADD_RULE, ruleset, PATH_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(held)
