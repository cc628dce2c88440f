"""Build the commands that install extras. `tradebot` on the public index is a different project."""

import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[3]
DISTRIBUTION = "tradebot-cli"
ADDS: Mapping[str, str] = {
    "data": "Parquet files",
    "ibkr": "Interactive Brokers",
    "mcp": "a server for assistants",
    "notify": "notices by mail and many other services",
    "policy": "learned policies",
    "postgres": "exports to PostgreSQL",
    "ray": "searches on several machines",
    "rl": "training of policies",
    "s3": "backups in S3 buckets",
    "search": "searches for better settings",
    "top": "live screens in the terminal",
}
"""What each extra provides."""


def install(extras: str) -> str:
    """Return the command that installs extras, such as "search,ray", into the current environment."""
    import shlex

    if Path(sys.prefix) == ROOT / ".venv" and (ROOT / "Makefile").is_file():
        return f"make extras NAME={extras}"
    return shlex.join([sys.executable, "-m", "pip", "install", *_required_packages(extras.split(","))])


def _required_packages(extras: list[str]) -> list[str]:
    return [
        f"{need.name}{f'[{min(need.extras)}]' if need.extras else ''}{need.specifier}" for need in required_by(extras)
    ]


def required_by(extras: Iterable[str]) -> "list[Requirement]":
    """Return the packages that extras need in addition to the program's own dependencies."""
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    named = [Requirement(text) for text in requires(DISTRIBUTION) or ()]
    return [need for need in named if need.marker and any(need.marker.evaluate({"extra": extra}) for extra in extras)]
