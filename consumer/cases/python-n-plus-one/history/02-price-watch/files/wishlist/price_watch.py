"""The nightly job that tells customers about lower prices."""

from __future__ import annotations

from typing import Iterator

from .catalog import MOST_SKUS, Catalog


def drops(known: dict[str, int], catalog: Catalog) -> Iterator[tuple[str, int, int]]:
    """SKU, old and new price of all products that became cheaper than `known` says."""
    skus = sorted(known)
    for start in range(0, len(skus), MOST_SKUS):
        found = catalog.lookup(skus[start : start + MOST_SKUS])
        for sku, product in found.items():
            if product["price_cents"] < known[sku]:
                yield sku, known[sku], product["price_cents"]
