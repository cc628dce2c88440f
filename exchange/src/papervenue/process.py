"""Create, find, start and stop the process that serves an exchange's folder.

Quick commands import this module, so it uses only the standard library; `create` and the server process import larger
modules.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple
from urllib.parse import urlsplit

from papervenue import private_files
from papervenue.market.spec import MarketError, MarketSpec
from papervenue.private_files import open_own, read_own
from papervenue.state import LOCK_FILE, MARKET_FILE, PORT_FILE, SERVER_LOG_FILE, read_market

EXIT_HELD = 6
"""Exit code of a server whose folder is already served by another process."""
EXIT_REFUSED = 2
"""Exit code of a server that can't use its folder; the last line of its output says what to do."""
_ANSWER_TIMEOUT_S = 2.0
_FIRST_REFUSAL = 400
"""The lowest HTTP status that means a refusal."""
_POLL_S = 0.01
_STOP_TIMEOUT_S = 10.0
_LOG_TAIL_CHARS = 600
_NONE = "none"
"""How a market without costs is described."""
_LONGEST_VALUE = 60
_NEEDED = frozenset({"HOME", "LANG", "LANGUAGE", "PATH", "TEMP", "TMP", "TMPDIR", "TZ", "USER", "VIRTUAL_ENV"})
_NEEDED_BEGINS = ("DYLD_", "LC_", "LD_", "PYTHON")
_AGAIN = "try again; a busy machine may need longer"


class Endpoint(NamedTuple):
    """The address of an exchange; `detached` is True if the exchange was started in the background, on demand.

    `ports` has the ports of APIs with sockets of their own, by the API's name, such as `tws`.
    """

    url: str
    pid: int
    detached: bool = False
    ports: tuple[tuple[str, int], ...] = ()


class FolderInUseError(RuntimeError):
    """Raised when another process serves this folder; the message names the process, and `pid` is its id if known."""

    def __init__(self, state_dir: Path) -> None:
        port = _read_port(state_dir)
        self.pid: int | None = port["pid"] if port else None
        holder = f"process {port['pid']} at {port['url']}" if port else "another process"
        super().__init__(f"the exchange in {state_dir} is already served by {holder}")


def create(state_dir: Path, spec: MarketSpec) -> None:
    """Create an exchange in a folder; leave an existing one unchanged if its spec is equal.

    Raise MarketError if the spec differs or the market can't be built.
    """
    try:
        if not (state_dir / MARKET_FILE).exists():
            from papervenue.creation import build

            build(state_dir, spec)
            return
    except OSError as error:
        raise _unusable(state_dir, error) from error
    there = read_market(state_dir).spec
    if there != spec:
        raise MarketError(
            f"{state_dir} holds an exchange with a different market: {_differences(there, spec)}",
            "use another folder, or delete this one",
        )


def _differences(there: MarketSpec, market_spec: MarketSpec) -> str:
    """Describe how two markets differ, with values shortened to a readable length."""
    current, requested = _flat(there.to_fields()), _flat(market_spec.to_fields())
    names = [name for name in (current | requested) if current.get(name) != requested.get(name)]
    pairs = ((name, _short(current.get(name, _NONE)), _short(requested.get(name, _NONE))) for name in names)
    return "; ".join(f"its {name} is {ours}, not {other}" for name, ours, other in pairs)


def _flat(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested fields as one level, with names such as `fill.model`."""
    groups = {name: value for name, value in fields.items() if isinstance(value, dict)}
    inner = {f"{name}.{part}": value for name, group in groups.items() for part, value in group.items()}
    return {name: value for name, value in fields.items() if name not in groups} | inner


def _short(value: object) -> str:
    text = ",".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[:_LONGEST_VALUE]}…"


def server_address(state_dir: Path) -> str | None:
    """Return the address at which a process serves the folder, without connecting to it; None without a process."""
    port = _read_port(state_dir)
    return str(port["url"]) if port is not None and _is_held(state_dir) else None


def running_endpoint(state_dir: Path) -> Endpoint | None:
    """Return the endpoint of the folder's exchange, or None if no process serves it."""
    port = _read_port(state_dir)
    if port is None or not _is_held(state_dir):
        return None
    try:
        _, answer = _request("GET", port["url"], "/exchange/v1/instance", _ANSWER_TIMEOUT_S)
    except (OSError, ValueError):
        return None
    if not isinstance(answer, dict) or answer.get("instance") != port["instance"]:
        return None
    return Endpoint(port["url"], port["pid"], port.get("detached") is True, tuple(port.get("ports", {}).items()))


def ensure_running(state_dir: Path, *, idle_exit_s: float = 900.0, timeout_s: float = 20.0) -> Endpoint:
    """Return the running exchange of a folder, starting it in a separate process if needed.

    Raise MarketError with the server's output if it doesn't start.
    """
    state_dir = state_dir.resolve()
    endpoint = running_endpoint(state_dir)
    if endpoint:
        return endpoint
    read_market(state_dir)
    deadline_s = time.monotonic() + timeout_s
    log = state_dir / SERVER_LOG_FILE
    before = log.stat().st_size if log.exists() else 0
    is_held = True
    while time.monotonic() < deadline_s:
        if is_held and not _is_held(state_dir):
            # The process that held it was ending, or was only reading.
            code = _start(state_dir, idle_exit_s, timeout_s)
            if code not in (0, EXIT_HELD):
                raise _not_started(state_dir, code, _log_since(state_dir, before))
            is_held = code == EXIT_HELD
        endpoint = running_endpoint(state_dir)
        if endpoint:
            return endpoint
        time.sleep(_POLL_S)
    output = _log_since(state_dir, before)
    raise MarketError(
        f"the exchange in {state_dir} did not answer in {timeout_s:g} s{output and ': ' + output}", _AGAIN
    )


def stop(state_dir: Path) -> None:
    """Stop the folder's exchange and wait until its lock is free; do nothing if it isn't running."""
    endpoint = running_endpoint(state_dir)
    if endpoint is None:
        return
    headers = private_files.headers(state_dir)
    status, answer = _request("POST", endpoint.url, "/exchange/v1/stop", _ANSWER_TIMEOUT_S, headers=headers)
    if status >= _FIRST_REFUSAL:
        raise _refusal_error(status, answer)
    deadline_s = time.monotonic() + _STOP_TIMEOUT_S
    while _is_held(state_dir):
        if time.monotonic() > deadline_s:
            raise MarketError(
                f"the exchange in {state_dir} (process {endpoint.pid}) doesn't stop", f"end it: kill -9 {endpoint.pid}"
            )
        time.sleep(_POLL_S)


def ask(state_dir: Path, method: str, path: str, body: Mapping[str, object] | None = None) -> Any:
    """Send a request to the control API of a running exchange, and return the response.

    Raise MarketError if the exchange isn't running or refuses the request.
    """
    endpoint = running_endpoint(state_dir.resolve())
    if endpoint is None:
        raise MarketError(f"no process serves the exchange in {state_dir}", "start it: papervenue serve")
    try:
        headers = private_files.headers(state_dir)
        status, answer = _request(method, endpoint.url, path, _ANSWER_TIMEOUT_S * 10, body, headers)
    except (OSError, ValueError) as error:
        why = (isinstance(error, OSError) and error.strerror) or type(error).__name__
        raise MarketError(f"the exchange at {endpoint.url} didn't answer: {why}", _AGAIN) from error
    if status >= _FIRST_REFUSAL:
        raise _refusal_error(status, answer)
    return answer


def _refusal_error(status: int, answer: object) -> MarketError:
    details = answer if isinstance(answer, dict) else {}
    hint = details.get("hint", "papervenue status")
    return MarketError(f"the exchange refused: {details.get('message') or status}", hint)


def _start(state_dir: Path, idle_exit_s: float, timeout_s: float) -> int:
    # Without -P, Python would look for modules in the exchange's folder first.
    command = [sys.executable, "-P", "-m", "papervenue", "--state", str(state_dir)]
    package_parent = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, [package_parent, os.environ.get("PYTHONPATH", "")]))
    with _server_log(state_dir) as log:
        try:
            done = subprocess.run(  # noqa: S603 -- this interpreter, with arguments made here
                [*command, "--detach", "--idle-exit", str(idle_exit_s)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=state_dir,
                env=_inherited_environ(os.environ) | {"PYTHONPATH": path},
                start_new_session=True,
                timeout=timeout_s,
                check=False,
            )
        except subprocess.TimeoutExpired as error:
            raise MarketError(f"the exchange in {state_dir} did not start in {timeout_s:g} s", _AGAIN) from error
    return done.returncode


def _inherited_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment that the interpreter needs; the server outlives its starter and needs no API keys."""
    return {name: value for name, value in environ.items() if name in _NEEDED or name.startswith(_NEEDED_BEGINS)}


def _server_log(state_dir: Path) -> BinaryIO:
    try:
        return os.fdopen(open_own(state_dir / SERVER_LOG_FILE, os.O_WRONLY | os.O_CREAT | os.O_APPEND), "ab")
    except OSError as error:
        raise _unusable(state_dir, error) from error


def _unusable(state_dir: Path, error: OSError) -> MarketError:
    named = error.filename or state_dir
    return MarketError(
        f"{named} can't be used: {error.strerror}",
        f"make sure that {state_dir} is writable and that the disk isn't full",
    )


def _is_held(state_dir: Path) -> bool:
    try:
        with os.fdopen(open_own(state_dir / LOCK_FILE, os.O_RDONLY), "rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except FileNotFoundError:
        return False
    return False


def _read_port(state_dir: Path) -> dict[str, Any] | None:
    try:
        port = json.loads(read_own(state_dir / PORT_FILE))
    except (FileNotFoundError, ValueError):
        return None
    complete = isinstance(port, dict) and {"url", "pid", "instance"} <= set(port)
    return port if complete else None


def _request(
    method: str,
    url: str,
    path: str,
    timeout_s: float,
    body: Mapping[str, object] | None = None,
    headers: Mapping[str, str] | None = None,
) -> tuple[int, Any]:
    # Many a command only looks whether an exchange is served, and HTTP takes a third of this module's time to import.
    from http.client import HTTPConnection, HTTPException

    connection = HTTPConnection(urlsplit(url).netloc, timeout=timeout_s)
    try:
        connection.request(method, path, None if body is None else json.dumps(body), dict(headers or {}))
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    except HTTPException as error:
        raise OSError(errno.EPROTO, type(error).__name__) from error
    finally:
        connection.close()


def _not_started(state_dir: Path, code: int, output: str) -> MarketError:
    """Describe why a server ended at once; one that refused its folder says what to do in its last line."""
    hint = f"its output is in {state_dir / SERVER_LOG_FILE}"
    if code == EXIT_REFUSED and "\n" in output:
        output, _, hint = output.rpartition("\n")
    return MarketError(f"the exchange in {state_dir} did not start: {output or f'exit code {code}'}", hint)


def _log_since(state_dir: Path, before: int) -> str:
    """Return the end of what was appended to the server's log, without earlier attempts."""
    log = state_dir / SERVER_LOG_FILE
    if not log.exists():
        return ""
    gained = log.read_bytes()[before:].decode(errors="replace").strip()
    return gained[-_LOG_TAIL_CHARS:]
