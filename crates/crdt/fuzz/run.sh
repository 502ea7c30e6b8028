#!/bin/sh
# Runs fuzz targets on the stable compiler: `./run.sh [seconds] [target...]`, all targets for 20 s each by default.
# Findings are left in `artifacts/`; run a target with such a file as its argument to see one again.
set -eu
cd "$(dirname "$0")" # where .cargo/config.toml is found
seconds=${1:-20}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- states deltas operations merge
cargo build --release
binaries=${CARGO_TARGET_DIR:-target}/x86_64-unknown-linux-gnu/release
for target in "$@"; do
    mkdir -p "corpus/$target" "artifacts/$target"
    "$binaries/$target" -max_total_time="$seconds" -max_len=4096 -timeout=2 -rss_limit_mb=512 -print_final_stats=1 \
        -artifact_prefix="artifacts/$target/" "corpus/$target"
done
