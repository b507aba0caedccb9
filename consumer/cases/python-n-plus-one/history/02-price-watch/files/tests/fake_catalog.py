"""A catalogue in memory."""


class FakeCatalog:
    def __init__(self, products):
        self.products = products
        self.broken = False

    def __call__(self, path, query):
        if self.broken:
            return 500, {}
        if path == "/products":
            skus = query["skus"].split(",")
            if len(skus) > 50:
                return 400, {}
            return 200, {"products": [self.products[sku] for sku in skus if sku in self.products]}
        sku = path.removeprefix("/products/")
        if sku in self.products:
            return 200, self.products[sku]
        return 404, {}
