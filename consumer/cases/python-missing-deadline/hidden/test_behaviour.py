"""Does an answer come before the site gives up, whatever the geocoder does?"""
import json
import pathlib
import sys
import threading
import time
import urllib.error
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

sys.path.insert(0, ".")
from nearest.app import handler

SITE_WAITS = 3.0


def ask(wait):
    over = threading.Event()

    class Geo(BaseHTTPRequestHandler):
        def do_GET(self):
            over.wait(wait)
            try:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(b'{"lat": 47.0, "lon": 15.4}')
            except OSError:
                pass

        def log_message(self, *args):
            pass

    geo = ThreadingHTTPServer(("127.0.0.1", 0), Geo)
    settings = json.loads(pathlib.Path("conf/nearest.json").read_text())
    settings["geocoder"]["base"] = f"http://127.0.0.1:{geo.server_port}"
    site = ThreadingHTTPServer(("127.0.0.1", 0), handler(settings))
    for server in (geo, site):
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
    started = time.monotonic()
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{site.server_port}/nearest?address=x", timeout=4) as answer:
            return answer.status, time.monotonic() - started
    except urllib.error.HTTPError as error:
        return error.code, time.monotonic() - started
    except TimeoutError:
        return 0, time.monotonic() - started
    finally:
        over.set()
        geo.shutdown()
        site.shutdown()


def test_a_geocoder_that_hangs():
    status, took = ask(30)
    assert status == 503 and took < SITE_WAITS, f"status {status} after {took:.1f} s"


def test_a_slow_geocoder_is_heard():
    assert ask(0.45)[0] == 200
