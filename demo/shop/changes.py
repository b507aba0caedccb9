"""The `changes` that backtrail reads, from the shop's repository: its commits, and what was deployed when."""

import argparse
import json
import re
from datetime import datetime, timezone

import repository

SERVICES = ("bank", "payments", "orders", "gateway")
MOST_DIFF = 32 * 1024  # what the collector keeps of one


def document(checkout, deployed):
    """YAML with a line a change: every commit of the main branch, and the head on each service since `deployed`."""
    lines = ["# The commits of the shop's repository, oldest first, and the deployments of the recorded run."]
    for commit in repository.git(checkout, "log", "--reverse", "--format=%H", "main").split():
        lines.append(entry(commit_of(checkout, commit)))
    head, date = repository.git(checkout, "log", "-1", "--format=%H %cs").split()
    for service in SERVICES:
        lines.append(
            entry(
                {
                    "id": f"deploy-{service}-{head[:7]}",
                    "time": deployed.astimezone(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
                    "kind": "deploy",
                    "service": service,
                    "version": f"{date}-{head[:7]}",
                    "commit": head,
                    "repository": "shop.git",
                }
            )
        )
    return "\n".join(lines) + "\n"


def entry(change):
    """A change as a line of YAML (JSON is YAML)."""
    return "- " + json.dumps(change, ensure_ascii=False)


def commit_of(checkout, commit):
    """A commit as a change."""
    date, author, subject = repository.git(checkout, "show", "-s", "--format=%cI%n%an <%ae>%n%s", commit).split("\n")
    change = {
        "id": commit[:12],
        "time": date,
        "kind": "commit",
        "commit": commit,
        "repository": "shop.git",
        "subject": subject,
        "author": author,
        "files": files_of(checkout, commit),
    }
    diff = repository.git(checkout, "show", "--format=", "--no-ext-diff", "--no-renames", commit)
    if len(diff) <= MOST_DIFF:
        change["diff"] = diff
    number = re.search(r"\(#(\d+)\)$", subject)
    if number:
        change["pr"] = int(number[1])
    services = {service for file in change["files"] if (service := service_of(file["path"]))}
    if len(services) == 1 and all(service_of(file["path"]) for file in change["files"]):
        change["service"] = services.pop()
    return change


def service_of(path):
    """The service whose folder a file lies in, "" if it is in none."""
    match = re.match(r"services/(\w+)/", path)
    return match[1] if match else ""


def files_of(checkout, commit):
    """The files of a commit, with the ranges of lines that it changed as they are numbered after it."""
    files = []
    diff = repository.git(checkout, "show", "--format=", "--unified=0", "--no-ext-diff", "--no-renames", commit)
    for line in diff.splitlines():
        if line.startswith("diff --git "):
            files.append({"path": line.rsplit(" b/", 1)[1]})
        elif line.startswith("@@ "):
            first, count = re.match(r"@@ -\S+ \+(\d+)(?:,(\d+))? @@", line).groups()
            first, count = int(first), int(count or 1)
            # What was only removed stands between two lines: the one before it is named.
            files[-1].setdefault("lines", []).append([max(first, 1), max(first + count - 1, first, 1)])
    return files


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout")
    parser.add_argument("--deployed", metavar="TIME", help="RFC 3339; now if it is not given")
    arguments = parser.parse_args()
    deployed = arguments.deployed and datetime.fromisoformat(arguments.deployed.replace("Z", "+00:00"))
    print(document(arguments.checkout, deployed or datetime.now(timezone.utc)), end="")


if __name__ == "__main__":
    main()
