"""List code that behaves identically, bit for bit, to code whose digest appears in promotions, passes and backtests."""

from collections.abc import Mapping
from types import MappingProxyType

ON_RECORD: Mapping[str, str] = MappingProxyType({
    "2610db7e34cd": "b46e759fc69f",
    "5ebdb32db815": "b46e759fc69f",
    "0e234c93c6aa": "b46e759fc69f",
    "5c6401618604": "b46e759fc69f",
    "42fbb2fd58ac": "b46e759fc69f",
    "9567c50003b7": "b46e759fc69f",
    "a13371ba5a6c": "b46e759fc69f",
    "fff172ecd15b": "b46e759fc69f",
    "691a2efc1d98": "b46e759fc69f",
    "80c79862c26f": "b46e759fc69f",
    "7c6f1889b825": "b46e759fc69f",
    "686f982de6ba": "b46e759fc69f",
    "cd9e3aa38bdc": "b46e759fc69f",
    "f5c7ee317f29": "b46e759fc69f",
    "0b32dee35cfc": "b46e759fc69f",
    "b58104568eb0": "b46e759fc69f",
    "48d89f8d760e": "b46e759fc69f",
    "88d8a8e375a2": "b46e759fc69f",
    "39a7fe32fbf8": "b46e759fc69f",
    "6912f5a428de": "b46e759fc69f",
    "aff489bad02b": "b46e759fc69f",
    "c35895666654": "b46e759fc69f",
    "5eed75afca2c": "b46e759fc69f",
    "b6d9278d9ef8": "b46e759fc69f",
    "c5f9586fcb33": "b46e759fc69f",
    "563f030dab94": "b46e759fc69f",
    "ee067627672f": "b46e759fc69f",
    "837743afa5e6": "b46e759fc69f",
    "0710704b2a5a": "b46e759fc69f",
    "865e99665803": "b46e759fc69f",
})  # fmt: skip
"""The recorded digest by the code's current one.

`tests/adapters/plugins/test_on_record.py` explains when a row is needed, and proves that the current code has the right
one.
"""
