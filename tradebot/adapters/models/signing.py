"""The keys for signing models (Ed25519). The private key is in its owner's file; bots have the public one.

A signature includes the first digits of the public key's SHA-256, to distinguish another key's signature from a damaged
one.
"""

import os
import stat
from functools import partial
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, NamedTuple

from tradebot.adapters.failpoint import around
from tradebot.adapters.models.model_folder import RefusedModelError
from tradebot.adapters.state.safe_open import NotRegularFileError, open_plain, read_plain
from tradebot.adapters.state.state_folder import MARKER, make_folder, sync_folder
from tradebot.adapters.text.extras import install
from tradebot.errors import OperatorError
from tradebot.model.reasons import Reason

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

SCHEME = "ed25519"
DIGITS = 16
"""How many digits of a public key's SHA-256 identify it."""
NEEDED = ("cryptography", "onnxruntime")
"""The packages of the extra `policy`."""


class Signature(NamedTuple):
    """The content of a signature file: which key made it, and the signature itself."""

    key: str
    value: bytes

    @property
    def text(self) -> str:
        """Format the signature as the content of its file."""
        return f"{SCHEME} {self.key} {self.value.hex()}\n"


def require_extra(what: str) -> None:
    """Raise OperatorError unless the packages that read and run models are installed."""
    if any(find_spec(name) is None for name in NEEDED):
        raise OperatorError(f"{what} needs the extra policy", install("policy"))


def name_of(public: str) -> str:
    """Return the hexadecimal digits that identify a public key."""
    return sha256(bytes.fromhex(public)).hexdigest()[:DIGITS]


def make_key(file: Path) -> str:
    """Write a new private key to a file that only its owner can read, and return the public key.

    Missing folders are created for the owner alone. Raise OperatorError if the file exists, can't be written, or is in
    a bot's state folder.
    """
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    _refuse_in_bot(file, "name a file elsewhere, best on another machine: tradebot model key FILE")
    _make_folder_of(file)
    key = Ed25519PrivateKey.generate()
    written = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as opened:
            opened.write(written)
            opened.flush()
            with around("signing.sync_key"):
                os.fsync(descriptor)
        sync_folder(file.parent)
    except FileExistsError as error:
        raise OperatorError(f"{file} already exists, and a key is never overwritten", "name another file") from error
    except OSError as error:
        raise OperatorError(f"{file} can't be written: {error.strerror}", "name another file") from error
    return _public(key)


def _refuse_in_bot(file: Path, hint: str) -> None:
    if any((folder / MARKER).exists() for folder in file.resolve().parents):
        raise OperatorError(f"{file} is in a bot's state folder, but a bot never needs the private key", hint)


def _make_folder_of(file: Path) -> None:
    try:
        if not file.parent.is_dir():
            make_folder(file.parent)
    except OSError as error:
        raise OperatorError(f"the folder of {file} can't be created: {error.strerror}", "name another file") from error


def read_key(file: Path) -> "Ed25519PrivateKey":
    """Read a private key; raise OperatorError if it can't be read, if others can read it, or if it is in a bot's
    folder.
    """
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    _refuse_in_bot(file, f"move it to a folder that no backup of the bot copies: mv {quote(str(file))} ~/keys/")
    try:
        _require_own(file)
        key = load_pem_private_key(read_plain(file), None)
    except NotRegularFileError as error:
        raise OperatorError(f"{file} can't be used: {error.strerror}", "name the key file itself") from error
    except OSError as error:
        raise OperatorError(f"{file} can't be read: {error.strerror}", "tradebot model key FILE creates one") from error
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise OperatorError(f"{file} isn't a private key", "tradebot model key FILE creates one") from error
    if not isinstance(key, Ed25519PrivateKey):
        raise OperatorError(f"{file} is a key of another type", "tradebot model key FILE creates one")
    return key


def _require_own(file: Path) -> None:
    descriptor = open_plain(file, os.O_RDONLY)
    try:
        stat_result = os.fstat(descriptor)
    finally:
        os.close(descriptor)
    if stat_result.st_uid != os.geteuid() or stat.S_IMODE(stat_result.st_mode) & 0o077:
        raise OperatorError(
            f"{file} can be read by others, so nothing is signed with it", f"chmod 600 {quote(str(file))}"
        )


def sign_content(content: bytes, key: "Ed25519PrivateKey") -> str:
    """Sign the content; return the signature as text."""
    return Signature(name_of(_public(key)), key.sign(content)).text


def public_key_text(key: "Ed25519PrivateKey") -> str:
    """Return the public key that belongs to a private key, in the form used in the configuration."""
    return _public(key)


def signer_of(signature: bytes) -> str | None:
    """Return the digits of the key named in a signature; None if the signature is invalid."""
    parsed = _parse_signature(signature)
    return parsed.key if parsed else None


def require_signed(what: str, content: bytes, signature: bytes, public: str) -> None:
    """Raise RefusedModelError unless this content's signature matches the public key."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    refused = partial(RefusedModelError, what=what)
    parsed = _parse_signature(signature)
    if parsed is None:
        raise refused(Reason.MODEL_UNSIGNED, observed="its signature can't be read")
    if parsed.key != name_of(public):
        raise refused(Reason.MODEL_WRONG_KEY, observed=f"signed by {parsed.key}, but the bot trusts {name_of(public)}")
    try:
        Ed25519PublicKey.from_public_bytes(bytes.fromhex(public)).verify(parsed.value, content)
    except InvalidSignature as error:
        raise refused(Reason.MODEL_CHANGED, observed="its list of files is not the one that was signed") from error


def _parse_signature(signature: bytes) -> Signature | None:
    words = signature.decode("ascii", "replace").split()
    try:
        parsed = Signature(words[1], bytes.fromhex(words[2]))
    except (IndexError, ValueError):
        return None
    return parsed if words[0] == SCHEME and signature == parsed.text.encode() else None


def _public(key: "Ed25519PrivateKey") -> str:
    from cryptography.hazmat.primitives import serialization

    return key.public_key().public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw).hex()
