"""Run the pipeline in environments that must not matter, and compare the results.

    python -m tests.stress.determinism               on generated data
    python -m tests.stress.determinism --mnist       on MNIST, from data/raw
    python -m tests.stress.determinism --python python3.13
                          also with another Python (needs uv's cache or a package index)

Other threads, stage orders, paths, languages, time zones, settings of Python and of
libraries, and another Python must give the same bytes. With another Python only the
fingerprints differ, because requirements.lock has other libraries for it. `processors.py`
tries other kernels of OpenBLAS.
"""

import argparse
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import yaml

from tests.helpers.dvc_yaml import STAGES
from tests.helpers.project import ROOT, Project, generate, make, on_mnist

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
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


@dataclass
class Variation:
    """How a run differs from the usual one.

    Attributes:
        name: the description that is printed.
        folder: the name of the project's folder.
        environment: environment variables to set.
        reverse: whether to run the stages of each kind in reverse order.
        python: the Python to run.
    """

    name: str
    folder: str = "project"
    environment: dict[str, str] = field(default_factory=dict)
    reverse: bool = False
    python: Path = Path(sys.executable)


def turkish(top: Path) -> dict[str, str]:
    """Build the Turkish locale, in which the capital of i is not I.

    Args:
        top: the folder for the compiled locale.

    Returns:
        The environment variables that select it. Needs Debian's package `locales`.
    """
    name = "tr_TR.UTF-8"
    command = ["localedef", "-i", "tr_TR", "-f", "UTF-8", str(top / name)]
    if subprocess.run(command, check=False, capture_output=True).returncode:
        print("    no Turkish locale (Debian: apt install locales), so this tests C")
    return {"LOCPATH": str(top), "LC_ALL": name}


def variations(top: Path) -> Iterator[Variation]:
    """Yield the variations; write the files that some of them need to `top`.

    Most combine several changes, because each run takes half a minute. No change may hide
    another one: TensorFlow's variables would hide keras.json.
    """
    yield Variation("threads: 2", environment=dict.fromkeys(THREADS, "2"))
    yield Variation(
        "threads: 1; stages in another order; a path with spaces, ä and ☃",
        folder="a path with spaces, ä and ☃",
        environment=dict.fromkeys(THREADS, "1"),
        reverse=True,
    )
    plain = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    zone = {"TZ": "Pacific/Kiritimati"}
    yield Variation(
        "only ASCII; another time zone; settings of TensorFlow",
        environment=plain | zone | TENSORFLOW,
    )
    yield Variation("Turkish; settings of Python", environment=turkish(top) | PYTHON)
    (top / "matplotlibrc").write_text("text.usetex: True\nfont.size: 20\n")
    (top / ".keras").mkdir()
    (top / ".keras/keras.json").write_text('{"floatx": "float64", "backend": "jax"}')
    home = {"MATPLOTLIBRC": str(top / "matplotlibrc"), "HOME": str(top)}
    yield Variation(
        "settings of libraries; settings in files", environment=LIBRARIES | home
    )


def other_python(name: str, root: Path) -> Variation:
    """Return a run with another Python, in an environment from requirements.lock."""
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
    return Variation(version, python=python)


def run(project: Project, variation: Variation) -> None:
    """Run all stages without the cache of earlier runs."""
    path = f"{variation.python.parent}:{os.environ['PATH']}"
    command = ["dvc", "repro", "--no-run-cache"]
    if variation.reverse:
        listed = project.run("dvc", "stage", "list", "--name-only").stdout.split()
        for kind in STAGES:
            names = [name for name in listed if name.partition("@")[0] == kind]
            command += reversed(names)
        command.insert(2, "--single-item")
    subprocess.run(
        command,
        cwd=project.root,
        env=os.environ | {"PATH": path} | variation.environment,
        check=True,
        stdout=subprocess.DEVNULL,
    )


def recorded(root: Path) -> dict[str, str]:
    """Return the MD5 of each result, by its path, from dvc.lock."""
    stages = yaml.safe_load((root / "dvc.lock").read_text())["stages"]
    outs = (out for stage in stages.values() for out in stage["outs"])
    return {out["path"]: out["md5"] for out in outs}


def main() -> None:
    """Print for each variation whether the results are the same; status 1 if not."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--mnist", action="store_true", help="run on MNIST")
    parser.add_argument(
        "--python", action="append", default=[], help="also run this Python (repeatable)"
    )
    parser.add_argument(
        "--only", default="", help="only variations whose name contains this"
    )
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        top = Path(name)
        if arguments.mnist:
            fresh = on_mnist(top / "fresh")
        else:
            fresh = make(top / "fresh", generate(300, 120), lenet5=True)
        usual = fresh.copy(top / "usual")
        run(usual, Variation("usual"))
        expected = recorded(usual.root).items()
        chosen = [one for one in variations(top) if arguments.only in one.name]
        for i, python in enumerate(arguments.python):
            chosen.append(other_python(python, top / f"python{i}"))

        def check(number: int) -> bool:
            variation = chosen[number]
            project = fresh.copy(top / str(number) / variation.folder)
            run(project, variation)
            differ = sorted(dict(recorded(project.root).items() ^ expected))
            if variation.python != Variation.python:  # it may need other libraries
                differ.remove("fingerprints")
            message = ", ".join(differ) or "the same bytes"
            print(f"{'BAD' if differ else 'ok '} {variation.name}: {message}", flush=True)
            return not differ

        # Each run is mostly sequential, so two of them share the processors well.
        with ThreadPoolExecutor(2) as pool:
            good = [*pool.map(check, range(len(chosen)))]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
