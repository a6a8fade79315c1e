#!/usr/bin/env bash
# Runs a fuzz target guided by coverage, with the stable toolchain: `fuzz/run.sh TARGET [options of libFuzzer]`.
# What cargo-fuzz adds, with a nightly toolchain, is a sanitizer, which has little to find where no code is unsafe.
set -euo pipefail
cd "$(dirname "$0")"
target=$1
shift

flags="-Cpasses=sancov-module"
for flag in level=4 inline-8bit-counters pc-table trace-compares; do
  flags+=" -Cllvm-args=-sanitizer-coverage-$flag"
done
host=$(rustc -vV | sed -n 's/^host: //p')
# For one target platform, so that build scripts are not instrumented, too.
RUSTFLAGS="$flags --cfg fuzzing" cargo build --release --target "$host" --target-dir ../target/fuzz --bin "$target"

# New inputs go to the first directory; what fails, beside it.
work=../target/fuzz/corpus/$target
found=../target/fuzz/found/$target
mkdir -p "$work" "$found"
exec "../target/fuzz/$host/release/$target" -max_len=4096 -timeout=25 -rss_limit_mb=4096 \
  -artifact_prefix="$found/" "$@" "$work" "corpus/$target"
