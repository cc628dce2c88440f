"""Named points around everything that outlives this process, where a test may end it.

Each commit, sync, rename, removal and request of the adapters stands inside `around(name)`, which reaches
`name.before` and, where it did not fail, `name.after`. Nothing is armed outside of tests: then `around` only hands
out one object that does nothing. The way to arm it is to set `hook` from inside the process; no file, flag or
variable of the environment does. `halt` imports this, so it imports nothing itself but names of types.
"""

from collections.abc import Callable

hook: Callable[[str], None] | None = None
"""What is told of each point that is reached; None everywhere but in a test's own process."""


class Unarmed:
    """Does nothing before and after."""

    def __enter__(self) -> None:
        """Begin without a word."""

    def __exit__(self, *error: object) -> None:
        """End without a word; an error goes on."""


class Armed(Unarmed):
    """Tells the hook of the two points around one effect; an effect that failed has no second one."""

    def __init__(self, name: str, told: Callable[[str], None]) -> None:
        self._name = name
        self._told = told

    def __enter__(self) -> None:
        """Reach the point before the effect."""
        self._told(f"{self._name}.before")

    def __exit__(self, *error: object) -> None:
        """Reach the point after the effect."""
        if error[0] is None:
            self._told(f"{self._name}.after")


_UNARMED = Unarmed()


def around(name: str) -> Unarmed:
    """Return what stands around one effect; the name is a literal, `module.effect`, and stands in one place only."""
    return _UNARMED if hook is None else Armed(name, hook)
