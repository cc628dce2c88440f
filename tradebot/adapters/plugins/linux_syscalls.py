"""Call Linux system calls that Python's standard library doesn't offer."""

import ctypes
import errno
import os
import sys
from functools import cache
from typing import Any

PR_SET_PDEATHSIG, PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS = 1, 36, 38
CAPABILITY_VERSION_3 = 0x20080522


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


@cache
def _library() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: Any) -> int:
    """Call a function of the C library and return its result; raise OSError if it fails or doesn't exist."""
    function = getattr(_library(), name, None) if sys.platform == "linux" else None
    if function is None:
        raise OSError(errno.ENOSYS, f"{name}: {os.strerror(errno.ENOSYS)}")
    # Without c_long, ctypes would cut an integer to 32 bits.
    result = int(function(*(ctypes.c_long(each) if isinstance(each, int) else each for each in arguments)))
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def system_call(number: int, *arguments: Any) -> int:
    """Make a system call that the C library has no function for."""
    return call("syscall", number, *arguments)


def end_with_parent(signal_number: int) -> None:
    """Ask the kernel to send this process a signal when the thread that started it ends, for whatever reason."""
    call("prctl", PR_SET_PDEATHSIG, signal_number, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of every orphaned descendant, in place of the init process."""
    call("prctl", PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def forbid_new_privileges() -> None:
    """Prevent every program started from now on from gaining privileges, through a set-user-id bit or otherwise."""
    call("prctl", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)


def drop_capabilities() -> None:
    """Give up every capability, including root's."""
    call("capset", ctypes.byref(_CapabilityHeader(CAPABILITY_VERSION_3, 0)), (ctypes.c_uint32 * 6)())
