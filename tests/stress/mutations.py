"""Break important lines of code, one at a time, and check that the tests notice.

    python -m tests.stress.mutations              all mutations
    python -m tests.stress.mutations --count 8    eight of them, spread over all

Each is broken in a copy of the project, in which the tests that should notice run until
the first fails. Status 1 if more than one is not caught, or if a line is not found once.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]

# The file, the text to replace, its replacement, and the tests that should fail.
MUTATIONS = [
    ("digits/data/mirrors.py", "if actual != self.sha256:", "if False:", "mirrors"),
    (
        "digits/data/mirrors.py",
        "if self._left < 0:",
        "if self._left < -(2**40):",
        "mirrors",
    ),
    ("digits/data/mirrors.py", "if member.size > most:", "if False:", "mirrors"),
    ("digits/data/mirrors.py", "if not member.isreg():", "if False:", "mirrors"),
    ("digits/data/mirrors.py", '"--ignore-scripts"', '"--foreground-scripts"', "mirrors"),
    ("digits/data/mirrors.py", "os.killpg(process.pid, signal.SIGKILL)", "pass", "mirrors"),
    ("digits/data/readers.py", "len(values) != length", "len(values) > length", "mirrors"),
    ("digits/data/files.py", "if dtype.hasobject:", "if False:", "mirrors"),
    ("digits/data/files.py", "or promised != there", "", "mirrors"),
    (
        "digits/data/files.py",
        "if unpacked > max_unpacked_bytes(path):",
        "if False:",
        "mirrors",
    ),
    (
        "digits/data/files.py",
        "temporary.replace(path)",
        "shutil.copy(temporary, path)",
        "files",
    ),
    (
        "digits/data/registry.py",
        "if actual != known.sha256[array]:",
        "if False:",
        "dataset",
    ),
    (
        "digits/data/dataset.py",
        "if array.dtype != np.uint8:",
        "if False:",
        "damaged_inputs",
    ),
    (
        "digits/data/dataset.py",
        "array.max() > highest",
        "array.max() > highest + 1",
        "dataset",
    ),
    ("digits/models/decision.py", "scores[:, 0] > 0)", "scores[:, 0] < 0)", "models"),
    (
        "digits/models/decision.py",
        "scores.argmax(axis=1)",
        "scores.argmin(axis=1)",
        "models",
    ),
    (
        "digits/models/linear.py",
        "        weights = coef / scale",
        "        weights = coef * scale",
        "models",
    ),
    (
        "digits/models/linear.py",
        "return round_to(weights, step[:, None]), round_to(offset, step)",
        "return weights, offset",
        "models",
    ),
    ("digits/images/mnist_format.py", "HALF = 0.5 + 1e-9", "HALF = 0.5", "mnist_format"),
    ("digits/metrics.py", "math.fsum(values)", "values.sum()", "metrics"),
    (
        "digits/metrics.py",
        "actual * n_classes + predicted",
        "predicted * n_classes + actual",
        "metrics",
    ),
    (
        "digits/solvers/logistic.py",
        "coef = round_to(self.best.coef, of_outputs)",
        "coef = self.best.coef",
        "solvers",
    ),
    (
        "digits/solvers/least_squares.py",
        "solution = round_to(exact, steps)",
        "solution = exact",
        "solvers",
    ),
    (
        "digits/solvers/problem.py",
        "gradient += self.penalty_mask * coef",
        "gradient -= self.penalty_mask * coef",
        "solvers",
    ),
    (
        "digits/config/params.py",
        "any(low >= high for",
        "any(low > high for",
        "invalid_params",
    ),
    (
        "digits/models/logistic.py",
        "C: Annotated[float, Field(ge=1e-8, le=1e6)] = Field(",
        "C: float = Field(",
        "bounds",
    ),
    (
        "stages/report.py",
        'np.array_equal(arrays["actual"], actual)',
        "True",
        "damaged_inputs",
    ),
    ("stages/evaluate.py", "if unknown:", "if False:", "damaged_inputs"),
    ("digits/process.py", "_dvc is not None and not _is_alive(_dvc)", "False", "cli"),
    ("digits/process.py", "and process.status() != psutil.STATUS_ZOMBIE", "", "files"),
    (
        "digits/commands/verify.py",
        "if reason := inputs.changed(stage):",
        "if reason := '':",
        "verify",
    ),
    ("digits/locks.py", "stack.enter_context(lock_repo(repo))", "pass", "unlock"),
    ("dvc.yaml", "      - fingerprints/download.json\n", "", "dvc_yaml"),
]


def left_out(folder: str, names: list[str]) -> set[str]:
    """Return the names that are not copied: large folders and data."""
    large = {".git", ".venv", "__pycache__", "cache", "tmp"}
    if Path(folder) in (ROOT, ROOT / "published"):
        large.add("data")  # digits/data is code
    return {*names} & large


def caught(root: Path, tests: str) -> bool:
    """Return whether the tests fail in the copy."""
    (path,) = root.glob(f"tests/*/test_{tests}.py")
    command = [sys.executable, "-m", "pytest", "-q", "-x", str(path)]
    command += ["-p", "no:cacheprovider", "-m", "not firefox and not hard and not results"]
    try:
        return subprocess.run(
            command, cwd=root, capture_output=True, check=False, timeout=180
        ).returncode == 1  # fmt: skip
    except subprocess.TimeoutExpired:  # a hang is also noticed
        return True


def main() -> None:
    """Apply each mutation, and print whether it was caught."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=len(MUTATIONS), help="lines (all)")
    count = max(1, min(parser.parse_args().count, len(MUTATIONS)))
    chosen = [MUTATIONS[i * len(MUTATIONS) // count] for i in range(count)]
    missed = 0
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "project"
        shutil.copytree(ROOT, root, ignore=left_out)
        for tests in sorted({tests for *_, tests in chosen}):
            if caught(root, tests):
                sys.exit(f"test_{tests}.py fails although nothing is broken")
        for file, old, new, tests in chosen:
            path = root / file
            text = path.read_text()
            if text.count(old) != 1:
                sys.exit(f"{file}: has {old!r} {text.count(old)} times; name another line")
            path.write_text(text.replace(old, new))
            noticed = caught(root, tests)
            path.write_text(text)
            missed += not noticed
            what = "caught    " if noticed else "NOT CAUGHT"
            print(f"{what}  {file}: {old.strip()} → {new.strip() or 'nothing'}", flush=True)
    print(f"{len(chosen) - missed} of {len(chosen)} caught")
    sys.exit(missed > 1)


if __name__ == "__main__":
    main()
