"""Compare the solvers with scikit-learn's, on MNIST as `make repro` stored it.

    python benchmarks/solvers.py            three rounds; writes benchmarks/solvers.md
    python benchmarks/solvers.py --rounds 1

Each measurement runs in a separate process. A round runs all of them in turn, so that other
load on the machine affects all of them equally. Only `fit` is timed. scikit-learn gets
standardised pixels, as float64; for our solvers, the time includes the standardisation.
Ours go to the canonical model, nearer to the optimum than scikit-learn's.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from pathlib import Path

import numpy as np

from digits.data import dataset
from digits.solvers.least_squares import LinearRegression
from digits.solvers.logistic import LogisticRegression

ROOT = Path(__file__).parents[1]

OPTIONS = {"one_vs_rest": {"multi_class": "one_vs_rest"}, "multinomial": {}}


def load(subset: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the training images of a subset, and their labels."""
    return dataset.load_split(ROOT / "data/subsets" / subset / "train")


def standardised(subset: str) -> tuple[np.ndarray, np.ndarray]:
    """Return the pixels standardised as in the notebook, and the labels."""
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415 (not in our process)

    X, y = load(subset)
    return StandardScaler().fit_transform(X.reshape(len(X), -1).astype(float)), y


def objective(
    X: np.ndarray, y: np.ndarray, coef: np.ndarray, intercept: np.ndarray
) -> float:
    """Compute scikit-learn's objective at C = 1.

    Args:
        X: (n_samples, n_features), standardised.
        y: (n_samples,), labels, or whether a sample is of the class if `coef` has one row.
        coef: (n_outputs, n_features).
        intercept: (n_outputs,).
    """
    Z = X @ coef.T + intercept
    penalty = float((coef**2).sum() / 2)
    if len(coef) == 1:
        return float(np.logaddexp(0, np.where(y, -Z[:, 0], Z[:, 0])).sum()) + penalty
    log_sum = np.logaddexp.reduce(Z, axis=1)
    return float((log_sum - Z[np.arange(len(y)), y]).sum()) + penalty


def ours(task: str) -> dict:
    """Fit with our solver; record when each objective was reached, before rounding."""
    kind, _, subset = task.partition(":")
    X, y = load(subset)
    trajectory: list[tuple[float, list[float]]] = []
    start = time.perf_counter()
    if kind == "least_squares":
        LinearRegression().fit(X, y.astype(float))
        return {"seconds": time.perf_counter() - start}
    model = LogisticRegression(
        **OPTIONS[kind],
        callback=lambda _i, f, _gap: trajectory.append(
            (time.perf_counter() - start, f.tolist())
        ),
    ).fit(X, y)
    seconds = time.perf_counter() - start
    if not model.is_canonical_:
        raise SystemExit(f"{task}: the model is not canonical")
    return {"seconds": seconds, "trajectory": trajectory}


def theirs(task: str) -> dict:
    """Fit with scikit-learn; record the objective where it stops."""
    from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: PLC0415

    kind, _, subset = task.partition(":")
    X, y = standardised(subset)
    start = time.perf_counter()
    if kind == "least_squares":
        LinearRegression().fit(X, y.astype(float))
        return {"seconds": time.perf_counter() - start}
    tol = 1e-6 if kind == "multinomial_exact" else 1e-4  # scikit-learn's default
    targets = [y == digit for digit in range(10)] if kind == "one_vs_rest" else [y]
    models = [LogisticRegression(tol=tol, max_iter=2000).fit(X, t) for t in targets]
    seconds = time.perf_counter() - start
    reached = [
        objective(X, t, m.coef_, m.intercept_) for t, m in zip(targets, models, strict=True)
    ]
    return {"seconds": seconds, "objective": reached}


TASKS = {
    "least squares, two digits": "least_squares:binary",
    "least squares, ten digits": "least_squares:digits",
    "one-versus-rest": "one_vs_rest:digits",
    "multinomial": "multinomial:digits",
}


def measure(who: str, task: str) -> dict:
    """Run one measurement in a separate process."""
    command = [sys.executable, __file__, "--one", who, task]
    result = subprocess.run(command, check=True, capture_output=True, text=True)  # noqa: S603
    values = json.loads(result.stdout)
    print(f"{who:6} {task:28} {values['seconds']:8.2f} s", file=sys.stderr)
    return values


def seconds_until(trajectory: list, reached: list[float]) -> float:
    """Return when all objectives were at or below those in `reached`, or NaN."""
    for seconds, objectives in trajectory:
        if all(f <= g for f, g in zip(objectives, reached, strict=True)):
            return seconds
    return float("nan")


def row(name: str, ours_s: list[float], theirs_s: list[float]) -> str:
    """Return a row of the table: medians, ranges, and the median of the rounds' ratios.

    Args:
        name: What is measured.
        ours_s: Seconds of our solver in each round.
        theirs_s: Seconds of scikit-learn in each round.
    """

    def cell(values: list[float]) -> str:
        return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"

    ratio = statistics.median(t / o for o, t in zip(ours_s, theirs_s, strict=True))
    return f"| {name} | {cell(ours_s)} | {cell(theirs_s)} | {ratio:.1f} |"


def versions() -> str:
    """Return the number of processors and the versions of the libraries."""
    import scipy  # noqa: PLC0415
    import sklearn  # noqa: PLC0415

    return (
        f"{os.cpu_count()} processors ({platform.machine()}), "
        f"Python {platform.python_version()}, NumPy {np.__version__}, "
        f"SciPy {scipy.__version__}, scikit-learn {sklearn.__version__}."
    )


def main(rounds: int) -> None:
    """Measure and write the table."""
    own, peer = {}, {}
    for _ in range(rounds):
        for name, task in TASKS.items():
            own.setdefault(name, []).append(measure("ours", task))
            peer.setdefault(name, []).append(measure("theirs", task))
        peer.setdefault("exact", []).append(measure("theirs", "multinomial_exact:digits"))

    def seconds(results: list[dict]) -> list[float]:
        return [result["seconds"] for result in results]

    rows = [
        row(f"{name}, to the exact solution", seconds(own[name]), seconds(peer[name]))
        for name in TASKS
        if name.startswith("least")
    ]
    canonical = "to the canonical model"
    for name in ("one-versus-rest", "multinomial"):
        until = [
            seconds_until(o["trajectory"], t["objective"])
            for o, t in zip(own[name], peer[name], strict=True)
        ]
        default = seconds(peer[name])
        what = f"{name}, to where scikit-learn's default stops"
        rows.append(row(what, until, default))
        what = f"{name}, {canonical}; scikit-learn: its default"
        rows.append(row(what, seconds(own[name]), default))
    what = f"multinomial, {canonical}; scikit-learn: tol=1e-6"
    rows.append(row(what, seconds(own["multinomial"]), seconds(peer["exact"])))
    lines = [
        "# The solvers compared with scikit-learn's",
        "",
        f"MNIST, {rounds} rounds, each measurement in a separate process; only `fit` is",
        "timed. Seconds are medians (lowest to highest); the ratio is the median of the",
        "rounds' ratios.",
        versions(),
        "Written by `make bench`.",
        "",
        "| what | ours, s | scikit-learn, s | ratio |",
        "|---|---|---|---|",
        *rows,
        "",
    ]
    (ROOT / "benchmarks/solvers.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (3)")
    parser.add_argument("--one", nargs=2, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        who, task = arguments.one
        print(json.dumps(ours(task) if who == "ours" else theirs(task)))
    else:
        main(arguments.rounds)
