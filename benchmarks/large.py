"""Time the solvers on MNIST, and on more rows: rotated and shifted copies, memory-mapped.

    python benchmarks/large.py                       writes benchmarks/large.md
    python benchmarks/large.py --factors 1 10 135    8.1 million rows: 6.4 GB on disk

Each fit runs in a separate process. Memory is what it allocates, without the pages of the
file, which the system may drop at any time.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import threading
import time
from itertools import chain
from pathlib import Path

import numpy as np

from digits.data import dataset
from digits.images import augmentation
from digits.solvers.least_squares import LinearRegression
from digits.solvers.logistic import LogisticRegression

ROOT = Path(__file__).parents[1]
GAP = 1e-6  # to which logistic models are fitted; least squares is exact


class Reached(Exception):  # noqa: N818 (no error)
    """The bound on the gap is reached."""


def write(folder: Path, factor: int) -> None:
    """Write the training images and altered copies of them, and their labels.

    Args:
        folder: Where to write X.npy and y.npy.
        factor: How many times the rows.
    """
    images, labels = dataset.load_split(ROOT / "data/subsets/digits/train")
    n, shape = len(images), (factor * len(images), *images.shape[1:])
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.uint8, shape)
    among = augmentation.variations(max_shift=1, max_rotation=10)
    altered = augmentation.copies(images, factor - 1, among, seed=0)
    for i, copy in enumerate(chain([images], altered)):
        X[i * n : (i + 1) * n] = copy
    X.flush()
    np.save(folder / "y.npy", np.tile(labels, factor))


def allocated() -> float:
    """Return the memory of this process that is no page of a file, in MB."""
    status = Path("/proc/self/status").read_text()
    return int(status.split("RssAnon:")[1].split()[0]) / 1024


def fit(folder: Path, model: str) -> dict:
    """Fit a model; return seconds, the bound on the gap, and peak memory in MB.

    Args:
        folder: With X.npy and y.npy.
        model: "least_squares", "one_vs_rest" or "multinomial".
    """
    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy")
    peak, ended = [0.0], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            peak[0] = max(peak[0], allocated())

    gap = [0.0]

    def stop(_iteration: int, _objective: np.ndarray, bound: float) -> None:
        gap[0] = bound
        if bound <= GAP:
            raise Reached

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    start, cpu_start = time.perf_counter(), time.process_time()
    try:
        if model == "least_squares":
            LinearRegression().fit(X, y.astype(float))
        else:
            LogisticRegression(multi_class=model, callback=stop).fit(X, y)
    except Reached:
        pass
    seconds, cpu = time.perf_counter() - start, time.process_time() - cpu_start
    ended.set()
    watcher.join()
    return {"seconds": seconds, "cpu": cpu, "gap": gap[0], "memory": peak[0]}


def main(factors: list[int]) -> None:
    """Fit each model to MNIST and to more rows; write the table."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folders = {factor: Path(name) / str(factor) for factor in factors}
        for factor, folder in folders.items():
            folder.mkdir()
            write(folder, factor)
        for model in ("least_squares", "one_vs_rest", "multinomial"):
            for factor, folder in folders.items():
                command = [sys.executable, __file__, "--one", str(folder), model]
                found = json.loads(subprocess.check_output(command))  # noqa: S603
                n = factor * 60_000
                rows.append(
                    f"| {model} | {n:,} | {found['seconds']:.2f} | {found['cpu']:.2f} "
                    f"| {1e6 * found['cpu'] / n:.1f} | {found['gap']:.0e} "
                    f"| {found['memory']:.0f} |"
                )
                print(rows[-1], file=sys.stderr, flush=True)
    lines = [
        "# Many rows",
        "",
        "MNIST, and with rotated and shifted copies, from a memory-mapped file, to a bound",
        f"of {GAP:.0e} on the relative gap. Memory is without the pages of the file.",
        f"{os.cpu_count()} processors ({platform.machine()}), NumPy {np.__version__}.",
        "Written by `python benchmarks/large.py --factors "
        + " ".join(map(str, factors))
        + "`.",
        "",
        "| model | rows | seconds | CPU seconds | CPU µs per row | bound on the gap | MB |",
        "|---|---|---|---|---|---|---|",
        *rows,
        "",
    ]
    (ROOT / "benchmarks/large.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--factors", type=int, nargs="+", default=[1, 10], metavar="N",
        help="times the rows of MNIST (default: 1 10)",
    )  # fmt: skip
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(fit(Path(arguments.one[0]), arguments.one[1])))
    else:
        main(arguments.factors)
