"""Define a model's card: how the model was trained, on what data, and its results in sessions on which it wasn't
trained.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date, datetime
from enum import StrEnum
from math import isfinite

from msgspec import Struct

from tradebot.model.series import width_of

FORMAT = 1
"""The version of the stored form."""
PROBES = 32
"""How many observations are stored with the model's outputs."""
STATE_SIZE = 6
"""How many numbers of an observation are about the position, the account and the day."""
LARGEST = 1e6
CONFIGURATION, SEED = "configuration", "seed"
"""The settings that identify a model's trial, and its seed."""


class Action(StrEnum):
    """A network's output: one number from -1 to 1, or a number for each target, of which the largest wins."""

    CONTINUOUS = "continuous"
    DISCRETE = "discrete"


class FeatureUsed(Struct, frozen=True):
    """A feature by name, with the version on which the model was trained."""

    name: str
    version: int


class DataSpan(Struct, frozen=True):
    """The market data of a series on which the model was trained, from session `first` to `last`, and the data's
    SHA-256.
    """

    series: str
    first: date
    last: date
    sha256: str


class SessionResult(Struct, frozen=True):
    """A model's return in a session, after costs, as a fraction of the equity at the session's start."""

    session: date
    earned: float


class Card(Struct, frozen=True):
    """What a model was trained on, how, and what it reads. `features` are the market features, in the order of an
    observation.

    The model decides at the close of each bar of `timeframe`. A `recurrent` model remembers what it saw since the
    session's open. `settings` are its training settings, `seeds` all seeds that were trained, `trials` how many
    configurations were tried, and `results` its returns in sessions on which it wasn't trained, oldest first. `program`
    is the version of tradebot that made it.
    """

    format: int
    name: str
    agent: str
    action: Action
    recurrent: bool
    timeframe: str
    features: tuple[FeatureUsed, ...]
    data: tuple[DataSpan, ...]
    settings: Mapping[str, str]
    seeds: tuple[int, ...]
    trials: int
    results: tuple[SessionResult, ...]
    program: str
    created_at: datetime

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the model's features."""
        return tuple(used.name for used in self.features)

    @property
    def inputs(self) -> int:
        """Return how many numbers an observation has."""
        return len(self.features) + STATE_SIZE


class Scaling(Struct, frozen=True):
    """The mean and standard deviation of each market feature in the training period, in the order of the card."""

    means: tuple[float, ...]
    deviations: tuple[float, ...]


class Probe(Struct, frozen=True):
    """Observations, and the model's outputs for them as computed where it was trained.

    `memories` has a recurrent model's memory for each observation; it is empty for other models.
    """

    observations: tuple[tuple[float, ...], ...]
    answers: tuple[tuple[float, ...], ...]
    memories: tuple[tuple[float, ...], ...] = ()


def problems(card: Card, scaling: Scaling, probe: Probe) -> Iterator[str]:
    """Yield the errors and contradictions in a model's description."""
    if card.format != FORMAT:
        yield f"its card has format {card.format}, and this version reads {FORMAT}"
        return
    yield from _of_card(card)
    if not len(scaling.means) == len(scaling.deviations) == len(card.features):
        yield f"the scaling doesn't match the card's {len(card.features)} features"
    if not all(map(isfinite, scaling.means)) or not all(
        isfinite(deviation) and deviation > 0 for deviation in scaling.deviations
    ):
        yield "the scaling has a mean or a deviation that isn't a number above zero"
    yield from _of_probe(card, probe)


def _of_card(card: Card) -> Iterator[str]:
    try:
        width = width_of(card.timeframe)
    except ValueError:
        width = None
    if width is None:
        yield f"its timeframe {card.timeframe!r} isn't in minutes or hours"
    if not card.features or len(set(card.names)) < len(card.features):
        yield "it names no feature, or one twice"
    if not card.seeds or card.trials < 1:
        yield "it names no seed or no trial"
    if card.created_at.tzinfo is None:
        yield "its time has no time zone"
    days = [result.session for result in card.results]
    if days != sorted(set(days)):
        yield "its results are out of order"
    if not all(isfinite(result.earned) and result.earned > -1 for result in card.results):
        yield "one of its results isn't a number above -1"
    if any(span.last < span.first for span in card.data):
        yield "a span of its data ends before it begins"


def _of_probe(card: Card, probe: Probe) -> Iterator[str]:
    if len(probe.observations) != PROBES or len(probe.answers) != PROBES:
        yield f"it has {len(probe.observations)} stored observations with {len(probe.answers)} answers, not {PROBES}"
    if len(probe.memories) != (PROBES if card.recurrent else 0):
        yield "a stored observation lacks the network's recurrent state"
    if any(len(observation) != card.inputs for observation in probe.observations):
        yield f"a stored observation doesn't have {card.inputs} numbers"
    numbers = (number for rows in (probe.observations, probe.answers, probe.memories) for row in rows for number in row)
    if not all(abs(number) <= LARGEST for number in numbers):
        yield "a stored observation or answer has a number that isn't finite"


def other_features(card: Card, names: Mapping[str, int]) -> Sequence[str]:
    """Return the card's features that aren't available in the version the model needs, each with how it differs."""
    return [
        f"{used.name} version {used.version}"
        + (f", but this program has {names[used.name]}" if used.name in names else "")
        for used in card.features
        if names.get(used.name) != used.version
    ]


class Model(Struct, frozen=True):
    """A model that was read and whose signature was verified; `graph` is its network in ONNX format."""

    id: str
    card: Card
    scaling: Scaling
    probe: Probe
    graph: bytes
