from shopcart.page import CartPage


class Fixed:
    def fetch(self, path):
        assert path == "/carts/7/lines"
        return [{"sku": "lamp", "quantity": 2}, {"sku": "bulb", "quantity": 0}]


def test_counts_what_is_in_the_cart():
    status, body = CartPage(Fixed()).render(7)
    assert (status, body["count"]) == (200, 2)
