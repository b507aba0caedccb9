"""A session store in memory."""

from profile_service.wire import StoreError


class Store:
    def __init__(self, values):
        self.values, self.failing, self.opened, self.closed = values, False, 0, 0

    def connect(self):
        self.opened += 1
        return Line(self)


class Line:
    def __init__(self, store):
        self.store = store

    def get(self, key):
        if self.store.failing:
            raise StoreError("-LOADING")
        return self.store.values.get(key)

    def delete(self, key):
        self.store.values.pop(key, None)

    def close(self):
        self.store.closed += 1
