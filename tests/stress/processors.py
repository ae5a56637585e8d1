"""Compare the results of other processors with those of this one, byte for byte.

    python -m tests.stress.processors           all of them
    python -m tests.stress.processors --short   what CI runs: generated data, fewer of them
    python -m tests.stress.processors --only ARM --only Haswell

QEMU emulates the processors, and runs the stages `train` and `evaluate` on them: on
generated data, and if MNIST is in data/raw, on some of its images and on all its zeros and
ones. Other kernels of OpenBLAS, threads, versions of Python and of libraries need no
emulation. Models, predictions and metrics must be the same bytes, with two exceptions:

- LeNet-5 is trained only on x86-64 processors with AVX2; on others the model that was
  trained here is evaluated.
- Another version of Matplotlib may draw another figure.

Needs Linux on x86-64, and apt-get. QEMU, Python for ARM and libraries are downloaded to
`.processors_cache/`, which Git ignores; nothing is installed, and root is not needed.
"""

import argparse
import os
import platform
import queue
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import numpy as np
import yaml

from digits.data import dataset
from digits.data.dataset import Dataset, Split
from digits.methods.lenet5 import AVX2
from tests.helpers import kernels
from tests.helpers.project import PARAMS, ROOT, Project, generate, make, write_params

DOWNLOADS = ROOT / ".processors_cache"
# What `train`, `evaluate` and `path` import.
LIBRARIES = (
    "matplotlib", "numpy", "pathspec", "pillow", "psutil", "pydantic", "pyyaml",
    "scikit-learn", "scipy", "shtab", "threadpoolctl", "tqdm",
)  # fmt: skip
SOURCE = "data/own/tiny.npz"  # of the data in a project for tests
SMALLER = {"components": 5, "centres": 33, "features": 40}  # of the published models
SIZE = 1000  # images of MNIST in each split
# One process runs all stages, because an emulated one needs up to 20 seconds to start.
STAGES = """
import sys
from pathlib import Path
from digits.config import params
from stages import evaluate, path, train

root = Path()
checked = params.load(root / "params.yaml")
for variant in sys.argv[1:]:
    if variant in checked.subsets:
        path.main(checked, variant, root)
        continue
    if not (root / f"data/models/{variant}.npz").exists():
        train.main(checked, variant, root)
    evaluate.main(checked, variant, root)
"""


class NotHereError(Exception):
    """This machine cannot run as that processor."""


@dataclass
class Processor:
    """A processor, or another way to use this one.

    Attributes:
        name: the description that is printed.
        python: the command that runs Python on it.
        environment: environment variables to set.
        n_threads: the number of threads.
        trains_lenet5: whether LeNet-5 is trained on it.
        same_figures: whether Matplotlib has the same version.
    """

    name: str
    python: Sequence[str | Path] = (sys.executable,)
    environment: dict[str, str] = field(default_factory=dict)
    n_threads: int = 1
    trains_lenet5: bool = True
    same_figures: bool = True


@dataclass
class Data:
    """A project in which the pipeline runs on this processor.

    Attributes:
        name: the description that is printed.
        project: the project.
        variants: the names of its variants, and of a subset with a regularisation path.
        published: whether they are the models of the published table.
    """

    name: str
    project: Project
    variants: Sequence[str]
    published: bool = False


# --- what must be downloaded ---


def unpack(architecture: str, *packages: str) -> Path:
    """Download Debian packages and all that they need, and unpack them.

    Args:
        architecture: Debian's name of the architecture.
        packages: the names.

    Returns:
        The folder in which they are unpacked.
    """
    folder = DOWNLOADS / architecture
    if folder.is_dir():
        return folder
    if not shutil.which("apt-get"):
        raise NotHereError("apt-get is missing: this is not Debian or Ubuntu")
    with tempfile.TemporaryDirectory(dir=DOWNLOADS) as name:
        apt, root = Path(name, "apt"), Path(name, "root")
        for path in ("state/lists/partial", "cache/archives/partial"):
            (apt / path).mkdir(parents=True)
        (apt / "state/status").touch()  # no package is installed there
        settings = {
            "APT::Architecture": architecture,
            "APT::Architectures": architecture,
            "APT::Sandbox::User": "root",  # the user _apt cannot write to the folder
            "Dir::Cache": apt / "cache",
            "Dir::State": apt / "state",
            "Dir::State::status": apt / "state/status",
        }
        options = [f"--option={key}={value}" for key, value in settings.items()]
        only = ("--download-only", "--yes", "--no-install-recommends")
        for command in (["update"], ["install", *only, *packages]):
            result = subprocess.run(
                ["apt-get", *options, *command], capture_output=True, text=True, check=False
            )
            if result.returncode:
                sys.exit(f"apt-get {command[0]} failed:\n{result.stderr}")
        for package in (apt / "cache/archives").glob("*.deb"):
            subprocess.run(["dpkg-deb", "--extract", package, root], check=True)
        root.rename(folder)
    return folder


def qemu(target: str) -> Path:
    """Return the emulator of a processor for one process, installed or downloaded."""
    names = (f"qemu-{target}-static", f"qemu-{target}")
    for name in names:
        if found := shutil.which(name):
            return Path(found)
    folder = unpack("amd64", "qemu-user-static") / "usr/bin"
    return next(folder / name for name in names if (folder / name).exists())


def pins(lock: Path, names: Iterable[str]) -> str:
    """Return the part of a lock file for some packages and all that they need."""
    blocks = {}
    for block in re.split(r"(?m)^(?=[a-z0-9])", lock.read_text())[1:]:
        name = re.match(r"[a-z0-9-]+", block)[0]
        needed_by = re.findall(r"(?m)^ +#(?: via)? +([a-z0-9-]+)", block)
        text, by = blocks.get(name, ("", []))
        blocks[name] = text + block, by + needed_by
    chosen: set[str] = set()
    more = set(names)
    while more:
        chosen |= more
        more = {name for name, (_, by) in blocks.items() if chosen & {*by}} - chosen
    return "".join(text for name, (text, _) in blocks.items() if name in chosen)


def install(lock: Path, machine: str, python: str) -> Path:
    """Install libraries from a lock file into a folder.

    Args:
        lock: the lock file.
        machine: the architecture, such as "aarch64".
        python: the version of Python, such as "3.11".

    Returns:
        The folder, for PYTHONPATH.
    """
    folder = DOWNLOADS / f"{lock.stem}-{machine}-{python}"
    requirements, complete = pins(lock, LIBRARIES), folder / "complete"
    if not complete.exists() or complete.read_text() != requirements:
        shutil.rmtree(folder, ignore_errors=True)
        options = (
            "--no-config", "--require-hashes", "--no-deps", "--only-binary", ":all:",
            "--python-platform", f"{machine}-manylinux_2_28", "--python-version", python,
            "--target", folder, "--requirement", "-",
        )  # fmt: skip
        subprocess.run(
            ["uv", "--quiet", "pip", "install", *options],
            input=requirements,
            text=True,
            check=True,
        )
        complete.write_text(requirements)
    return folder


# --- the processors ---


def this_one(*, short: bool) -> Iterator[Processor]:
    """Yield other ways to use this processor."""
    yield Processor("one thread")
    yield Processor("two threads", n_threads=2)
    tried = ("Nehalem", "Haswell") if short else kernels.KERNELS
    for kernel in filter(kernels.runs_here, tried):
        environment = {"OPENBLAS_CORETYPE": kernel}
        yield Processor(f"OpenBLAS for {kernel}", environment=environment)
    features = np.show_config("dicts")["SIMD Extensions"].get("found", [])
    beyond_avx2 = [name for name in features if name not in AVX2]
    for name, disabled in (("AVX", features), ("AVX-512", beyond_avx2)):
        environment = {"NPY_DISABLE_CPU_FEATURES": " ".join(disabled)}
        yield Processor(f"NumPy without {name}", environment=environment)


def emulated(model: str) -> Processor:
    """Return an x86-64 processor, by QEMU's name.

    NumPy does not use its AVX2 there, because QEMU 7.2 computes some of it wrongly: its
    `argsort` of equal numbers is no permutation. OpenBLAS and TensorFlow use it.
    """
    has_avx2 = model != "Nehalem"
    command = (qemu("x86_64"), "-cpu", model, sys.executable)
    environment = {"NPY_DISABLE_CPU_FEATURES": " ".join(AVX2)} if has_avx2 else {}
    return Processor(model, command, environment, trains_lenet5=has_avx2)


def arm(model: str, name: str) -> Processor:
    """Return a 64-bit ARM processor, by QEMU's name, with Debian's Python."""
    if platform.freedesktop_os_release()["ID"] == "ubuntu":
        raise NotHereError("Ubuntu has its packages for ARM on another server")
    root = unpack("arm64", "python3", "libstdc++6")
    python = root / "usr/bin/python3"
    version = python.readlink().name.removeprefix("python")
    libraries = install(ROOT / "requirements.lock", "aarch64", version)
    return Processor(
        name,
        (qemu("aarch64"), "-cpu", model, python, "-S"),
        {"QEMU_LD_PREFIX": str(root), "PYTHONPATH": str(libraries)},
        trains_lenet5=False,
    )


def other_libraries(lock: str, version: str, name: str) -> Processor:
    """Return this processor with another Python and the libraries of a lock file."""
    pyenv = map(str, Path.home().glob(".pyenv/versions/*/bin"))  # it hides all but one
    result = subprocess.run(
        ["uv", "python", "find", "--no-project", "--system", version],
        env=os.environ | {"PATH": os.pathsep.join([os.environ["PATH"], *pyenv])},
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        raise NotHereError(f"there is no Python {version} here")
    libraries = install(ROOT / lock, "x86_64", version)
    return Processor(
        name,
        (result.stdout.strip(), "-S"),
        {"PYTHONPATH": str(libraries)},
        trains_lenet5=False,
        same_figures="lowest" not in lock,
    )


def others(*, short: bool) -> Iterator[tuple[str, Callable[[str], Processor]]]:
    """Yield the name of each other processor, and a function that returns it."""
    for model in ("Haswell", "Nehalem") if short else ("Haswell", "EPYC-Milan", "Nehalem"):
        yield model, emulated
    for model in ("neoverse-n1",) if short else ("neoverse-n1", "a64fx"):
        yield f"ARM {model}", partial(arm, model)
    oldest = partial(other_libraries, "requirements-lowest.lock", "3.11")
    yield "Python 3.11, oldest libraries", oldest
    if not short:
        newest = partial(other_libraries, "requirements.lock", "3.13")
        yield "Python 3.13, newest libraries", newest


# --- the data ---


def prepare(top: Path, *, short: bool) -> Iterator[Data]:
    """Yield projects on generated data, and on MNIST if it is there; nothing run yet."""
    blocks = yaml.safe_load(PARAMS.read_text())["variants"]
    generated = generate(500, 200)
    project = make(top / "generated", generated, lenet5=True)
    yield Data("generated data", project, (*blocks, "digits"))
    if not short:
        yield published_models(top / "published", generated)
    if short or not (ROOT / "data/raw").is_dir():
        return
    mnist = dataset.load(ROOT / "data/raw")
    train, test = (Split(*(array[:SIZE] for array in s)) for s in mnist.splits.values())
    project = make(top / "mnist", Dataset(train, test), lenet5=True)
    yield Data(f"{SIZE} images of MNIST", project, (*blocks, "digits"))
    train, test = (dataset.select(split, (0, 1)) for split in mnist.splits.values())
    project = make(top / "binary", Dataset(train, test))
    two_digits = {
        key: block for key, block in blocks.items() if block["subset"] == "binary"
    }
    write_params(project, SOURCE, {"binary": {"classes": [0, 1]}}, two_digits)
    yield Data("all zeros and ones of MNIST", project, (*two_digits, "binary"))


def published_models(root: Path, data: Dataset) -> Data:
    """Return a project with the published models, at sizes that suit `data`."""
    project = make(root, data)
    params = yaml.safe_load((ROOT / "published/params.yaml").read_text())
    for block in params["variants"].values():
        block["train"] |= {key: SMALLER[key] for key in SMALLER.keys() & {*block["train"]}}
    write_params(project, SOURCE, params["subsets"], params["variants"])
    name = "published models, generated data"
    return Data(name, project, tuple(params["variants"]), published=True)


# --- the comparison ---


def run(processor: Processor, data: Data, root: Path, cpus: Sequence[int]) -> None:
    """Train and evaluate the variants of a project on a processor.

    Args:
        processor: the processor.
        data: the project; its results are not changed.
        root: a folder for the results, which does not exist yet.
        cpus: the numbers of this machine's processors to use.
    """
    usual = data.project.root
    (root / "data").mkdir(parents=True)
    (root / "data/subsets").symlink_to(usual / "data/subsets")
    shutil.copy(usual / "params.yaml", root)
    if "lenet5" in data.variants and not processor.trains_lenet5:
        for name in ("data/models/lenet5.npz", "metrics/lenet5/training/curve.csv"):
            (root / name).parent.mkdir(parents=True)
            shutil.copy(usual / name, root / name)
    libraries = processor.environment.get("PYTHONPATH", "")
    code = {"PYTHONPATH": f"{usual}{os.pathsep}{libraries}"}
    pinned = ("taskset", "--cpu-list", ",".join(map(str, cpus)))
    result = subprocess.run(
        (*pinned, *processor.python, "-c", STAGES, *data.variants),
        cwd=root,
        env=os.environ | processor.environment | code,
        capture_output=True,
        text=True,
        check=False,
    )
    if result.returncode:
        errors = [line for line in result.stderr.splitlines() if "TCG" not in line]
        print(f"{processor.name}, {data.name}:", *errors[-20:], sep="\n", flush=True)


def results(root: Path, variant: str) -> dict[str, bytes]:
    """Return the files of a variant, by their paths."""
    patterns = f"data/*/{variant}.npz", f"metrics/{variant}.json", f"metrics/{variant}/**/*"
    return {
        str(path.relative_to(root)): path.read_bytes()
        for pattern in patterns
        for path in root.glob(pattern)
        if path.is_file()
    }


def differences(processor: Processor, data: Data, variant: str, root: Path) -> list[str]:
    """Return the paths of a variant's files that differ from those of this processor.

    Args:
        processor: the processor.
        data: the project with the results of this one.
        variant: the variant.
        root: the folder with the results of the processor.
    """
    found, usual = results(root, variant), results(data.project.root, variant)
    return [
        path
        for path in sorted(dict(found.items() ^ usual.items()))
        if processor.same_figures or not path.endswith(".png")
    ]


def table(done: Iterable[tuple[Data, Processor, Sequence[list[str]]]]) -> str:
    """Return a Markdown table, with a row for each processor, a column for each variant.

    Args:
        done: the data, the processor, and for each variant the paths that differ. A cell
            says "equal" if none differs on any data.
    """
    rows: dict[str, dict[str, bool]] = {}
    for data, processor, differ in done:
        row = rows.setdefault(processor.name, {})
        for variant, paths in zip(data.variants, differ, strict=True):
            row[variant] = row.get(variant, True) and not paths
    variants = list(next(iter(rows.values())))
    lines = [["processor", *variants], ["---"] * (1 + len(variants))]
    lines += [
        [name, *("equal" if equal else "differs" for equal in row.values())]
        for name, row in rows.items()
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def compare_all(chosen: Sequence[Processor], prepared: Sequence[Data], top: Path) -> bool:
    """Run on all processors and print the tables; return whether all is equal.

    Args:
        chosen: the processors.
        prepared: the projects.
        top: a folder for the results.
    """
    here = sorted(os.sched_getaffinity(0))
    cpus: queue.SimpleQueue[int] = queue.SimpleQueue()
    for cpu in here[:2]:
        cpus.put(cpu)

    def check(job: tuple[Data, Processor]) -> list[list[str]]:
        data, processor = job
        root = top / f"{processor.name}, {data.name}"
        cpu, start = cpus.get(), time.monotonic()
        run(processor, data, root, [cpu] if processor.n_threads == 1 else here[:2])
        seconds = time.monotonic() - start
        cpus.put(cpu)
        differ = [differences(processor, data, variant, root) for variant in data.variants]
        paths = [path for of_variant in differ for path in of_variant]
        summary = f"{len(paths)} files differ:" if paths else "equal"
        print(f"{root.name}, {seconds:.0f} s: {summary}", *paths, sep="\n  ", flush=True)
        return differ

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(lambda data: data.project.repro("evaluate", "path"), prepared))
        jobs = [(data, processor) for data in prepared for processor in chosen]
        done = [
            (*job, differ) for job, differ in zip(jobs, pool.map(check, jobs), strict=True)
        ]
    for published in (False, True):
        if part := [one for one in done if one[0].published is published]:
            print(f"\n{table(part)}")
    evaluated = [processor.name for processor in chosen if not processor.trains_lenet5]
    print(f"\nLeNet-5 was evaluated, but not trained: {', '.join(evaluated)}")
    return not any(any(differ) for *_, differ in done)


def main() -> None:
    """Print how equal the results are; status 1 if one differs that must not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--short", action="store_true", help="what CI runs")
    parser.add_argument(
        "--only", action="append",
        help="only processors whose name contains this (repeatable)",
    )  # fmt: skip
    arguments = parser.parse_args()
    if platform.system() != "Linux" or platform.machine() != "x86_64":
        sys.exit("this test needs Linux on x86-64, where it emulates other processors")
    for name in ("OPENBLAS_CORETYPE", "NPY_DISABLE_CPU_FEATURES", "GLIBC_TUNABLES"):
        os.environ.pop(name, None)
    DOWNLOADS.mkdir(exist_ok=True)

    def wanted(name: str) -> bool:
        return not arguments.only or any(part in name for part in arguments.only)

    chosen, not_run = [], []
    for name, create in others(short=arguments.short):
        if wanted(name):
            try:
                chosen.append(create(name))
            except NotHereError as reason:
                not_run.append(f"not run: {name}, because {reason}")
    chosen += [one for one in this_one(short=arguments.short) if wanted(one.name)]
    with tempfile.TemporaryDirectory() as folder:
        prepared = list(prepare(Path(folder), short=arguments.short))
        good = compare_all(chosen, prepared, Path(folder))
    print(*not_run, sep="\n")
    sys.exit(not good)


if __name__ == "__main__":
    main()
