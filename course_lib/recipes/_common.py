"""What every recipe needs: its options, a progress line with the time left, one training loop, its result file."""

import argparse
import contextlib
import json
import platform
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

RESULTS = Path("book/results")
# what a result says elsewhere, or what does not change it
NO_SETTINGS = ("out", "seeds", "threads", "device", "checkpoints")


def options(
    name: str,
    doc: str,
    argv: list[str] | None,
    seeds: list[int],
    parents: Sequence[argparse.ArgumentParser] = (),
    **sizes: int,
) -> argparse.Namespace:
    """Parse a recipe's command line: `--out`, `--seeds`, `--threads` and one integer option for each of `sizes`.

    `parents` are parsers of further options.
    """
    parser = argparse.ArgumentParser(
        prog=f"python -m course_lib.recipes.{name}", description=doc.split("\n")[0], parents=parents
    )
    parser.add_argument("--out", type=Path, default=RESULTS / f"{name}.json", help="result file (%(default)s)")
    parser.add_argument("--seeds", type=int, nargs="+", default=seeds, help="one run each (%(default)s)")
    parser.add_argument("--threads", type=int, default=1, help="processor threads (%(default)s)")
    for size, default in sizes.items():
        parser.add_argument(f"--{size.replace('_', '-')}", type=int, default=default, help="(%(default)s)")
    return parser.parse_args(argv)


@contextlib.contextmanager
def threads(number: int) -> Iterator[None]:
    """Run torch on `number` threads and put the former setting back afterwards."""
    before = torch.get_num_threads()
    torch.set_num_threads(number)
    try:
        yield
    finally:
        torch.set_num_threads(before)


class Progress:
    """One line on standard error that says what is being done, how far it is and when it will be finished."""

    def __init__(self, total: int) -> None:
        self.total, self.done, self.started, self.shown = total, 0, time.monotonic(), 0.0

    def advance(self, doing: str) -> None:
        """Count one step of the `total`; the line is rewritten at most twice a second."""
        self.done += 1
        now = time.monotonic()
        if self.done < self.total and now - self.shown < 0.5:
            return
        self.shown = now
        left = (now - self.started) / self.done * (self.total - self.done)
        end = "\n" if self.done == self.total else ""
        line = f"\r{100 * self.done / self.total:5.1f} %  about {left / 60:4.1f} minutes left  {doing:<40}"
        print(line, end=end, file=sys.stderr, flush=True)


def fit(
    model: nn.Module,
    loss: Callable[[Tensor], Tensor],
    examples: int,
    *,
    steps: int,
    batch: int,
    peak: float,
    seed: int,
    progress: Progress,
    doing: str,
) -> None:
    """Train `model` in place with AdamW on a one-cycle schedule; it is left in eval mode.

    `loss` maps the indices `[batch]` of randomly drawn examples to a scalar; `peak` is the highest learning rate.
    """
    optimizer = torch.optim.AdamW(model.parameters(), lr=peak, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, peak, total_steps=steps, pct_start=0.1)
    generator = torch.Generator().manual_seed(seed)
    model.train()
    for _ in range(steps):
        value = loss(torch.randint(examples, (batch,), generator=generator))
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        progress.advance(doing)
    model.eval()


def parameters(model: nn.Module) -> int:
    """The number of trained numbers in a model."""
    return sum(p.numel() for p in model.parameters())


def rounded(values: Tensor | Iterable[float] | float, digits: int = 4) -> Any:
    """Numbers as nested lists for JSON, without digits that mean nothing."""
    if isinstance(values, Tensor):
        values = values.tolist()
    return [rounded(v, digits) for v in values] if isinstance(values, Iterable) else round(float(values), digits)


def write(args: argparse.Namespace, name: str, argv: list[str] | None, started: float, facts: dict) -> None:
    """Write the result file: where and how the figures were made, then the `facts`.

    `started` is `time.monotonic()` at the start; the minutes are wall-clock, on the named device.
    """
    given = sys.argv[1:] if argv is None else argv
    head = {
        "recipe": name,
        "command": " ".join([f"python -m course_lib.recipes.{name}", *given]),
        "device": _device(args),
        "torch": torch.__version__,
        "minutes": round((time.monotonic() - started) / 60, 2),
        "seeds": args.seeds,
        "settings": {k: v for k, v in vars(args).items() if k not in NO_SETTINGS},
    }
    args.out.parent.mkdir(parents=True, exist_ok=True)
    lines = [f"{json.dumps(key)}: {json.dumps(value)}" for key, value in (head | facts).items()]
    args.out.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _device(args: argparse.Namespace) -> str:
    device = torch.device(getattr(args, "device", "cpu"))
    if device.type == "cuda":
        return f"cuda ({torch.cuda.get_device_name(device)})"
    return f"{device.type} ({_processor()}), {args.threads} thread{'s' * (args.threads > 1)}"


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    names = [line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
