"""Answers for programs, as JSON: the data, or what is wrong and what to do about it. Keys are hidden."""

from collections.abc import Mapping
from typing import Any

from starlette.responses import JSONResponse

from commands.shared.hints import with_bot_options
from tradebot.adapters.text.redaction import hide
from tradebot.errors import TradebotError

API = "/api/"
"""Before the paths that programs ask for."""


class Json(JSONResponse):
    """An answer as JSON in which keys are hidden as by every verb."""

    def render(self, content: Any) -> bytes:
        """Return the bytes that are sent."""
        return hide(bytes(super().render(content)).decode()).encode()


def error_answer(error: TradebotError) -> Mapping[str, str]:
    """Return what stands for an answer that can't be given."""
    return {"error": error.message, "next": with_bot_options(error.hint)}
