"""What training minimises: functions of tensors, each named once."""

from .ipr import ipr_kl, ipr_l1, ipr_l2
from .pixel import pixel_l1

__all__ = ["ipr_kl", "ipr_l1", "ipr_l2", "pixel_l1"]
