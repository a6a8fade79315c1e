# What is done often. `just --list` shows it.

# All that must pass before a commit, but for the recorded behaviours.
check:
    cargo fmt --all --check
    cargo clippy --workspace --all-targets -- -D warnings
    cargo test --workspace

# The documentation of the library, as docs.rs would show it.
doc:
    RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

# Everything that gates a landing.
ci:
    bash .ci/run

# Replay the recorded behaviours and add what newly passes to the list.
record:
    bash tests/conformance/run.sh --record

# Measure.
bench *ARGS:
    cargo bench --bench load -- {{ARGS}}

# Fuzz a target (docs/fuzzing.md has the list).
fuzz TARGET *ARGS:
    fuzz/run.sh {{TARGET}} {{ARGS}}
