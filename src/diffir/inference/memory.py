"""How much memory this process has taken."""

from pathlib import Path


def peak_of_process() -> int | None:
    """Bytes that this process held at most so far; None on Windows."""
    status = Path("/proc/self/status")
    if status.exists():  # Linux's getrusage would start at the peak of the process that started us
        lines = status.read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
