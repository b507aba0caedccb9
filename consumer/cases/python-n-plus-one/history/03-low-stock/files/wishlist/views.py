"""What a wish list looks like to the outside."""

from __future__ import annotations

from .catalog import Catalog


def render(list_id: str, skus: list[str], catalog: Catalog) -> dict:
    """The document of a list; items keep the order in which they were added."""
    items = [item(sku, catalog) for sku in skus]
    total = sum(entry["price_cents"] for entry in items if entry["available"])
    return {"id": list_id, "items": items, "total_cents": total}


def item(sku: str, catalog: Catalog) -> dict:
    """One line of a list."""
    product = catalog.product(sku)
    if product is None:
        return {"sku": sku, "available": False}
    return {
        "sku": sku,
        "available": True,
        "title": product["title"],
        "price_cents": product["price_cents"],
        "in_stock": product["stock"] > 0,
        "low_stock": 0 < product["stock"] <= 3,
    }
