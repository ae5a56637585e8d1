"""Take random steps of a user, and check that none leaves a wrong result.

    python -m tests.stress.walks --steps 200 --seed 0
    python -m tests.stress.walks --steps 200 --walks 3

The project is clean, edited, damaged, in conflict, interrupted or on another branch, in any
combination. A step is one of the commands and accidents in `STEPS`. It may fail, but must
not end in a traceback. At any time dvc.lock and DVC's run cache may attribute a result only
to the inputs from which a fresh copy made it, and a repair may delete nothing. After the
walk, the conflicts in params.yaml are resolved. Then `make verify FIX=1` and `dvc repro`
must give exactly the results of a fresh copy with the same parameters, and `verify` must
find no damage.

Damage keeps a file's time and size, so that only `verify` notices it; DVC would let the
next stage read the file. So no run and no checkout follows it before a repair.
"""

import argparse
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

from digits import pipeline
from digits.commands import unlock, verify
from digits.data.ignore import Ignored
from tests.helpers.processes import kill, left_running
from tests.helpers.project import Project, generate, make
from tests.helpers.results import attributed, results

# One parameter of `evaluate` and one of `train`, so that all states are known.
VALUES = {"threshold": ("0.49", "0.3"), "multinomial_logistic, C": ("1.0", "0.5")}
EDITED = ("evaluate@linear_binary", "train@multinomial", "download")
BRANCHES = ("main", "other")


class Walk:
    """A random walk of a project, and the results of fresh copies to compare with."""

    def __init__(self, fresh: Project, folder: Path, seed: int):
        """Run a fresh copy with each combination of parameters."""
        self.rng = random.Random(seed)
        self.fresh, self.folder = fresh, folder
        self.expected: dict[tuple[str, ...], tuple[dict[str, bytes], dict[str, Any]]] = {}
        for chosen in itertools.product(*VALUES.values()):
            project = fresh.copy(folder / f"fresh {' '.join(chosen)}")
            for key, value in zip(VALUES, chosen, strict=True):
                edit(project, key, value)
            project.repro()
            self.expected[chosen] = results(project.root), attributed(project.root)
        self.known: dict[str, Any] = {}
        for _, made in self.expected.values():
            self.known |= made
        shutil.copytree(folder / "fresh 0.49 1.0", folder / "walk", symlinks=True)
        self.project = Project(folder / "walk")
        self.project.commit("Run")
        self.project.run("git", "branch", "other")
        self.counts: Counter = Counter()
        self.damaged = False

    def step(self) -> str:
        """Take one step; return its name, and what went wrong."""
        name = self.rng.choice(WHILE_DAMAGED if self.damaged else USUAL)
        before = time.monotonic()
        said = STEPS[name](self)
        self.counts[name] += 1
        took = time.monotonic() - before
        problems = []
        problems += [line for line in said.splitlines() if line.startswith("deleted")]
        if "Traceback" in said:
            problems.append(f"a traceback: {said}")
        problems += self.misattributed()
        state = ", ".join(self.state())
        line = f"{name:10} {took:4.1f} s  {state}"
        return "\n".join([line, *(f"  WRONG {problem}" for problem in problems)])

    def misattributed(self) -> list[str]:
        """Return the results that are attributed to other inputs than in a fresh copy."""
        return [
            f"{[out['path'] for out in outs]} attributed to other inputs"
            for inputs, outs in attributed(self.project.root).items()
            if inputs in self.known  # dvc.lock may be cut off
            and any(out not in self.known[inputs] for out in outs)
        ]

    def state(self) -> list[str]:
        """Return the project's state according to Git and the files."""
        root = self.project.root
        found = [f"on {self.branch()}"] + ["damaged"] * self.damaged
        if self.git("status", "--porcelain", "params.yaml"):
            found.append("edited")
        if unlock.in_conflict(root / "dvc.lock"):
            found.append("conflicted")
        if not (root / "dvc.lock").exists() or not unlock.is_whole(root / "dvc.lock"):
            found.append("interrupted")
        return found

    def branch(self) -> str:
        """Return the branch, empty during a merge or rebase."""
        return self.git("symbolic-ref", "--short", "--quiet", "HEAD").strip()

    def git(self, *arguments: str) -> str:
        """Return the output of Git, which may fail."""
        return self.project.run("git", *arguments, check=False).stdout

    def do(self, *command: str) -> str:
        """Return the output of a command, which may fail."""
        result = self.project.run(*command, check=False)
        return result.stdout + result.stderr

    def end(self) -> list[str]:
        """Repair everything like a user, and return what is still wrong."""
        root = self.project.root
        settle(self)
        if not (root / "data/own/tiny.npz").exists():
            hide_source(self)
        problems = repair(self).splitlines()
        problems = [line for line in problems if line.startswith("deleted")]
        repro = self.project.run("dvc", "repro", check=False)
        if repro.returncode:
            problems.append(f"dvc repro fails: {repro.stdout}{repro.stderr}")
        files, made = self.expected[now(self.project)]
        there = results(root)
        problems += [
            f"{path} differs"
            for path in sorted(files.keys() | there.keys())
            if files.get(path) != there.get(path)
        ]
        lock = pipeline.read(root / "dvc.lock")["stages"]
        problems += [
            f"dvc.lock: {name}"
            for name, stage in lock.items()
            if sorted(stage.get("outs", []), key=str)
            != made.get(json.dumps({**stage, "outs": None}, sort_keys=True))
        ]
        verify = self.project.run("python", "-m", "digits", "verify", check=False)
        if verify.returncode:
            problems.append(f"verify: {verify.stdout}{verify.stderr}")
        return problems


def now(project: Project) -> tuple[str, ...]:
    """Return the values in params.yaml."""
    text = (project.root / "params.yaml").read_text()
    return tuple(
        next(value for value in values if f"{key}: {value}" in text)
        for key, values in VALUES.items()
    )


def edit(project: Project, key: str, value: str) -> None:
    """Set a parameter."""
    path = project.root / "params.yaml"
    text = path.read_text()
    for old in VALUES[key]:
        text = text.replace(f"{key}: {old}", f"{key}: {value}")
    path.write_text(text)


def change(walk: Walk) -> str:
    """Edit a parameter without a run."""
    key = walk.rng.choice([*VALUES])
    edit(walk.project, key, walk.rng.choice(VALUES[key]))
    return ""


def damage(walk: Walk) -> str:
    """Change a byte of a result, of its object in the cache, or of both."""
    root = walk.project.root
    lock = root / "dvc.lock"
    if not lock.exists() or not unlock.is_whole(lock):
        return ""
    outs = verify.recorded(root)
    if (
        walk.rng.random() < 2 / 3
    ):  # more often a result that an edit or a missing source affects
        outs = [out for out in outs if out.stage in EDITED and out.cached]
    out = walk.rng.choice(outs)
    files = [path for path in Ignored(root).files(root / out.path) if path.is_file()]
    if (root / out.path).is_file():
        files = [root / out.path]
    if not files:
        return ""
    path = walk.rng.choice(sorted(files))
    value = verify.md5(path)
    copies = [path, root / ".dvc/cache/files/md5" / value[:2] / value[2:]]
    at = walk.rng.randrange(max(1, path.stat().st_size))
    for copy in walk.rng.choice([copies[:1], copies[1:], copies]):
        if not copy.exists() or not copy.stat().st_size:
            continue
        before = copy.stat()
        content = bytearray(copy.read_bytes())
        content[at] ^= 1
        copy.chmod(0o644)
        copy.write_bytes(content)
        copy.chmod(before.st_mode)
        os.utime(copy, ns=(before.st_atime_ns, before.st_mtime_ns))
        walk.damaged = True
    return ""


def hide_source(walk: Walk) -> str:
    """Move the data's source away, or back."""
    source, hidden = (walk.project.root / f"data/own/tiny.npz{end}" for end in ("", ".bak"))
    if source.exists():
        source.rename(hidden)
    else:
        hidden.rename(source)
    return ""


def repair(walk: Walk) -> str:
    """Repair; while something is not repaired, run it again, as the message says."""
    before = {*results(walk.project.root)}
    result = walk.project.run("python", "-m", "digits", "verify", "--fix", check=False)
    said = result.stdout + result.stderr
    for path in sorted(before - {*results(walk.project.root)}):
        said += f"\ndeleted by the repair: {path}"
    if walk.damaged and (walk.project.root / "data/own/tiny.npz").exists():
        if result.returncode:
            said += repro(walk)
            result = walk.project.run("python", "-m", "digits", "verify", check=False)
        walk.damaged = result.returncode != 0
    return said


def lose(walk: Walk) -> str:
    """Delete a result."""
    name = walk.rng.choice(["data/models", "data/subsets/binary", "metrics/multinomial"])
    shutil.rmtree(walk.project.root / name, ignore_errors=True)
    return ""


def interrupt(walk: Walk) -> str:
    """Kill `dvc repro` at a random instant."""
    run = subprocess.Popen(
        ["dvc", "repro"],
        cwd=walk.project.root,
        env=os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    time.sleep(walk.rng.uniform(0.5, 4))
    kill(walk.project.root, walk.rng.choice(["dvc", "both"]), signal.SIGKILL)
    run.wait()
    running = left_running(walk.project.root)
    return f"Traceback: left running: {running}" if running else ""


def cut_short(walk: Walk) -> str:
    """Truncate dvc.lock, like a DVC that is killed while it writes."""
    path = walk.project.root / "dvc.lock"
    if path.exists():
        text = path.read_text()
        path.write_text(text[: walk.rng.randrange(len(text) + 1)])
    return ""


def bad_luck(walk: Walk) -> str:
    """Edit, damage, perhaps hide the source, and then repair."""
    change(walk)
    damage(walk)
    if hidden := walk.damaged and walk.rng.random() < 1 / 2:
        hide_source(walk)
    said = repair(walk)
    if hidden:
        hide_source(walk)
    return said


def switch(walk: Walk) -> str:
    """Switch to the other branch, if Git allows it."""
    other = BRANCHES[walk.branch() == "main"]
    return walk.do("git", "switch", other)


def merge(walk: Walk) -> str:
    """Merge the other branch, and leave conflicts."""
    return walk.do("git", "merge", "--no-edit", BRANCHES[walk.branch() == "main"])


def commit(walk: Walk) -> str:
    """Commit everything, unless dvc.lock is damaged."""
    lock = walk.project.root / "dvc.lock"
    if not lock.exists() or not unlock.is_whole(lock) or walk.git("ls-files", "--unmerged"):
        return ""
    return walk.do("git", "commit", "--all", "--quiet", "--message", "Go on")


def settle(walk: Walk) -> str:
    """Resolve conflicts in params.yaml with our side, and run `digits unlock`."""
    if unlock.in_conflict(walk.project.root / "params.yaml"):
        walk.do("git", "checkout", "--ours", "params.yaml")
        walk.do("git", "add", "params.yaml")
    return walk.do("python", "-m", "digits", "unlock")


def repro(walk: Walk) -> str:
    """Run the pipeline like `make repro`."""
    said = walk.do("python", "-m", "digits", "unlock")
    return said + walk.do("dvc", "repro")


STEPS: dict[str, Callable[[Walk], str]] = {
    "edit": change,
    "damage": damage,
    "lose": lose,
    "repro": repro,
    "verify": lambda walk: walk.do("python", "-m", "digits", "verify"),
    "FIX=1": repair,
    "unlock": lambda walk: walk.do("python", "-m", "digits", "unlock"),
    "settle": settle,
    "checkout": lambda walk: walk.do("dvc", "checkout", "--force"),
    "restore": lambda walk: walk.do("git", "checkout", "--", "."),
    "switch": switch,
    "merge": merge,
    "commit": commit,
    "kill": interrupt,
    "cut short": cut_short,
    "gc": lambda walk: walk.do("dvc", "gc", "--workspace", "--force"),
    "source": hide_source,
    "bad luck": bad_luck,
}
USUAL = [*(name for name in STEPS if name != "source"), "damage", "bad luck"]
WHILE_DAMAGED = ("edit", "verify", "FIX=1", "unlock", "source")


def main() -> None:
    """Walk, and print each step; status 1 if anything was wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=200, help="of each walk (200)")
    parser.add_argument("--walks", type=int, default=1, help="how many (1)")
    parser.add_argument("--seed", type=int, default=0, help="of the first walk (0)")
    arguments = parser.parse_args()
    bad = 0
    for seed in range(arguments.seed, arguments.seed + arguments.walks):
        with tempfile.TemporaryDirectory() as name:
            fresh = make(Path(name) / "new", generate(300, 120))
            walk = Walk(fresh, Path(name), seed)
            for number in range(arguments.steps):
                said = walk.step()
                print(f"{number + 1:4} {said}", flush=True)
                bad += said.count("\n  WRONG ")
            problems = walk.end()
        print(*problems, sep="\n")
        bad += len(problems)
        steps = ", ".join(f"{name} {n}" for name, n in sorted(walk.counts.items()))
        print(f"seed {seed}: {arguments.steps} steps ({steps}): {len(problems)} wrong")
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
