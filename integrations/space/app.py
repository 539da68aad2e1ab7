"""The Space: diffir's page with the limits of a machine that many share."""

from diffir.app import build_page, look
from diffir.serving import Settings
from diffir.serving.server import load_models

MODELS: list[str] = []
"""Names from `diffir models` or of repositories on the Hub; none: all that come with diffir."""
SETTINGS = Settings(max_client_jobs=2)

if __name__ == "__main__":
    restorers = load_models(MODELS, device="auto", precision="float32", memory=None)
    build_page(restorers, SETTINGS).launch(**look(SETTINGS))
