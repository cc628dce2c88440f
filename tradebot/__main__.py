"""The process entry point: `halt` acts before anything heavy is imported; other commands go to the command line."""

import gc
import os
import sys
from collections.abc import Sequence

UNCOLLECTED = 200_000
"""How many objects a process creates before the garbage collector first runs; a short command stays below this."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command line (by default, this process's arguments) and return its exit code."""
    if arguments is not None:
        return _run_and_report(list(arguments))
    # Imported code is never garbage, and scanning it would take a seventh of a short command's time.
    gc.set_threshold(UNCOLLECTED)
    # Pydantic would search all installed packages for plug-ins of its own, which takes as long as starting Python.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    # `zoneinfo` would read how Python was built to find these folders. Where none is there, the package tzdata serves.
    os.environ.setdefault("PYTHONTZPATH", "/usr/share/zoneinfo:/usr/lib/zoneinfo:/usr/share/lib/zoneinfo:/etc/zoneinfo")
    if "TRADEBOT_HANDED_OVER" in os.environ:
        from tradebot.adapters.plugins.linux_syscalls import end_with_parent
        from tradebot.adapters.state.subprocess_runner import take_over

        take_over(os.environ, end_with_parent)
    try:
        return _run_and_report(sys.argv[1:])
    finally:
        # As it exits, Python would scan all of it for garbage again, which would take a quarter of that time. But what
        # is then left over of DuckDB, DuckDB reports as leaks on stderr.
        if "duckdb" not in sys.modules:
            gc.freeze()


def _run_and_report(given: list[str]) -> int:
    try:
        from commands.shared.error_boundary import run_command
    except ImportError as error:
        return _explain(error)
    return run_command(lambda: _run(given), given)


def _run(given: list[str]) -> int:
    try:
        if "halt" in given and not {"-h", "--help", "--schema"} & set(given):
            from commands.halt import act, arguments_of_halt

            words = arguments_of_halt(given)
            if words is not None:
                return act(words)
        from commands.app import run
    except ImportError as error:
        return _explain(error)
    return run(given)


def _explain(error: ImportError) -> int:
    """Report which other package ships a module of the same name: `commands` and `jobs` are common words."""
    from importlib.metadata import packages_distributions

    name = (error.name or "").partition(".")[0]
    if name not in ("commands", "jobs", "tradebot"):
        raise error
    owners = sorted(set(packages_distributions().get(name, [])) - {"tradebot-cli"})
    cause = f"it is installed by {', '.join(owners)}" if owners else "it isn't installed, or a local folder hides it"
    print(f"error: tradebot's package {name!r} can't be imported ({error}): {cause}", file=sys.stderr)
    print("  next: install tradebot in its own environment: python3 -m venv .venv", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
