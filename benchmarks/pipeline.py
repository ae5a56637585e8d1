"""Compare `dvc repro` with the notebook's five variants in one script, on MNIST.

    python benchmarks/pipeline.py            three rounds; writes pipeline.md and .png

Both start from the downloaded arrays. The script fits with scikit-learn, predicts and
prints reports. The pipeline runs in a clone with an empty cache, and writes all metrics,
tables and figures. LeNet-5, which the notebook does not have, is removed from the clone's
params.yaml.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import yaml

from digits.data import dataset

ROOT = Path(__file__).parents[1]

Steps = list[tuple[str, float]]


def notebook() -> Steps:
    """Run the notebook's code; return the seconds of each variant."""
    clock = time.perf_counter()
    from sklearn.linear_model import LinearRegression, LogisticRegression  # noqa: PLC0415
    from sklearn.metrics import classification_report, confusion_matrix  # noqa: PLC0415
    from sklearn.multiclass import OneVsRestClassifier  # noqa: PLC0415
    from sklearn.preprocessing import StandardScaler  # noqa: PLC0415

    whole = dataset.load(ROOT / "data/raw")
    two = dataset.Dataset(*(dataset.select(s, (0, 1)) for s in whole.splits.values()))
    variants = {
        "linear_binary": (two, LinearRegression(), [0.49]),
        "logistic_binary": (two, LogisticRegression(C=0.01), None),
        "linear_digits": (whole, LinearRegression(), np.arange(9) + 0.5),
        "one_vs_rest": (
            whole,
            OneVsRestClassifier(LogisticRegression(max_iter=2000)),
            None,
        ),
        "multinomial": (whole, LogisticRegression(max_iter=2000), None),
    }
    steps = []
    for name, (data, model, thresholds) in variants.items():
        scaler = StandardScaler()
        X, T = (
            split.images.reshape(len(split.images), -1) for split in data.splits.values()
        )
        model.fit(scaler.fit_transform(X), data.train.labels)
        predicted = model.predict(scaler.transform(T))
        if thresholds is not None:
            predicted = np.digitize(predicted, thresholds)
        report = classification_report(data.test.labels, predicted, zero_division=0)
        print(report, confusion_matrix(data.test.labels, predicted), file=sys.stderr)
        now = time.perf_counter()
        steps.append((name, now - clock))
        clock = now
    return steps


def pipeline() -> Steps:
    """Run `dvc repro` in a fresh clone; return the seconds of each stage, with DVC's."""
    with tempfile.TemporaryDirectory() as folder:
        clone = Path(folder) / "clone"
        clone_command = ["git", "clone", "--quiet", ROOT, clone]
        subprocess.run(clone_command, check=True)  # noqa: S603
        params = yaml.safe_load((clone / "params.yaml").read_text())
        del params["variants"]["lenet5"], params["tuning"]  # some are of LeNet-5
        (clone / "params.yaml").write_text(yaml.safe_dump(params))
        dvc = Path(sys.executable).parent / "dvc"
        environment = os.environ | {"PATH": f"{dvc.parent}:{os.environ['PATH']}"}
        environment.pop("PYTHONDONTWRITEBYTECODE", None)  # users have byte code
        shutil.copytree(ROOT / "data/raw", clone / "data/raw")
        keep = [dvc, "commit", "--quiet", "--force", "download"]
        subprocess.run(keep, cwd=clone, check=True)  # noqa: S603
        steps: Steps = []
        clock, name = time.perf_counter(), "DVC's start"
        process = subprocess.Popen(  # noqa: S603
            [dvc, "repro"],
            cwd=clone,
            env=environment,
            stdout=subprocess.PIPE,
            text=True,
        )
        for line in process.stdout or ():
            if line.startswith("Running stage"):
                now = time.perf_counter()
                steps.append((name, now - clock))
                clock, name = now, line.split("'")[1]
        if process.wait():
            raise SystemExit("dvc repro failed")
        return [*steps, (name, time.perf_counter() - clock)]


def draw(path: Path, runs: dict[str, Steps]) -> None:
    """Plot the time of each step: a bar for each run, a segment for each step.

    Args:
        path: Where to save the figure.
        runs: The steps of each run, with their seconds.
    """
    from matplotlib.figure import Figure  # noqa: PLC0415

    figure = Figure(figsize=(9, 2.6), layout="constrained")
    axes = figure.subplots()
    for row, steps in enumerate(runs.values()):
        left = 0.0
        for step, (name, seconds) in enumerate(steps):
            colour = ("#9ecae1", "#4292c6")[step % 2]
            axes.barh(row, seconds, left=left, color=colour, edgecolor="white")
            if seconds > 0.08 * sum(s for _, s in runs["notebook"]):
                middle = (left + seconds / 2, row)
                label = "\n".join((*name.split("@"), f"{seconds:.0f} s"))
                axes.annotate(label, middle, ha="center", va="center", fontsize=8)
            left += seconds
        axes.annotate(f" {left:.0f} s", (left, row), va="center")
    axes.set_yticks(range(len(runs)), list(runs))
    axes.margins(x=0.08)
    axes.invert_yaxis()
    axes.set_xlabel("seconds")
    axes.spines[["top", "right", "left"]].set_visible(False)
    figure.savefig(path, dpi=100, metadata={"Software": None})


def main(rounds: int) -> None:
    """Measure both in turn."""
    runs: dict[str, list[Steps]] = {"notebook": [], "dvc repro": []}
    for _ in range(rounds):
        command = [sys.executable, __file__, "--notebook"]
        printed = subprocess.check_output(command)  # noqa: S603
        runs["notebook"].append(json.loads(printed))
        runs["dvc repro"].append(pipeline())
        print({name: round(sum(s for _, s in run[-1]), 1) for name, run in runs.items()})
    write(runs)


def write(runs: dict[str, list[Steps]]) -> None:
    """Write the table and the figure of these runs, the steps of each round."""
    totals = {
        name: [sum(s for _, s in steps) for steps in run] for name, run in runs.items()
    }
    totals["dvc repro, without the stages `path`"] = [
        sum(s for step, s in steps if not step.startswith("path@"))
        for steps in runs["dvc repro"]
    ]
    ratio = statistics.median(
        a / b for a, b in zip(totals["notebook"], [*totals.values()][-1], strict=True)
    )
    rounds = len(runs["notebook"])
    median = {
        name: [
            (step, statistics.median(dict(steps)[step] for steps in run))
            for step, _ in run[0]
        ]
        for name, run in runs.items()
    }
    draw(ROOT / "benchmarks/pipeline.png", median)
    lines = [
        "# The pipeline compared with the notebook",
        "",
        "Five variants on MNIST from the downloaded arrays; medians (lowest to highest).",
        f"Rounds: {rounds}. {os.cpu_count()} processors ({platform.machine()}), Python",
        f"{platform.python_version()}. Written by `make bench`.",
        "",
        "| run | seconds |",
        "|---|---|",
        *(
            f"| {name} | {statistics.median(t):.1f} ({min(t):.1f} to {max(t):.1f}) |"
            for name, t in totals.items()
        ),
        "",
        f"Median ratio of the notebook to the last row: {ratio:.1f}. The notebook has",
        "nothing like the stages `path`, which train for nine values of C.",
        "",
        "![Seconds of each step](pipeline.png)",
        "",
        "| step | seconds |",
        "|---|---|",
        *(
            f"| {name}: {step} | {seconds:.1f} |"
            for name, steps in median.items()
            for step, seconds in steps
        ),
        "",
    ]
    (ROOT / "benchmarks/pipeline.md").write_text("\n".join(lines))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (3)")
    parser.add_argument("--notebook", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.notebook:
        print(json.dumps(notebook()))
    else:
        main(arguments.rounds)
