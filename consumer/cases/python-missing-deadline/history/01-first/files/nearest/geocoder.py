"""Asks the geocoder where an address is."""
import json
import urllib.parse
import urllib.request


class Geocoder:
    def __init__(self, base):
        self.base = base

    def find(self, address):
        query = urllib.parse.urlencode({"q": address})
        with urllib.request.urlopen(f"{self.base}/search?{query}") as answer:
            hit = json.load(answer)
        return hit["lat"], hit["lon"]
