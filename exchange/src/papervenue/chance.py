"""Provide seeded random numbers that are the same on every machine.

Code that draws them uses only Random.random() and + - * / sqrt on floats, which IEEE 754 defines exactly. Functions
such as exp and log differ in the last digit between C libraries, and one digit is enough to change a cent.
"""

from __future__ import annotations

import hashlib
import random

SQRT_3 = 1.7320508075688772
_VARIANT = {digit: "89ab"[int(digit, 16) % 4] for digit in "0123456789abcdef"}
"""The hexadecimal digit for a UUID's variant keeps its two lower bits."""


def random_stream(*parts: object) -> random.Random:
    """Return a random generator that depends only on these parts (seed, symbol, session …)."""
    return random.Random(int.from_bytes(_digest(parts).digest()[:8], "big"))


def draw_bell(rng: random.Random) -> float:
    """Draw from a bell-shaped distribution with mean 0 and variance 1: the sum of four uniform draws, within ±3.47."""
    draw = rng.random
    return (draw() + draw() + draw() + draw() - 2.0) * SQRT_3


def uuid_of(*parts: object) -> str:
    """Return a version 4 UUID, as text, that depends only on these parts."""
    text = _digest(parts).hexdigest()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{_VARIANT[text[16]]}{text[17:20]}-{text[20:32]}"


def number_of(digits: int, *parts: object) -> str:
    """Return a number of `digits` digits, as text, that depends only on these parts."""
    return f"{int.from_bytes(_digest(parts).digest()[:16], 'big') % 10**digits:0{digits}d}"


def _digest(parts: tuple[object, ...]) -> hashlib._Hash:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode())
