"""Kill `dvc repro` at random instants, and see that nothing is lost and nothing wrong.

    python -m tests.stress.kills --count 400 --seed 0
    python -m tests.stress.kills --count 10 --mnist      on MNIST, from the data in data/raw
    python -m tests.stress.kills --count 40 --lenet5     with this variant, too

Each kind of stage has its turn, and DVC before the first: when one begins, an instant is
drawn within the time that it took undisturbed. If it has ended by then, whatever runs is
killed, which may be DVC between two stages, and it has its turn again. `dvc repro`, its
stage, or both are killed by SIGKILL, SIGTERM or Ctrl-C, below each shell in turn. Between
two runs the parameters may change. After a kill
- no process may be left;
- no file may stand under its final name that is not, to the byte, that of an undisturbed
  run with these parameters or those before;
- neither dvc.lock nor DVC's run cache may attribute a result to other inputs than those
  of which an undisturbed run made it.
It is started again until it ends, and `dvc.lock` must be that of the undisturbed run; then
all over again, until there were `count` kills. What is printed are the tables of
docs/reliability.md.
"""

import argparse
import difflib
import json
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any, NamedTuple

import yaml

from digits import locks, pipeline
from digits.commands import unlock
from tests.helpers.project import ROOT, Project, generate, make

PATIENCE = 10.0  # seconds after which a process that still runs is left over
BETWEEN = "dvc"  # what runs before the first stage, and between two
UNFINISHED = "data/unfinished"
BAD = ("wrong", "lost", "left_running")
# Some stay between DVC and its stage, others become the stage. "" is no SHELL at all.
SHELLS = ("bash", "dash", "fish", "tcsh", "zsh", "")
EDITS = (("threshold: 0.49", "threshold: 0.3"), ("C: 1.0", "C: 0.5"))


def processes(root: Path) -> dict[int, str]:
    """Return the processes that work in the project, by number: what they run."""
    found = {}
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and (entry / "cwd").resolve() == root.resolve():
                found[int(entry.name)] = (entry / "cmdline").read_bytes().decode()
        except OSError:
            continue  # it has ended, or is another user's
    return {pid: command for pid, command in found.items() if command}


def kill(root: Path, target: str, how: signal.Signals) -> None:
    """Send a signal to `dvc`, to its stage, or to both, and the shell between them."""
    for pid, command in processes(root).items():
        is_stage = "stages." in command
        if target == "both" or (target == "stage") == is_stage:
            try:
                os.kill(pid, how)
            except ProcessLookupError:
                continue


def left_running(root: Path, *, ctrl_c: bool = False) -> list[str]:
    """Return what still runs after a while.

    ctrl_c: whether the user presses it again while DVC runs on: as a stage ends, DVC still
        ignores it, and goes on to the next one
    """
    end, again = time.monotonic() + PATIENCE, time.monotonic() + PATIENCE / 4
    while running := processes(root):
        now = time.monotonic()
        if now > end:
            return list(running.values())
        if ctrl_c and now > again and "repro" in " ".join(running.values()):
            kill(root, "both", signal.SIGINT)
            again = now + PATIENCE / 4
        time.sleep(0.05)
    return []


def results(root: Path) -> dict[str, bytes]:
    """Return the files under data/ and metrics/, except what is not final.

    That is what is being written, and the checkpoint of a killed training.
    """
    return {
        str(path.relative_to(root)): path.read_bytes()
        for top in ("data", "metrics", "report")
        for path in (root / top).rglob("*")
        if path.is_file()
        and not any(part.startswith(".tmp-") for part in path.parts)
        and not path.is_relative_to(root / UNFINISHED)
    }


def differences(root: Path, expected: dict[str, bytes], lock: str) -> list[str]:
    """Return the results that are not as expected, and the lines of dvc.lock.

    The order in it does not count: DVC runs, and lists, independent stages in any.
    """
    there = results(root)
    files = [path for path in expected | there if expected.get(path) != there.get(path)]
    path = root / "dvc.lock"
    now = path.read_text() if path.exists() else ""
    before, after = (
        yaml.safe_dump(yaml.safe_load(text)).splitlines() for text in (lock, now)
    )
    return [*sorted(files), *difflib.unified_diff(before, after, lineterm="")]


def attributed(root: Path) -> dict[str, Any]:
    """Return the results that DVC has recorded, by the inputs that it says they are of."""
    found = {}
    lock = root / "dvc.lock"
    runs = (root / ".dvc/cache/runs").glob("*/*/*")
    whole = [lock] if lock.exists() and unlock.is_whole(lock) else []
    for path in (*whole, *(run for run in runs if ".tmp" not in run.name)):
        content = pipeline.read(path)
        stages = content["stages"] if path == lock else {"": content}
        for stage in stages.values():
            inputs = json.dumps({**stage, "outs": None}, sort_keys=True)
            found[inputs] = sorted(stage.get("outs", []), key=str)
    return found


class Undisturbed(NamedTuple):
    """What a run gave that nobody killed, and the seconds that each stage took."""

    params: str
    files: dict[str, bytes]
    lock: str
    attributed: dict[str, Any]
    times: dict[str, float]


class Run:
    """A `dvc repro` without the cache of earlier runs, and what it has said so far.

    begun: the stages that began, and None when it has ended
    """

    def __init__(self, project: Project, shell: str = "bash"):
        environment = {name: value for name, value in os.environ.items() if name != "SHELL"}
        environment["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
        if shell:
            environment["SHELL"] = shutil.which(shell) or shell
        self.process = subprocess.Popen(
            ["dvc", "repro", "--no-run-cache"],
            cwd=project.root,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            text=True,
        )
        self.output: list[str] = []
        self.begun: SimpleQueue = SimpleQueue()
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:
            self.output.append(line)
            if line.startswith("Running stage "):
                self.begun.put(line.split("'")[1])
        self.process.wait()
        self.begun.put(None)

    def join(self) -> None:
        """Wait until it has ended, and its stage with it."""
        self.reader.join()


def kind(stage: str) -> str:
    """Return what a stage does, without the name of its subset or variant."""
    return stage.partition("@")[0]


def tables(counts: Counter, hits: Counter) -> str:
    """Return the kills as docs/reliability.md shows them."""
    lines = ["| killed | by SIGKILL | by SIGTERM | by Ctrl-C |", "|---|---|---|---|"]
    for name, target in (("`dvc repro`", "dvc"), ("its stage", "stage"), ("both", "both")):
        cells = [
            counts[f"{target} by {how}"] or "" for how in ("SIGKILL", "SIGTERM", "SIGINT")
        ]
        lines.append("| " + " | ".join(map(str, [name, *cells])) + " |")
    stages = ["check", "download", "filter", "train", "evaluate", "report"]
    lines += [
        "",
        "| while it ran | " + " | ".join(stages) + " | none, DVC alone |",
        "|---" * (len(stages) + 2) + "|",
        "| kills | " + " | ".join(str(hits[name]) for name in [*stages, BETWEEN]) + " |",
        "",
    ]
    below = (f"{shell or 'no SHELL'} {counts[f'below {shell}']}" for shell in SHELLS)
    lines += [f"Below {', '.join(below)}.", ""]
    bad = (f"{counts[what]} {what.replace('_', ' ')}" for what in BAD)
    lines.append(f"{counts['kills']} kills in {counts['runs']} runs: {', '.join(bad)}")
    return "\n".join(lines)


def undisturbed(project: Project) -> Undisturbed:
    """Run it all; time each stage, and DVC before the first."""
    run, before, times = Run(project), BETWEEN, {}
    start = time.monotonic()
    while before:
        stage = run.begun.get()
        times.setdefault(before, time.monotonic() - start)
        start = time.monotonic()
        before = stage
    run.join()
    if run.process.returncode:
        sys.exit("".join(run.output))
    root = project.root
    params, lock = ((root / name).read_text() for name in ("params.yaml", "dvc.lock"))
    return Undisturbed(params, results(root), lock, attributed(root), times)


def wrong(root: Path, calm: Sequence[Undisturbed]) -> list[str]:
    """Return the results that no undisturbed run made, or not of these inputs."""
    return [
        path
        for path, content in results(root).items()
        if all(content != one.files.get(path) for one in calm)
    ] + [
        f"{outs} attributed to {inputs}"
        for inputs, outs in attributed(root).items()
        if not any(  # dvc.lock may be cut off after some of them
            all(out in one.attributed[inputs] for out in outs)
            for one in calm
            if inputs in one.attributed
        )
    ]


def torment(
    fresh: Project, count: int, seed: int, shells: Sequence[str]
) -> tuple[Counter, Counter]:
    """Kill `count` times; return what came of it, and which stages were hit."""
    rng = random.Random(seed)
    counts: Counter = Counter(kills=0, runs=0, wrong=0, lost=0, left_running=0)
    hits: Counter = Counter()
    with tempfile.TemporaryDirectory() as name:
        project = fresh.copy(Path(name) / "calm")
        calm = [undisturbed(project)]
        for old, new in EDITS:
            project.edit(old, new)
        calm.append(undisturbed(project))
        times = calm[0].times
        kinds = [*dict.fromkeys(kind(stage) for stage in times)]
        turn = 0
        while counts["kills"] < count:
            project = fresh.copy(Path(name) / "tormented")
            ended = False
            while not ended:
                now = rng.choice(calm)
                (project.root / "params.yaml").write_text(now.params)
                shell = shells[counts["kills"] % len(shells)]
                run, stage, end = Run(project, shell), BETWEEN, float("inf")
                due = kinds[turn % len(kinds)] if counts["kills"] < count else None
                try:
                    while stage:
                        if end == float("inf") and kind(stage) == due:
                            left = [*times][[*times].index(stage) :]
                            if rng.random() < 1 / sum(kind(other) == due for other in left):
                                end = time.monotonic() + rng.uniform(0, times[stage])
                        wait = max(0, end - time.monotonic())
                        stage = run.begun.get(timeout=wait if wait < float("inf") else None)
                    run.join()
                    ended = run.process.returncode == 0
                    repaired = 0
                    if not ended:  # as `make repro` does before the next run
                        repaired += locks.is_empty(locks.rwlock_of(project.root))
                        repaired += len([*unlock.unlock(project.root)])
                    counts["left by DVC in halves"] += repaired
                    if not ended and not repaired:
                        said = "".join(run.output)
                        print(f"dvc repro failed after kill {counts['kills']}: {said}")
                        counts["lost"] += 1
                        break
                except Empty:
                    target = rng.choice(["dvc", "stage", "both"])
                    how = rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
                    if how == signal.SIGINT:
                        target = "both"  # as a terminal sends it; DVC alone ignores it
                    running = " ".join(processes(project.root).values())
                    hit = re.search(r"stages\.(\w+)", running)
                    kill(project.root, target, how)
                    counts["kills"] += 1
                    counts[f"{target} by {how.name}"] += 1
                    counts[f"below {shell}"] += 1
                    hits[hit[1] if hit else BETWEEN] += 1
                    turn += due == (hit[1] if hit else BETWEEN)
                    if target == "stage":  # DVC then ends by itself, or it was between two
                        run.reader.join(PATIENCE)
                        kill(project.root, "both", signal.SIGKILL)
                    if running := left_running(project.root, ctrl_c=how == signal.SIGINT):
                        print(f"left running after {how.name} to {target}: {running}")
                        counts["left_running"] += 1
                        kill(project.root, "both", signal.SIGKILL)
                    run.join()
                    for what in wrong(project.root, calm):
                        print(f"wrong after {how.name} to {target}, {shell}: {what}")
                        counts["wrong"] += 1
            counts["runs"] += 1
            if ended and (other := differences(project.root, now.files, now.lock)):
                print(f"not those of an undisturbed run, seed {seed}: ", *other, sep="\n  ")
                counts["lost"] += 1
            unfinished = (project.root / UNFINISHED).rglob("*")
            if untidy := [*project.root.rglob(".tmp-*"), *unfinished]:
                print("left there: ", *untidy)
                counts["untidy"] += 1
            shutil.rmtree(project.root)
    return counts, hits


def on_mnist(root: Path) -> Project:
    """Return a clone with the raw data in place, nothing run on it."""
    subprocess.run(["git", "clone", "--quiet", ROOT, root], check=True)
    (root / "dvc.lock").unlink()
    shutil.rmtree(root / "metrics")
    project = Project(root)
    (root / "data/own/raw").mkdir(parents=True, exist_ok=True)
    raw = {}
    import numpy as np  # noqa: PLC0415 (only here)

    from digits.data import dataset  # noqa: PLC0415 (only here)

    for split, letter in ((s, x) for s in ("train", "test") for x in "xy"):
        array = dataset.load_split(ROOT / "data/raw" / split)["xy".index(letter)]
        raw[f"{letter}_{split}"] = array
    np.savez(root / "data/own/raw/mnist.npz", **raw)
    project.edit("source: auto", "source: data/own/raw")
    return project


def main() -> None:
    """Run, and print the counts; status 1 if anything was lost, wrong or left running."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200, help="kills (200)")
    parser.add_argument("--seed", type=int, default=0, help="of the instants (0)")
    parser.add_argument("--mnist", action="store_true", help="on MNIST")
    parser.add_argument("--lenet5", action="store_true", help="with this variant, too")
    arguments = parser.parse_args()
    # A shell's job in the background ignores it, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "fresh"
        lenet5, data = arguments.lenet5, generate(300, 120)
        fresh = on_mnist(root) if arguments.mnist else make(root, data, lenet5=lenet5)
        shells = [shell for shell in SHELLS if not shell or shutil.which(shell)]
        counts, hits = torment(fresh, arguments.count, arguments.seed, shells)
    print(tables(counts, hits))
    for what in ("untidy", "left by DVC in halves"):
        if counts[what]:
            print(f"{what}: {counts[what]}")
    bad = sum(counts[what] for what in (*BAD, "untidy"))
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
