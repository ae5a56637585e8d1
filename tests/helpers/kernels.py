"""The kernels of OpenBLAS for x86-64, of which a processor runs some."""

import os
import signal
import subprocess
import sys
from functools import cache

KERNELS = ("Nehalem", "Sandybridge", "Haswell", "Zen", "SkylakeX")
PRODUCT = "import numpy; numpy.ones((99, 99)) @ numpy.ones((99, 99))"


@cache
def runs_here(kernel: str) -> bool:
    """Return whether this processor has the instructions of a kernel."""
    done = subprocess.run(
        (sys.executable, "-c", PRODUCT),
        env=os.environ | {"OPENBLAS_CORETYPE": kernel},
        check=False,
    )
    assert done.returncode in (0, -signal.SIGILL), kernel
    return done.returncode == 0
