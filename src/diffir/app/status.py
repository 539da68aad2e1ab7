"""The status line of an order: a sentence that screen readers announce, and a progress bar."""

from html import escape


def info(sentence: str) -> str:
    """A message that screen readers announce politely."""
    return f'<p role="status">{escape(sentence)}</p>'


def error(sentence: str) -> str:
    """An error that screen readers announce at once."""
    return f'<p role="alert" class="wrong">{escape(sentence)}</p>'


def waiting(place: int) -> str:
    """The position in the queue, from 1."""
    ahead = "1 photo is" if place == 1 else f"{place} photos are"
    return info(f"Place {place} in the queue: {ahead} ahead of yours.")


def running(share: float) -> str:
    """A bar for the share done; indeterminate at 0, because GPUs report no progress."""
    value = f' value="{share:.3f}"' if share else ""
    percent = f"{share:.0%}" if share else ""
    bar = f'<progress max="1"{value} aria-label="Restoring"></progress>'
    return f'<p class="running"><span>Restoring {percent}</span>{bar}</p>'
