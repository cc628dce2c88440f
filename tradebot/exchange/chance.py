"""Seeded chance that is the same on every machine.

Only Random.random() and + - * / sqrt on floats are used downstream: these are exact by IEEE 754, whereas
exp, log and the like differ between C libraries in the last digit, and one digit is enough to change a
cent.
"""

from __future__ import annotations

import hashlib
import random

_SQRT_3 = 1.7320508075688772
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
"""The digit that says which kind of UUID it is keeps its two lower bits."""


def stream(*parts: object) -> random.Random:
    """Return a generator of chance of its own for these parts (seed, symbol, session …)."""
    return random.Random(int.from_bytes(_digest(parts)[:8], "big"))


def bell(rng: random.Random) -> float:
    """Draw from a bell-shaped law of mean 0 and variance 1: four uniform draws, within ±3.47."""
    draw = rng.random
    return (draw() + draw() + draw() + draw() - 2.0) * _SQRT_3


def uuid_of(*parts: object) -> str:
    """Return the text of a version-4-shaped UUID that is a function of these parts."""
    text = _digest(parts).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def number_of(digits: int, *parts: object) -> str:
    """Return a decimal number of that many digits that is a function of these parts."""
    return f"{int.from_bytes(_digest(parts)[:16], 'big') % 10**digits:0{digits}d}"


def _digest(parts: tuple[object, ...]) -> bytes:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()
