"""Do attention maps segment objects? A ViT taught by itself, one taught with labels, and an untrained one.

Each scene has one bird, all have a blue sky: otherwise the sky's colour tells scenes apart and DINO need not
look at the bird. DINO learns without labels; the other model learns the bird's species. Then the last block's cls
attention is cut to a mask (`mask_from_attention`) and compared with the bird's true pixels, by intersection over
union. For every method the share to keep, and for models the head, are chosen on other scenes than those tested.

Fields of the result file, besides command, device, torch, minutes, seeds and settings: `title`; `table`;
`test_scenes`; `bird_share`: of the pixels; `iou` {method: [seed]}; `chosen` {method: [[head or null, keep] for each
seed]}; `loss` [stretch] of the first seed's DINO; `species_accuracy` [seed] of the supervised model. The first
seed's models are saved beside the result file as `bird_dino.npz` and `bird_dino_supervised.npz`, for
`course_lib.recipes.dino_model.load`.
"""

import copy
import math
import time
from argparse import Namespace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from course_lib.data.birds import Scenes, make_scenes, repaint
from course_lib.recipes._common import Progress, options, rounded, threads, write
from course_lib.recipes.dino_model import (
    GRID,
    PATCH,
    SIZE,
    DinoNet,
    balanced,
    cropped,
    recoloured,
    save,
    standardised,
    vit,
)  # fmt: skip
from course_lib.schedule import warmup_cosine
from course_lib.vit import ViT, cls_attention_maps, evaluate, mask_from_attention

KEEPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
TEACHER, STUDENT = 0.05, 0.1  # temperatures
PEAK = 2e-3
COLOUR, CEILING = "colour unlike the scene's median", "best possible from whole patches"


def scenes_of(n: int, seed: int) -> Scenes:
    """Scenes with one large bird each, all under a blue sky."""
    scenes = make_scenes(n, seed=seed, size=SIZE, birds=(1, 1), bird_size=(0.5, 0.8))
    return repaint(scenes, sky=torch.zeros_like(scenes.sky))


def truth(scenes: Scenes) -> Tensor:
    """The pixels of the bird, bool `[b h w]`."""
    return scenes.bird_masks().any(1)


def iou(maps: Tensor, true: Tensor, keep: float) -> float:
    """Mean intersection over union of the masks of maps `[b gh gw]` with the true pixels `[b h w]`."""
    mask = mask_from_attention(maps, keep).repeat_interleave(PATCH, -1).repeat_interleave(PATCH, -2)
    both, either = ((mask & true).flatten(1).sum(1), (mask | true).flatten(1).sum(1))
    return (both / either.clamp(min=1)).mean().item()


def look(model: ViT, scenes: Scenes) -> Tensor:
    """The last block's cls attention and, last, its mean over heads: `[h+1 b gh gw]`."""
    with torch.no_grad():
        maps = cls_attention_maps(model.attention_maps(standardised(scenes.images))[-1], GRID)
    return torch.cat([maps, maps.mean(1, keepdim=True)], 1).transpose(0, 1)


def baselines(scenes: Scenes, seed: int) -> dict[str, Tensor]:
    """Maps that know nothing of a model, each `[1 b gh gw]`."""
    b, ramp = len(scenes), torch.linspace(-1, 1, GRID[0])
    usual = scenes.images.flatten(2).median(-1).values[:, :, None, None]
    distance = F.avg_pool2d((scenes.images - usual).norm(dim=1)[:, None], PATCH)
    centre = torch.exp(-2 * (ramp[:, None].square() + ramp.square())).expand(1, b, *GRID)
    noise = torch.rand(1, b, *GRID, generator=torch.Generator().manual_seed(seed))
    return {"random map": noise, "centre prior": centre, COLOUR: distance.transpose(0, 1)}


def judged(tuning: Tensor, test: Tensor, true_tuning: Tensor, true_test: Tensor) -> tuple[float, list]:
    """IoU on test maps `[h b gh gw]` with the head and the share that did best on the tuning maps."""
    found = [(iou(m, true_tuning, k), h, k) for h, m in enumerate(tuning) for k in KEEPS]
    _, head, keep = max(found)
    return iou(test[head], true_test, keep), [head, keep]


def optimise(model: nn.Module, steps: int, loss, after, progress: Progress, doing: str) -> list[float]:
    """AdamW with warm-up and cosine; `loss()` draws its own batch, `after(step)` runs after each step."""
    optimizer, losses = torch.optim.AdamW(model.parameters(), weight_decay=0.04, betas=(0.9, 0.99)), []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = warmup_cosine(step, max(1, steps // 10), steps, PEAK, 1e-5)
        value = loss()
        optimizer.zero_grad()
        value.backward()
        nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        after(step)
        losses.append(value.item())
        progress.advance(doing)
    return losses


def train_dino(images: Tensor, seed: int, args: Namespace, progress: Progress) -> tuple[ViT, list[float]]:
    """Self-distillation: the student's view of one crop must match the teacher's of another."""
    torch.manual_seed(seed)
    generator, student = torch.Generator().manual_seed(seed), DinoNet()
    teacher = copy.deepcopy(student).requires_grad_(False)

    def views(x: Tensor, side: int, area: tuple[float, float]) -> Tensor:
        return standardised(recoloured(cropped(x, side, area, generator), generator))

    def loss() -> Tensor:
        x = images[torch.randint(len(images), (args.batch,), generator=generator)]
        large = torch.cat([views(x, SIZE, (0.4, 1.0)) for _ in range(2)])
        small = torch.cat([views(x, SIZE // 2, (0.1, 0.4)) for _ in range(2)])
        with torch.no_grad():
            targets = balanced(teacher(large), TEACHER).chunk(2)
        said = [*student(large).chunk(2), *student(small).chunk(2)]
        logs = [(s / STUDENT).log_softmax(-1) for s in said]
        pairs = [-(q * log).sum(-1).mean() for i, q in enumerate(targets) for j, log in enumerate(logs) if i != j]
        return torch.stack(pairs).mean()

    def follow(step: int) -> None:
        pull = 0.02 * (1 + math.cos(math.pi * step / args.dino_steps)) / 2
        with torch.no_grad():
            for slow, quick in zip(teacher.parameters(), student.parameters(), strict=True):
                slow.lerp_(quick, pull)

    losses = optimise(student, args.dino_steps, loss, follow, progress, f"seed {seed}: DINO")
    return teacher.net.eval(), losses


def train_supervised(scenes: Scenes, seed: int, args: Namespace, progress: Progress) -> ViT:
    """The same ViT, told the species of the bird in each crop."""
    torch.manual_seed(seed)
    generator, model, labels = torch.Generator().manual_seed(seed), vit(7), scenes.species[:, 0]

    def loss() -> Tensor:
        chosen = torch.randint(len(scenes), (args.batch,), generator=generator)
        crops = cropped(scenes.images[chosen], SIZE, (0.7, 1.0), generator)
        return F.cross_entropy(model(standardised(recoloured(crops, generator))), labels[chosen])

    optimise(model, args.supervised_steps, loss, lambda step: None, progress, f"seed {seed}: supervised")
    return model.eval()


def main(argv: list[str] | None = None) -> None:
    """Train both for each seed, compare their maps with the truth, write the result file and the first models."""
    args = options(
        "bird_dino", __doc__, argv, seeds=[0, 1], scenes=4000, batch=64, dino_steps=400, supervised_steps=500,
        test_scenes=300,
    )  # fmt: skip
    started, progress = time.monotonic(), None
    progress = Progress(len(args.seeds) * (args.dino_steps + args.supervised_steps))
    found: dict[str, list[float]] = {}
    chosen: dict[str, list[list]] = {}
    accuracy, kept, losses = [], None, []
    with threads(args.threads):
        tuning, test = scenes_of(args.test_scenes, 4000), scenes_of(args.test_scenes, 5000)
        goals = truth(tuning), truth(test)
        for seed in args.seeds:
            scenes = scenes_of(args.scenes, 10 * seed + 1)
            torch.manual_seed(seed)
            untrained = vit().eval()
            dino, curve = train_dino(scenes.images, seed, args, progress)
            taught = train_supervised(scenes, seed, args, progress)
            accuracy.append(evaluate(taught, [(standardised(test.images), test.species[:, 0])]))
            models = {"DINO": dino, "supervised": taught, "untrained": untrained}
            maps = {name: (look(m, tuning), look(m, test)) for name, m in models.items()}
            plain = baselines(tuning, 10 * seed + 2), baselines(test, 10 * seed + 3)
            maps |= {name: (plain[0][name], plain[1][name]) for name in plain[0]}
            share = [F.avg_pool2d(g.float()[:, None], PATCH).transpose(0, 1).gt(0.4).float() for g in goals]
            maps[CEILING] = (share[0], share[1])
            for name, (a, b) in maps.items():
                # what is known exactly is kept whole
                value, choice = (iou(b[0], goals[1], 1.0), [0, 1.0]) if name == CEILING else judged(a, b, *goals)
                found.setdefault(name, []).append(value)
                chosen.setdefault(name, []).append(choice)
            if kept is None:
                kept, losses = (dino, taught), curve
    args.out.parent.mkdir(parents=True, exist_ok=True)
    save(kept[0], args.out.with_name("bird_dino.npz"))
    save(kept[1], args.out.with_name("bird_dino_supervised.npz"))
    stretch = max(1, len(losses) // 50)
    facts = {
        "title": "Attention maps as masks of birds: intersection over union",
        "table": [
            {"map": name, "IoU, mean of seeds": rounded(sum(v) / len(v)), "lowest seed": rounded(min(v))}
            for name, v in found.items()
        ],
        "test_scenes": args.test_scenes,
        "bird_share": rounded(goals[1].float().mean()),
        "iou": {name: rounded(v) for name, v in found.items()},
        "chosen": chosen,
        "species_accuracy": rounded(accuracy),
        "loss": rounded(part.mean() for part in torch.tensor(losses).split(stretch)),
    }
    write(args, "bird_dino", argv, started, facts)


if __name__ == "__main__":
    main()
