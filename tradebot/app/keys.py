"""Load keys and permission gates from the environment or an owner-only .env file."""

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from msgspec import Struct

from tradebot.adapters.state.user_files import read_env_file
from tradebot.adapters.text.redaction import learn
from tradebot.app.news import HTTP_SOURCES
from tradebot.app.venues import driver_for, keys_of
from tradebot.gates import permission

FLOW_KEY = "UW_API_KEY"
"""The variable with the flow source's key."""
NEWS_KEYS: Mapping[str, str] = {name: source.key for name, source in HTTP_SOURCES.items()}
"""The variables with the keys of services with headlines, by the service's name."""
_PARTS = re.compile(r"(?:^|(?<=[/:@?&=]))(?!localhost)(?![A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)+(?:$|[/:?&]))[^/:@?&=]+")
"""The parts of an address that may be secret by themselves; host names and numbers aren't."""
_OURS = re.compile(r"(?:NOTIFY|AWS)_.*")
"""The names of variables that plug-ins don't see: channels' addresses are secret, and AWS_… may open an account."""
_CHANNEL = re.compile(r"NOTIFY_[A-Z0-9_]+")
CHAT_TOKEN = "CHAT_TELEGRAM_TOKEN"
"""The variable with the token of the chat's bot."""
CLOUD = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
CLOUD_PLACES = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL")
"""The keys and location of off-machine backups, named as boto3 names them."""


class Secrets(Struct, frozen=True):
    """The keys from the environment or .env, which are never printed.

    `venue` has the venue's keys by field name, and `news` has the headline services' keys by service name.
    """

    uw_key: str | None
    venue: Mapping[str, str]
    news: Mapping[str, str] = {}

    def __repr__(self) -> str:
        """Show which keys are set, never their values."""
        names = ", ".join((*self.venue, *self.news, *(("uw_key",) if self.uw_key else ())))
        return f"Secrets(set: {names or 'none'})"


def load_secrets(environ: Mapping[str, str], env_file: Path | None, venue: str) -> Secrets:
    """Return the keys. The environment takes precedence over the file, which only its owner may be able to read.

    With `env_file` None, only the environment is read. All keys, also those of other venues, are masked in messages.
    """
    sources = (environ, read_env_file(env_file) if env_file else {})
    learn(*(text for key in keys_of(venue) if key.secret for text in _given_values(sources, key.names)))
    learn(*_given_values(sources, [FLOW_KEY, *NEWS_KEYS.values()]))
    learn(*_given_values(sources, [CHAT_TOKEN]))
    learn(*(text for name in CLOUD for text in _given_values(sources, [name])))
    # Anyone with an address can write to its channel, so no verb shows one.
    _learn_addresses(
        _given_values(sources, [name for source in sources for name in source if _CHANNEL.fullmatch(name)])
    )
    values = {key.field: next(_given_values(sources, key.names), "") for key in driver_for(venue).keys}
    news = {source: next(_given_values(sources, [name]), "") for source, name in NEWS_KEYS.items()}
    return Secrets(
        next(_given_values(sources, [FLOW_KEY]), None),
        {field: value for field, value in values.items() if value},
        {source: key for source, key in news.items() if key},
    )


def load_gates(environ: Mapping[str, str], env_file: Path | None) -> Mapping[str, str]:
    """Return the permission variables of the environment and .env by name, exactly as written, including spaces.

    With `env_file` None, only the environment is read. A variable in the environment, even an empty one, takes
    precedence over the file.
    """
    sources = (environ, read_env_file(env_file) if env_file else {})
    return {name: source[name] for source in reversed(sources) for name in permission.NAMES if name in source}


def load_addresses(environ: Mapping[str, str], env_file: Path | None, names: Iterable[str]) -> Mapping[str, str]:
    """Return the configured addresses of channels by name, masked in messages.

    A channel's address is in the variable NOTIFY_NAME, in the environment or in the file, like keys.
    """
    sources = (environ, read_env_file(env_file) if env_file else {})
    addresses = {name: next(_given_values(sources, [address_variable(name)]), "") for name in names}
    _learn_addresses(addresses.values())
    return {name: address for name, address in addresses.items() if address}


def _learn_addresses(addresses: Iterable[str]) -> None:
    for address in addresses:
        learn(address, *_PARTS.findall(address))


def load_chat_token(environ: Mapping[str, str], env_file: Path | None) -> str | None:
    """Return the token of the Telegram bot, or None if it isn't set. It is masked in messages."""
    token = next(_given_values((environ, read_env_file(env_file) if env_file else {}), [CHAT_TOKEN]), None)
    learn(token)
    return token


def load_cloud_keys(environ: Mapping[str, str], env_file: Path | None) -> Mapping[str, str]:
    """Return the keys and location of S3 storage, under boto3's names. The keys are masked in messages."""
    sources = (environ, read_env_file(env_file) if env_file else {})
    learn(*(text for name in CLOUD for text in _given_values(sources, [name])))
    keys = {name: next(_given_values(sources, [name]), "") for name in (*CLOUD, *CLOUD_PLACES)}
    return {name: text for name, text in keys.items() if text}


def is_secret(name: str, venue: str) -> bool:
    """Return True if an environment variable has one of the bot's keys or addresses, for `venue` or for a shipped
    venue.
    """
    of_venues = {name for key in keys_of(venue) for name in key.names}
    return name in (FLOW_KEY, *NEWS_KEYS.values()) or name in of_venues or bool(_OURS.fullmatch(name))


def address_variable(channel: str) -> str:
    """Return the name of the environment variable for a channel's address."""
    return f"NOTIFY_{channel.upper()}"


def confirmation_code(state: str, address: str) -> str:
    """Return the code that a bot's test message contains; typing it proves that the message arrived."""
    return hashlib.sha256(f"{state}\n{address}".encode()).hexdigest()[:6]


def _given_values(sources: Iterable[Mapping[str, str]], names: Sequence[str]) -> Iterator[str]:
    """Yield the non-empty values: all names in the environment come before any in the file."""
    values = (source.get(name, "").strip().strip("\"'").strip() for source in sources for name in names)
    return (text for text in values if text)
