"""Running a program as one who may not do everything, although the tests run as root."""

import ctypes
import os
import subprocess
from collections.abc import Sequence

CAPBSET_DROP = 24
PASS_BY_PERMISSIONS = (1, 2)
"""CAP_DAC_OVERRIDE and CAP_DAC_READ_SEARCH: with these a file's permissions do not hold."""


def without_privileges(command: Sequence[str]) -> subprocess.CompletedProcess[str]:
    """Run a program for which the permissions of files hold, whoever runs the tests."""
    drop = _drop if os.geteuid() == 0 else None
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120, preexec_fn=drop)


def _drop() -> None:
    """Drop the capabilities from the set that the program to come may have (prctl, Linux)."""
    kernel = ctypes.CDLL(None)
    for capability in PASS_BY_PERMISSIONS:
        kernel.prctl(CAPBSET_DROP, capability, 0, 0, 0)
