"""Threads and memory of this process. Imports no torch and no numpy."""

import math
import os
import sys


def limit_threads(count: int) -> None:
    """Limit OpenMP, BLAS, torch and OpenCV to `count` threads, also if imported later."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = str(count)
    if torch := sys.modules.get("torch"):
        torch.set_num_threads(count)
    import cv2  # has no variable of its own

    cv2.setNumThreads(count)


def peak_memory(device: str = "cpu") -> float:
    """Return the most bytes used so far on `device`, by this process; NaN if unknown."""
    if device.startswith("cuda"):
        return sys.modules["torch"].cuda.max_memory_allocated(device)
    try:
        import resource
    except ImportError:  # Windows
        return math.nan
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most * (1 if sys.platform == "darwin" else 1024)
