from wishlist.catalog import Catalog
from wishlist.price_watch import drops

from .fake_catalog import FakeCatalog


def test_reports_only_what_became_cheaper():
    products = {f"p{i}": {"sku": f"p{i}", "title": "P", "price_cents": 100 + i, "stock": 1} for i in range(120)}
    known = {f"p{i}": 150 for i in range(120)} | {"gone": 10}
    found = sorted(drops(known, Catalog(FakeCatalog(products))))
    assert len(found) == 50
    assert ("p7", 150, 107) in found
