"""Lets the other libraries be imported beside a torch that is built for the CPU alone.

PyPI's torchvision is built for CUDA. Beside such a torch its compiled part cannot be loaded, and two
operators that it then describes do not exist, so that timm and transformers fail to import. None of the
tests here calls them: it is enough that they are declared.
"""

import torch

if torch.version.cuda is None:
    _declared = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        _declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
