"""What the page says of an order: a sentence for eyes and screen readers, and a bar."""

from html import escape


def nothing() -> str:
    """Before anything was asked."""
    return ""


def told(sentence: str) -> str:
    """News, read out when there is time."""
    return f'<p role="status">{escape(sentence)}</p>'


def wrong(sentence: str) -> str:
    """What went wrong, read out at once."""
    return f'<p role="alert" class="wrong">{escape(sentence)}</p>'


def waiting(place: int) -> str:
    """The place in the queue, from 1."""
    ahead = "1 photo is" if place == 1 else f"{place} photos are"
    return told(f"Place {place} in the queue: {ahead} ahead of yours.")


def running(share: float) -> str:
    """How much is done; of 0 nothing is known, for GPUs tell nothing on the way."""
    value = f' value="{share:.3f}"' if share else ""
    percent = f"{share:.0%}" if share else ""
    bar = f'<progress max="1"{value} aria-label="Restoring"></progress>'
    return f'<p class="running"><span>Restoring {percent}</span>{bar}</p>'
