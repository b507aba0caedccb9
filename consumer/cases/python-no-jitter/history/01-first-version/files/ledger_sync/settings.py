"""Reads config/settings.toml."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

DEFAULT_PATH = Path(__file__).resolve().parent.parent / "config" / "settings.toml"


@dataclass(frozen=True)
class Settings:
    """What operations may tune."""

    core_url: str
    core_timeout_s: float
    attempts: int
    first_pause_s: float
    longest_pause_s: float
    batch: int


def load(path: Path = DEFAULT_PATH) -> Settings:
    """Reads the settings; a missing key is an error at start, not at the first batch."""
    with path.open("rb") as file:
        raw = tomllib.load(file)
    core, retry = raw["core"], raw["core"]["retry"]
    if retry["attempts"] < 1:
        raise ValueError("core.retry.attempts must be at least 1")
    return Settings(
        core_url=core["url"],
        core_timeout_s=float(core["timeout_s"]),
        attempts=int(retry["attempts"]),
        first_pause_s=float(retry["first_pause_s"]),
        longest_pause_s=float(retry["longest_pause_s"]),
        batch=int(raw["outbox"]["batch"]),
    )
