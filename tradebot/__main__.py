"""The process entry: `halt` acts before anything heavy is imported, every other verb goes to the command line."""

import gc
import sys
from collections.abc import Sequence

UNCOLLECTED = 200_000
"""Objects that a process makes before the garbage collector first looks; a short command stays below."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line (the process's own by default) and return its exit code."""
    if arguments is None:
        # Nothing that is imported is garbage, and looking for some among it takes a seventh of a short command's time.
        gc.set_threshold(UNCOLLECTED)
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        from commands.shared.boundary import bounded
    except ImportError as error:
        return _explain(error)
    return bounded(lambda: _run(given), given)


def _run(given: list[str]) -> int:
    try:
        if "halt" in given and not {"-h", "--help", "--schema"} & set(given):
            from commands.halt.verb import act, without_verb

            words = without_verb(given)
            if words is not None:
                return act(words)
        from commands.app import run
    except ImportError as error:
        return _explain(error)
    return run(given)


def _explain(error: ImportError) -> int:
    """Say who else ships a package of the same name: `commands` and `jobs` are common words."""
    from importlib.metadata import packages_distributions

    name = (error.name or "").partition(".")[0]
    if name not in ("commands", "jobs", "tradebot"):
        raise error
    owners = sorted(set(packages_distributions().get(name, [])) - {"tradebot"})
    said = f"installed by {', '.join(owners)}" if owners else "not installed, or shadowed by a folder of that name here"
    print(f"error: tradebot's package {name!r} cannot be imported ({error}): it is {said}", file=sys.stderr)
    print("  next: install tradebot in an environment of its own: python3 -m venv .venv", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
