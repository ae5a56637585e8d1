"""Time the solvers on ten times the rows: MNIST with nine shifted copies, memory-mapped.

    python benchmarks/large.py      writes benchmarks/large.md

Each fit runs in a separate process. Resident memory includes the pages of the file.
"""

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

from digits.data import dataset
from digits.solvers.least_squares import LinearRegression
from digits.solvers.logistic import LogisticRegression

ROOT = Path(__file__).parents[1]

SHIFTS = [(0, 0), (0, 1), (0, -1), (1, 0), (-1, 0), (1, 1), (1, -1), (-1, 1), (-1, -1),
          (0, 2)]  # fmt: skip


def write(folder: Path, copies: int) -> None:
    """Write shifted copies of the training images, and their labels.

    Args:
        folder: Where to write X.npy and y.npy.
        copies: How many; the first is not shifted.
    """
    images, labels = dataset.load_split(ROOT / "data/subsets/digits/train")
    n, shape = len(images), (copies * len(images), *images.shape[1:])
    X = np.lib.format.open_memmap(folder / "X.npy", "w+", np.uint8, shape)
    for i, shift in enumerate(SHIFTS[:copies]):
        X[i * n : (i + 1) * n] = np.roll(images, shift, (1, 2))
    X.flush()
    np.save(folder / "y.npy", np.tile(labels, copies))


def fit(folder: Path, model: str) -> dict:
    """Fit a model; return seconds, what the fit says of itself, and peak memory in MB.

    Args:
        folder: With X.npy and y.npy.
        model: "least_squares", "one_vs_rest" or "multinomial".
    """
    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy")
    start = time.perf_counter()
    if model == "least_squares":
        fitted = LinearRegression().fit(X, y.astype(float))
    else:
        fitted = LogisticRegression(multi_class=model).fit(X, y)
    seconds = time.perf_counter() - start
    status = Path("/proc/self/status").read_text()  # getrusage would include the parent's
    memory = int(status.split("VmHWM:")[1].split()[0]) / 1024
    return {
        "seconds": seconds,
        "gap": fitted.gap_,
        "canonical": "yes" if fitted.is_canonical_ else "no",
        "memory": memory,
    }


def main() -> None:
    """Fit each model to the original and to ten times the rows; write the table."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folders = {copies: Path(name) / str(copies) for copies in (1, len(SHIFTS))}
        for copies, folder in folders.items():
            folder.mkdir()
            write(folder, copies)
        for model in ("least_squares", "one_vs_rest", "multinomial"):
            alone = 0.0
            for copies, folder in folders.items():
                command = [sys.executable, __file__, "--one", str(folder), model]
                result = json.loads(subprocess.check_output(command))  # noqa: S603
                alone = alone or result["seconds"]
                rows.append(
                    f"| {model} | {copies * 60_000:,} | {result['seconds']:.2f} "
                    f"| {result['gap']:.0e} | {result['canonical']} "
                    f"| {result['memory']:.0f} | {result['seconds'] / alone:.1f} |"
                )
                print(rows[-1], file=sys.stderr)
    lines = [
        "# Ten times the rows",
        "",
        "MNIST, and MNIST with nine shifted copies, from a memory-mapped file, to the",
        "canonical model. Resident memory includes the pages of the file.",
        f"{os.cpu_count()} processors ({platform.machine()}), NumPy {np.__version__}.",
        "Written by `make bench`.",
        "",
        "| model | rows | seconds | bound on the gap | canonical | MB | relative time |",
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
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        print(json.dumps(fit(Path(arguments.one[0]), arguments.one[1])))
    else:
        main()
