"""The list of everything that was tried, beside the folders of backtests. Each line proves those before it.

A line's `sum` is over its fields and the sum before it, and the last sum is kept in a file of its own. So a line that
was changed, added by hand or taken out shows, also at the end. Lines from before there were sums are as one block.
"""

import json
import os
from collections.abc import Collection, Iterable, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path

from msgspec import Struct, ValidationError, convert

from tradebot.adapters.failpoint import around
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.safe_open import open_plain, read_plain
from tradebot.adapters.state.state_folder import write_durably
from tradebot.adapters.text.canonical import json_text
from tradebot.errors import OperatorError

TRIALS, LAST = "trials.jsonl", "trials.last"
LOCK = ".trials.lock"
WAIT_S = 10.0
SUM = "sum"


class Trial(Struct, frozen=True):
    """One set of settings and code that a strategy was tried with: the run's name, its length, and its Sharpe ratio.

    The ratio is annualized with the root of a year's sessions; None if the run's equity didn't move. `digest` tells
    trials apart, and `code` the strategy's code alone; it is empty for a trial that was kept without it.
    """

    strategy: str
    digest: str
    name: str = ""
    sessions: int = 0
    sharpe: float | None = None
    code: str = ""


def read(folder: Path) -> Sequence[Trial] | None:
    """Return everything that was tried, oldest first; None without a list. Raises OperatorError if it was edited.

    A last line without its end was being written when its process died; it is left out.
    """
    found = _read(folder)
    return None if found is None else found[0]


def add(folder: Path, trials: Iterable[Trial]) -> None:
    """Add what isn't in the list yet; raise OperatorError if it was edited."""
    with state_locks.hold(folder, "trials", WAIT_S, LOCK):
        known, last, size = _read(folder) or ((), _sum("", b""), 0)
        lines = []
        for one in dict.fromkeys(trials):
            if one in known:
                continue
            fields = {name: getattr(one, name) for name in Trial.__struct_fields__}
            before, last = last, _sum(last, json_text(fields).encode())
            lines.append(json_text({**fields, SUM: last}) + "\n")
            if len(lines) == 1 and not (folder / LAST).exists():
                write_durably(folder / LAST, f"{before}\n")
        if not lines:
            return
        descriptor = open_plain(folder / TRIALS, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            with around("trials.cut"):
                file.truncate(size)
            file.write("".join(lines))
            file.flush()
            with around("trials.sync"):
                os.fsync(file.fileno())
        write_durably(folder / LAST, f"{last}\n")


def trials_of(trials: Iterable[Trial], strategies: Collection[str], codes: Collection[str] = ()) -> list[Trial]:
    """Return the trials of strategies, under whatever names their code was tried: the last run of each trial.

    `codes` are digests of code that counts besides what was tried under these names.
    """
    listed = tuple(trials)
    code = {one.code for one in listed if one.strategy in strategies and one.code} | set(codes)
    found = {one.digest: one for one in listed if one.strategy in strategies or one.code in code}
    return list(found.values())


def _read(folder: Path) -> tuple[Sequence[Trial], str, int] | None:
    """Return the trials of a list, its last sum, and how many bytes of it are whole lines."""
    try:
        content = read_plain(folder / TRIALS)
    except FileNotFoundError:
        if (folder / LAST).exists():
            raise _edited(folder) from None
        return None
    whole = content[: content.rfind(b"\n") + 1]
    found, sums, early = list[Trial](), list[str](), b""
    for line in whole.splitlines(keepends=True):
        fields = _fields(line)
        if SUM not in fields and not sums:
            early += line
        else:
            sums = sums or [_sum("", early)]
            told = fields.pop(SUM, None)
            sums.append(_sum(sums[-1], json_text(fields).encode()))
            if told != sums[-1]:
                raise _edited(folder)
        with suppress(ValidationError):
            found.append(convert(fields, Trial))
    sums = sums or [_sum("", early)]
    if (len(sums) > 1 or (folder / LAST).exists()) and _last(folder) not in sums:
        raise _edited(folder)
    return found, sums[-1], len(whole)


def _fields(line: bytes) -> dict[str, object]:
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _last(folder: Path) -> str:
    try:
        return read_plain(folder / LAST).decode("ascii", "replace").strip()
    except FileNotFoundError:
        return ""


def _sum(before: str, content: bytes) -> str:
    return sha256(before.encode() + content).hexdigest()[:16]


def _edited(folder: Path) -> OperatorError:
    return OperatorError(
        f"{folder / TRIALS} was edited or cut, so how much was tried isn't known",
        f"put it and {LAST} back from a copy, or begin a new list without what was tried: "
        f"rm {folder / TRIALS} {folder / LAST}",
    )
