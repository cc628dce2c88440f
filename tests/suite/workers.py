"""Fork the workers of a run from one process that has imported everything that is tested.

pytest-xdist starts an interpreter for each worker, and each would import the product anew, which takes as long as a
thousand small tests. Here it starts `worker_client.py`, which hands its streams to `worker_server.py` and waits until
the worker that was forked for them has ended.
"""

import socket
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from tests.suite import tiers

ROOT = Path(__file__).resolve().parents[2]
CLIENT = Path(__file__).with_name("worker_client.py")
IN_A_NEW_INTERPRETER = "popen"
_SERVER = pytest.StashKey[subprocess.Popen[bytes]]()


def pytest_configure(config: pytest.Config) -> None:
    """Let the workers of a run of everything be forked; a few files are read sooner than everything is imported."""
    if (
        hasattr(config, "workerinput")
        or not config.getoption("numprocesses", None)
        or not tiers.runs_whole_tier(config)
    ):
        return
    address = f"{tempfile.mkdtemp()}/workers"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(address)
    listener.listen()
    begin = f"import sys; sys.path.insert(0, {str(ROOT)!r}); from tests.suite.worker_server import main; main()"
    with listener:
        config.stash[_SERVER] = subprocess.Popen(
            [sys.executable, "-c", begin], stdin=listener.fileno(), stderr=sys.__stderr__
        )
    client = f"popen//python={sys.executable} -S -E {CLIENT} {address}"
    config.option.tx = [client if spec == IN_A_NEW_INTERPRETER else spec for spec in config.option.tx]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """End the process that forks; all workers have ended."""
    server = session.config.stash.get(_SERVER, None)
    if server is not None:
        server.terminate()
        server.wait()
