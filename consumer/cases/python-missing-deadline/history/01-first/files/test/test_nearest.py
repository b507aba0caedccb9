import json
import threading
import urllib.request
from http.server import BaseHTTPRequestHandler, HTTPServer

from nearest.app import handler, nearest


def test_the_nearest_shop():
    assert nearest((48.2, 16.3)) == "Wien"


class Geo(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"lat": 47.0, "lon": 15.4}')

    def log_message(self, *args):
        pass


def test_an_address_is_looked_up():
    geo = HTTPServer(("127.0.0.1", 0), Geo)
    site = HTTPServer(("127.0.0.1", 0), handler({"geocoder": {"base": f"http://127.0.0.1:{geo.server_port}"}}))
    for server in (geo, site):
        threading.Thread(target=server.serve_forever, daemon=True).start()
    with urllib.request.urlopen(f"http://127.0.0.1:{site.server_port}/nearest?address=x", timeout=5) as answer:
        assert json.load(answer) == {"shop": "Graz"}
    geo.shutdown()
    site.shutdown()
