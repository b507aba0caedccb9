"""For tests: a service on a free port of loopback."""

import contextlib
import threading

from shop import web


@contextlib.contextmanager
def serving(routes):
    """Serves the routes while the block runs; answers the URL."""
    server = web.Server(0, routes)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
