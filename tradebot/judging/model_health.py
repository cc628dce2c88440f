"""How the models of learned policies are: whether they can be used, how old they are, and whether they act."""

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct

from tradebot.judging import component_health
from tradebot.judging.component_health import DEGRADED, OK, HealthVerdict
from tradebot.judging.evidence import HealthEvidence
from tradebot.model.text import pluralize


class ModelSeen(Struct, frozen=True):
    """A model of a strategy: when it was made, or why it can't be used; and how many days old it may be."""

    strategy: str
    id: str
    made_at: datetime | None
    most_days: int
    refused: str = ""


class ModelsSeen(Struct, frozen=True):
    """The models of all policies in use, and in words what acted in their place in the last pass of entries."""

    models: tuple[ModelSeen, ...]
    instead: tuple[str, ...] = ()


def judge(evidence: HealthEvidence, seen: ModelsSeen) -> HealthVerdict:
    """Judge models by whether they can be used, whether they acted in the last pass of entries, and their age."""
    count = len(seen.models)
    wrong = [*_wrong(evidence, seen)]
    if wrong:
        return HealthVerdict(DEGRADED, "; ".join(wrong[: component_health.SHOWN]), count)
    oldest = max(_days(evidence, one.made_at) for one in seen.models if one.made_at)
    return HealthVerdict(
        OK, f"{pluralize(count, 'model')} as signed, the oldest made {pluralize(oldest, 'day')} ago", count
    )


def _wrong(evidence: HealthEvidence, seen: ModelsSeen) -> Iterator[str]:
    yield from (f"{one.strategy}: {one.refused}" for one in seen.models if one.refused)
    yield from seen.instead
    for one in seen.models:
        if one.made_at and (days := _days(evidence, one.made_at)) > one.most_days:
            yield f"{one.strategy}: {one.id} was made {pluralize(days, 'day')} ago, and may be {one.most_days} old"


def _days(evidence: HealthEvidence, made_at: datetime) -> int:
    """Return how many days ago something was made, in trading time if that is known."""
    return max(((evidence.now or evidence.at) - made_at).days, 0)
