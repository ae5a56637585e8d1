"""Small generated data, and a copy of the project to run DVC in."""

import compileall
import configparser
import csv
import io
import os
import re
import shutil
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from digits import pipeline
from digits.config.blocks import TrainBlock
from digits.data import dataset
from digits.data.dataset import Dataset, Split

ROOT = Path(__file__).parents[2]
PARAMS = ROOT / "tests/params.yaml"  # of the tests, not of the user
FOLDERS = ("digits", "stages", ".dvc/plots", ".dvc/page")
FILES = (
    ".dvc/.gitignore",
    ".dvcignore",
    ".gitattributes",
    ".gitignore",
    "dvc.yaml",
    "params.schema.json",
    "requirements.lock",
    "tuning/dvc.yaml",
)


def generate(n_train: int, n_test: int, seed: int = 0) -> Dataset:
    """Return noisy 8 by 8 images of ten random shapes, with some constant pixels."""
    rng = np.random.default_rng(seed)
    shapes = rng.integers(0, 160, (10, 8, 8))
    shapes[:, 0] = 0  # the upper edge is always black

    def split(n_samples: int) -> Split:
        labels = (np.arange(n_samples) % 10).astype(np.uint8)
        noise = rng.integers(0, 96, (n_samples, 8, 8)) * (shapes[labels] > 0)
        return Split((shapes[labels] + noise).astype(np.uint8), labels)

    return Dataset(split(n_train), split(n_test))


def as_arrays(data: Dataset) -> dict[str, np.ndarray]:
    """Return the four arrays by their names in Keras's npz."""
    return {
        "x_train": data.train.images,
        "y_train": data.train.labels,
        "x_test": data.test.images,
        "y_test": data.test.labels,
    }


def options(model: str, **parameters: Any) -> TrainBlock:
    """Return the block `train` of params.yaml for a model."""
    block: type[TrainBlock] = import_module(f"digits.methods.{model}").Options
    return block(model=model, **parameters)


class Project:
    """A copy of this project, and the commands that a user runs in it."""

    def __init__(self, root: Path):
        self.root = root

    def run(self, *command: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a command in the project and return what it printed."""
        result = subprocess.run(
            command,
            cwd=self.root,
            env=os.environ
            | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
            capture_output=True,
            text=True,
            check=False,
        )
        if check and result.returncode:
            raise AssertionError(f"{command}: {result.stdout}\n{result.stderr}")
        return result

    def repro(self, *arguments: str) -> list[str]:
        """Run `dvc repro` and return the stages that it ran."""
        return self.stages_run(self.run("dvc", "repro", *arguments))

    @staticmethod
    def stages_run(result: subprocess.CompletedProcess[str]) -> list[str]:
        """Return the stages that `dvc repro` says it ran."""
        lines = result.stdout.splitlines()
        return [line.split("'")[1] for line in lines if line.startswith("Running stage")]

    def edit(self, old: str, new: str) -> None:
        """Replace `old`, which must be there, in params.yaml."""
        path = self.root / "params.yaml"
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def copy(self, root: Path) -> "Project":
        shutil.copytree(self.root, root, symlinks=True)
        return Project(root)


def config_without_remotes() -> str:
    """Return DVC's configuration of this project without the user's remotes."""
    config = configparser.ConfigParser(interpolation=None)
    config.read(ROOT / ".dvc/config")
    for section in config.sections():
        if section.startswith("'remote "):
            config.remove_section(section)
    if config.has_section("core"):
        config.remove_option("core", "remote")
    text = io.StringIO()
    config.write(text)
    return text.getvalue()


def make(root: Path, data: Dataset, *, lenet5: bool = False) -> Project:
    """Return a copy of this project at `root`, on `data`, committed; nothing run yet.

    It has the tests' parameters and no remote, whatever the user's are.

    lenet5: whether with this variant, which takes seconds, for a few epochs
    """
    project = Project(root)
    for name in FOLDERS:
        shutil.copytree(
            ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__")
        )
        compileall.compile_dir(root / name, quiet=1)  # once for all copies
    (root / "tuning").mkdir()
    for name in FILES:
        shutil.copy(ROOT / name, root / name)
    (root / ".dvc/config").write_text(config_without_remotes())
    params = PARAMS.read_text()
    block = re.search(r"  lenet5:\n(?: {4}.*\n)+", params)
    assert block
    few = re.sub(r"epochs: \d+", "epochs: 3", block[0])
    (root / "params.yaml").write_text(params.replace(block[0], few if lenet5 else ""))
    project.edit("name: mnist", "name: custom")
    project.edit("source: auto", "source: data/own/tiny.npz")
    (root / "data/own").mkdir(parents=True)
    np.savez(root / "data/own/tiny.npz", **as_arrays(data))
    pipeline.restore(root)
    project.run("git", "init", "--quiet", "--initial-branch", "main")
    project.run("git", "config", "user.name", "test")
    project.run("git", "config", "user.email", "test@localhost")
    project.commit("Start")
    return project


def on_mnist(root: Path) -> Project:
    """Return a clone of this repository with MNIST in place; nothing has run in it."""
    subprocess.run(["git", "clone", "--quiet", ROOT, root], check=True)
    (root / "dvc.lock").unlink()
    shutil.rmtree(root / "metrics")
    project = Project(root)
    (root / "data/own/raw").mkdir(parents=True, exist_ok=True)
    train, test = (
        dataset.load_split(ROOT / "data/raw" / name) for name in ("train", "test")
    )
    np.savez(root / "data/own/raw/mnist.npz", **as_arrays(Dataset(train, test)))
    project.edit("source: auto", "source: data/own/raw")
    return project


def read_csv(path: Path) -> list[dict[str, str]]:
    """Return the rows of a CSV file."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write_params(project, source, subsets, variants):
    """Write a params.yaml for custom data."""
    content = {
        "dataset": {"name": "custom", "source": source},
        "subsets": subsets,
        "variants": variants,
    }
    path = project.root / "params.yaml"
    path.write_text(yaml.safe_dump(content, allow_unicode=True, sort_keys=False), "utf-8")
