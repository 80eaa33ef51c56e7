"""What is seen of a server from outside: metrics for Prometheus, and lines of JSON for its log."""

from __future__ import annotations

import logging.config
from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from pythonjsonlogger.core import RESERVED_ATTRS

if TYPE_CHECKING:
    from pathlib import Path

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counts of one process."""

    def __init__(self, directory: Path | None = None) -> None:
        """Count alone, or with the other processes of a directory."""
        self._directory = directory
        registry = self._registry = CollectorRegistry()
        self.requests = Counter(
            "protvec_requests_total", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self.seconds = Histogram(
            "protvec_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=registry
        )
        self.in_work = Gauge(
            "protvec_requests_in_work", "Requests in work.", registry=registry, multiprocess_mode="livesum"
        )
        self.waiting = Gauge(
            "protvec_queue_waiting",
            "Queries that wait to be embedded or aligned.",
            registry=registry,
            multiprocess_mode="livesum",
        )
        self.refused = Counter(
            "protvec_queue_refused_total", "Queries refused because too many waited.", registry=registry
        )
        self.queries = Counter("protvec_queries_total", "Queries answered.", ["database", "kind"], registry=registry)
        self.proteins = Gauge(
            "protvec_database_proteins",
            "Proteins.",
            ["database"],
            registry=registry,
            multiprocess_mode="livemostrecent",
        )
        self.ready = Gauge(
            "protvec_ready",
            "Whether models are loaded and all databases answer.",
            registry=registry,
            multiprocess_mode="livemin",
        )

    def text(self) -> bytes:
        """All of them, as Prometheus reads them."""
        if self._directory is None:
            return generate_latest(self._registry)
        from prometheus_client.multiprocess import MultiProcessCollector

        together = CollectorRegistry()
        MultiProcessCollector(together, path=str(self._directory))  # type: ignore[no-untyped-call]
        return generate_latest(together)


def log_config(level: str = "INFO") -> dict[str, Any]:
    """Logging of a process that serves: a line of JSON for each event, on standard error."""
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "json": {
                "()": "pythonjsonlogger.json.JsonFormatter",
                "fmt": "%(levelname)s %(name)s %(message)s",
                "rename_fields": {"levelname": "level", "name": "logger"},
                "timestamp": True,
                "reserved_attrs": [*RESERVED_ATTRS, "color_message"],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "json"}},
        "loggers": {
            "protvec.server": {"handlers": ["stderr"], "level": level, "propagate": False},
            "uvicorn": {"handlers": ["stderr"], "level": "INFO", "propagate": False},
            "uvicorn.access": {"handlers": [], "level": "CRITICAL", "propagate": False},  # we log requests ourselves
        },
        "root": {"handlers": ["stderr"], "level": "WARNING"},
    }


def start_logging(level: str = "INFO") -> None:
    """Log so in this process."""
    logging.config.dictConfig(log_config(level))
