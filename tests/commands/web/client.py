"""A browser without a window: it asks the application in this process, and a clock passes as a test says."""

from pathlib import Path

from starlette.testclient import TestClient

from commands.web.actions import VerbActions
from commands.web.guard import Logins
from commands.web.page_data import FetchPatience, PageReader
from commands.web.site import Site

HOST = "127.0.0.1:5000"
ORIGIN = f"http://{HOST}"
TOKEN = "the-token"
COOKIE = "tradebot-5000"
LONG_S = 60.0


class Clock:
    """A monotonic clock that stands until it is moved."""

    def __init__(self) -> None:
        self.now_s = 1_000.0

    def __call__(self) -> float:
        return self.now_s


def logins(clock: Clock | None = None) -> Logins:
    """Return who may log in: whoever has the token."""
    return Logins(lambda token: token == TOKEN, clock or Clock())


def site(
    folder: Path, reader: PageReader | None = None, *, is_secure: bool = False, patience_s: float = LONG_S
) -> Site:
    """Return the application's maker for a bot's folder; unless a test asks, it sends no page's beginning ahead."""
    reading, acting = reader or PageReader(folder, None, FetchPatience(LONG_S)), VerbActions(folder, None)
    return Site(reading, acting, logins(), COOKIE, is_secure=is_secure, patience_s=patience_s)


def browser(made: Site, token: str | None = TOKEN) -> TestClient:
    """Return a browser that has logged in, unless there is no token."""
    client = TestClient(
        made.application({HOST}), ORIGIN, raise_server_exceptions=False, follow_redirects=False,
        headers={"Origin": ORIGIN},
    )  # fmt: skip
    if token is not None:
        assert client.post("/login", data={"token": token}).status_code == 303
    return client
