"""Parts of error messages: names and errors of other libraries, short and on one line."""

from collections.abc import Collection


def few(names: Collection[str]) -> str:
    """Up to three of the names, sorted, and how many more there are."""
    rest = len(names) - 3
    return ", ".join(sorted(names)[:3]) + (f" and {rest} more" if rest > 0 else "")


def one_line(error: Exception) -> str:
    """The message of an error on one line, cut to 300 characters."""
    return " ".join(str(error).split())[:300]
