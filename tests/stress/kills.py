"""Kill `dvc repro` at random instants, and check that no result is lost or wrong.

    python -m tests.stress.kills --count 400 --seed 0
    python -m tests.stress.kills --count 10 --mnist      on MNIST, from data/raw
    python -m tests.stress.kills --count 40 --lenet5     also with the variant lenet5

Each kind of stage gets its turn, and so does DVC before the first stage. When a stage of
that kind starts, an instant is drawn within the time that it took in an undisturbed run. If
the stage has ended by then, the next process is killed, which may be DVC between two
stages, and the kind keeps its turn. The kill hits `dvc repro`, its stage, or both, by
SIGKILL, SIGTERM or Ctrl-C, below each shell in turn. Between two runs the parameters may
change.
After a kill
- no process may be left running;
- every file under its final name must be, to the byte, a file of an undisturbed run with
  these parameters or those before;
- dvc.lock and DVC's run cache may only attribute a result to the inputs from which an
  undisturbed run made it.
The pipeline is started again until it ends, and `dvc.lock` must then equal that of the
undisturbed run. All of this repeats until there were `count` kills. The output consists of
the tables in docs/reliability.md.
"""

import argparse
import difflib
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

from digits import locks
from digits.commands import unlock
from tests.helpers.dvc_yaml import STAGES
from tests.helpers.processes import PATIENCE, kill, left_running, processes
from tests.helpers.project import Project, generate, make, on_mnist
from tests.helpers.results import UNFINISHED, attributed, results

BETWEEN = "dvc"  # DVC alone, before the first stage or between two
BAD = ("wrong", "lost", "left_running")
# Some shells stay between DVC and its stage, others become the stage. "" means no SHELL.
SHELLS = ("bash", "dash", "fish", "tcsh", "zsh", "")
EDITS = (("threshold: 0.49", "threshold: 0.3"), ("C: 1.0", "C: 0.5"))


class Run:
    """A `dvc repro` without the cache of earlier runs.

    Args:
        project: the project to run.
        shell: the shell that SHELL names; empty for none.

    Attributes:
        process: DVC's process.
        output: the lines printed so far.
        begun: the names of the stages that started; None when DVC has ended.
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

    def join(self, timeout: float | None = None) -> None:
        """Wait until DVC and its stage have ended."""
        self.reader.join(timeout)


class Reference(NamedTuple):
    """What an undisturbed run produced.

    Attributes:
        params: the text of params.yaml.
        files: each result's content by its path.
        lock: the text of dvc.lock.
        attributed: the recorded outputs by their inputs.
        times: the seconds that each stage took.
    """

    params: str
    files: dict[str, bytes]
    lock: str
    attributed: dict[str, Any]
    times: dict[str, float]


def kind(stage: str) -> str:
    """Return a stage's name without that of its subset or variant."""
    return stage.partition("@")[0]


def reference_run(project: Project) -> Reference:
    """Run the pipeline undisturbed; time each stage, and DVC before the first."""
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
    return Reference(params, results(root), lock, attributed(root), times)


class Kill(NamedTuple):
    """A kill that happened.

    Attributes:
        target: "dvc", "stage" or "both".
        signal: the signal that was sent.
        shell: the shell between DVC and its stage.
        hit: the kind of the stage that ran, or `BETWEEN`.
    """

    target: str
    signal: signal.Signals
    shell: str
    hit: str

    def __str__(self) -> str:
        return f"{self.signal.name} to {self.target}, below {self.shell or 'no SHELL'}"


class KillPolicy:
    """Decides when a run is killed, and how; each kind of stage gets its turn.

    Args:
        times: the seconds that each stage took in an undisturbed run.
        rng: the source of all random choices.
    """

    def __init__(self, times: dict[str, float], rng: random.Random):
        self.times, self.rng = times, rng
        self.kinds = [*dict.fromkeys(kind(stage) for stage in times)]
        self.turn = 0

    def due(self) -> str:
        """Return the kind of stage whose turn it is."""
        return self.kinds[self.turn % len(self.kinds)]

    def wait(self, run: Run) -> bool:
        """Wait for the instant of the kill.

        Args:
            run: the run to kill.

        Returns:
            Whether the instant came before the run ended.
        """
        stage, instant = BETWEEN, float("inf")
        while stage:
            if instant == float("inf") and kind(stage) == self.due() and self._picks(stage):
                instant = time.monotonic() + self.rng.uniform(0, self.times[stage])
            left = max(0, instant - time.monotonic())
            try:
                stage = run.begun.get(timeout=left if left < float("inf") else None)
            except Empty:
                return True
        return False

    def _picks(self, stage: str) -> bool:
        """Return true equally often for each stage of this kind that is still to come."""
        left = [*self.times][[*self.times].index(stage) :]
        return self.rng.random() < 1 / sum(kind(other) == kind(stage) for other in left)

    def kill(self, run: Run, root: Path, shell: str) -> Kill:
        """Kill DVC, its stage or both.

        Args:
            run: the run to kill.
            root: the project's folder.
            shell: the shell between DVC and its stage.

        Returns:
            The kill, for the counts and the messages.
        """
        target = self.rng.choice(["dvc", "stage", "both"])
        how = self.rng.choice([signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
        if how == signal.SIGINT:
            target = "both"  # as a terminal sends it; DVC alone ignores it
        running = re.search(r"stages\.(\w+)", " ".join(processes(root).values()))
        hit = running[1] if running else BETWEEN
        kill(root, target, how)
        self.turn += hit == self.due()
        if target == "stage":  # DVC then ends by itself, or it was between two stages
            run.join(PATIENCE)
            kill(root, "both", signal.SIGKILL)
        return Kill(target, how, shell, hit)


class Killing:
    """Runs that are killed, and the counts of what went wrong.

    Args:
        fresh: a project in which nothing has run.
        folder: a folder for copies of it.
        seed: the seed of all random choices.
        shells: the shells that run the stages, in turn.

    Attributes:
        counts: kills, runs and failures, by name.
        hits: kills by the kind of stage that ran.
    """

    def __init__(self, fresh: Project, folder: Path, seed: int, shells: Sequence[str]):
        self.fresh, self.folder, self.seed, self.shells = fresh, folder, seed, shells
        self.counts: Counter = Counter(kills=0, runs=0, wrong=0, lost=0, left_running=0)
        self.hits: Counter = Counter()
        self.rng = random.Random(seed)
        project = fresh.copy(folder / "undisturbed")
        self.references = [reference_run(project)]
        for old, new in EDITS:
            project.edit(old, new)
        self.references.append(reference_run(project))
        self.policy = KillPolicy(self.references[0].times, self.rng)

    def repeat(self, count: int) -> None:
        """Run copies of the project to their end, until there were `count` kills."""
        while self.counts["kills"] < count:
            project = self.fresh.copy(self.folder / "killed")
            reference = self.run_until_it_ends(project, count)
            self.counts["runs"] += 1
            if reference:
                self.check_end(project.root, reference)
            self.check_temporary_files(project.root)
            shutil.rmtree(project.root)

    def run_until_it_ends(self, project: Project, count: int) -> Reference | None:
        """Run and kill `dvc repro` until a run ends by itself.

        Args:
            project: a copy of the fresh project.
            count: the number of kills after which nothing is killed.

        Returns:
            The reference with the same parameters as the last run; None if that failed.
        """
        while True:
            reference = self.rng.choice(self.references)
            (project.root / "params.yaml").write_text(reference.params)
            shell = self.shells[self.counts["kills"] % len(self.shells)]
            run = Run(project, shell)
            if self.counts["kills"] < count and self.policy.wait(run):
                self.check_kill(
                    run, project.root, self.policy.kill(run, project.root, shell)
                )
                continue
            run.join()
            if run.process.returncode == 0:
                return reference
            # as `make repro` does before the next run
            repaired = locks.is_empty(locks.rwlock_of(project.root))
            repaired += len([*unlock.unlock(project.root)])
            self.counts["left half-written by DVC"] += repaired
            if not repaired:
                said = "".join(run.output)
                print(f"dvc repro failed after kill {self.counts['kills']}: {said}")
                self.counts["lost"] += 1
                return None

    def check_kill(self, run: Run, root: Path, kill_: Kill) -> None:
        """Count a kill; check that nothing is left running and no result is wrong."""
        self.counts["kills"] += 1
        self.counts[f"{kill_.target} by {kill_.signal.name}"] += 1
        self.counts[f"below {kill_.shell}"] += 1
        self.hits[kill_.hit] += 1
        if running := left_running(root, ctrl_c=kill_.signal == signal.SIGINT):
            print(f"left running after {kill_}: {running}")
            self.counts["left_running"] += 1
            kill(root, "both", signal.SIGKILL)
        run.join()
        for problem in wrong(root, self.references):
            print(f"wrong after {kill_}: {problem}")
            self.counts["wrong"] += 1

    def check_end(self, root: Path, reference: Reference) -> None:
        """Check that a run that ended has the results of an undisturbed one."""
        if found := differences(root, reference.files, reference.lock):
            print(
                f"differs from an undisturbed run, seed {self.seed}: ", *found, sep="\n  "
            )
            self.counts["lost"] += 1

    def check_temporary_files(self, root: Path) -> None:
        """Check that no temporary file and no checkpoint is left."""
        if left := [*root.rglob(".tmp-*"), *(root / UNFINISHED).rglob("*")]:
            print("temporary files left: ", *left)
            self.counts["temporary files left"] += 1


def wrong(root: Path, references: Sequence[Reference]) -> list[str]:
    """Return the results that no undisturbed run made, or not from these inputs."""
    return [
        path
        for path, content in results(root).items()
        if all(content != one.files.get(path) for one in references)
    ] + [
        f"{outs} attributed to {inputs}"
        for inputs, outs in attributed(root).items()
        if not any(  # dvc.lock may be cut off after some of them
            all(out in one.attributed[inputs] for out in outs)
            for one in references
            if inputs in one.attributed
        )
    ]


def differences(root: Path, expected: dict[str, bytes], lock: str) -> list[str]:
    """Compare results and dvc.lock with those of an undisturbed run.

    The order of the stages in dvc.lock does not count: DVC runs and lists independent
    stages in any order.

    Args:
        root: the project's folder.
        expected: each result's content by its path.
        lock: the expected text of dvc.lock.

    Returns:
        The paths that differ, and the differing lines of dvc.lock.
    """
    there = results(root)
    files = [path for path in expected | there if expected.get(path) != there.get(path)]
    path = root / "dvc.lock"
    now = path.read_text() if path.exists() else ""
    before, after = (
        yaml.safe_dump(yaml.safe_load(text)).splitlines() for text in (lock, now)
    )
    return [*sorted(files), *difflib.unified_diff(before, after, lineterm="")]


def tables(counts: Counter, hits: Counter) -> str:
    """Return the kills as the tables in docs/reliability.md."""
    lines = ["| killed | by SIGKILL | by SIGTERM | by Ctrl-C |", "|---|---|---|---|"]
    for name, target in (("`dvc repro`", "dvc"), ("its stage", "stage"), ("both", "both")):
        cells = [
            counts[f"{target} by {how}"] or "" for how in ("SIGKILL", "SIGTERM", "SIGINT")
        ]
        lines.append("| " + " | ".join(map(str, [name, *cells])) + " |")
    lines += [
        "",
        "| while it ran | " + " | ".join(STAGES) + " | none, DVC alone |",
        "|---" * (len(STAGES) + 2) + "|",
        "| kills | " + " | ".join(str(hits[name]) for name in [*STAGES, BETWEEN]) + " |",
        "",
    ]
    below = (f"{shell or 'no SHELL'} {counts[f'below {shell}']}" for shell in SHELLS)
    lines += [f"Below {', '.join(below)}.", ""]
    bad = (f"{counts[what]} {what.replace('_', ' ')}" for what in BAD)
    lines.append(f"{counts['kills']} kills in {counts['runs']} runs: {', '.join(bad)}")
    return "\n".join(lines)


def main() -> None:
    """Print the counts; status 1 if a result was lost or wrong, or a process left."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=200, help="number of kills (200)")
    parser.add_argument("--seed", type=int, default=0, help="random seed (0)")
    parser.add_argument("--mnist", action="store_true", help="run on MNIST")
    parser.add_argument("--lenet5", action="store_true", help="also with lenet5")
    arguments = parser.parse_args()
    # A background job of a shell ignores SIGINT, and so would all processes it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        if arguments.mnist:
            fresh = on_mnist(top / "fresh")
        else:
            fresh = make(top / "fresh", generate(300, 120), lenet5=arguments.lenet5)
        shells = [shell for shell in SHELLS if not shell or shutil.which(shell)]
        killing = Killing(fresh, top, arguments.seed, shells)
        killing.repeat(arguments.count)
    counts = killing.counts
    print(tables(counts, killing.hits))
    for what in ("temporary files left", "left half-written by DVC"):
        if counts[what]:
            print(f"{what}: {counts[what]}")
    sys.exit(any(counts[what] for what in (*BAD, "temporary files left")))


if __name__ == "__main__":
    main()
