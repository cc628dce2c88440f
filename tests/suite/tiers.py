"""The two tiers: `make test` plays a sample of most campaigns, `make campaigns` long ones that are drawn from a seed.

A test marked `campaign` runs only in the campaigns. One marked `sampled` runs in both tiers and asks here how much
of its campaign to play.
"""

import random
from collections.abc import Sequence
from typing import TypeVar

import pytest

Part = TypeVar("Part")
LARGEST_SEED = 99_999
NIGHT = 40
"""As many parts of a campaign as a long night plays; a shorter run ends with the campaign's share of its time."""


class _Tier:
    """The seed of the campaigns; None while only samples are played."""

    seed: int | None = None


def begin(chosen: int | None) -> None:
    """Choose the tier before any test module is imported: campaigns with this seed, or samples for None."""
    _Tier.seed = chosen


def seed() -> int | None:
    return _Tier.seed


def in_campaigns() -> bool:
    return _Tier.seed is not None


def sized(sample: Part, campaign: Part) -> Part:
    """Return the first in `make test`, the second in `make campaigns`."""
    return campaign if in_campaigns() else sample


def in_turn(every: Sequence[Part], count: int) -> list[Part]:
    """Return as many parts of a campaign as one run has time for; seeds that follow one another take turns with all."""
    first = (_Tier.seed or 0) * count
    return [every[(first + number) % len(every)] for number in range(min(count, len(every)))]


def drawn(name: str, sample: Sequence[Part], every: Sequence[Part], count: int = NIGHT) -> list[Part]:
    """Return the sample, or so many parts of the whole campaign, which the seed and the name choose."""
    if _Tier.seed is None:
        return list(sample)
    return random.Random(f"{_Tier.seed} {name}").sample(every, min(count, len(every)))  # noqa: S311 - replayable


def runs_whole_tier(config: pytest.Config) -> bool:
    """Return whether all fast tests run, or all campaigns."""
    selected = any(config.getoption(name, False) for name in ("keyword", "markexpr", "lf", "stepwise"))
    return config.args == config.getini("testpaths") and not selected


def runs_all(config: pytest.Config) -> bool:
    """Return whether all fast tests run: what selects some of them has to see each."""
    return runs_whole_tier(config) and not config.getoption("campaigns", False)
