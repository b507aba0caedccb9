import threading

import pytest

from shop import web
from shop.testing import serving


def call(method, url, body=None):
    return web.call(method, url, body, peer="test", timeout_s=5)


def refuse(body):
    raise web.HttpError(409, "taken")


ROUTES = {
    ("POST", "/echo"): lambda body: body,
    ("GET", "/things/{thing}"): lambda body, thing: {"thing": thing},
    ("POST", "/refuse"): refuse,
}


def test_a_request_finds_its_route():
    with serving(ROUTES) as url:
        assert call("POST", url + "/echo", {"a": 1}) == {"a": 1}
        assert call("GET", url + "/things/7") == {"thing": "7"}
        assert call("GET", url + "/healthz") == {"status": "ok"}


@pytest.mark.parametrize(("method", "path", "status"), [("POST", "/refuse", 409), ("GET", "/echo", 404)])
def test_an_answer_that_is_no_success_is_an_error(method, path, status):
    with serving(ROUTES) as url, pytest.raises(web.HttpError) as caught:
        call(method, url + path)
    assert caught.value.status == status


def test_a_pool_serves_no_more_requests_at_a_time_than_it_has_workers():
    inside, most, release, lock = 0, 0, threading.Event(), threading.Lock()

    def slow(body):
        nonlocal inside, most
        with lock:
            inside += 1
            most = max(most, inside)
            if inside == 2:
                release.set()
        release.wait(5)
        with lock:
            inside -= 1
        return {}

    server = web.PooledServer(0, {("POST", "/slow"): slow}, workers=2, backlog=16)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}/slow"
    callers = [threading.Thread(target=call, args=("POST", url, {})) for _ in range(8)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    server.shutdown()
    assert most == 2
