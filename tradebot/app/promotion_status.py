"""Determine the promotion status of a bot's strategies."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from hashlib import sha256
from itertools import takewhile
from typing import TYPE_CHECKING, Any

from tradebot.adapters.text.canonical import json_text
from tradebot.app.baseline import effective
from tradebot.errors import OperatorError
from tradebot.model.promotion import REAL_MONEY, Promotion, Rung
from tradebot.model.reasons import Reason
from tradebot.model.trading import Mode, RungReached

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tradebot.app.settings import Loaded, Settings
    from tradebot.app.wiring import App

CHARACTERS = 12
ZERO, ALL = Decimal(0), Decimal(1)
SUBMITTED = "submitted"
"""Stands for the hash of candidates submitted from outside."""
NO_VALUES = frozenset({"allotment_fraction", "files", "shadow"})
"""Settings of a strategy's section that don't affect its decisions: its size, whether it is on, and its files."""
HIGHEST = {Mode.SANDBOX: Rung.PAPER, Mode.PAPER: Rung.PAPER, Mode.LIVE: Rung.LIVE}
"""The highest rung that a strategy can reach in each mode."""


def code_of(settings: Settings, name: str) -> str | None:
    """Return the digest of a strategy's current code; None if it isn't installed."""
    # Most verbs call this only once there is a promotion, and importing plug-ins is slow.
    from tradebot.adapters.plugins.plugin import code_in_use

    chosen = settings.strategies
    code = code_in_use({name: chosen.in_use()[name]}, chosen.installed_as())
    return code[name].digest if name in code else None


def digest_of(settings: Settings, name: str, values: Mapping[str, Any] | None = None) -> str | None:
    """Return the hash of a strategy's code and values; None if the strategy isn't installed.

    If a strategy isn't in use, its name can only be a label on submitted candidates, whose code is unknown. `values`
    has the settings' effective values, if already known.
    """
    if name not in settings.strategies.sections():
        return SUBMITTED
    code = code_of(settings, name)
    if code is None:
        return None
    return sha256(json_text([values_of(values or effective(settings), name), code]).encode()).hexdigest()[:CHARACTERS]


def readable_digest(settings: Settings, name: str, values: Mapping[str, Any] | None = None) -> str | None:
    """Return the same hash as `digest_of`; return None if the code can't be read now, which counts as not promoted."""
    try:
        return digest_of(settings, name, values)
    except OperatorError:
        return None


def values_of(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return those of the effective settings' values that influence a strategy's decisions."""
    section = (settings.get("strategies") or {}).get(name) or {}
    return {key: value for key, value in section.items() if key not in NO_VALUES}


def last_promotion(promotions: Sequence[Promotion], name: str, digest: str | None) -> Promotion | None:
    """Return a strategy's last promotion with this code and these values; None if it is a candidate."""
    last = next((promotion for promotion in reversed(promotions) if promotion.strategy == name), None)
    return last if last is not None and last.digest == digest else None


def in_force(own: Promotion | None, elsewhere: Promotion | None) -> Promotion | None:
    """Return the higher of two promotions: this bot's `own`, and the one elsewhere.

    If `own` is a demotion, only a later promotion elsewhere counts.
    """
    promotions = [promotion for promotion in (own, elsewhere) if promotion is not None]
    if own is not None and own.why:
        promotions = [promotion for promotion in promotions if promotion is own or promotion.at > own.at]
    return max(promotions, key=lambda promotion: (promotion.rung.step, promotion.at), default=None)


def reached_rungs(loaded: Loaded, promotions: Sequence[Promotion]) -> Mapping[str, RungReached]:
    """Return whether each strategy may enter, and with which fraction of its allotment.

    In live mode, that means with real money, and all strategies are included. In other modes it means with paper money,
    and only strategies with `shadow: until_promoted` are included.
    """
    chosen = loaded.settings.strategies
    if loaded.settings.mode is not Mode.LIVE:
        return {name: _climb_of(loaded, promotions, name, Rung.PAPER) for name in sorted(chosen.until_promoted())}
    names = dict.fromkeys((*chosen.sections(), *(promotion.strategy for promotion in promotions)))
    return {name: _climb_of(loaded, promotions, name, Rung.LIVE_SMALL) for name in names}


def _climb_of(loaded: Loaded, promotions: Sequence[Promotion], name: str, least: Rung) -> RungReached:
    own, settings = [promotion for promotion in promotions if promotion.strategy == name], loaded.settings
    # Exits go on whether or not the code can be read.
    digest, needed = readable_digest(settings, name, loaded.effective), least.words
    last = last_promotion(own, name, digest)
    if last is None:
        if not own:
            return RungReached(ZERO, Rung.CANDIDATE.words, needed, Reason.NOT_PROMOTED)
        present = f"hash {digest}" if digest else "its code can't be read"
        return RungReached(ZERO, present, f"hash {own[-1].digest}", Reason.PROMOTION_LAPSED)
    if last.rung.step >= least.step:
        small = last.rung is Rung.LIVE_SMALL
        return RungReached(settings.promotion.small_fraction if small else ALL, last.rung.words, needed)
    if last.why:
        return RungReached(ZERO, f"{last.rung.words}: {last.why}", needed, Reason.DEMOTED)
    return RungReached(ZERO, last.rung.words, needed, Reason.NOT_PROMOTED)


def share_on(app: App, name: str, promotions: Sequence[Promotion], day: date) -> Any:
    """Return the fraction of the account's equity with which a strategy may trade on a day; the rung `live small`
    reduces it.
    """
    allotment = app.settings.strategies.allotments()[name]
    if app.mode is not Mode.LIVE:
        return allotment
    own = [promotion for promotion in promotions if promotion.strategy == name and app.day.date_of(promotion.at) < day]
    small = bool(own) and own[-1].rung is Rung.LIVE_SMALL
    return allotment * (app.settings.promotion.small_fraction if small else 1)


def unproven_strategies(app: App) -> tuple[str, ...]:
    """Return a sentence for each strategy that may trade real money without evidence, saying since when it may."""
    promotions, unproven = app.books.promotions.every(), list[str]()
    for name in dict.fromkeys(promotion.strategy for promotion in promotions):
        own = [promotion for promotion in promotions if promotion.strategy == name]
        last = last_promotion(own, name, readable_digest(app.settings, name))
        if last is not None and last.sentence and last.rung in REAL_MONEY:
            typed = takewhile(lambda problem: problem.sentence, reversed(own))
            since = min(promotion.at for promotion in typed)
            unproven.append(
                f"{name}: {last.rung.words} without evidence since {since:%Y-%m-%d}, confirmed by {last.who}"
            )
    return tuple(unproven)
