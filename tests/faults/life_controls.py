"""Bots that are broken on purpose, so that each promise that lives are judged by is seen to be broken."""

from collections.abc import Callable, Mapping

CONTROLS: Mapping[str, Callable[[], None]] = {}
