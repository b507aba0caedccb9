"""The cart's page: lines with their stock."""
from shopcart.backend import BackendError


class CartPage:
    def __init__(self, backend):
        self.backend = backend

    def render(self, cart_id):
        """(status, body)"""
        try:
            items = self.items(cart_id)
        except BackendError:
            return 503, {"error": "cart not available"}
        return 200, {"items": items, "count": sum(line["quantity"] for line in items)}

    def items(self, cart_id):
        lines = self.backend.fetch(f"/carts/{cart_id}/lines")
        return [line for line in lines if line["quantity"] > 0]
