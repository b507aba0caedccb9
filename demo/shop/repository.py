"""Makes the shop's git repository from `history/`: the same hashes everywhere.

    python repository.py OUT                    # the repository, its head checked out
    python repository.py OUT --variant revert   # the same with the retry storm cured in one of three ways

Each folder of `history/` is a commit: `COMMIT` (author, date, message), `files/` (what it adds or replaces) and `DELETED`
(what it removes, a path a line).
"""

import argparse
import os
import re
import shutil
import subprocess
from pathlib import Path

HERE = Path(__file__).resolve().parent
HISTORY = HERE / "history"
SUSPECT = "(#482)"  # how the subject of the commit ends that lets the storm last
VARIANTS = ("head", "revert", "budget", "no-retries")


def git(repository, *arguments, **environment):
    """Runs git there, with nobody's configuration; answers what it printed."""
    neutral = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    command = ["git", "-C", str(repository), "-c", "core.autocrlf=false", "-c", "commit.gpgsign=false", *arguments]
    done = subprocess.run(command, env=os.environ | neutral | environment, check=True, capture_output=True, text=True)
    return done.stdout.strip()


def build(out):
    """Makes the repository in the new folder `out`; answers the hash of its head."""
    out = Path(out)
    out.mkdir(parents=True)
    git(out, "init", "--quiet", "--initial-branch=main")
    for folder in sorted(path for path in HISTORY.iterdir() if path.is_dir()):
        commit(out, folder)
    return git(out, "rev-parse", "HEAD")


def commit(out, folder):
    """Makes one commit of one folder of the history."""
    deleted = folder / "DELETED"
    for path in deleted.read_text(encoding="utf-8").split("\n") if deleted.exists() else []:
        if path:
            (out / path).unlink()
    if (folder / "files").exists():
        shutil.copytree(folder / "files", out, dirs_exist_ok=True, ignore=shutil.ignore_patterns("__pycache__"))
    head, _, message = (folder / "COMMIT").read_text(encoding="utf-8").partition("\n\n")
    fields = dict(line.split(": ", 1) for line in head.splitlines())
    name, mail = re.fullmatch(r"(.+) <(.+)>", fields["Author"]).groups()
    who = {"NAME": name, "EMAIL": mail, "DATE": fields["Date"]}
    environment = {f"GIT_{role}_{key}": value for role in ("AUTHOR", "COMMITTER") for key, value in who.items()}
    git(out, "add", "--all")
    git(out, "commit", "--quiet", "--message", message, **environment)


def vary(repository, variant):
    """Changes the working tree at the head into a variant, and commits that."""
    if variant == "head":
        return
    if variant == "revert":
        git(repository, "revert", "--no-commit", suspect(repository))
    else:
        name, value = {"budget": ("retry_budget", "0.1"), "no-retries": ("max_retries", "0")}[variant]
        path = Path(repository) / "services/payments/config.yaml"
        text, count = re.subn(rf"(?m)^(  {name}:) .*$", rf"\1 {value}", path.read_text(encoding="utf-8"))
        if count != 1:
            raise SystemExit(f"{path} has {count} lines that set {name}")
        path.write_text(text, encoding="utf-8")
    who = {f"GIT_{role}_{key}": "variant@example.com" for role in ("AUTHOR", "COMMITTER") for key in ("NAME", "EMAIL")}
    git(repository, "commit", "--quiet", "--all", "--message", f"Variant: {variant}", **who)


def suspect(repository):
    """The hash of the commit that lets the storm last."""
    return git(repository, "log", "--format=%H", "--fixed-strings", f"--grep={SUSPECT}", "main")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", help="a folder that is not there yet")
    parser.add_argument("--variant", choices=VARIANTS, default="head")
    arguments = parser.parse_args()
    build(arguments.out)
    vary(arguments.out, arguments.variant)
    print(git(arguments.out, "rev-parse", "HEAD"))


if __name__ == "__main__":
    main()
