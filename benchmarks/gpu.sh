#!/usr/bin/env bash
# Everything that needs a GPU, in under nine minutes, as one text of tables:
#   bash benchmarks/gpu.sh | tee performance.txt
# Commit what it prints, with the device's name, to docs/performance.md. OUT is a folder for the JSON files.
set -uo pipefail
cd "$(dirname "$0")/.."
python=${PYTHON:-python}
out=${OUT:-$(mktemp -d)}
export PYTHONPATH=$PWD REDSM5_CACHE=$out/cache TOKENIZERS_PARALLELISM=false HF_HUB_OFFLINE=1
catalog=(--all --lengths 512 --precisions bf16 --peft NoPEFT,LoRA --checkpointing off --memory-gb 24)

section() { printf '\n== %s (%s s so far)\n' "$1" "$SECONDS"; }

section "Device"
nvidia-smi --query-gpu=name,memory.total,driver_version --format=csv,noheader || echo "no GPU"

section "fp32, bf16, fp16: steps per second, useful tokens per second, MFU"
timeout 120 "$python" benchmarks/precision.py --json "$out/precision.json"

section "Useful tokens per second beside the peers"
timeout 120 "$python" benchmarks/fit.py --rounds 1 --posts 400 --layers 12 --hidden 768 --json "$out/fit.json"

section "Calibration of the catalog under 24 GB; it goes on where the time ends"
timeout --signal=INT 240 "$python" -m redsm5 tune-batch "${catalog[@]}" --calibration "$out/probed.json"

section "Prediction against probes"
timeout 60 "$python" benchmarks/prediction_error.py "$out/probed.json"

section "Done; JSON in $out"
