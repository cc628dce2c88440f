"""Read a model from its folder, or write one atomically to a folder that is named after its content.

A model whose content deviates from what was signed is refused, with a separate reason for each kind of deviation.
"""

import errno
import os
import shutil
import time
from collections.abc import Mapping
from functools import partial
from hashlib import sha256
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from tradebot.adapters.failpoint import around
from tradebot.adapters.models.model_folder import (
    FILES,
    LARGEST,
    LARGEST_LIST,
    NAME,
    SIGNATURE,
    SUMS,
    ModelParts,
    RefusedDraftError,
    RefusedModelError,
    id_of,
    listed_in,
    parts_of,
    sums_of,
)
from tradebot.adapters.models.onnx_format import GraphError, require_closed
from tradebot.adapters.models.signing import require_signed, sign_content, signer_of
from tradebot.adapters.state.safe_open import NotRegularFileError, opened_plain
from tradebot.adapters.state.state_folder import make_folder, sync_folder
from tradebot.errors import OperatorError
from tradebot.learning.model_card import Model, other_features, problems
from tradebot.model.reasons import Reason
from tradebot.signals.features import features

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DRAFT = ".new"

LEFT_AFTER_S = 3600

"""The age from which a later writer considers a draft abandoned."""


def write_model(folder: Path, parts: ModelParts, key: "Ed25519PrivateKey") -> str:
    """Sign a model, write it to a folder of models, and return its name.

    A model that is already there isn't written again. Raise OperatorError if the folder can't be written; a partly
    written folder never counts as a model.
    """
    files = parts.files()
    sums = sums_of(files)
    name = id_of(sums)
    content = {**files, SUMS: sums, SIGNATURE: sign_content(sums, key).encode()}
    try:
        if not folder.is_dir():
            make_folder(folder)
        _remove_leftovers(folder)
        draft = folder / f".{name}.{os.urandom(8).hex()}{DRAFT}"
        _write_draft(draft, content)
        _put(draft, folder / name, content)
    except OSError as error:
        quoted = quote(str(folder))
        raise OperatorError(
            f"the model can't be written to {folder}: {error.strerror}", f"see who may write there: ls -ld {quoted}"
        ) from error
    return name


def write_draft(path: Path, parts: ModelParts) -> None:
    """Write an unsigned model atomically, with a list of its files that reveals later changes.

    Raise OperatorError if the name exists already, or if it can't be written.
    """
    if path.exists():
        raise OperatorError(f"{path} is there already", f"name another folder, or remove it: rm -r {quote(str(path))}")
    try:
        if not path.parent.is_dir():
            make_folder(path.parent)
        _remove_leftovers(path.parent)
        draft = path.parent / f".{path.name}.{os.urandom(8).hex()}{DRAFT}"
        files = parts.files()
        _write_draft(draft, {**files, SUMS: sums_of(files)})
        with around("models.name_draft"):
            draft.rename(path)
        sync_folder(path.parent)
    except OSError as error:
        raise OperatorError(
            f"the draft can't be written to {path}: {error.strerror}",
            f"see who may write there: ls -ld {quote(str(path.parent))}",
        ) from error


def _write_draft(draft: Path, content: Mapping[str, bytes]) -> None:
    draft.mkdir(mode=0o700)
    for name, written in content.items():
        descriptor = os.open(draft / name, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(written)
            file.flush()
            with around("models.sync_file"):
                os.fsync(descriptor)
    sync_folder(draft)


def _put(draft: Path, path: Path, content: Mapping[str, bytes]) -> None:
    """Rename a draft, unless the same model exists already; raise OperatorError if something else is in the way."""
    if not path.exists() and _rename_draft(draft, path):
        return
    with around("models.drop_draft"):
        shutil.rmtree(draft)
    files = {each.name: each.read_bytes() for each in path.iterdir() if each.is_file()}
    if files == content:
        return
    signer = signer_of(files.get(SIGNATURE, b""))
    if {**files, SIGNATURE: b""} == {**content, SIGNATURE: b""} and signer not in (None, signer_of(content[SIGNATURE])):
        raise OperatorError(
            f"{path} is this model, signed with another key ({signer})",
            "leave it there, because a bot may use it, and write yours to another folder: --to FOLDER",
        )
    raise OperatorError(
        f"{path} already exists, and isn't what was signed",
        f"look at it, then remove it: rm -r {quote(str(path))}",
    )


def _rename_draft(draft: Path, path: Path) -> bool:
    """Rename a draft, and return False if another process has just written the same model."""
    try:
        with around("models.name"):
            draft.rename(path)
    except OSError as taken:
        if taken.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    sync_folder(path.parent)
    return True


def _remove_leftovers(folder: Path) -> None:
    """Remove the drafts of writers that were killed."""
    for path in folder.glob(f".*{DRAFT}"):
        if time.time() - path.lstat().st_mtime > LEFT_AFTER_S:
            with around("models.forget_leftover"):
                shutil.rmtree(path)


SHOWN = 3


def read_model(folder: Path, name: str, public: str) -> Model:
    """Return a model from a folder of models; raise RefusedModelError unless its signature matches the public key."""
    refused = partial(RefusedModelError, what=name)
    path = _model_folder(folder, name)
    files = {each: _content(path / each, name) for each in (SUMS, SIGNATURE, *LARGEST)}
    sums = files.pop(SUMS)
    require_signed(name, sums, files.pop(SIGNATURE), public)
    if id_of(sums) != name:
        raise refused(Reason.MODEL_CHANGED, observed=f"its folder should be named {id_of(sums)}")
    _require_listed(name, sums, files)
    return _check_model(name, files)


def load_draft(path: Path) -> Model:
    """Return the unsigned model in a folder; raise RefusedDraftError if it can't be used or was changed."""
    try:
        sealed = is_sealed(path)
        _require_files(path, path.name, frozenset((*LARGEST, SUMS) if sealed else LARGEST))
        files = {each: _content(path / each, path.name) for each in LARGEST}
        if sealed:
            _require_listed(path.name, _content(path / SUMS, path.name), files, "listed by the run that made it")
        return _check_model(path.name, files)
    except RefusedModelError as refused:
        raise RefusedDraftError(path, refused.reason, refused.observed) from refused


def is_sealed(draft: Path) -> bool:
    """Return True if a draft has the file list that its training run wrote."""
    return (draft / SUMS).is_file()


def _model_folder(folder: Path, name: str) -> Path:
    """Return a model's folder, which must contain a model's files and nothing else."""
    if not NAME.fullmatch(name):
        raise RefusedModelError(
            Reason.MODEL_PATH_UNSAFE, name[:40], ("a model's name has 16 digits of its content's hash")
        )
    path = folder / name
    if path.is_symlink():
        raise RefusedModelError(Reason.MODEL_PATH_UNSAFE, name, "it is a link")
    if not path.is_dir():
        raise RefusedModelError(Reason.MODEL_ABSENT, name, f"it isn't in {folder}")
    _require_files(path, name, FILES)
    return path


def _require_files(path: Path, name: str, wanted: frozenset[str]) -> None:
    try:
        names = frozenset(os.listdir(path))
    except OSError as error:
        raise RefusedModelError(Reason.MODEL_ABSENT, name, str(error.strerror)) from error
    if wanted - names == {SIGNATURE} or (SIGNATURE in wanted and not {SIGNATURE, SUMS} & names):
        raise RefusedModelError(Reason.MODEL_UNSIGNED, name, f"it lacks {SIGNATURE}")
    if wanted != names:
        lacks, more = sorted(wanted - names)[:SHOWN], sorted(names - wanted)[:SHOWN]
        problems = [f"it lacks {', '.join(lacks)}"] if lacks else []
        problems += [f"{', '.join(more)} doesn't belong to it"] if more else []
        raise RefusedModelError(Reason.MODEL_FILES_DIFFER, name, "; ".join(problems)[:160])


def _content(path: Path, name: str) -> bytes:
    """Return the content of a regular file, which must not be a link."""
    most = LARGEST.get(path.name, LARGEST_LIST)
    try:
        with opened_plain(path) as file:
            content = file.read(most + 1)
    except NotRegularFileError as error:
        raise RefusedModelError(Reason.MODEL_PATH_UNSAFE, name, f"{path.name}: {error.strerror}") from error
    except OSError as error:
        raise RefusedModelError(Reason.MODEL_FILES_DIFFER, name, f"{path.name}: {error.strerror}") from error
    if len(content) > most:
        raise RefusedModelError(Reason.MODEL_TOO_LARGE, name, f"{path.name} has more than {most:,} bytes")
    return content


def _require_listed(name: str, sums: bytes, files: Mapping[str, bytes], was: str = "signed") -> None:
    """Raise RefusedModelError unless each file matches the list."""
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
            raise refused(Reason.MODEL_CHANGED, observed=f"{file} isn't as {was}")


def _check_model(name: str, files: Mapping[str, bytes]) -> Model:
    """Return the model in these files; raise RefusedModelError if this program can't use it."""
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
