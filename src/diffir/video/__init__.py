"""Videos: restored frame by frame, with everything else of the input kept."""

from .restore import Done, restore_video

__all__ = ["Done", "restore_video"]
