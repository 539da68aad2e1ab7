"""What a user can get wrong, one sentence each: what was found, what was wanted, what to do.

DiffIRError                 the base: catches everything below; the command line exits with 2
├── PictureError            a file or array that cannot be read, understood or written as a picture
│   └── PictureSizeError    one of more pixels than shall be decoded (`diffir.images`)
├── MaskError               a mask that is missing, of another size, or not wanted by the task
├── WeightsError            a weights file that is broken, unsafe, or of another network
├── RecipeError             a training recipe or a network's numbers that contradict themselves
├── DataError               a training or validation set that is empty, unpaired or too small
├── DeviceError             a device that this machine does not have, or that ran out of memory
├── MissingLibraryError     an optional library that is not installed
└── StoppedError            work that its caller asked to stop
"""


class DiffIRError(Exception):
    """A mistake that the user can mend; the message is one sentence that says how."""


class PictureError(DiffIRError):
    """A file or array that cannot be read, understood or written as a picture."""


class MaskError(DiffIRError):
    """A mask that is missing, of another size, or not wanted by the task."""


class WeightsError(DiffIRError):
    """A weights file that is broken, unsafe, or of another network than asked for."""


class RecipeError(DiffIRError):
    """A training recipe or a network's numbers that contradict themselves."""


class DataError(DiffIRError):
    """A training or validation set that is empty, unpaired or too small."""


class DeviceError(DiffIRError):
    """A device that this machine does not have, or that ran out of memory."""


class MissingLibraryError(DiffIRError):
    """An optional library that is not installed; the message names the extra that installs it."""


class StoppedError(DiffIRError):
    """Work that its caller asked to stop; the message says what is left of it."""
