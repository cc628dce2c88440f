"""Decide which hosts we may talk to: loopback for the embedded exchange, and each service's exact addresses."""

import re

from tradebot.errors import OperatorError

_LOOPBACK = re.compile(r"http://(?:127\.0\.0\.1|localhost|\[::1\])(?::([1-9][0-9]{0,4}))?", re.ASCII)
_HTTPS = re.compile(r"https://[a-z0-9]([a-z0-9.-]{0,251}[a-z0-9])?(:[1-9][0-9]{0,4})?", re.ASCII)
_HIGHEST_PORT = 65_535
_SECRET = re.compile(r"[!-~]+", re.ASCII)
_QUOTES = "\"'"


def is_loopback(url: str) -> bool:
    """Return True if the URL is plain HTTP to this machine: scheme, host and port, and nothing else."""
    match = _LOOPBACK.fullmatch(url)
    return match is not None and int(match[1] or 80) <= _HIGHEST_PORT


def is_https(url: str) -> bool:
    """Return True if the URL is an https address: a host, optionally a port, and nothing else."""
    return _HTTPS.fullmatch(url) is not None


def check_url(name: str, url: str, hosts: tuple[str, ...]) -> None:
    """Raise OperatorError unless the address is on loopback or is exactly one of the known addresses."""
    if is_loopback(url) or url in hosts:
        return
    # The address may contain a user name and password, so the message does not repeat it.
    raise OperatorError(
        f"{name} is not an address that the bot may talk to",
        f"Set it to {' or '.join(hosts)}, without a slash or a path at the end.",
    )


def check_secret(name: str, value: str) -> None:
    """Raise OperatorError if a key is missing, quoted, or unfit for an HTTP header; the message never contains the
    key.
    """
    if not value:
        raise OperatorError(f"{name} is not set", f"Set {name} in the environment or in an owner-only .env file.")
    if not _SECRET.fullmatch(value) or value[0] in _QUOTES or value[-1] in _QUOTES:
        raise OperatorError(
            f"{name} contains quotes, spaces or other characters that no key has",
            f"Set {name} again, without quotes and without a line break.",
        )
