"""Measure the response time of `dvc repro`, on the results in data/.

    python benchmarks/response_time.py

Nothing changed: compared with DVC's no-op on the same graph with trivial commands.
A threshold changed: until `evaluate` prints the new result, until the end of the whole
`dvc repro`, and with `dvc metrics diff` after it.
"""

import argparse
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
ENVIRONMENT = os.environ | {"PATH": f"{BIN}:{os.environ['PATH']}"}
ENVIRONMENT.pop("PYTHONDONTWRITEBYTECODE", None)  # users have byte code


def dvc(folder: Path, *arguments: str, until: str = "") -> tuple[float, float]:
    """Run DVC and measure the time.

    Args:
        folder: The DVC project.
        arguments: Of the command.
        until: A part of a line of output.

    Returns:
        Seconds until the first such line (0 if `until` is empty), and until the end.

    Raises:
        SystemExit: If DVC fails, or if there is no such line.
    """
    start, seen = time.perf_counter(), 0.0
    process = subprocess.Popen(  # noqa: S603
        [BIN / "dvc", *arguments],
        cwd=folder,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    for line in process.stdout or ():
        if until and until in line:
            seen = seen or time.perf_counter() - start
    if process.wait() or (until and not seen):
        raise SystemExit(f"dvc {' '.join(arguments)} failed in {folder}")
    return seen, time.perf_counter() - start


def clone(folder: Path) -> Path:
    """Clone this project into `folder`, with the results in its cache; return `folder`."""
    command = ["git", "clone", "--quiet", ROOT, folder]
    subprocess.run(command, check=True)  # noqa: S603
    dvc(folder, "cache", "dir", "--local", str(ROOT / ".dvc/cache"))
    dvc(folder, "checkout")
    return folder


def trivial(folder: Path, source: Path) -> Path:
    """Copy a project, with commands that do nothing; return `folder`.

    Args:
        folder: Where to write the copy. Its graph and files are the same.
        source: The project.
    """
    shutil.copytree(source, folder, symlinks=True)
    path = folder / "dvc.yaml"
    path.write_text(re.sub(r"cmd: .*", "cmd: 'true'", path.read_text()))
    dvc(folder, "commit", "--force", "dvc.yaml")
    return folder


def threshold(folder: Path, value: float) -> None:
    """Set the threshold of linear_binary in params.yaml."""
    path = folder / "params.yaml"
    path.write_text(re.sub(r"threshold: [\d.]+", f"threshold: {value}", path.read_text()))


def main(rounds: int) -> None:
    """Measure all cases in turn; print medians and ranges."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        ours = clone(Path(name) / "ours")
        theirs = trivial(Path(name) / "trivial", ours)
        dvc(ours, "repro"), dvc(theirs, "repro")
        for i in range(rounds):
            _, nothing = dvc(ours, "repro")
            _, trivial_nothing = dvc(theirs, "repro")
            threshold(ours, 0.31 + i / 100)
            printed, end = dvc(ours, "repro", until="right")
            _, diff = dvc(ours, "metrics", "diff")
            for what, measured in {
                "no-op": nothing,
                "trivial commands, no-op": trivial_nothing,
                "threshold to printed metric": printed,
                "threshold to the end of dvc repro": end,
                "threshold to the end of dvc metrics diff": end + diff,
            }.items():
                seconds.setdefault(what, []).append(measured)
    for what, values in seconds.items():
        print(
            f"{what}: {statistics.median(values):.2f} s "
            f"({min(values):.2f} to {max(values):.2f})"
        )
    pairs = zip(seconds["no-op"], seconds["trivial commands, no-op"], strict=True)
    print(f"no-op, median ratio: {statistics.median(a / b for a, b in pairs):.2f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds (3)")
    main(parser.parse_args().rounds)
