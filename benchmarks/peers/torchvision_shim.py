"""Let torchvision be imported beside a CPU torch; import this before whatever imports torchvision.

Its wheels are linked to CUDA, so their compiled half doesn't load beside a CPU torch; its Python
half then stops at operators that nobody declared. Declaring them, without code behind, is enough
for who never calls them.
"""

from torch.library import Library

OPERATORS = Library("torchvision", "FRAGMENT")
for name in ("nms", "qnms"):
    OPERATORS.define(f"{name}(Tensor boxes, Tensor scores, float iou_threshold) -> Tensor")
