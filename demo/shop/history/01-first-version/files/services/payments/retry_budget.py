"""A budget of retries: the service as a whole may only repeat a share of what it is asked to do."""

import threading


class RetryBudget:
    """Every request earns `ratio` of a retry, every retry costs one. At most `most` are saved for worse times."""

    def __init__(self, ratio, most=3.0):
        self.ratio = ratio
        self.most = most
        self._saved = 0.0
        self._lock = threading.Lock()

    def earn(self):
        """A request came in."""
        with self._lock:
            self._saved = min(self.most, self._saved + self.ratio)

    def spend(self):
        """Whether there is a retry left; it is taken."""
        with self._lock:
            if self._saved < 1:
                return False
            self._saved -= 1
            return True
