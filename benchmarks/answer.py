"""How long one waits for an answer of `dvc repro`, on the results in data/.

    python benchmarks/answer.py --rounds 5

Nothing changed: beside DVC's own no-op over the same graph with trivial commands.
A threshold changed: until the new metric is printed, and until all is done.
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


def dvc(folder: Path, *arguments: str, until: str = "") -> float:
    """Run DVC; return the seconds to the line that holds `until`, or to the end."""
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
    return seen or time.perf_counter() - start


def clone(folder: Path) -> Path:
    """Return a clone with this project's results, from this project's cache."""
    command = ["git", "clone", "--quiet", ROOT, folder]
    subprocess.run(command, check=True)  # noqa: S603
    dvc(folder, "cache", "dir", "--local", str(ROOT / ".dvc/cache"))
    dvc(folder, "checkout")
    return folder


def trivial(folder: Path, of: Path) -> Path:
    """Return a copy whose commands do nothing; the graph and the files are the same."""
    shutil.copytree(of, folder, symlinks=True)
    path = folder / "dvc.yaml"
    path.write_text(re.sub(r"cmd: .*", "cmd: 'true'", path.read_text()))
    dvc(folder, "commit", "--force", "dvc.yaml")
    return folder


def threshold(folder: Path, value: float) -> None:
    """Set linear_binary's threshold."""
    path = folder / "params.yaml"
    path.write_text(re.sub(r"threshold: [\d.]+", f"threshold: {value}", path.read_text()))


def main(rounds: int) -> None:
    """Measure in turn; print medians and ranges."""
    seconds: dict[str, list[float]] = {}
    with tempfile.TemporaryDirectory() as name:
        ours = clone(Path(name) / "ours")
        theirs = trivial(Path(name) / "trivial", ours)
        dvc(ours, "repro"), dvc(theirs, "repro")
        for i in range(rounds):
            for what, folder in (("no-op", ours), ("trivial commands, no-op", theirs)):
                seconds.setdefault(what, []).append(dvc(folder, "repro"))
            threshold(ours, 0.31 + i / 100)
            printed = dvc(ours, "repro", "evaluate@linear_binary", until="right")
            seconds.setdefault("threshold to metric printed", []).append(printed)
            threshold(ours, 0.51 + i / 100)
            whole = dvc(ours, "repro") + dvc(ours, "metrics", "diff")
            seconds.setdefault("threshold, all of repro and metrics diff", []).append(whole)
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
    parser.add_argument("--rounds", type=int, default=5, help="how often (5)")
    main(parser.parse_args().rounds)
