"""Optional libraries: imported when they are needed, with a sentence where they are missing."""

from collections.abc import Iterator
from contextlib import contextmanager

from .errors import MissingLibraryError


@contextmanager
def needed(extra: str, what: str) -> Iterator[None]:
    """Around the imports of what an extra of this package installs.

    Args:
        extra: as in `pip install 'diffir[extra]'`.
        what: what needs them, as the sentence's subject: "plotting".

    Raises:
        MissingLibraryError: naming the library and the extra.
    """
    try:
        yield
    except ImportError as error:
        missing = isinstance(error, ModuleNotFoundError)
        found = f"{error.name}, which is not installed" if missing else f"what fails here ({error})"
        raise MissingLibraryError(
            f"{what} needs {found}; run pip install 'diffir[{extra}]'"
        ) from error
