"""The shop's history holds what the demo needs of it: `python -m pytest demo/shop/test_shop.py` (zstd, git, pytest)."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

import changes
import load
import repository

HERE = Path(__file__).resolve().parent
ADAPTER = "services/payments/bank_adapter.py"
CONFIG = "services/payments/config.yaml"


@pytest.fixture
def shop(tmp_path):
    out = tmp_path / "shop"
    repository.build(out)
    return out


def run_tests(checkout):
    done = subprocess.run([sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"], cwd=checkout, capture_output=True)
    assert done.returncode == 0, done.stdout.decode()


def test_the_recording_names_the_head_of_the_history(shop):
    head = repository.git(shop, "rev-parse", "HEAD")
    path = HERE / "recording/traces.otlp.jsonl.zst"
    lines = subprocess.run(["zstd", "-dc", str(path)], check=True, capture_output=True, text=True).stdout.splitlines()
    told = {}
    for resource in (resource for line in lines for resource in json.loads(line)["resourceSpans"]):
        about = {item["key"]: item["value"].get("stringValue") for item in resource["resource"]["attributes"]}
        told.setdefault(about["service.name"], set()).add(about["vcs.ref.head.revision"])
    assert told == {service: {head} for service in changes.SERVICES}


def test_every_commit_passes_its_own_tests(shop):
    for commit in repository.git(shop, "log", "--reverse", "--format=%H").split():
        repository.git(shop, "checkout", "--quiet", commit)
        run_tests(shop)


@pytest.mark.parametrize("variant", repository.VARIANTS)
def test_every_variant_passes_its_tests(shop, variant):
    repository.vary(shop, variant)
    run_tests(shop)


def test_a_revert_of_the_suspect_gives_back_jitter_cap_and_budget(shop):
    suspect = repository.suspect(shop)
    touched = repository.git(shop, "show", "--format=", "--name-only", suspect).split()
    assert touched == [ADAPTER, CONFIG, "services/payments/tests/test_bank_adapter.py"]
    assert "random.uniform" not in (shop / ADAPTER).read_text(encoding="utf-8")
    repository.vary(shop, "revert")
    before = {path: repository.git(shop, "show", f"{suspect}~1:{path}") for path in touched}
    assert before == {path: (shop / path).read_text(encoding="utf-8").strip() for path in touched}
    assert "random.uniform" in before[ADAPTER]


def test_the_changes_name_the_lines_of_the_suspect(shop):
    change = changes.commit_of(shop, repository.suspect(shop))
    assert (change["pr"], change["service"], change["author"]) == (482, "payments", "Tomas Lind <tomas@example.com>")
    lines = (shop / ADAPTER).read_text(encoding="utf-8").splitlines()
    ranges = next(file["lines"] for file in change["files"] if file["path"] == ADAPTER)
    changed = [line for first, last in ranges for line in lines[first - 1 : last]]
    assert any("time.sleep(self.delay_s)" in line for line in changed)


def test_the_services_answer_a_checkout(shop):
    with load.shop(shop) as gateway:
        outcome = load.Outcome()
        load.buy(gateway, outcome, 0.0, 1)
    assert [good for _, _, good in outcome.checkouts] == [True]
    assert outcome.last_order == "o-1"


def test_ids_are_hexadecimal_and_enumerations_numbers():
    record = pytest.importorskip("record", reason="the OpenTelemetry SDK and zstandard are not installed")
    request = record.ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name, span.kind = bytes(range(16)), bytes(range(8)), "POST", 3
    found = record.to_json("traces", request.SerializeToString())["resourceSpans"][0]["scopeSpans"][0]["spans"][0]
    assert found == {"traceId": bytes(range(16)).hex(), "spanId": bytes(range(8)).hex(), "name": "POST", "kind": 3}
