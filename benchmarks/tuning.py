"""Compare the paths over C with scikit-learn's cross-validation, on MNIST.

    python benchmarks/tuning.py             three rounds; writes benchmarks/tuning.md
    python benchmarks/tuning.py --rounds 1

Eleven values of C from 0.0001 to 10, five folds. Ours runs on the 60,000 training images
that `make repro` stored, and on the first 6,000 of them next to scikit-learn, with the same
folds: `LogisticRegressionCV`, or for one-versus-rest a `GridSearchCV`, at their default
tolerance. scikit-learn gets pixels that are standardised once, as float64, outside of the
measured time; ours standardises them for each fold, within it. Each measurement runs in a
separate process, and a round runs all of them in turn.
"""

import argparse
import json
import math
import statistics
import subprocess
import sys
import time

import numpy as np
from solvers import ROOT, load, row, standardised, versions

from digits.solvers.path import logistic_path

CS = [float(f"{C:.6g}") for C in np.logspace(-4, 1, 11)]
FOLDS, N_FEW, N_ALL = 5, 6_000, 60_000
KINDS = {"multinomial": "multinomial", "one-versus-rest": "one_vs_rest"}


def folds(labels: np.ndarray) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return the training and the held-out rows of each fold."""
    from sklearn.model_selection import StratifiedKFold  # noqa: PLC0415

    splitter = StratifiedKFold(FOLDS, shuffle=True, random_state=0)
    return [*splitter.split(np.zeros(len(labels)), labels)]


def ours(kind: str, n_images: int) -> dict:
    """Run the path; return the seconds, and the mean accuracy at each C."""
    images, labels = (array[:n_images] for array in load("digits"))
    parts = folds(labels)
    fold = np.empty(n_images, int)
    for k, (_, held_out) in enumerate(parts):
        fold[held_out] = k
    start = time.perf_counter()
    accuracies = []
    for point in logistic_path(images, labels, fold, CS, KINDS[kind]):
        right = point.scores.argmax(axis=1) == labels
        accuracies.append(statistics.mean(right[rows].mean() for _, rows in parts))
    return {"seconds": time.perf_counter() - start, "accuracies": accuracies}


def theirs(kind: str, n_images: int) -> dict:
    """Run scikit-learn; return the same."""
    from sklearn.linear_model import (  # noqa: PLC0415
        LogisticRegression,
        LogisticRegressionCV,
    )
    from sklearn.model_selection import GridSearchCV  # noqa: PLC0415
    from sklearn.multiclass import OneVsRestClassifier  # noqa: PLC0415

    X, y = (array[:n_images] for array in standardised("digits"))
    cv = folds(y)
    start = time.perf_counter()
    if kind == "multinomial":
        model = LogisticRegressionCV(
            Cs=CS,
            l1_ratios=(0,),
            cv=cv,
            max_iter=10_000,
            scoring="accuracy",
            refit=False,
            use_legacy_attributes=False,
        ).fit(X, y)
        accuracies = np.asarray(model.scores_).reshape(FOLDS, len(CS)).mean(axis=0)
    else:
        separate = OneVsRestClassifier(LogisticRegression(max_iter=10_000))
        grid = GridSearchCV(separate, {"estimator__C": CS}, cv=cv, refit=False).fit(X, y)
        accuracies = grid.cv_results_["mean_test_score"]
    return {"seconds": time.perf_counter() - start, "accuracies": accuracies.tolist()}


def measure(who: str, kind: str, n_images: int) -> dict:
    """Run one measurement in a separate process."""
    command = [sys.executable, __file__, "--one", who, kind, str(n_images)]
    result = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)  # noqa: S603
    values = json.loads(result.stdout)
    print(f"{who:6} {kind:16} {n_images:6} {values['seconds']:8.2f} s", file=sys.stderr)
    return values


def main(rounds: int) -> None:
    """Measure and write the tables."""
    results: dict[tuple, list[dict]] = {}
    for _ in range(rounds):
        for kind in KINDS:
            for who, n in (("ours", N_FEW), ("theirs", N_FEW), ("ours", N_ALL)):
                results.setdefault((who, kind, n), []).append(measure(who, kind, n))

    def seconds(*key: str | int) -> list[float]:
        return [result["seconds"] for result in results[key]]

    few = [
        row(kind, seconds("ours", kind, N_FEW), seconds("theirs", kind, N_FEW))
        for kind in KINDS
    ]
    large = [
        row(kind, values, [math.nan] * rounds).rsplit(" | ", 2)[0] + " |"
        for kind in KINDS
        if (values := seconds("ours", kind, N_ALL))
    ]
    accuracies = [
        [C]
        + [
            results[who, kind, n][0]["accuracies"][i]
            for kind in KINDS
            for who, n in (("ours", N_FEW), ("theirs", N_FEW), ("ours", N_ALL))
        ]
        for i, C in enumerate(CS)
    ]
    columns = "ours | scikit-learn | ours, all"
    lines = [
        "# Paths over C compared with scikit-learn's cross-validation",
        "",
        f"{len(CS)} values of C and {FOLDS} folds of MNIST's training images, {rounds}",
        "rounds, each measurement in a separate process. Seconds are medians (lowest to",
        "highest); the ratio is the median of the rounds' ratios.",
        versions(),
        "Written by `make bench`.",
        "",
        f"The first {N_FEW:,} images:",
        "",
        "| model | ours, s | scikit-learn, s | ratio |",
        "|---|---|---|---|",
        *few,
        "",
        f"All {N_ALL:,} images:",
        "",
        "| model | ours, s |",
        "|---|---|",
        *large,
        "",
        f"Mean accuracy on the held-out images, of the first {N_FEW:,} and of all:",
        "",
        f"| C | {' | '.join(f'{kind}: {columns}' for kind in KINDS)} |",
        "|---|" + "---|" * 6,
        *(f"| {C:g} | {' | '.join(f'{a:.4f}' for a in rest)} |" for C, *rest in accuracies),
        "",
    ]
    (ROOT / "benchmarks/tuning.md").write_text("\n".join(lines))
    print("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (3)")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        who, kind, n_images = arguments.one
        result = (ours if who == "ours" else theirs)(kind, int(n_images))
        print(json.dumps(result))
    else:
        main(arguments.rounds)
