"""Settings: what a server grants its clients."""

from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Limits and times; the defaults are those of `diffir serve`.

    At most `max_jobs` requests of `max_bytes` are in memory at once, and `keep_bytes` of results.
    """

    key: str | None = field(default=None, repr=False)
    """What clients must show; None: nothing."""
    max_bytes: int = 32 * 2**20
    """Of a request's body, counted while it comes in."""
    max_pixels: int = 4_000_000
    """Of a picture or mask, by its header, and of the pictures of a batch together."""
    max_jobs: int = 32
    """Coming in, waiting or running, of all clients."""
    max_client_jobs: int = 8
    """The same of one client, that is, of one address."""
    max_batch: int = 1
    """Waiting pictures of one size that a network may take at once."""
    seconds: float = 300
    """For a body to come in, for a network to run, and for an answer to be waited for: each."""
    keep_seconds: float = 600
    """How long results stay."""
    keep_bytes: int = 2**29
    """Of all results that stay; beyond it the oldest go first."""
    stop_seconds: float = 60
    """For what runs when the server is told to stop."""
