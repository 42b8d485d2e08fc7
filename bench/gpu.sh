#!/bin/sh
# All that wants a GPU, in under ten minutes on one: the marked tests, throughput and MFU of the h100 preset, memory
# against the plan, MuonClip's share, INT4 experts. Writes gpu.md into the folder given, or the current one.
#     sh bench/gpu.sh [FOLDER]
set -u
out="${1:-.}/gpu.md"
: > "$out"
run() {
    echo "## $*" | tee -a "$out"
    timeout 180 "$@" 2>&1 | grep -v Warning | tee -a "$out" | tail -n 20
}
run python -m pytest -m gpu -q tests
run python -m bench.gpu --preset h100
run python -m bench.muonclip_share --preset h100 --compute bfloat16 --tokens 16384 65536 --micro 16384 --length 2048
echo "written to $out"
