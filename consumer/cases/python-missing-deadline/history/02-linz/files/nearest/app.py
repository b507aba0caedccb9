"""GET /nearest?address=...: the shop that is nearest. The site gives up after 3 seconds."""
import json
import logging
from http.server import BaseHTTPRequestHandler
from urllib.parse import parse_qs, urlsplit

from nearest.geocoder import Geocoder

log = logging.getLogger("nearest")
SHOPS = {"Graz": (47.07, 15.44), "Linz": (48.306, 14.286), "Wien": (48.21, 16.37)}


def nearest(point):
    lat, lon = point
    return min(SHOPS, key=lambda name: (SHOPS[name][0] - lat) ** 2 + (SHOPS[name][1] - lon) ** 2)


def handler(settings):
    geocoder = Geocoder(settings["geocoder"]["base"])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            address = parse_qs(urlsplit(self.path).query)["address"][0]
            try:
                status, body = 200, {"shop": nearest(geocoder.find(address))}
            except (OSError, ValueError) as error:
                log.error("no place for an address: %s", error)
                status, body = 503, {"error": "try later"}
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *args):
            pass

    return Handler
