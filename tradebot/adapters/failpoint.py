"""Mark every lasting effect with a named point at which a test may kill the process.

Each commit, sync, rename, removal and request of the adapters runs inside `around(name)`, which reaches `name.before`
and, unless the effect failed, `name.after`. Outside of tests `around` returns an object that does nothing. A test sets
`hook` inside the process; no file, flag or environment variable can. `halt` imports this module, so it imports nothing
at run time.
"""

from collections.abc import Callable

hook: Callable[[str], None] | None = None
"""Called at each point that is reached; None everywhere except in a test's own process."""


class Unarmed:
    """A context manager that does nothing."""

    def __enter__(self) -> None:
        """Enter without doing anything."""

    def __exit__(self, *error: object) -> None:
        """Exit without doing anything; an exception propagates."""


class ArmedFailpoint(Unarmed):
    """A context manager that calls the hook before and after one effect; if the effect failed, only before."""

    def __init__(self, name: str, report: Callable[[str], None]) -> None:
        self._name = name
        self._report = report

    def __enter__(self) -> None:
        """Report the point before the effect."""
        self._report(f"{self._name}.before")

    def __exit__(self, *error: object) -> None:
        """Report the point after the effect, unless it failed."""
        if error[0] is None:
            self._report(f"{self._name}.after")


_UNARMED = Unarmed()


def around(name: str) -> Unarmed:
    """Return the context manager for one effect; `name` is a literal `module.effect` that is used only once."""
    return _UNARMED if hook is None else ArmedFailpoint(name, hook)
