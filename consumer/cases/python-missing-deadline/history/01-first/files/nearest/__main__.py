"""python -m nearest"""
import json
from http.server import ThreadingHTTPServer

from nearest.app import handler

with open("conf/nearest.json", encoding="utf-8") as file:
    SETTINGS = json.load(file)
ThreadingHTTPServer(("", SETTINGS["port"]), handler(SETTINGS)).serve_forever()
