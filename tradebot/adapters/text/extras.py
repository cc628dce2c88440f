"""The commands that install extras. `tradebot` on the public index is a different project."""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
DISTRIBUTION = "tradebot-cli"


def install(extras: str) -> str:
    """Return the command that installs extras, such as "search,ray", into the current environment."""
    import shlex

    if Path(sys.prefix) == ROOT / ".venv" and (ROOT / "Makefile").is_file():
        return f"make extras NAME={extras}"
    return shlex.join([sys.executable, "-m", "pip", "install", *_required_packages(extras.split(","))])


def _required_packages(extras: list[str]) -> list[str]:
    from importlib.metadata import requires

    from packaging.requirements import Requirement

    named = [Requirement(text) for text in requires(DISTRIBUTION) or ()]
    applying = [
        need for need in named if need.marker and any(need.marker.evaluate({"extra": extra}) for extra in extras)
    ]
    return [f"{need.name}{f'[{min(need.extras)}]' if need.extras else ''}{need.specifier}" for need in applying]
