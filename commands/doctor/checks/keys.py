"""Check the keys, and that they belong to the bot's mode. No key is ever shown."""

from collections.abc import Iterator, Mapping

from commands.doctor.checks.row import Seen, attempt, bad, ok, skip
from tradebot.adapters.wire.hosts import check_secret
from tradebot.app.flow_plan import plan_of
from tradebot.app.keys import SECRET_NAMES
from tradebot.app.wiring import App
from tradebot.judging.judgment import Judgment


def keys_checks(app: "App", environ: Mapping[str, str]) -> Iterator[Judgment]:
    """Yield the rows of the keys, without asking the broker whether the keys work."""
    if app.mode == "sandbox":
        yield skip("not needed: the embedded exchange has its own keys").about("keys")
        yield skip("not needed: the embedded exchange serves its own flow").about("flow key")
        return
    yield attempt("keys", lambda: keys(app, environ))
    yield attempt("flow key", lambda: flow_key(app, environ))


def keys(app: "App", environ: Mapping[str, str]) -> Seen:
    """Check that key, secret and address are set and belong to the mode."""
    venue = app.venue
    sources = ", ".join(_source(field, environ) for field in ("alpaca_key", "alpaca_secret"))
    return ok(f"{sources}; they match mode {app.mode} and {venue.base_url}", "keys", 2)


def flow_key(app: "App", environ: Mapping[str, str]) -> Seen:
    """Check that there is a key for the flow source, and that it can be sent."""
    if not app.secrets.uw_key and app.settings.strategies.flow is None:
        return skip("UW_API_KEY is not set, and the flow strategy is off")
    if not app.secrets.uw_key:
        fix = "Set UW_API_KEY in the environment or in .env; the bot never uses made-up flow instead"
        found = "options flow is NOT CONFIGURED: UW_API_KEY is not set"
        return bad(found, fix, "places: the environment and .env", 2)
    check_secret("UW_API_KEY", app.secrets.uw_key)
    return ok(_source("uw_key", environ), "key")


def _source(field: str, environ: Mapping[str, str]) -> str:
    """Return a key's name and where it was found, never the key itself."""
    names = SECRET_NAMES[field]
    named = next((name for name in names if environ.get(name, "").strip()), None)
    return f"{named} from the environment" if named else f"{names[0]} from .env"


def calls_a_session(app: "App") -> int:
    """Return how many calls to the flow source a full session makes, if all of them fit."""
    return plan_of(app.settings, app.needed_facts, None).calls if app.needed_facts else 0
