"""Make many objects of a frozen dataclass quickly."""

from dataclasses import MISSING, field, fields, make_dataclass
from typing import Any, TypeVar

T = TypeVar("T")


def maker(kind: type[T]) -> type[T]:
    """Return what makes objects of a frozen dataclass with slots several times as fast as the class itself does.

    A frozen class sets each of its fields by a call. Here, the fields are set on an object of an open class of the same
    layout, which then becomes one of the frozen class. Nothing else about the object differs.
    """
    dataclass: Any = kind
    each = fields(dataclass)
    if any(one.default_factory is not MISSING for one in each) or hasattr(kind, "__post_init__"):
        return kind

    def close(self: Any) -> None:
        self.__class__ = kind

    given: list[tuple[str, Any, Any]] = [
        (one.name, Any, field() if one.default is MISSING else field(default=one.default)) for one in each
    ]
    # Python would spend more time on a docstring of its own than on everything else.
    namespace = {"__post_init__": close, "__doc__": kind.__doc__}
    made: Any = make_dataclass(
        kind.__name__, given, bases=kind.__bases__, namespace=namespace, slots=True, eq=False, repr=False
    )
    return made  # type: ignore[no-any-return]
