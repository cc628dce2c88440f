"""Send requests that are in no hurry through `requests`. Orders and quotes go straight to urllib3, 0.1 ms sooner."""

from collections.abc import Mapping

import requests
import urllib3
from requests.adapters import HTTPAdapter

from tradebot.adapters.wire.http import Bounds


class UnhurriedSession:
    """Connections kept between requests, with timeouts and without retries.

    This is only the adapter of a session of `requests`. A whole session would keep cookies, look for proxies and
    passwords in the environment, and read the body of a redirect without any limit.
    """

    def __init__(self, bounds: Bounds) -> None:
        self._adapter = HTTPAdapter(max_retries=0)
        self._timeout = (bounds.connect_s, bounds.read_s)

    def send(self, method: str, url: str, headers: Mapping[str, str], body: bytes | None) -> urllib3.BaseHTTPResponse:
        """Send one request and return its answer, whose body is still to be read; raises HTTPError."""
        try:
            request = requests.Request(method, url, headers, data=body).prepare()
            answer: urllib3.BaseHTTPResponse = self._adapter.send(request, stream=True, timeout=self._timeout).raw
        except requests.RequestException as error:
            raise urllib3.exceptions.HTTPError(str(error)) from error
        return answer
