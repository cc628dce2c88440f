"""All of the product, imported at once."""

import importlib
import pkgutil

import commands
import jobs
import papervenue
import tradebot

_PACKAGES = {tradebot, commands, jobs, papervenue}
"""What is still to be imported."""


def import_all() -> None:
    """Import what is tested, once a process: the processes that tests fork would otherwise do it, each again."""
    while _PACKAGES:
        package = _PACKAGES.pop()
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
