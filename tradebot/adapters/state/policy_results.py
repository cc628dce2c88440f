"""Read and write the results of a learned policy: a JSON file beside the evaluation that made them."""

import json
from pathlib import Path

from tradebot.adapters.state.plain_files import read_plain
from tradebot.adapters.text.canonical import CodecError
from tradebot.adapters.text.codec import decode
from tradebot.errors import OperatorError
from tradebot.model.policy_results import PolicyResults, problems

AGAIN = "evaluate the policy again, or name another file"


def read_policy_results(file: Path) -> PolicyResults:
    """Return the results in a file; raise OperatorError if it can't be read, or contradicts itself."""
    try:
        found = decode(PolicyResults, json.loads(read_plain(file)))
    except (OSError, CodecError, ValueError, RecursionError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise OperatorError(f"{file} can't be read as the results of a policy: {why}", AGAIN) from error
    if wrong := next(problems(found), None):
        raise OperatorError(f"{file} can't be judged: {wrong}", AGAIN)
    return found
