"""The public names: sorted, importable, documented, and all of them."""

import diffir


def test_the_public_names_are_sorted() -> None:
    constants = [name for name in diffir.__all__ if name.isupper()]
    others = [name for name in diffir.__all__ if not name.isupper()]
    assert diffir.__all__ == sorted(constants) + sorted(others, key=natural)
    assert len(set(diffir.__all__)) == len(diffir.__all__)


def natural(name: str) -> tuple[bool, str]:
    """Classes before functions and dunders, as the linter sorts them."""
    return not name[0].isupper(), name.casefold()


def test_every_public_name_exists_and_says_what_it_is_for() -> None:
    for name in diffir.__all__:
        value = getattr(diffir, name)
        if callable(value):
            assert value.__doc__, f"{name} has no docstring"


def test_dir_shows_the_public_names() -> None:
    assert dir(diffir) == sorted(diffir.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    assert not hasattr(diffir, "restore_everything")
