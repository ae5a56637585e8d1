"""Train LeNet-5 with five seeds, on MNIST as `make repro` stored it.

    python benchmarks/lenet5.py              writes benchmarks/lenet5.md
    python benchmarks/lenet5.py --seeds 2

Each training runs in a separate process, and is timed from the start of Python to the
saved model. The first seed is trained again on one processor, and must give the same bytes.
The test images are scored after the training, in this process.
"""

import argparse
import hashlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from importlib.metadata import packages_distributions, version
from pathlib import Path

import numpy as np

from digits.config import params
from digits.data import dataset
from digits.models import serialization
from digits.models.training_log import TrainingLog
from stages import train

ROOT = Path(__file__).parents[1]

VARIANT = "lenet5"


def fit(seed: int, path: Path) -> None:
    """Train the variant of params.yaml with a seed; print the last row of each measure.

    Args:
        seed: Replaces the seed of params.yaml.
        path: Where to save the model.
    """
    options = params.load(ROOT / "params.yaml").variants[VARIANT].train
    split = dataset.load_split(ROOT / "data/subsets/digits/train")
    training_log = TrainingLog(checkpoint_dir=path.parent / "checkpoint")
    options = options.model_copy(update={"seed": seed})
    serialization.save(train.train(split, options, training_log), path)
    print(json.dumps({f"{m}, {of}": value for _, m, of, value in training_log.rows}))


def measure(seed: int, path: Path, processors: set[int]) -> tuple[float, dict[str, float]]:
    """Train in a separate process.

    Args:
        seed: Of the training.
        path: Where to save the model.
        processors: Indices of the processors that it may use.

    Returns:
        Seconds, and the last value of each measure.
    """
    command = [sys.executable, __file__, "--one", str(seed), str(path)]
    start = time.perf_counter()
    process = subprocess.run(  # noqa: S603 (this file)
        command,
        check=True,
        stdout=subprocess.PIPE,
        preexec_fn=lambda: os.sched_setaffinity(0, processors),
    )
    return time.perf_counter() - start, json.loads(process.stdout)


def spread(values: list[float], form: str) -> str:
    """Return the median, the lowest and the highest value as cells of a table."""
    three = (statistics.median(values), min(values), max(values))
    return " | ".join(format(value, form) for value in three)


def main(n_seeds: int) -> None:
    """Train and score the models; write the table."""
    test = dataset.load_split(ROOT / "data/subsets/digits/test")
    every = os.sched_getaffinity(0)
    seconds, validation, accuracy, rows = [], [], [], []
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "model.npz"
        first = ""
        for seed in range(n_seeds):
            took, measures = measure(seed, path, every)
            model = serialization.load(path)
            right = model.classes[model.scores(test.images).argmax(axis=1)] == test.labels
            held_out = measures["accuracy, validation"]
            seconds.append(took)
            validation.append(held_out)
            accuracy.append(float(np.mean(right)))
            first = first or hashlib.sha256(path.read_bytes()).hexdigest()
            errors = np.count_nonzero(~right)
            row = (
                f"| {seed} | {held_out:.4f} | {accuracy[-1]:.4f} | {errors} | {took:.1f} |"
            )
            print(row)
            rows.append(row)
        alone, _ = measure(0, path, {min(every)})
        again = hashlib.sha256(path.read_bytes()).hexdigest()
    same = "the same bytes" if again == first else "DIFFERENT BYTES"
    build = packages_distributions()["tensorflow"][0]  # there are several builds
    versions = (
        f"{os.cpu_count()} processors ({platform.machine()}), "
        f"Python {platform.python_version()}, Keras {version('keras')}, "
        f"{build} {version(build)}. Written by `make bench`."
    )
    lines = [
        f"# LeNet-5, {n_seeds} seeds",
        "",
        "MNIST, the variant `lenet5` of params.yaml with other seeds. Each training runs",
        "in a separate process, and is timed from the start of Python to the saved model.",
        versions,
        "",
        "| | median | lowest | highest |",
        "|---|---|---|---|",
        f"| test accuracy | {spread(accuracy, '.4f')} |",
        f"| validation accuracy | {spread(validation, '.4f')} |",
        f"| seconds | {spread(seconds, '.1f')} |",
        "",
        "| seed | validation accuracy | test accuracy | errors | s |",
        "|---|---|---|---|---|",
        *rows,
        "",
        f"Seed 0 again, on one processor: {same}, in {alone:.1f} s.",
        "",
    ]
    (ROOT / "benchmarks/lenet5.md").write_text("\n".join(lines))
    print("\n".join(lines))
    sys.exit(again != first)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5, help="number of seeds (5)")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        fit(int(arguments.one[0]), Path(arguments.one[1]))
    else:
        main(arguments.seeds)
