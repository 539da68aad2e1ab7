"""The command line: one short file a verb; each parses, calls one library function and prints."""

import sys


def main() -> None:
    """Run `diffir`. A user's mistake is one sentence on standard error and exit code 2."""
    from .app import app

    # Pipes may be of another encoding than our × and dB; a question mark beats a crash.
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    app(prog_name="diffir")
