"""Settings: the limits of a server."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits and timeouts; the defaults are those of `diffir serve`.

    Memory holds at most `max_jobs` requests of `max_bytes` each, and `keep_bytes` of results.
    """

    key: str | None = field(default=None, repr=False)
    """API key that clients must send; None: none."""
    max_bytes: int = 32 * 2**20
    """Of a request body, counted as it arrives."""
    max_pixels: int = 4_000_000
    """Of a picture or mask, by its header, and of all pictures in a batch together."""
    max_jobs: int = 32
    """Arriving, waiting or running, in total."""
    max_client_jobs: int = 8
    """The same per client address."""
    max_batch: int = 1
    """Waiting pictures of one size that a network may process at once."""
    seconds: float = 300
    """Time limit to receive a body, to run a network, and to wait for a response, each."""
    keep_seconds: float = 600
    """How long results are kept."""
    keep_bytes: int = 2**29
    """Of all kept results; beyond it the oldest are deleted."""
    stop_seconds: float = 60
    """Grace period for running jobs at shutdown."""
