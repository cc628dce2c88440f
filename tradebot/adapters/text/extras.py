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
    found = [one for one in named if one.marker and any(one.marker.evaluate({"extra": extra}) for extra in extras)]
    return [f"{one.name}{f'[{min(one.extras)}]' if one.extras else ''}{one.specifier}" for one in found]
