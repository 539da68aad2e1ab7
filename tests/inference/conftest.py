"""What the tests of restoring share."""

import pytest

from diffir.inference import network


@pytest.fixture
def stripes_at_any_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let toy pictures go through the engine, as larger ones do."""
    monkeypatch.setattr(network, "SMALL", 0)
