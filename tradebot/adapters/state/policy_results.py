"""Read and write the results of a learned policy: a JSON file beside the evaluation that made them.

The run that made it seals it with the hash of what it holds, so that a change is noticed. A file without a seal was
made elsewhere.
"""

import json
from hashlib import sha256
from pathlib import Path
from typing import Any

from tradebot.adapters.state.safe_open import read_plain
from tradebot.adapters.state.state_folder import write_durably
from tradebot.adapters.text.canonical import CodecError, json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import OperatorError
from tradebot.model.policy_results import PolicyResults, problems

AGAIN = "evaluate the policy again, or name another file"


SEAL = "sha256"


def write_policy_results(file: Path, results: PolicyResults) -> None:
    """Write results with their seal, as a whole or not at all."""
    found = encode(results)
    write_durably(file, json_text({**found, SEAL: _digest(found)}))


def read_policy_results(file: Path) -> PolicyResults:
    """Return the results in a file; raise OperatorError if it can't be read, was changed, or contradicts itself."""
    return read_sealed(file)[0]


def read_sealed(file: Path) -> tuple[PolicyResults, bool]:
    """Return the results in a file, and whether the run that made them sealed it; raise as `read_policy_results`."""
    try:
        told = json.loads(read_plain(file))
        seal = told.pop(SEAL, None) if isinstance(told, dict) else None
        found = decode(PolicyResults, told)
    except (OSError, CodecError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OperatorError(f"{file} can't be read as the results of a policy: {why}", AGAIN) from error
    if seal not in (None, _digest(told)):
        raise OperatorError(f"{file} was changed since the run that made it sealed it", AGAIN)
    if wrong := next(problems(found), None):
        raise OperatorError(f"{file} can't be judged: {wrong}", AGAIN)
    return found, seal is not None


def _digest(found: Any) -> str:
    return sha256(json_text(found).encode()).hexdigest()
