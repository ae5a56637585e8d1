"""Fit generated problems as other processors do, and compare the bytes of the models.

    python -m tests.stress.rounding --count 200 --seed 0
    python -m tests.stress.rounding --only 17          one problem, by its number

Problems have 50 to 5,000 images of 4 to 784 pixels, 2 to 6 classes and C from 1e-4 to 1e4.
Each is fitted with two kernels of OpenBLAS, with and without AVX in NumPy, and with one and
two threads. Status 1 if models differ although none says that it may (`is_canonical_`), if
a fit takes too long, or if NumPy warns.
"""

import argparse
import hashlib
import json
import logging
import os
import subprocess
import sys
import time
import warnings
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from digits.models.decision import Largest
from digits.models.linear import from_estimator
from digits.solvers.estimator import Estimator
from digits.solvers.least_squares import LinearRegression
from digits.solvers.logistic import LogisticRegression
from tests.helpers.project import ROOT

FEATURES = [name for name in __cpu_dispatch__ if __cpu_features__.get(name)]
WITHOUT_AVX = {
    "NPY_DISABLE_CPU_FEATURES": " ".join(FEATURES),
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-AVX,-FMA,-FMA4",
}
# The BLAS kernel, the number of threads, and other environment variables.
CONFIGURATIONS: list[tuple[str, int, dict[str, str]]] = [
    ("Haswell", 1, {}),
    ("Haswell", 2, WITHOUT_AVX),
    ("Nehalem", 1, WITHOUT_AVX),
    ("Nehalem", 2, {}),
]
METHODS = ("one_vs_rest", "multinomial", "least_squares")
ARRAYS = ("mean", "scale", "coef", "intercept", "gap", "is_canonical")
LONGEST = 30.0  # seconds of a fit, on a busy machine


@dataclass
class Problem:
    """A generated problem.

    Attributes:
        kind: A name in KINDS.
        method: A name in METHODS.
        C: Inverse strength of the penalty.
        X: (n_samples, n_pixels) uint8.
        y: (n_samples,), from 0; each class has an image.
    """

    kind: str
    method: str
    C: float
    X: np.ndarray
    y: np.ndarray

    def __str__(self) -> str:
        n_samples, n_pixels = self.X.shape
        return (
            f"{self.kind}, {self.method}, C={self.C:.1e}, {n_samples} x {n_pixels}, "
            f"{self.y.max() + 1} classes"
        )


Random = np.random.Generator
Kind = Callable[[Random, int, int], np.ndarray]


def images(rng: Random, n_samples: int, n_pixels: int) -> np.ndarray:
    """Return images of a few shapes with noise, or noise alone."""
    n_shapes = rng.integers(2, 8)
    shapes = rng.random((n_shapes, n_pixels)) ** 3
    strengths = rng.random((n_samples, n_shapes)) * rng.choice([0, 2], size=(1, n_shapes))
    grey = 60 * strengths @ shapes + 60 * rng.normal(size=(n_samples, n_pixels))
    return np.clip(grey + 40, 0, 255).astype(np.uint8)


def collinear(rng: Random, n_samples: int, n_pixels: int) -> np.ndarray:
    """Return images with equal pixels, pixels that nearly are, and means of two."""
    X = images(rng, n_samples, n_pixels)
    for column in rng.choice(n_pixels, n_pixels // 2, replace=False):
        one, other = rng.choice(n_pixels, 2)
        match rng.integers(3):
            case 0:
                X[:, column] = X[:, one]
            case 1:
                X[:, column] = np.minimum(X[:, one], 254) + (rng.random(n_samples) < 0.01)
            case _:
                X[:, column] = X[:, one] // 2 + X[:, other] // 2
    return X


def constant(rng: Random, n_samples: int, n_pixels: int) -> np.ndarray:
    """Return images in which half the pixels are constant."""
    X = images(rng, n_samples, n_pixels)
    columns = rng.choice(n_pixels, n_pixels // 2, replace=False)
    X[:, columns] = rng.integers(0, 256, len(columns))
    return X


def rare_pixels(rng: Random, n_samples: int, n_pixels: int) -> np.ndarray:
    """Return images in which half the pixels are black in all images but a few."""
    X = images(rng, n_samples, n_pixels)
    for column in rng.choice(n_pixels, n_pixels // 2, replace=False):
        X[:, column] = 0
        X[rng.choice(n_samples, rng.integers(1, 4)), column] = rng.choice([1, 255])
    return X


# How the images are made, the noise of the labels relative to the scores, and whether the
# last class has only a few images.
KINDS: dict[str, tuple[Kind, float, bool]] = {
    "ordinary": (images, 1.0, False),
    "separable": (images, 0.0, False),
    "collinear": (collinear, 0.3, False),
    "collinear, separable": (collinear, 0.0, False),
    "rare class": (images, 0.5, True),
    "wide": (images, 0.5, False),
    "constant pixels": (constant, 0.5, False),
    "rare pixels": (rare_pixels, 0.5, False),
}


def generate(number: int, seed: int) -> Problem:
    """Generate a problem; kinds and methods alternate."""
    rng = np.random.default_rng([seed, number])
    kind = [*KINDS][number % len(KINDS)]
    method = METHODS[number // len(KINDS) % len(METHODS)]
    make_images, noise, is_rare = KINDS[kind]
    n_samples = round(50 * 100 ** rng.random())
    n_pixels = rng.integers(6, 29) ** 2 if rng.random() < 0.3 else rng.integers(4, 201)
    if kind == "wide":
        n_samples, n_pixels = 50 + int(rng.integers(150)), int(rng.integers(200, 785))
    X = make_images(rng, n_samples, int(n_pixels))
    n_classes = int(rng.integers(2, 7))
    scores = (X - X.mean(axis=0)) @ rng.normal(size=(n_pixels, n_classes))
    scores += noise * scores.std() * rng.normal(size=scores.shape)
    y = scores.argmax(axis=1)
    if is_rare:
        most = y == n_classes - 1
        y[most] = rng.integers(n_classes - 1, size=most.sum())
        y[rng.choice(n_samples, rng.integers(1, 4))] = n_classes - 1
    y[:n_classes] = np.arange(n_classes) if noise else y[:n_classes]
    y = np.unique(y, return_inverse=True)[1]
    if y.max() == 0:
        y[0] = 1
    C = 10 ** rng.uniform(-4, 4)
    return Problem(kind, method, float(C), X, y)


def fit(problem: Problem, n_threads: int) -> Estimator:
    """Fit a problem."""
    if problem.method == "least_squares":
        targets = np.eye(problem.y.max() + 1)[problem.y]
        return LinearRegression(n_threads=n_threads).fit(problem.X, targets)
    return LogisticRegression(
        C=problem.C,
        multi_class="multinomial" if problem.method == "multinomial" else "one_vs_rest",
        n_threads=n_threads,
    ).fit(problem.X, problem.y)


def work(numbers: list[int], seed: int, n_threads: int) -> None:
    """Fit problems; print a line of JSON for each."""
    warnings.simplefilter("error")
    logging.getLogger().addHandler(logging.NullHandler())
    for number in numbers:
        problem = generate(number, seed)
        start = time.perf_counter()
        estimator = fit(problem, n_threads)
        seconds = time.perf_counter() - start
        model = from_estimator(estimator, np.arange(problem.y.max() + 1), Largest())
        digests = {
            name: hashlib.sha256(np.asarray(getattr(model, name)).tobytes()).hexdigest()
            for name in ARRAYS
        }
        result = {
            "number": number,
            "digests": digests,
            "is_canonical": estimator.is_canonical_,
            "gap": model.gap,
            "iterations": getattr(estimator, "n_iter_", 0),
            "seconds": seconds,
        }
        print(json.dumps(result), flush=True)


def run(configuration: int, numbers: list[int], seed: int) -> list[dict[str, Any]]:
    """Fit problems in a process of this configuration."""
    kernel, n_threads, environment = CONFIGURATIONS[configuration]
    options = {"numbers": numbers, "seed": seed, "n_threads": n_threads}
    command = [sys.executable, "-m", "tests.stress.rounding", "--work", json.dumps(options)]
    start = time.perf_counter()
    output = subprocess.run(
        command,
        cwd=ROOT,
        env=os.environ | {"OPENBLAS_CORETYPE": kernel} | environment,
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout
    less = ", NumPy without AVX" if environment else ""
    seconds = time.perf_counter() - start
    print(f"BLAS for {kernel}, threads: {n_threads}{less}: {seconds:.0f} s", flush=True)
    return [json.loads(line) for line in output.splitlines()]


def main() -> None:
    """Print each problem that differs or is warned of; status 1 if one is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200, help="number of problems")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", type=int, help="only the problem of this number")
    parser.add_argument("--work", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.work:
        work(**arguments.work)
        return
    numbers = [*range(arguments.count)] if arguments.only is None else [arguments.only]
    start = time.perf_counter()
    with ThreadPoolExecutor(2) as pool:
        runs = [
            pool.submit(run, i, numbers, arguments.seed) for i in range(len(CONFIGURATIONS))
        ]
        results = [*zip(*(one.result() for one in runs), strict=True)]
    count: Counter[str] = Counter()
    for number, fits in zip(numbers, results, strict=True):
        differ = [n for n in ARRAYS if len({one["digests"][n] for one in fits}) > 1]
        warned = not all(one["is_canonical"] for one in fits)
        slow = max(one["seconds"] for one in fits) > LONGEST
        count["differ"] += bool(differ)
        count["differ, and none warns"] += bool(differ) and not warned
        count["warned of"] += warned
        count["slow"] += slow
        if differ or warned or slow or len(numbers) == 1:
            seconds = max(one["seconds"] for one in fits)
            print(
                f"{number}: {generate(number, arguments.seed)}: "
                f"{'differ in ' + ', '.join(differ) if differ else 'equal'}"
                f"{', warned' if warned else ''}; gap {fits[0]['gap']:.0e}, "
                f"{fits[0]['iterations']} iterations, {seconds:.1f} s"
            )
    total = time.perf_counter() - start
    print(
        f"{len(numbers)} problems in {total:.0f} s: {count['differ']} differ "
        f"({count['differ, and none warns']} of them without a warning), "
        f"{count['warned of']} are warned of, "
        f"{count['slow']} took more than {LONGEST:.0f} s"
    )
    sys.exit(bool(count["differ, and none warns"] or count["slow"]))


if __name__ == "__main__":
    main()
