"""A catalogue in memory."""


class FakeCatalog:
    def __init__(self, products):
        self.products = products
        self.broken = False

    def __call__(self, path, query):
        if self.broken:
            return 500, {}
        sku = path.removeprefix("/products/")
        if sku in self.products:
            return 200, self.products[sku]
        return 404, {}
