"""Settings of a service: the part of YAML that its config.yaml needs.

Two levels, `section:` and `  name: value`; values are numbers, true, false or text. `#` begins a comment.
"""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def load(service):
    """The settings of a service, as a dictionary of sections."""
    return parse((ROOT / "services" / service / "config.yaml").read_text(encoding="utf-8"))


def parse(text):
    """Reads sections of `name: value`."""
    settings, section = {}, None
    for number, line in enumerate(text.splitlines(), start=1):
        bare = line.split("#", 1)[0].rstrip()
        if not bare:
            continue
        name, colon, value = bare.partition(":")
        indented = bare[0] == " "
        if not colon or (indented and section is None) or (not indented and value.strip()):
            raise ValueError(f"line {number} is neither 'section:' nor '  name: value': {line!r}")
        if indented:
            section[name.strip()] = scalar(value.strip())
        else:
            section = settings.setdefault(name, {})
    return settings


def scalar(text):
    """A number, a truth value or text."""
    if text in ("true", "false"):
        return text == "true"
    for kind in (int, float):
        try:
            return kind(text)
        except ValueError:
            pass
    return text.strip("\"'")
