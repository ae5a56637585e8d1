"""Time a training on two workers with one thread each, against two threads.

    make setup EXTRAS=cluster
    python -m benchmarks.cluster_training               MNIST
    python -m benchmarks.cluster_training --factor 10   ten times the rows

Both fit the canonical model, one after the other in each round, and must find the same
coefficients. The workers run before they are timed, and read the images from their file.
"""

import argparse
import os
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from distributed import LocalCluster

from benchmarks.large import write
from digits import cluster
from digits.solvers.logistic import LogisticRegression

N_WORKERS = 2


def timed(X: np.ndarray, y: np.ndarray, model: str, client: Any) -> tuple[float, bytes]:
    """Return the seconds of a fit, and the bytes of its coefficients."""
    start = time.perf_counter()
    fitted = LogisticRegression(multi_class=model, client=client).fit(X, y)
    return time.perf_counter() - start, fitted.coef_.tobytes()


def main() -> None:
    """Print the seconds of each round, and the median of the ratios."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--factor", type=int, default=1, help="times the rows of MNIST (1)")
    parser.add_argument("--rounds", type=int, default=3, help="fits of each (3)")
    arguments = parser.parse_args()
    print(f"{os.cpu_count()} processors, {60_000 * arguments.factor:,} rows")
    with tempfile.TemporaryDirectory() as name:
        write(Path(name), arguments.factor)
        X = np.load(Path(name, "X.npy"), mmap_mode="r")
        y = np.load(Path(name, "y.npy"))
        with (
            LocalCluster(
                n_workers=N_WORKERS, threads_per_worker=1, dashboard_address=":0"
            ) as local,
            cluster.connect(local.scheduler_address) as client,
        ):
            for model in ("multinomial", "one_vs_rest"):
                ratios = []
                for _ in range(arguments.rounds):
                    here, expected = timed(X, y, model, None)
                    there, found = timed(X, y, model, client)
                    assert found == expected  # noqa: S101 (a benchmark)
                    ratios.append(there / here)
                    print(
                        f"{model}: threads {here:.1f} s, workers {there:.1f} s", flush=True
                    )
                print(f"{model}: median ratio {statistics.median(ratios):.2f}", flush=True)


if __name__ == "__main__":
    main()
