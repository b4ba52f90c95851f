"""Steps per second of ``redsm5 fit`` in fp32, bf16 and fp16, and how much of the device's peak useful tokens take.

Run ``python benchmarks/precision.py``; ``--json FILE`` also writes the figures to a file. fp16 runs on a GPU only.
"""

from __future__ import annotations

import argparse
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from measure import device_type, in_own_process, machine, print_table, write_json
from workload import make_workload

PEAK_TFLOPS = {
    "RTX 3090": {"none": 35.6, "bf16": 71.0, "fp16": 71.0},
    "RTX 4090": {"none": 82.6, "bf16": 165.2, "fp16": 165.2},
    "A100": {"none": 156.0, "bf16": 312.0, "fp16": 312.0},
    "H100": {"none": 494.0, "bf16": 989.0, "fp16": 989.0},
    "H200": {"none": 494.0, "bf16": 989.0, "fp16": 989.0},
}
"""Dense peaks with fp32 accumulation, from the makers' data sheets; of fp32 that of TF32, which a fit uses."""


def main() -> None:
    args = _arguments()
    device = device_type()
    precisions = ["none", "bf16", "fp16"] if device == "cuda" else ["none", "bf16"]
    found: dict[str, list[dict[str, Any]]] = {precision: [] for precision in precisions}
    with tempfile.TemporaryDirectory() as folder:
        work = make_workload(Path(folder), posts=args.posts, seed=0, layers=args.layers, hidden=args.hidden)
        for done in range(args.rounds):
            for precision in precisions:
                given = {"work": work.folder, "precision": precision, "batch": args.batch, "epochs": args.epochs}
                measured = in_own_process("precision_arms.py", given, threads=args.threads)
                found[precision].append(figures(measured, args, device))
                print(f"round {done + 1} of {args.rounds}, {precision}: {found[precision][-1]['seconds']:.1f} s")
    facts = machine()
    peaks = next((peak for name, peak in PEAK_TFLOPS.items() if name in facts["device"]), {})
    medians = {
        precision: {key: median(one[key] for one in rounds) for key in rounds[0]} for precision, rounds in found.items()
    }
    rows = []
    for precision, values in medians.items():
        peak = peaks.get(precision)
        rows.append(
            [
                precision,
                f"{values['steps_per_second']:.2f}",
                f"{values['steps_per_second'] / medians['none']['steps_per_second']:.2f}",
                f"{values['tokens_per_second']:,.0f}",
                f"{values['tflops']:.2f}",
                "-" if peak is None else f"{values['tflops'] / peak:.1%}",
            ]
        )
    columns = ["precision", "steps/s", "times fp32", "useful tokens/s", "useful TFLOP/s", "MFU"]
    print_table(
        f"redsm5 fit, {args.layers} layers of {args.hidden}, batch {args.batch}, up to 512 tokens", columns, rows
    )
    print(", ".join(f"{name} {value}" for name, value in facts.items()))
    if args.json:
        settings = {key: value for key, value in vars(args).items() if key != "json"}
        write_json(args.json, {"machine": facts, "settings": settings, "precisions": found, "medians": medians})


def figures(measured: dict[str, Any], args: argparse.Namespace, device: str) -> dict[str, float]:
    """What is reported of a run; wall time on a GPU, processor time elsewhere."""
    seconds = measured["wall" if device == "cuda" else "processor"]
    tokens = measured["useful_tokens"]
    return {
        "seconds": seconds,
        "steps_per_second": measured["steps"] / seconds,
        "tokens_per_second": tokens / seconds,
        "tflops": tokens * flops_per_token(args.layers, args.hidden, tokens / args.posts) / seconds / 1e12,
    }


def flops_per_token(layers: int, hidden: int, length: float) -> float:
    """Floating point operations of a forward and backward pass per token: ``6 N + 12 layers length hidden``.

    N, weights of the layers, is ``12 layers hidden^2``; the second term is attention over `length` tokens.
    Source: Chowdhery et al. 2022, PaLM, appendix B.
    """
    return 6 * 12 * layers * hidden**2 + 12 * layers * length * hidden


def _arguments() -> argparse.Namespace:
    large = device_type() == "cuda"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--posts", type=int, default=1000 if large else 100, help="training posts (1000; on a CPU 100)")
    parser.add_argument("--rounds", type=int, default=1, help="runs of each precision, in turn (default: 1)")
    parser.add_argument(
        "--epochs", type=int, default=3 if large else 1, help="the last of which counts (3; on a CPU 1)"
    )
    parser.add_argument("--batch", type=int, default=32 if large else 8, help="posts per step (32; on a CPU 8)")
    parser.add_argument("--layers", type=int, default=12 if large else 6, help="of the encoder (12; on a CPU 6)")
    parser.add_argument("--hidden", type=int, default=768 if large else 384, help="its width (768; on a CPU 384)")
    parser.add_argument("--threads", type=int, default=1, help="threads of PyTorch (default: 1)")
    parser.add_argument("--json", metavar="FILE", help="also write the figures there")
    return parser.parse_args()


if __name__ == "__main__":
    main()
