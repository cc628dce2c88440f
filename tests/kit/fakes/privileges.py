"""Running a program as one who may not do everything, although the tests run as root."""

import ctypes
import os
import subprocess
from collections.abc import Sequence

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
