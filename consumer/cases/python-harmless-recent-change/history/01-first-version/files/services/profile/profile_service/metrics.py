"""Metrics, as far as this service needs them. The exporter reads `points`."""

from __future__ import annotations

from collections import deque

# Name, value, tags.
points: deque[tuple[str, float, dict[str, str]]] = deque(maxlen=10_000)


def observe(name: str, value: float, **tags: str) -> None:
    """Records one value."""
    points.append((name, value, tags))
