"""Store a backtest's evidence in its folder, for the commands that report it.

The list of all trials is next to the backtests' folders. Each line's `sum` covers the line's fields and the previous
line's sum, and the last sum is also in a separate file. So a changed, added or removed line is noticed, even at the
end. Earlier versions wrote lines without sums; those lines count as one block.

A learned policy's results are a JSON file next to its evaluation. The run seals it with the hash of its content, so
that a change is noticed. A file without a seal comes from elsewhere.
"""

import json
import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import Any

from msgspec import Struct, ValidationError, convert

from tradebot.adapters.failpoint import around
from tradebot.adapters.state import state_locks
from tradebot.adapters.state.safe_open import open_plain, read_plain
from tradebot.adapters.state.state_folder import BACKTESTS, EVIDENCE, StateFolder, option, write_durably
from tradebot.adapters.text.canonical import CodecError, json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import OperatorError
from tradebot.model.evidence import NO_EVIDENCE, Evidence, PolicyResults, Trials, problems

AGAIN = "evaluate the policy again, or name another file"


SEAL = "sha256"


def write_policy_results(file: Path, results: PolicyResults) -> None:
    """Write results with their seal, completely or not at all."""
    document = encode(results)
    write_durably(file, json_text({**document, SEAL: _digest(document)}))


def read_policy_results(file: Path) -> PolicyResults:
    """Return the results in a file; raise OperatorError if it can't be read, was changed, or contradicts itself."""
    return read_sealed(file)[0]


def read_sealed(file: Path) -> tuple[PolicyResults, bool]:
    """Return the results in a file, and whether their run sealed them; raise like `read_policy_results`."""
    try:
        sealed = json.loads(read_plain(file))
        seal = sealed.pop(SEAL, None) if isinstance(sealed, dict) else None
        policy_results = decode(PolicyResults, sealed)
    except (OSError, CodecError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OperatorError(f"{file} can't be read as the results of a policy: {why}", AGAIN) from error
    if seal not in (None, _digest(sealed)):
        raise OperatorError(f"{file} was changed after its run wrote it", AGAIN)
    if wrong := next(problems(policy_results), None):
        raise OperatorError(f"{file} can't be judged: {wrong}", AGAIN)
    return policy_results, seal is not None


def _digest(document: Any) -> str:
    return sha256(json_text(document).encode()).hexdigest()


TRIALS, LAST = "trials.jsonl", "trials.last"

LOCK = ".trials.lock"

WAIT_S = 10.0

SUM = "sum"


class Trial(Struct, frozen=True):
    """A trial, that is, one combination of settings and code: the run's name, its number of sessions, and its Sharpe
    ratio.

    The ratio is annualized by the square root of a year's sessions; it is None if the run's equity never changed.
    `digest` identifies the trial. `code` is the digest of the strategy's code; empty if the trial was stored without
    it.
    """

    strategy: str
    digest: str
    name: str = ""
    sessions: int = 0
    sharpe: float | None = None
    code: str = ""


def load_trial_list(folder: Path) -> Sequence[Trial] | None:
    """Return all trials, oldest first; None without a list. Raise OperatorError if it was edited.

    If the last line has no line end, it is left out, because the process died while writing it.
    """
    listed = _read(folder)
    return None if listed is None else listed[0]


def append_trials(folder: Path, trials: Iterable[Trial]) -> None:
    """Append trials that aren't in the list yet; raise OperatorError if it was edited."""
    with state_locks.hold(folder, "trials", WAIT_S, LOCK):
        listed, last, size = _read(folder) or ((), _sum("", b""), 0)
        lines = []
        for fromkey in dict.fromkeys(trials):
            if fromkey in listed:
                continue
            fields = {name: getattr(fromkey, name) for name in Trial.__struct_fields__}
            before, last = last, _sum(last, json_text(fields).encode())
            lines.append(json_text({**fields, SUM: last}) + "\n")
            if len(lines) == 1 and not (folder / LAST).exists():
                write_durably(folder / LAST, f"{before}\n")
        if not lines:
            return
        descriptor = open_plain(folder / TRIALS, os.O_RDWR | os.O_CREAT | os.O_APPEND)
        with os.fdopen(descriptor, "a", encoding="utf-8") as file:
            with around("evidence.cut"):
                file.truncate(size)
            file.write("".join(lines))
            file.flush()
            with around("evidence.sync"):
                os.fsync(file.fileno())
        write_durably(folder / LAST, f"{last}\n")


def trials_of(trials: Iterable[Trial], strategies: Collection[str], codes: Collection[str] = ()) -> list[Trial]:
    """Return the last run of each trial of these strategies, or of other strategies with the same code.

    `codes` has digests of further code whose trials are included.
    """
    listed = tuple(trials)
    code = {trial.code for trial in listed if trial.strategy in strategies and trial.code} | set(codes)
    own_trials = {trial.digest: trial for trial in listed if trial.strategy in strategies or trial.code in code}
    return list(own_trials.values())


def _read(folder: Path) -> tuple[Sequence[Trial], str, int] | None:
    """Return a list's trials, its last sum, and how many bytes are complete lines; None without a list."""
    try:
        content = read_plain(folder / TRIALS)
    except FileNotFoundError:
        if (folder / LAST).exists():
            raise _edited_error(folder) from None
        return None
    whole = content[: content.rfind(b"\n") + 1]
    trials, sums, early = list[Trial](), list[str](), b""
    for line in whole.splitlines(keepends=True):
        fields = _fields(line)
        if SUM not in fields and not sums:
            early += line
        else:
            sums = sums or [_sum("", early)]
            total = fields.pop(SUM, None)
            sums.append(_sum(sums[-1], json_text(fields).encode()))
            if total != sums[-1]:
                raise _edited_error(folder)
        with suppress(ValidationError):
            trials.append(convert(fields, Trial))
    sums = sums or [_sum("", early)]
    if (len(sums) > 1 or (folder / LAST).exists()) and _last(folder) not in sums:
        raise _edited_error(folder)
    return trials, sums[-1], len(whole)


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


def _edited_error(folder: Path) -> OperatorError:
    return OperatorError(
        f"{folder / TRIALS} was edited or truncated, so the number of trials is unknown",
        f"restore it and {LAST} from a copy, or start a new list without the earlier trials: rm {folder / TRIALS} "
        f"{folder / LAST}",
    )


BACKTEST, SHADOW = "backtest", "shadow"

"""The kinds of folders that are read-only: a finished backtest, and a strategy's shadow bot."""


def trading(folder: StateFolder) -> StateFolder:
    """Return a bot's folder if the bot can trade; raise OperatorError for the folder of a finished backtest or of a
    strategy's shadow trading.
    """
    if folder.kind == SHADOW:
        raise OperatorError(
            f"{folder.path} holds a strategy's shadow trading: it is read-only, and only tradebot shadow trades in it",
            f"tradebot report {option(folder.path)}; to trade now: tradebot shadow {option(folder.path.parent.parent)}",
        )
    if folder.kind != BACKTEST:
        return folder
    raise OperatorError(
        f"{folder.path} has a finished backtest: it is read-only",
        f"tradebot report {option(folder.path)}; to trade: tradebot init --state-dir NEW",
    )


def write_evidence(folder: Path, evidence: Evidence) -> None:
    """Write the evidence into a folder, replacing earlier evidence; raise OperatorError if that fails."""
    file = folder / EVIDENCE
    try:
        write_durably(file, json.dumps(encode(evidence), indent=1) + "\n")
    except OSError as error:
        raise OperatorError(
            f"{file.name} can't be written: {error.strerror}", "free some space and run it again"
        ) from error


def read_evidence(folder: Path) -> Evidence:
    """Return the evidence in a folder, or none if it has no such file; raise OperatorError if it can't be read."""
    file = folder / EVIDENCE
    try:
        return decode(Evidence, json.loads(read_plain(file)))
    except FileNotFoundError:
        return NO_EVIDENCE
    except (OSError, CodecError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OperatorError(
            f"{file.name} can't be read: {why}", "run the backtest again, or remove the file"
        ) from error


def read_trials(folder: Path, strategies: Collection[str], codes: Collection[str] = ()) -> Trials | None:
    """Return how many settings were tried for these strategies in the backtests next to a folder; None if none were.

    Runs with the same settings count once, with the last run's ratio. Trials of the same code under other names count
    too; `codes` has digests of further code to include. Raise OperatorError if the list of trials was edited.
    """
    trials = trials_of(load_trial_list(folder.parent) or (), strategies, codes)
    return Trials(len(trials), tuple(trial.sharpe for trial in trials if trial.sharpe is not None)) if trials else None


def backtested_code(state: Path) -> Mapping[str, Mapping[str, str]]:
    """Return the names of finished backtests, by strategy and then by the digest of the strategy's code, oldest first.

    If several backtests ran the same code, the last one is named. A list of trials that can't be read is skipped.
    """
    by_run: dict[str, dict[str, str]] = {}
    with suppress(OperatorError, OSError):
        for trial in load_trial_list(state / BACKTESTS) or ():
            played = by_run.setdefault(trial.strategy, {})
            if trial.code:
                played.pop(trial.code, None)
                played[trial.code] = trial.name
    return by_run
