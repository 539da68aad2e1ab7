"""The memory use of this process."""

from pathlib import Path


def peak_of_process() -> int | None:
    """Peak memory of this process in bytes; None on Windows."""
    status = Path("/proc/self/status")
    if status.exists():  # on Linux, getrusage would include the peak of the parent process
        lines = status.read_text(encoding="utf-8").splitlines()
        return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
    try:
        import resource
    except ImportError:
        return None
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
