"""Compare with Spark and dask-ml on ten times the rows of MNIST, shifted copies.

    python benchmarks/big_data.py --python OTHER/bin/python

Writes benchmarks/big_data.md. Spark and dask-ml are no packages of this project: OTHER is
an environment made for them, with Java 17 or newer on PATH:

    python3 -m venv OTHER
    OTHER/bin/pip install pyspark dask-ml pandas pyarrow setuptools

All fit the same objective, C · Σ log-loss + ½‖w‖² on standardised columns with C = 1. Each
fit runs in a new process; reading the data is not timed. Ours stops being timed when its
objective is not above that of the other one, with its default settings. dask-ml knows two
classes only, so there the classes are odd and even digits. A process that takes longer than
`--limit` is ended: the ratio is then at least the limit by our time to the optimum.
"""

import argparse
import json
import math
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

COPIES = 10
THREADS = 2
SHARDS = 8  # files and partitions


def read(folder: Path, *, binary: bool) -> tuple[np.ndarray, np.ndarray]:
    """Return the mapped images, (n_samples, n_columns) uint8, and the labels."""
    X, y = np.load(folder / "X.npy", mmap_mode="r"), np.load(folder / "y.npy")
    return X.reshape(len(X), -1), y % 2 if binary else y


def fit_spark(folder: Path) -> dict:
    """Fit Spark's multinomial logistic regression to Parquet files."""
    from pyspark.ml.classification import LogisticRegression  # noqa: PLC0415
    from pyspark.ml.functions import array_to_vector  # noqa: PLC0415
    from pyspark.sql import SparkSession  # noqa: PLC0415

    session = (
        SparkSession.builder.master(f"local[{THREADS}]")
        .config("spark.driver.memory", "12g")
        .config("spark.ui.enabled", "false")
        .getOrCreate()
    )
    session.sparkContext.setLogLevel("ERROR")
    table = session.read.parquet(str(folder / "parquet"))
    table = table.select(array_to_vector("pixels").alias("features"), "label").cache()
    n = table.count()
    start = time.perf_counter()
    model = LogisticRegression(family="multinomial", regParam=1 / n).fit(table)
    seconds = time.perf_counter() - start
    return {
        "seconds": seconds,
        "coef": model.coefficientMatrix.toArray().tolist(),
        "intercept": model.interceptVector.toArray().tolist(),
    }


def fit_dask_ml(folder: Path) -> dict:
    """Fit dask-ml's logistic regression of two classes, on standardised columns."""
    import dask  # noqa: PLC0415
    import dask.array as da  # noqa: PLC0415
    from dask_ml.linear_model import LogisticRegression  # noqa: PLC0415

    X, y = read(folder, binary=True)
    mean, scale = X.mean(axis=0, dtype=float), X.std(axis=0, dtype=float)
    varies = scale > 0  # dask-ml refuses constant columns
    rows = -(-len(X) // SHARDS)
    columns = (da.from_array(X, (rows, -1))[:, varies] - mean[varies]) / scale[varies]
    with dask.config.set(scheduler="threads", num_workers=THREADS):
        columns, target = columns.persist(), da.from_array(y, rows).persist()
        start = time.perf_counter()
        model = LogisticRegression().fit(columns, target)
        seconds = time.perf_counter() - start
    coef = np.zeros((1, len(mean)))
    coef[0, varies] = model.coef_.ravel() / scale[varies]
    intercept = np.atleast_1d(model.intercept_) - coef @ mean
    return {"seconds": seconds, "coef": coef.tolist(), "intercept": intercept.tolist()}


def fit_ours(folder: Path, *, binary: bool, target: float) -> dict:
    """Fit our logistic regression; record when the objective reaches the target."""
    from digits.solvers.logistic import LogisticRegression  # noqa: PLC0415

    X, y = read(folder, binary=binary)
    reached: list[float] = []

    def note(_iteration: int, objective: np.ndarray, _gap: float) -> None:
        if not reached and objective.sum() <= target:
            reached.append(time.perf_counter() - start)

    start = time.perf_counter()
    fitted = LogisticRegression(C=1.0, callback=note).fit(X, y)
    whole = time.perf_counter() - start
    return {
        "seconds": reached[0] if reached else whole,
        "whole": whole,
        "objective": float(fitted.objective_.sum()),
        "gap": fitted.gap_,
    }


def objective(folder: Path, found: dict, *, binary: bool) -> float:
    """Return f of raw coefficients, where ‖w‖ is of standardised and centred ones."""
    X, y = read(folder, binary=binary)
    coef, intercept = np.array(found["coef"]), np.array(found["intercept"])
    loss, total, squares = 0.0, np.zeros(X.shape[1]), np.zeros(X.shape[1])
    for start in range(0, len(X), 10_000):
        part = X[start : start + 10_000].astype(float)
        scores, labels = part @ coef.T + intercept, y[start : start + 10_000]
        if binary:
            scores = np.hstack([np.zeros_like(scores), scores])
        loss += float(
            (
                np.logaddexp.reduce(scores, axis=1) - scores[np.arange(len(labels)), labels]
            ).sum()
        )
        total, squares = total + part.sum(axis=0), squares + (part**2).sum(axis=0)
    mean = total / len(X)
    weights = coef * np.sqrt(np.maximum(squares / len(X) - mean**2, 0))
    if not binary:
        weights = weights - weights.mean(axis=0)
    return loss + float((weights**2).sum()) / 2


def write_parquet(folder: Path) -> None:
    """Write the images as Parquet files, for Spark; in the environment that has pyarrow."""
    import pyarrow as pa  # noqa: PLC0415
    from pyarrow import parquet  # noqa: PLC0415

    X, y = read(folder, binary=False)
    (folder / "parquet").mkdir()
    for i, rows in enumerate(np.array_split(np.arange(len(X)), SHARDS)):
        part = np.ascontiguousarray(X[rows], dtype=np.float64)
        pixels = pa.FixedSizeListArray.from_arrays(part.ravel(), part.shape[1])
        table = pa.table({"pixels": pixels.cast(pa.list_(pa.float64())), "label": y[rows]})
        parquet.write_table(table, folder / "parquet" / f"{i}.parquet")


CHILDREN = {
    "spark": fit_spark,
    "dask_ml": fit_dask_ml,
    "parquet": write_parquet,
    "ours_multinomial": lambda folder, target: fit_ours(
        folder, binary=False, target=target
    ),
    "ours_binary": lambda folder, target: fit_ours(folder, binary=True, target=target),
}

# For each package the key of our fit, and whether there are only two classes.
OTHERS = {"spark": ("ours_multinomial", False), "dask_ml": ("ours_binary", True)}


def child(
    python: str, what: str, folder: Path, *more: str, limit: float | None = None
) -> dict | None:
    """Run one of `CHILDREN` in a process; return its result, None if it was ended.

    Args:
        python: That runs it.
        what: A key of `CHILDREN`.
        folder: With the data.
        more: Arguments.
        limit: Seconds after which it is ended.
    """
    command = (python, __file__, "--child", what, str(folder), *more)
    try:
        output = subprocess.check_output(  # noqa: S603 (these children)
            command, text=True, timeout=limit
        )
    except subprocess.TimeoutExpired:
        return None
    return json.loads(output.splitlines()[-1])


def compare(
    python: str, folder: Path, other: str, limit: float
) -> tuple[float, float, float, float, float]:
    """Fit with another package and with ours.

    Args:
        python: Of the other package.
        folder: With the data.
        other: A key of `OTHERS`.
        limit: Seconds after which the other fit is ended, with an infinite objective.

    Returns:
        Its seconds and objective; our seconds to that objective, to the optimum, and
        the objective there.
    """
    ours, binary = OTHERS[other]
    found = child(python, other, folder, limit=limit)
    reached = objective(folder, found, binary=binary) if found else math.inf
    target = reached if found else 0.0  # our time is then to the optimum
    mine = child(sys.executable, ours, folder, str(target))
    seconds = found["seconds"] if found else limit
    return seconds, reached, mine["seconds"], mine["whole"], mine["objective"]


def main() -> None:
    """Run each pair several times; write the table of medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", help="of an environment with pyspark and dask-ml")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--copies", type=int, default=COPIES)
    parser.add_argument("--others", nargs="+", choices=OTHERS, default=[*OTHERS])
    parser.add_argument("--limit", type=float, default=3600, help="seconds of a fit (3600)")
    parser.add_argument("--child", nargs="+", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.child:
        what, folder, *target = arguments.child
        print(json.dumps(CHILDREN[what](Path(folder), *map(float, target))))
        return
    import large  # noqa: PLC0415 (needs this project's packages)

    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large.write(folder, arguments.copies)
        n = len(np.load(folder / "y.npy"))
        if "spark" in arguments.others:
            child(arguments.python, "parquet", folder)
        for other in arguments.others:
            rounds = []
            for _ in range(arguments.rounds):
                rounds.append(compare(arguments.python, folder, other, arguments.limit))
                print(other, rounds[-1], flush=True)
            ratio = statistics.median(theirs / ours for theirs, _, ours, _, _ in rounds)
            theirs, reached, own, whole, best = map(
                statistics.median, zip(*rounds, strict=True)
            )
            over = "" if math.isfinite(reached) else "more than "
            rows.append(
                f"| {other.replace('_', '-')} | {2 if OTHERS[other][1] else 10} "
                f"| {over}{theirs:.1f} | {f'{reached:,.1f}' if not over else 'none'} "
                f"| {own:.1f} | {over}{ratio:.1f} | {whole:.1f} | {best:,.1f} |"
            )
    text = f"""# Spark and dask-ml on {n:,} rows

Seconds of a fit with two threads, medians of {arguments.rounds} rounds in turn. "Ours" is
the time until our objective is not above the other one's; "whole" the time to the optimum
that every processor rounds to the same model.
{THREADS} processors ({platform.machine()}), NumPy {np.__version__}.
Written by `python benchmarks/big_data.py`, which says what it needs.

| other | classes | its seconds | its objective | ours | ratio | whole | our objective |
|---|---|---|---|---|---|---|---|
"""
    Path(__file__).with_suffix(".md").write_text(text + "\n".join(rows) + "\n")
    print(text + "\n".join(rows))


if __name__ == "__main__":
    main()
