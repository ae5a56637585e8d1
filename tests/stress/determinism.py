"""Run the pipeline under circumstances that must not matter, and compare the results.

    python -m tests.stress.determinism               on generated data
    python -m tests.stress.determinism --mnist       on MNIST, from data/raw
    python -m tests.stress.determinism --python python3.13
                          also with another Python (needs uv's cache or a package index)

Threads, order, path, language, time zone, settings of Python and of libraries: the same
bytes, that is the same dvc.lock.
Another BLAS kernel, as another processor takes it, or another Python: the same files
under metrics/, where a number that is rounded may differ by one in its sixth decimal;
not the course of a training, since another kernel takes other steps to the same optimum.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.helpers.project import ROOT, Project, generate, make
from tests.stress.kills import on_mnist

PYTHON = {
    "COLUMNS": "20",
    "FORCE_COLOR": "1",
    "NO_COLOR": "1",
    "PYTHONDEVMODE": "1",
    "PYTHONHASHSEED": "7",
    "PYTHONINTMAXSTRDIGITS": "640",
    "PYTHONIOENCODING": "latin-1",
    "PYTHONMALLOC": "debug",
    "PYTHONOPTIMIZE": "1",
    "PYTHONSTARTUP": "/nothing",
    "SOURCE_DATE_EPOCH": "1",
}
LIBRARIES = {
    "JOBLIB_MULTIPROCESSING": "0",
    "MPLBACKEND": "svg",
    "MPLCONFIGDIR": "/proc/nothing",
    "OMP_DYNAMIC": "true",
    "OPENBLAS_NUM_THREADS": "-3",
    "PILLOW_ALIGNMENT": "64",
    "PILLOW_BLOCK_SIZE": "4k",
    "SCIPY_ARRAY_API": "1",
    "SCIPY_DEFAULT_DTYPE": "float32",
    "SKLEARN_ASSUME_FINITE": "1",
    "SKLEARN_PAIRWISE_DIST_CHUNK_SIZE": "3",
    "SKLEARN_WORKING_MEMORY": "1",
}
TENSORFLOW = {
    "KERAS_BACKEND": "jax",
    "KERAS_MAX_EPOCHS": "1",
    "KERAS_NNX_ENABLED": "1",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "0",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTRAOP_THREADS": "1",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2 --tf_xla_cpu_global_jit",
    "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
}
KERNELS = ("Nehalem", "Sandybridge", "Haswell", "SkylakeX")


@dataclass
class Circumstance:
    """What is other than usual in a run.

    same: "bytes" if dvc.lock must be the same, "metrics" if only metrics/ must
    """

    name: str
    same: str = "bytes"
    folder: str = "project"
    environment: dict[str, str] = field(default_factory=dict)
    reverse: bool = False
    python: Path = Path(sys.executable)


def turkish(top: Path) -> dict[str, str]:
    """Make the locale in which a capital i is no I, from Debian's package `locales`."""
    name = "tr_TR.UTF-8"
    command = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(top / name)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        print("    Turkish is not installed here (Debian: apt install locales), so it is C")
    return {"LOCPATH": str(top), "LC_ALL": name}


def circumstances(top: Path) -> Iterator[Circumstance]:
    yield Circumstance("another clone")
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    for n in (1, 2):
        yield Circumstance(f"threads: {n}", environment=dict.fromkeys(threads, str(n)))
    yield Circumstance("stages in another order", reverse=True)
    yield Circumstance("a path with spaces, ä and ☃", folder="a path with spaces, ä and ☃")
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    zone = {"TZ": "Pacific/Kiritimati"}
    yield Circumstance("ASCII alone, another time zone", environment=plain | zone)
    yield Circumstance("Turkish", environment=turkish(top))
    yield Circumstance("settings of Python", environment=PYTHON)
    yield Circumstance("settings of libraries", environment=LIBRARIES)
    yield Circumstance("settings of TensorFlow", environment=TENSORFLOW)
    (top / "matplotlibrc").write_text("text.usetex: True\nfont.size: 20\n")
    (top / ".keras").mkdir()
    (top / ".keras/keras.json").write_text('{"floatx": "float64", "backend": "jax"}')
    home = {"MATPLOTLIBRC": str(top / "matplotlibrc"), "HOME": str(top)}
    yield Circumstance("settings in files", environment=home)
    for kernel in KERNELS:
        yield Circumstance(
            f"BLAS for {kernel}", "metrics", environment={"OPENBLAS_CORETYPE": kernel}
        )


def other_python(name: str, root: Path) -> Circumstance:
    """Make an environment with another Python, from requirements.lock."""
    uv = ("uv", "--quiet")
    subprocess.run([*uv, "venv", "--python", name, root], check=True)
    python = root / "bin/python"
    lock = ROOT / "requirements.lock"
    pins = ("--require-hashes", "--require-build-hashes", "--build-constraints", lock)
    install = ("pip", "install", "--python", python, *pins, "--requirement", lock)
    subprocess.run([*uv, *install], check=True)
    version = subprocess.run(
        [python, "--version"], capture_output=True, text=True, check=True
    ).stdout.strip()
    return Circumstance(version, "metrics", python=python)


def run(project: Project, circumstance: Circumstance) -> None:
    """Run all stages, without any cache of earlier runs."""
    path = f"{circumstance.python.parent}:{os.environ['PATH']}"
    command = ["dvc", "repro", "--no-run-cache"]
    if circumstance.reverse:
        listed = project.run("dvc", "stage", "list", "--name-only").stdout.split()
        kinds = ("check", "download", "filter", "train", "evaluate", "report")
        for kind in kinds:
            names = [name for name in listed if name.partition("@")[0] == kind]
            command += reversed(names)
        command.insert(2, "--single-item")
    subprocess.run(
        command,
        cwd=project.root,
        env=os.environ | {"PATH": path} | circumstance.environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def metrics(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in (root / "metrics").rglob("*")
        if path.is_file()
    }


def last_decimal(a: bytes | None, b: bytes | None) -> bool:
    """Tell whether two files of metrics differ in nothing but how numbers were rounded."""
    one, other = ({} if text is None else json.loads(text) for text in (a, b))
    return one.keys() == other.keys() and all(
        abs(one[key] - other[key]) < 1.5e-6 for key in one
    )


def recorded(root: Path) -> dict[str, Any]:
    """Return dvc.lock; the order of its stages is that in which they first ran."""
    return yaml.safe_load((root / "dvc.lock").read_text())


def main() -> None:
    """Run, and say in a line each whether the results are the same; status 1 if not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist", action="store_true", help="on MNIST")
    parser.add_argument(
        "--python", action="append", default=[], help="another Python; may be repeated"
    )
    parser.add_argument("--only", default="", help="circumstances with this in their names")
    arguments = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        root = top / "fresh"
        fresh = (
            on_mnist(root)
            if arguments.mnist
            else make(root, generate(300, 120), lenet5=True)
        )
        usual = fresh.copy(top / "usual")
        run(usual, Circumstance("usual"))
        expected, expected_metrics = recorded(usual.root), metrics(usual.root)
        others = [
            other_python(p, top / f"python{i}") for i, p in enumerate(arguments.python)
        ]
        for i, circumstance in enumerate([*circumstances(top), *others]):
            if arguments.only not in circumstance.name:
                continue
            project = fresh.copy(top / str(i) / circumstance.folder)
            run(project, circumstance)
            same_bytes = recorded(project.root) == expected
            found = metrics(project.root)
            differ = sorted(dict(found.items() ^ expected_metrics.items()))
            good = same_bytes or (
                circumstance.same == "metrics"
                and all(
                    path.endswith("/training/curve.csv")
                    or (
                        path.endswith(".json")
                        and last_decimal(found.get(path), expected_metrics.get(path))
                    )
                    for path in differ
                )
            )
            bad += not good
            what = "the same bytes" if same_bytes else "the same metrics"
            if differ:
                how = "up to rounding and course in" if good else "but for"
                what = f"the same metrics, {how} {', '.join(differ)}"
            print(f"{'ok ' if good else 'BAD'} {circumstance.name}: {what}", flush=True)
    sys.exit(bool(bad))


if __name__ == "__main__":
    main()
