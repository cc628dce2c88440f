"""Pack the record of a pass with nothing private in it, so that it is still decided as it was."""

import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from tradebot.adapters.text.identity_redaction import Redactor
from tradebot.replaying.cycle_comparison import replay
from tradebot.replaying.passes import RecordedCycle, read_record
from tradebot.replaying.port_recording import InOrder
from tradebot.replaying.record_json import record_of, told_anew, tree_of, without_digests
from tradebot.replaying.record_writer import RecordError

if TYPE_CHECKING:
    from tradebot.adapters.facts.recorded_passes import KeptPass, KeptPasses
    from tradebot.ports.world import Rules

EQUAL, DIFFERS, NONE = "equal", "differs", "none"
"""How the pass is decided again where the file is made: as then, otherwise, or not at all."""


def pack_pass(
    kept: "KeptPasses", one: "KeptPass", rules: "Callable[[RecordedCycle], Rules]", redactor: Redactor
) -> tuple[str, str, dict[str, Any]]:
    """Return how the pass is decided here, what differs, and its record; RecordError if it can't be used."""
    found = kept.record(one.id)
    if found is None:
        raise RecordError("it isn't kept any more")
    body, parts = found
    recorded = read_record(body, parts, {})
    difference = replay(recorded, rules(recorded)).difference
    tree = redact_record(tree_of(body, parts), redactor)
    new_body, new_parts = record_of(tree)
    anew = None if difference else told_anew(new_body, new_parts, rules)
    # The digest of a question would still tell somebody who guesses what stood in it.
    tree = tree_of(anew or without_digests(new_body), new_parts)
    if anew is None and difference is None:
        hidden = read_record(*record_of(tree), {}, InOrder)
        difference = replay(hidden, rules(hidden), only_decisions=True).difference
    told = {"id": one.id, "session": one.session.isoformat(), "at": one.at.isoformat(), "version": one.version}
    record = {**redactor.tree(told), "in_order": anew is None, "record": tree}
    if difference is None:
        return EQUAL, "", record
    where = " ".join(filter(None, (difference.symbol, difference.strategy, difference.gate, difference.what)))
    return DIFFERS, redactor.text(f"{where}: {difference.recorded}, now {difference.replayed}"), record


def redact_record(tree: dict[str, Any], redactor: Redactor) -> dict[str, Any]:
    """Return a record with nothing private in it."""
    parts = [
        {"text": _of_json(part["text"], redactor)} if "text" in part else redactor.tree(part, named=False)
        for part in tree["parts"]
    ]
    return {**{name: redactor.tree(tree[name], named=False) for name in ("body", "outcome")}, "parts": parts}


def _of_json(text: str, redactor: Redactor) -> str:
    if not text:
        return text
    return json.dumps(redactor.tree(json.loads(text)), separators=(",", ":"), ensure_ascii=False)
