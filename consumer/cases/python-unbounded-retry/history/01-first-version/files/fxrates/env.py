"""Settings from config/rates.env and the environment."""

from __future__ import annotations

import os
from pathlib import Path

FILE = Path(__file__).resolve().parent.parent / "config" / "rates.env"


def read(path: Path = FILE) -> dict[str, str]:
    """NAME=value lines; blank lines and lines that begin with # are skipped."""
    settings = {}
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        line = line.strip()
        if not line or line.startswith("#"):
            continue
        name, sign, value = line.partition("=")
        if not sign:
            raise ValueError(f"{path}:{number}: expected NAME=value")
        settings[name.strip()] = value.strip()
    return settings | {name: value for name, value in os.environ.items() if name.startswith("RATES_")}
