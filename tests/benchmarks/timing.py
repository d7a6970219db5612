"""How contestants are timed: side by side in one run, so that whatever else the machine does happens to all."""

import gc
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch


@dataclass(frozen=True)
class Result:
    """One contestant: its median time in seconds, and its time divided by the course's, round by round."""

    name: str
    seconds: float
    ratio: float
    low: float
    high: float


def compare(contestants: dict[str, Callable[[], object]], rounds: int, clock: Callable[[], float]) -> list[Result]:
    """Time all contestants once a round, in an order that changes, after one call to warm up.

    The first is the course: a ratio is another's time divided by the course's in the same round, so above 1 the
    course is faster. Median, and the quartiles of the ratio. `clock` counts seconds.
    """
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for run in contestants.values():
        run()
    names = list(contestants)
    # what is there already need not be searched for garbage after each round, and never within one
    gc.freeze()
    gc.disable()
    try:
        for turn in range(rounds):
            shift = turn % len(names)
            for name in names[shift:] + names[:shift]:
                began = clock()
                contestants[name]()
                times[name].append(clock() - began)
            gc.collect()
    finally:
        gc.enable()
        gc.unfreeze()
    results = []
    for name, seconds in times.items():
        ratios = [theirs / ours for theirs, ours in zip(seconds, times[names[0]], strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4) if rounds > 1 else ratios * 3
        results.append(Result(name, statistics.median(seconds), middle, low, high))
    return results


def clock_for(device: torch.device, threads: int) -> Callable[[], float]:
    """The clock to time with: processor time where one thread does all the work, else the time that passes.

    On a machine with other work to do, only the former tells what a contestant needs.
    """
    if device.type == "cpu":
        return time.process_time if threads == 1 else time.perf_counter

    def after_the_device() -> float:
        torch.get_device_module(device).synchronize()
        return time.perf_counter()

    return after_the_device
