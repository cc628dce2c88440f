"""Read a model from its folder. Anything that isn't exactly what was signed is refused with its own reason."""

import os
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path

from tradebot.adapters.models.folder import (
    FILES,
    LARGEST,
    LARGEST_LIST,
    NAME,
    SIGNATURE,
    SUMS,
    id_of,
    listed_in,
    parts_of,
)
from tradebot.adapters.models.graph import GraphError, require_closed
from tradebot.adapters.models.refusing import RefusedDraftError, RefusedModelError
from tradebot.adapters.models.signing import require_signed
from tradebot.adapters.state.safe_open import NotPlainError, opened_plain
from tradebot.learning.card import Model, other_features, problems
from tradebot.model.reasons import Reason
from tradebot.signals.features import features

SHOWN = 3


def read_model(folder: Path, name: str, public: str) -> Model:
    """Return a model of a folder of models. RefusedModelError unless it is as the owner of a public key signed it."""
    refused = partial(RefusedModelError, what=name)
    path = _place(folder, name)
    files = {each: _content(path / each, name) for each in (SUMS, SIGNATURE, *LARGEST)}
    sums = files.pop(SUMS)
    require_signed(name, sums, files.pop(SIGNATURE), public)
    if id_of(sums) != name:
        raise refused(Reason.MODEL_CHANGED, observed=f"its folder should be named {id_of(sums)}")
    _require_listed(name, sums, files)
    return _checked(name, files)


def draft_of(path: Path) -> Model:
    """Return the model in a folder that nobody has signed; RefusedDraftError if it can't be used, or was changed."""
    try:
        sealed = is_sealed(path)
        _require_files(path, path.name, frozenset((*LARGEST, SUMS) if sealed else LARGEST))
        files = {each: _content(path / each, path.name) for each in LARGEST}
        if sealed:
            _require_listed(path.name, _content(path / SUMS, path.name), files, "sealed by the run that made it")
        return _checked(path.name, files)
    except RefusedModelError as refused:
        raise RefusedDraftError(path, refused.reason, refused.observed) from refused


def is_sealed(draft: Path) -> bool:
    """Return True if a draft has the list of its files that the run that made it wrote."""
    return (draft / SUMS).is_file()


def _place(folder: Path, name: str) -> Path:
    """Return the folder of a model, which has a model's files and nothing else."""
    if not NAME.fullmatch(name):
        raise RefusedModelError(Reason.MODEL_PATH_UNSAFE, name[:40], "a model is named by 16 digits of its content")
    path = folder / name
    if path.is_symlink():
        raise RefusedModelError(Reason.MODEL_PATH_UNSAFE, name, "it is a link")
    if not path.is_dir():
        raise RefusedModelError(Reason.MODEL_ABSENT, name, f"it isn't in {folder}")
    _require_files(path, name, FILES)
    return path


def _require_files(path: Path, name: str, wanted: frozenset[str]) -> None:
    try:
        found = frozenset(os.listdir(path))
    except OSError as error:
        raise RefusedModelError(Reason.MODEL_ABSENT, name, str(error.strerror)) from error
    if wanted - found == {SIGNATURE} or (SIGNATURE in wanted and not {SIGNATURE, SUMS} & found):
        raise RefusedModelError(Reason.MODEL_UNSIGNED, name, f"it lacks {SIGNATURE}")
    if wanted != found:
        lacks, more = sorted(wanted - found)[:SHOWN], sorted(found - wanted)[:SHOWN]
        said = [f"it lacks {', '.join(lacks)}"] * bool(lacks) + [f"{', '.join(more)} doesn't belong to it"] * bool(more)
        raise RefusedModelError(Reason.MODEL_FILES_DIFFER, name, "; ".join(said)[:160])


def _content(path: Path, name: str) -> bytes:
    """Return the content of a regular file, which is never reached through a link."""
    most = LARGEST.get(path.name, LARGEST_LIST)
    try:
        with opened_plain(path) as file:
            content = file.read(most + 1)
    except NotPlainError as error:
        raise RefusedModelError(Reason.MODEL_PATH_UNSAFE, name, f"{path.name}: {error.strerror}") from error
    except OSError as error:
        raise RefusedModelError(Reason.MODEL_FILES_DIFFER, name, f"{path.name}: {error.strerror}") from error
    if len(content) > most:
        raise RefusedModelError(Reason.MODEL_TOO_LARGE, name, f"{path.name} has more than {most:,} bytes")
    return content


def _require_listed(name: str, sums: bytes, files: Mapping[str, bytes], was: str = "signed") -> None:
    """Raise RefusedModelError unless each file is the listed one."""
    refused = partial(RefusedModelError, what=name)
    try:
        listed = listed_in(sums)
    except ValueError as error:
        raise refused(Reason.MODEL_FILES_DIFFER, observed=f"{SUMS}: {error}") from error
    for file, content in files.items():
        size, digest = listed[file]
        if len(content) < size:
            raise refused(Reason.MODEL_TRUNCATED, observed=f"{file} has {len(content):,} of {size:,} bytes")
        if sha256(content).hexdigest() != digest:
            raise refused(Reason.MODEL_CHANGED, observed=f"{file} isn't what was {was}")


def _checked(name: str, files: Mapping[str, bytes]) -> Model:
    """Return the model in these files, if this program can use it."""
    refused = partial(RefusedModelError, what=name)
    try:
        parts = parts_of(files)
    except (ValueError, RecursionError) as error:
        raise refused(Reason.MODEL_UNREADABLE, observed=str(error)[:120]) from error
    if wrong := next(problems(parts.card, parts.scaling, parts.probe), None):
        raise refused(Reason.MODEL_UNREADABLE, observed=wrong)
    if others := other_features(parts.card, {each.name: each.version for each in features().values()}):
        raise refused(Reason.MODEL_FEATURES_DIFFER, observed="; ".join(others[:SHOWN]))
    try:
        require_closed(parts.graph)
    except GraphError as error:
        raise refused(Reason.MODEL_GRAPH_REFUSED, observed=str(error)) from error
    return Model(name, *parts)
