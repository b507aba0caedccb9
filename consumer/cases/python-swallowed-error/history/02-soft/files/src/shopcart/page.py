"""The cart's page: lines with their stock."""
import logging

from shopcart.backend import BackendError

log = logging.getLogger(__name__)


class CartPage:
    def __init__(self, backend):
        self.backend = backend

    def render(self, cart_id):
        """(status, body)"""
        items = self.items(cart_id)
        return 200, {"items": items, "count": sum(line["quantity"] for line in items)}

    def items(self, cart_id):
        try:
            lines = self.backend.fetch(f"/carts/{cart_id}/lines")
        except BackendError as error:
            log.warning("lines of cart %s: %s", cart_id, error)
            return []
        return [line for line in lines if line["quantity"] > 0]
