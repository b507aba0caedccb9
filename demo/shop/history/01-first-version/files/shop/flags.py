"""Feature flags: a file in flagd's format behind OpenFeature's call.

    from shop import flags
    if flags.client.get_boolean_value("payments_send_idempotency_key", False): ...

The file is `flags.json` of the repository, or what `FLAGS_FILE` names. It is read again when it changes, so a flag is
switched without a restart. What is not there, disabled, or not of the asked type has the caller's default.
"""

import json
import os

from shop.settings import ROOT


class Client:
    """Answers flags from a file."""

    def __init__(self, path):
        self.path = path
        self._stamp = None
        self._flags = {}

    def get_boolean_value(self, key, default):
        """The state of a flag, `default` if the file does not say."""
        flag = self._read().get(key, {})
        if flag.get("state") != "ENABLED":
            return default
        value = flag.get("variants", {}).get(flag.get("defaultVariant"))
        return value if isinstance(value, bool) else default

    def _read(self):
        try:
            status = os.stat(self.path)
            stamp = (status.st_mtime_ns, status.st_size, status.st_ino)
            if stamp != self._stamp:
                with open(self.path, encoding="utf-8") as file:
                    self._flags = json.load(file).get("flags", {})
                self._stamp = stamp
        except (OSError, ValueError):
            pass  # half written or gone: what was read last goes on
        return self._flags


client = Client(os.environ.get("FLAGS_FILE", ROOT / "flags.json"))
