"""The learning rate of each step: a warm-up, then half a cosine."""

import math


def warmup_cosine(step: int, warmup: int, total: int, peak: float, floor: float = 0.0) -> float:
    """Give the learning rate of a step: it rises to `peak`, then falls along a cosine to `floor`.

    Steps count from 0. In warm-up it is peak·(step+1)/warmup, so that no step is wasted at zero and step
    warmup-1 has the peak; then floor + (peak-floor)·(1 + cos πt)/2, t = (step-warmup)/(total-warmup). From
    `total` on it stays at `floor`. Raises ValueError unless 0 <= step and 0 <= warmup <= total.
    Source: Loshchilov and Hutter 2017, equation 5, without restarts; warm-up after Goyal et al. 2017.
    """
    if step < 0 or not 0 <= warmup <= total:
        given = f"step {step}, warmup {warmup}, total {total}"
        raise ValueError(f"Need 0 <= step and 0 <= warmup <= total, not {given}.")
    if step < warmup:
        return peak * (step + 1) / warmup
    if step >= total:
        return floor
    along = (step - warmup) / (total - warmup)
    return floor + (peak - floor) * (1 + math.cos(math.pi * along)) / 2
