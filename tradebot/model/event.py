"""Operational events, for the people and machines that monitor the bot."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum


class Severity(StrEnum):
    """How soon a person should look."""

    INFO = "INFO"
    WARN = "WARN"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


@dataclass(frozen=True, slots=True)
class SystemEvent:
    """One thing that happened to the bot itself."""

    timestamp: datetime
    subsystem: str
    event_type: str
    severity: Severity
    symbol: str | None = None
    details: Mapping[str, str] = field(default_factory=dict)
