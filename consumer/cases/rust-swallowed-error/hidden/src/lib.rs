//! Nothing: the behaviour is asked for in `tests/`.
