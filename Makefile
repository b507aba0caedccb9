# The habits of this repository. `make` alone lists them.
.PHONY: help check ci test bench docs demo

help:
	@printf '%s\n' 'check  format, lints, tests (what you run before a commit)' 'ci     what CI runs' \
	  'test   the tests' 'bench  the figures of the README' 'docs   write docs/reference anew' 'demo   the recorded incident'

check:
	cargo fmt --all
	cargo clippy --workspace --all-targets -- -D warnings
	cargo test --workspace

ci:
	.ci/run

test:
	cargo test --workspace

bench:
	cargo bench --bench pipeline

docs:
	rm -rf docs/reference
	cargo run --quiet -- schema --docs docs/reference

demo:
	cargo run --release -- demo
