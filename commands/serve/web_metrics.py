"""The figures of `/metrics`, as Prometheus or OpenMetrics has them: ages and counts, from which alarms are made."""

from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily, InfoMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector

from commands.serve.web_answers import Answer, Looked, uptime_s
from tradebot import __version__
from tradebot.adapters.text.redaction import hide
from tradebot.judging.evidence import Disk, Evidence, Orders, Past, Unread
from tradebot.judging.judgment import State
from tradebot.judging.passes import missed

OF_PARTS: Mapping[str, tuple[str, str]] = {
    "tradebot_evidence_age_seconds": ("age_s", "Age of the newest evidence about a part."),
    "tradebot_evidence_late_seconds": ("late_s", "For how long newer evidence about a part has been due."),
    "tradebot_evidence_budget_seconds": (
        "budget_s",
        "For how long newer evidence may be due before a part has failed.",
    ),
    "tradebot_evidence_count": ("count", "How many pieces of evidence about a part were looked at."),
}


def metrics(looked: Looked, accept: str) -> Answer:
    """Return all figures in the format that the reader accepts."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Figures(looked))
    encoder, kind = choose_encoder(accept)
    return Answer(200, kind, hide(encoder(registry).decode("utf-8")))


class _Figures(Collector):
    """What was looked at for one answer, as metrics. What isn't known is left out."""

    def __init__(self, looked: Looked) -> None:
        self._looked = looked

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics."""
        looked = self._looked
        yield InfoMetricFamily("tradebot", "The version of the bot.", {"version": __version__})
        for name, (field, meaning) in OF_PARTS.items():
            family = GaugeMetricFamily(name, meaning, labels=["part"])
            for judgment in looked.judgments:
                value = getattr(judgment, field)
                if value is not None:
                    family.add_metric([judgment.subject], float(value))
            yield family
        states = GaugeMetricFamily("tradebot_parts", "How many parts are in each state.", labels=["state"])
        for state in State:
            states.add_metric([state.value], sum(judgment.state is state for judgment in looked.judgments))
        yield states
        for name, meaning, value in (*_of_figures(looked), *_of_evidence(looked.evidence)):
            if value is not None:
                yield GaugeMetricFamily(name, meaning, float(value))


def _of_figures(looked: Looked) -> Iterator[tuple[str, str, float | None]]:
    found = looked.figures
    if isinstance(found, Unread):
        return
    yield "tradebot_last_cycle_age_seconds", "Trading time since the last pass.", found.last_cycle_ago_seconds
    fetch, mismatches = found.data_fetch_latency_ms, found.position_mismatches
    yield "tradebot_total_cycles", "Passes of all jobs in the last session.", found.total_cycles
    yield "tradebot_order_success_rate", "Orders accepted, of those that were answered.", found.order_success_rate
    yield "tradebot_data_fetch_latency_ms", "How long the last fetch of flow took.", fetch
    yield "tradebot_position_mismatches", "Differences that the last comparison of books found.", mismatches
    yield "tradebot_errors", "Events of the last day with severity ERROR or CRITICAL.", found.errors
    yield "tradebot_warnings", "Events of the last day with severity WARN.", found.warnings
    yield "tradebot_healings", "Repairs of the last day that the bot made by itself.", found.healings


def _of_evidence(evidence: Evidence) -> Iterator[tuple[str, str, float | None]]:
    yield "tradebot_uptime_seconds", "For how long serve has been running.", uptime_s(evidence)
    disk, past, orders = (evidence.parts.get(name) for name in ("disk", "schedule", "orders"))
    if isinstance(disk, Disk):
        yield "tradebot_disk_free_bytes", "Free space on the disk of the state folder.", disk.free_bytes
    if isinstance(past, Past):
        yield "tradebot_slots_missed", "Slots of the last session that nobody ran.", len(missed(past))
    if isinstance(orders, Orders):
        yield "tradebot_orders_unresolved", "Orders whose outcome is unknown.", orders.unresolved
