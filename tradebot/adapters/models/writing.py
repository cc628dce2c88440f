"""Write a signed model as a folder that is there as a whole or not at all, named by its content."""

import errno
import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING

from tradebot.adapters.failpoint import around
from tradebot.adapters.models.folder import SIGNATURE, SUMS, ModelParts, id_of, sums_of
from tradebot.adapters.models.signing import sign, signer_of
from tradebot.adapters.state.state_folder import make_folder, sync_folder
from tradebot.errors import OperatorError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

DRAFT = ".new"
LEFT_AFTER_S = 3600
"""How old a draft must be before a later writer takes it for one that was left behind."""


def write_model(folder: Path, parts: ModelParts, key: "Ed25519PrivateKey") -> str:
    """Sign a model, write it to a folder of models, and return its name. The same content is written once.

    OperatorError if the folder can't be written; what was written until then is never taken for a model.
    """
    files = parts.files()
    sums = sums_of(files)
    name = id_of(sums)
    content = {**files, SUMS: sums, SIGNATURE: sign(sums, key).encode()}
    try:
        if not folder.is_dir():
            make_folder(folder)
        _remove_leftovers(folder)
        draft = folder / f".{name}.{os.urandom(8).hex()}{DRAFT}"
        _write_draft(draft, content)
        _put(draft, folder / name, content)
    except OSError as error:
        place = quote(str(folder))
        raise OperatorError(
            f"the model can't be written to {folder}: {error.strerror}", f"see who may write there: ls -ld {place}"
        ) from error
    return name


def write_draft(place: Path, parts: ModelParts) -> None:
    """Write a model that nobody has signed yet, sealed with a list of its files, as a whole or not at all.

    OperatorError if there is something of that name, or it can't be written.
    """
    if place.exists():
        raise OperatorError(f"{place} is there already", f"name another place, or remove it: rm -r {quote(str(place))}")
    try:
        if not place.parent.is_dir():
            make_folder(place.parent)
        _remove_leftovers(place.parent)
        draft = place.parent / f".{place.name}.{os.urandom(8).hex()}{DRAFT}"
        files = parts.files()
        _write_draft(draft, {**files, SUMS: sums_of(files)})
        with around("models.name_draft"):
            draft.rename(place)
        sync_folder(place.parent)
    except OSError as error:
        raise OperatorError(
            f"the draft can't be written to {place}: {error.strerror}",
            f"see who may write there: ls -ld {quote(str(place.parent))}",
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


def _put(draft: Path, place: Path, content: Mapping[str, bytes]) -> None:
    """Give a draft its name, unless the same model has it already; OperatorError if something else has."""
    if not place.exists() and _named(draft, place):
        return
    with around("models.drop_draft"):
        shutil.rmtree(draft)
    found = {each.name: each.read_bytes() for each in place.iterdir() if each.is_file()}
    if found == content:
        return
    signer = signer_of(found.get(SIGNATURE, b""))
    if {**found, SIGNATURE: b""} == {**content, SIGNATURE: b""} and signer not in (None, signer_of(content[SIGNATURE])):
        raise OperatorError(
            f"{place} is this model, signed by another key ({signer})",
            "leave it there, since a bot may use it, and write yours to another folder: --to FOLDER",
        )
    raise OperatorError(
        f"{place} is there already, and isn't what was signed",
        f"look at it, then remove it: rm -r {quote(str(place))}",
    )


def _named(draft: Path, place: Path) -> bool:
    """Give a draft its name, and return whether that worked: another process may just have written the same model."""
    try:
        with around("models.name"):
            draft.rename(place)
    except OSError as taken:
        if taken.errno not in (errno.ENOTEMPTY, errno.EEXIST):
            raise
        return False
    sync_folder(place.parent)
    return True


def _remove_leftovers(folder: Path) -> None:
    """Remove the drafts of writers that were killed."""
    for path in folder.glob(f".*{DRAFT}"):
        if time.time() - path.lstat().st_mtime > LEFT_AFTER_S:
            with around("models.forget_leftover"):
                shutil.rmtree(path)
