"""Time the course beside its peers: `python -m tests.benchmarks.run` prints a table and keeps it as latest.md.

A row's ratio is its time divided by the course's in the same round: above 1, the course is faster.
"""

import argparse
import os
import sys
from pathlib import Path

import torch

LATEST = Path(__file__).with_name("latest.md")


def declare_missing_operators() -> None:
    """Let timm and transformers be imported where torchvision is built for CUDA and torch is not."""
    if torch.version.cuda is None and not hasattr(torch.ops.torchvision, "nms"):
        declared = torch.library.Library("torchvision", "FRAGMENT")
        for name in ("nms", "qnms"):
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        globals()["_declared"] = declared  # its operators are gone when it is


def main(argv: list[str] | None = None) -> None:
    """Run the contests, print each as it ends, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run", description=__doc__.split("\n")[0])
    parser.add_argument("--threads", type=int, default=1, help="processor threads (%(default)s)")
    parser.add_argument("--device", default="cpu", help="(%(default)s)")
    parser.add_argument("--rounds", type=int, help="for all contests, rather than each one's own number")
    parser.add_argument("--only", nargs="+", default=[], help="contests, by name, for example gpt_step")
    parser.add_argument("--out", type=Path, default=LATEST, help="the file to write (this folder's latest.md)")
    args = parser.parse_args(argv)
    torch.set_num_threads(args.threads)
    os.environ["RAYON_NUM_THREADS"] = str(args.threads)  # those of the Rust peers, read when they start
    declare_missing_operators()
    from tests.benchmarks.contests import contests
    from tests.benchmarks.machine import describe
    from tests.benchmarks.timing import clock_for, compare

    device = torch.device(args.device)
    clock = clock_for(device, args.threads)
    kind = "of the processor" if device.type == "cpu" and args.threads == 1 else "that pass"
    known = {contest.__name__ for contest, _ in contests()}
    if unknown := set(args.only) - known:
        parser.error(f"no contest is called {', '.join(sorted(unknown))}; there are {', '.join(sorted(known))}")
    lines = [
        "# The course beside its peers",
        "",
        f"Measured on: {describe(device)}. Remade by `make bench`.",
        f"Milliseconds {kind}, medians. A ratio is a time divided by the course's in the same round,",
        "so above 1 the course is faster; in brackets are its quartiles.",
    ]
    for contest, rounds in contests():
        if args.only and contest.__name__ not in args.only:
            continue
        torch.manual_seed(0)
        title = contest.__doc__
        rows = [f"| {title} | milliseconds | ratio |", "|---|--:|--:|"]
        for result in compare(contest(device), args.rounds or rounds, clock):
            spread = f"{result.ratio:.2f} ({result.low:.2f} to {result.high:.2f})"
            rows.append(f"| {result.name} | {1000 * result.seconds:.1f} | {spread} |")
        sys.stdout.write("\n".join(rows) + "\n\n")
        sys.stdout.flush()
        lines += ["", *rows]
    args.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
