"""Check the configuration and the keys, and that they belong to the bot's mode. No key is ever shown."""

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from commands.doctor.checks.row import Check, Mark, attempt, skipped
from tradebot.text import counted

if TYPE_CHECKING:
    from tradebot.app.settings import Loaded
    from tradebot.app.wiring import App


def keys_checks(app: "App", environ: Mapping[str, str]) -> Iterator[Check]:
    """Yield the rows of configuration and keys, without asking the broker whether the keys work."""
    yield attempt("configuration", lambda: configuration(app.loaded))
    if app.mode == "sandbox":
        yield skipped("keys", "not needed: the embedded exchange has its own keys")
        yield skipped("flow key", "not needed: the embedded exchange serves its own flow")
        return
    yield attempt("keys", lambda: keys(app, environ))
    yield attempt("flow key", lambda: flow_key(app, environ))


def configuration(loaded: "Loaded") -> Check:
    """Count where the values come from; loading has already checked that they agree."""
    inner = {name.rpartition(".")[0] for name in loaded.origins}
    values = {name: source for name, source in loaded.origins.items() if name not in inner}
    layers = ", ".join(f"{count} from {source}" for source, count in Counter(values.values()).most_common())
    settings = loaded.settings
    without_sector = [symbol for symbol in settings.universe if symbol not in settings.sectors]
    if without_sector:
        found = (
            f"{counted(len(without_sector), 'symbol')} without a sector, so not bought: {', '.join(without_sector[:5])}"
        )
        fix = "Add them to sectors: in your configuration"
        return Check("configuration", Mark.WARN, found, "values", len(values), fix=fix)
    return Check("configuration", Mark.OK, f"no contradictions and no unknown keys; {layers}", "values", len(values))


def keys(app: "App", environ: Mapping[str, str]) -> Check:
    """Check that key, secret and address are set and belong to the mode."""
    venue = app.venue
    sources = ", ".join(_source(field, environ) for field in ("alpaca_key", "alpaca_secret"))
    return Check("keys", Mark.OK, f"{sources}; they match mode {app.mode} and {venue.base_url}", "keys", 2)


def flow_key(app: "App", environ: Mapping[str, str]) -> Check:
    """Check that there is a key for the flow source, and that it can be sent."""
    from tradebot.adapters.wire.hosts import check_secret

    if not app.secrets.uw_key and app.settings.strategies.flow is None:
        return skipped("flow key", "UW_API_KEY is not set, and the flow strategy is off")
    if not app.secrets.uw_key:
        return Check(
            "flow key",
            Mark.FAIL,
            "options flow is NOT CONFIGURED: UW_API_KEY is not set",
            "places: the environment and .env",
            2,
            fix="Set UW_API_KEY in the environment or in .env; the bot never uses made-up flow instead",
        )
    check_secret("UW_API_KEY", app.secrets.uw_key)
    return Check("flow key", Mark.OK, _source("uw_key", environ), "key", 1)


def _source(field: str, environ: Mapping[str, str]) -> str:
    """Return a key's name and where it was found, never the key itself."""
    from tradebot.app.keys import SECRET_NAMES

    names = SECRET_NAMES[field]
    named = next((name for name in names if environ.get(name, "").strip()), None)
    return f"{named} from the environment" if named else f"{names[0]} from .env"


def calls_a_session(app: "App") -> int:
    """Return how many calls to the flow source a full session makes, if all of them fit."""
    from tradebot.app.flow_plan import plan_of

    return plan_of(app.settings, app.needed_facts, None).calls if app.needed_facts else 0
