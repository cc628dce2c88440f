"""Define a model's folder: its files, the list of files, and the signature. The folder is named after its content.

If a model can't be used, the error has a reason for the records, and its hint says what the user can do next.
"""

import json
import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import Any, NamedTuple

from tradebot.adapters.text.canonical import json_text
from tradebot.adapters.text.codec import decode, encode
from tradebot.errors import OperatorError
from tradebot.learning.inference import ModelSelection
from tradebot.learning.model_card import Card, Model, Probe, Scaling
from tradebot.learning.policy_decisions import refusal
from tradebot.model.reasons import REASONS, Reason


class RefusedModelError(OperatorError):
    """Raised when a model can't be used; `decision` has the reason for the records, and the hint says what to
    do next.
    """

    def __init__(self, reason: Reason, what: str, observed: str) -> None:
        row = REASONS[reason]
        super().__init__(f"{what}: {observed}. {row.meaning}", row.remedy)
        self.reason, self.observed = reason, observed
        self.decision = refusal(reason, f"{what}: {observed}")


class RefusedDraftError(OperatorError):
    """Raised when a draft can't be signed, so no bot can use it."""

    def __init__(self, path: Path, reason: Reason, observed: str) -> None:
        self.reason = reason
        if reason is Reason.MODEL_ABSENT:
            super().__init__(f"there is no draft at {path}: {observed}", "tradebot learn policy train creates drafts")
            return
        super().__init__(
            f"the draft {path} can't be signed: {observed}. {REASONS[reason].meaning}",
            f"check that folder (ls -l {quote(str(path))}), or train the model again: tradebot learn policy train",
        )


CARD, SCALING, PROBE, GRAPH = "card.json", "scaling.json", "probe.json", "model.onnx"

SUMS, SIGNATURE = "SHA256SUMS", "SHA256SUMS.sig"

MB = 1 << 20

LARGEST: Mapping[str, int] = {CARD: MB, SCALING: MB, PROBE: 4 * MB, GRAPH: 16 * MB}

"""The listed files, and the size limit of each in bytes."""

LARGEST_LIST = 4096

FILES = frozenset((*LARGEST, SUMS, SIGNATURE))

CHARACTERS = 16

NAME = re.compile(rf"[0-9a-f]{{{CHARACTERS}}}")

LINE = re.compile(r"# (\d+) bytes\n([0-9a-f]{64})  ([a-z.]+)\n")


class ListedFile(NamedTuple):
    """The size and the SHA-256 of a file."""

    size: int
    digest: str


class ModelParts(NamedTuple):
    """The parts of a model: its card, the scaling of its inputs, stored observations for testing it, and its
    network.
    """

    card: Card
    scaling: Scaling
    probe: Probe
    graph: bytes

    def files(self) -> Mapping[str, bytes]:
        """Return the content of each file by name."""
        texts = {CARD: self.card, SCALING: self.scaling, PROBE: self.probe}
        return {**{name: f"{json_text(encode(value))}\n".encode() for name, value in texts.items()}, GRAPH: self.graph}


def parts_of(files: Mapping[str, bytes]) -> ModelParts:
    """Parse the parts from these files; raise ValueError or RecursionError if one is invalid."""
    return ModelParts(
        decode(Card, json.loads(files[CARD])),
        decode(Scaling, json.loads(files[SCALING])),
        decode(Probe, json.loads(files[PROBE])),
        files[GRAPH],
    )


def sums_of(files: Mapping[str, bytes]) -> bytes:
    """Return the list of a model's files with their SHA-256, in a form that `sha256sum -c` accepts too."""
    lines = (f"# {len(files[name])} bytes\n{sha256(files[name]).hexdigest()}  {name}\n" for name in sorted(files))
    return "".join(lines).encode()


def listed_in(sums: bytes) -> Mapping[str, ListedFile]:
    """Return the files named in a list; raise ValueError unless they are exactly the files of a model."""
    text = sums.decode("ascii")
    files = {name: ListedFile(int(size), digest) for size, digest, name in LINE.findall(text)}
    if LINE.sub("", text) or set(files) != set(LARGEST):
        raise ValueError("it lists files that aren't a model's")
    return files


def id_of(sums: bytes) -> str:
    """Compute a model's name from its list of files."""
    return sha256(sums).hexdigest()[:CHARACTERS]


ACTING, MODELS = "acting", "models"


def worker_settings(models: Sequence[Model], acting: ModelSelection) -> Mapping[str, Any]:
    """Build the settings with which the process for these models starts."""
    files = [
        (model.id, dict(ModelParts(model.card, model.scaling, model.probe, model.graph).files())) for model in models
    ]
    return {MODELS: files, ACTING: json_text(encode(acting))}


def parse_settings(settings: Mapping[str, Any]) -> tuple[Sequence[Model], ModelSelection]:
    """Parse a process's settings into its models, and how their answers are combined."""
    models = [Model(name, *parts_of(files)) for name, files in settings[MODELS]]
    return models, decode(ModelSelection, json.loads(settings[ACTING]))
