"""Runs the shop under load: quiet, a short spike, and the same quiet load again.

    python load.py                      # the head: the retry storm outlives the spike
    python load.py --variant revert     # cured: also budget, no-retries
    python load.py --checkout DIR       # any working tree of the shop's repository

Customers come at even distances, give or take a third, and do not wait for each other: an overloaded shop gets no fewer
of them. Every sixth also looks at an order, which needs no payment. What is counted is checkouts.
"""

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path

import repository

PATIENCE_S = 10
LOOK_AT_ORDERS = 6


@dataclass
class Plan:
    """Customers per second, and for how long."""

    rate: float
    quiet_s: float
    spike_s: float
    after_s: float
    spike: float = 2.0

    def arrivals(self, seed=482):
        """When each customer comes, in seconds from the start."""
        chance, at, end = random.Random(seed), 0.0, self.quiet_s + self.spike_s + self.after_s
        while at < end:
            yield at
            is_spike = self.quiet_s <= at < self.quiet_s + self.spike_s
            at += chance.uniform(0.67, 1.33) / (self.rate * (self.spike if is_spike else 1.0))


@dataclass
class Outcome:
    """What became of the checkouts."""

    checkouts: list = field(default_factory=list)  # (began, took, succeeded)
    last_order: str = ""
    lock: threading.Lock = field(default_factory=threading.Lock)

    def success(self, begin, end):
        """The share of checkouts begun in that time that succeeded, and their number."""
        chosen = [good for began, _, good in self.checkouts if begin <= began < end]
        return (sum(chosen) / len(chosen) if chosen else 0.0), len(chosen)


@contextlib.contextmanager
def shop(checkout, endpoint=None, stderr=None):
    """Runs the four services of a working tree on free ports; answers the gateway's URL."""
    running, urls = [], {}
    try:
        for service, peer in [("bank", None), ("payments", "bank"), ("orders", "payments"), ("gateway", "orders")]:
            command = [sys.executable, "-m", f"services.{service}.app", "--port", "0"]
            if peer:
                command += [f"--{peer}", urls[peer]]
            environment = os.environ | deployment(checkout, service, endpoint)
            process = subprocess.Popen(
                command, cwd=checkout, env=environment, stdout=subprocess.PIPE, stderr=stderr or subprocess.DEVNULL, text=True
            )
            running.append(process)
            line = process.stdout.readline().strip()
            if not line.startswith("listening on "):
                raise SystemExit(f"{service} does not start: {line}")
            urls[service] = line.removeprefix("listening on ")
        yield urls["gateway"]
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            process.wait(30)


def deployment(checkout, service, endpoint):
    """What a deployment tells a service about itself."""
    if endpoint is None:
        return {}
    revision, date = repository.git(checkout, "log", "-1", "--format=%H %cs").split()
    about = {
        "service.version": f"{date}-{revision[:7]}",
        "service.instance.id": f"{service}-1",
        "deployment.environment.name": "production",
        "vcs.ref.head.revision": revision,
        "vcs.ref.head.name": "main",
        "vcs.repository.url.full": "https://git.example.com/shop/shop.git",
    }
    return {
        "OTEL_RESOURCE_ATTRIBUTES": ",".join(f"{key}={value}" for key, value in about.items()),
        "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint,
        "OTEL_BSP_SCHEDULE_DELAY": "1000",
        "OTEL_BLRP_SCHEDULE_DELAY": "1000",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
    }


def drive(gateway, plan, say=lambda line: None):
    """Sends the customers of a plan; answers what became of them."""
    outcome, customers, begin = Outcome(), [], time.monotonic()
    told = 10.0
    for number, at in enumerate(plan.arrivals()):
        time.sleep(max(0.0, begin + at - time.monotonic()))
        customer = threading.Thread(target=buy, args=(gateway, outcome, begin, number), daemon=True)
        customer.start()
        customers.append(customer)
        if at >= told:
            share, count = outcome.success(told - 10, told - 2)
            say(f"{told - 10:4.0f} s to {told - 2:4.0f} s: {share:4.0%} of {count} answered checkouts succeeded")
            told += 10
    for customer in customers:
        customer.join(PATIENCE_S + 5)
    return outcome


def buy(gateway, outcome, begin, number):
    """One customer."""
    began = time.monotonic()
    body = json.dumps({"item": "tea", "amount_cents": 1250}).encode()
    reply = ask(urllib.request.Request(gateway + "/checkout", body, {"content-type": "application/json"}))
    with outcome.lock:
        outcome.checkouts.append((began - begin, time.monotonic() - began, reply is not None))
        outcome.last_order = (reply or {}).get("order", outcome.last_order)
        order = outcome.last_order
    if number % LOOK_AT_ORDERS == 0 and order:
        ask(urllib.request.Request(f"{gateway}/orders/{order}"))


def ask(request):
    """The answer, `None` if it is an error or too late."""
    try:
        with urllib.request.urlopen(request, timeout=PATIENCE_S) as response:
            return json.load(response)
    except (urllib.error.URLError, OSError, ValueError):
        return None


def summary(outcome, plan):
    """The success of each phase."""
    spike, end = plan.quiet_s, plan.quiet_s + plan.spike_s + plan.after_s
    phases = {
        "quiet": (0, spike),
        "spike": (spike, spike + plan.spike_s),
        "after": (spike + plan.spike_s, end),
        "last_30_s": (max(spike + plan.spike_s, end - 30), end),
    }
    shares = {name: outcome.success(*span) for name, span in phases.items()}
    return {name: {"checkouts": count, "success": round(share, 4)} for name, (share, count) in shares.items()}


def add_plan(parser):
    """The options of a plan."""
    parser.add_argument("--rate", type=float, default=12, help="customers a second; the bank can do 16.7")
    parser.add_argument("--quiet", type=float, default=75, help="seconds before the spike")
    parser.add_argument("--spike", type=float, default=4, help="seconds of twice the rate")
    parser.add_argument("--after", type=float, default=75, help="seconds after the spike")


def plan_of(arguments):
    return Plan(arguments.rate, arguments.quiet, arguments.spike, arguments.after)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--variant", choices=repository.VARIANTS, default="head")
    parser.add_argument("--checkout", help="a working tree; one is made in a temporary folder if it is not given")
    parser.add_argument("--endpoint", help="where telemetry goes (OTLP/HTTP), such as http://127.0.0.1:4318")
    parser.add_argument("--json", action="store_true", help="print the summary as JSON and nothing else")
    add_plan(parser)
    arguments = parser.parse_args()
    plan = plan_of(arguments)
    with tempfile.TemporaryDirectory() as temporary:
        checkout = arguments.checkout
        if checkout is None:
            checkout = Path(temporary) / "shop"
            repository.build(checkout)
            repository.vary(checkout, arguments.variant)
        with shop(checkout, arguments.endpoint) as gateway:
            outcome = drive(gateway, plan, (lambda line: None) if arguments.json else print)
    found = summary(outcome, plan)
    if arguments.json:
        print(json.dumps({"variant": arguments.variant, **found}))
        return
    for name, phase in found.items():
        print(f"{name:>10}: {phase['success']:6.1%} of {phase['checkouts']} checkouts succeeded")


if __name__ == "__main__":
    main()
