"""Load keys and permission gates from the environment or an owner-only .env file."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.state.user_files import read_env_file
from tradebot.adapters.text.redaction import learn
from tradebot.app.venues import door_to, keys_of
from tradebot.gates import permission

FLOW_KEY = "UW_API_KEY"
"""The variable that has the key of the flow source."""
_PARTS = re.compile(r"(?:^|(?<=[/:@?&=]))(?!localhost)(?![A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?:$|[/:?&]))[^/:@?&=]+")
"""The pieces of an address, some of which are secret by themselves; names and numbers of hosts are not."""
_OURS = re.compile(r"(?:NOTIFY|AWS)_.*")
"""The names of variables that plug-ins don't see: channels have addresses, and AWS_… may let one into an account."""
_CHANNEL = re.compile(r"NOTIFY_[A-Z0-9_]+")
CHAT_TOKEN = "CHAT_TELEGRAM_TOKEN"
"""The variable that has the token of the chat's bot."""
CLOUD = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
CLOUD_PLACES = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""The keys of the place where backups are copied to, and where that is, by the names that boto3 gives them."""


class Secrets(Struct, frozen=True):
    """Keys from the environment or .env; they are never printed. Those of the venue are by the fields of its keys."""

    uw_key: str | None
    venue: Mapping[str, str]

    def __repr__(self) -> str:
        """Show which keys are set, never their values."""
        names = ", ".join((*self.venue, *(("uw_key",) if self.uw_key else ())))
        return f"Secrets(set: {names or 'none'})"


def load_secrets(environ: Mapping[str, str], env_file: Path | None, venue: str) -> Secrets:
    """Return the keys. The environment takes precedence over the file, which must be readable only by its owner.

    `env_file` is None if only the environment counts. No text will show a key, one of another venue neither.
    """
    sources = (environ, read_env_file(env_file) if env_file else {})
    learn(*(text for key in keys_of(venue) if key.secret for text in _given_values(sources, key.names)))
    learn(*_given_values(sources, [FLOW_KEY]))
    learn(*_given_values(sources, [CHAT_TOKEN]))
    learn(*(text for name in CLOUD for text in _given_values(sources, [name])))
    # Whoever has an address can write to its channel, so no text shows one, whichever verb it is of.
    _learn_addresses(
        _given_values(sources, [name for source in sources for name in source if _CHANNEL.fullmatch(name)])
    )
    values = {key.field: next(_given_values(sources, key.names), "") for key in door_to(venue).keys}
    return Secrets(
        next(_given_values(sources, [FLOW_KEY]), None), {field: value for field, value in values.items() if value}
    )


def load_gates(environ: Mapping[str, str], env_file: Path | None) -> Mapping[str, str]:
    """Return the permission variables of the environment and .env by name, exactly as written, spaces included.

    `env_file` is None if only the environment counts. A variable set in the environment, even to nothing, takes
    precedence over the file.
    """
    sources = (environ, read_env_file(env_file) if env_file else {})
    return {name: source[name] for source in reversed(sources) for name in permission.NAMES if name in source}


def load_addresses(environ: Mapping[str, str], env_file: Path | None, names: Iterable[str]) -> Mapping[str, str]:
    """Return the addresses of channels by name, without those that aren't set; no text will show one of them.

    They are in NOTIFY_NAME, in the environment or in the file, as keys are.
    """
    sources = (environ, read_env_file(env_file) if env_file else {})
    found = {name: next(_given_values(sources, [address_variable(name)]), "") for name in names}
    _learn_addresses(found.values())
    return {name: address for name, address in found.items() if address}


def _learn_addresses(addresses: Iterable[str]) -> None:
    for address in addresses:
        learn(address, *_PARTS.findall(address))


def load_chat_token(environ: Mapping[str, str], env_file: Path | None) -> str | None:
    """Return the token of the chat's bot, or None if it isn't set; no text will show it."""
    token = next(_given_values((environ, read_env_file(env_file) if env_file else {}), [CHAT_TOKEN]), None)
    learn(token)
    return token


def load_cloud_keys(environ: Mapping[str, str], env_file: Path | None) -> Mapping[str, str]:
    """Return the keys of S3 and where it is, by the names that boto3 gives them; no text will show one of the keys."""
    sources = (environ, read_env_file(env_file) if env_file else {})
    learn(*(text for name in CLOUD for text in _given_values(sources, [name])))
    found = {name: next(_given_values(sources, [name]), "") for name in (*CLOUD, *CLOUD_PLACES)}
    return {name: text for name, text in found.items() if text}


def is_secret(name: str, venue: str) -> bool:
    """Return True if a variable of the environment has a key or an address of ours, at this venue or a shipped one."""
    of_venues = {name for key in keys_of(venue) for name in key.names}
    return name == FLOW_KEY or name in of_venues or bool(_OURS.fullmatch(name))


def address_variable(channel: str) -> str:
    """Return the name of the variable that has a channel's address."""
    return f"NOTIFY_{channel.upper()}"


def confirmation_code(state: str, address: str) -> str:
    """Return what a test message of a bot shows, so that whoever types it has read what came through this address."""
    return hashlib.sha256(f"{state}\n{address}".encode()).hexdigest()[:6]


def _given_values(sources: Iterable[Mapping[str, str]], names: Sequence[str]) -> Iterator[str]:
    """Yield the non-empty values: any alias in the environment comes before any in the file."""
    given = (source.get(name, "").strip().strip("\"'").strip() for source in sources for name in names)
    return (text for text in given if text)
