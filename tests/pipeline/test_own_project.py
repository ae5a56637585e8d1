"""docs/your-own-project.md, done by the commands on the page, on generated images."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.helpers import documentation
from tests.helpers.project import ROOT, Project

PAGE = "docs/your-own-project.md"
DOCS_TESTS = "tests/unit/test_readme.py"


def draw(folder):
    """Write dark pictures on light paper, of several sizes, of three classes."""
    rng = np.random.default_rng(0)
    shapes = rng.random((3, 5, 5)) < 0.5
    for split, count in (("train", 12), ("test", 5)):
        for name, shape in zip("abc", shapes, strict=True):
            (folder / split / name).mkdir(parents=True)
            for i in range(count):
                large = np.kron(shape, np.ones((6 + i % 3, 6 + i % 3)))
                grey = (
                    235
                    - 200 * np.pad(large, 4)
                    + rng.integers(-9, 10, np.array(large.shape) + 8)
                )
                path = folder / split / name / f"{i}.png"
                Image.fromarray(grey.astype(np.uint8)).save(path)


def steps(replaced):
    """Return the commands of each block of the page, with other addresses."""
    for block in documentation.blocks(PAGE):
        lines = []
        for command in block.commands:
            if not command.startswith(("make setup", ". .venv", "cd ")):
                if command.startswith("digits "):  # not in a path
                    command = f"{sys.executable} -m {command}"  # noqa: PLW2901
                for old, new in replaced.items():
                    command = command.replace(old, str(new))  # noqa: PLW2901
                lines.append(command)
        if lines:
            yield lines


@pytest.mark.slow
def test_the_commands_of_the_page_make_a_project(tmp_path):
    photos, remote = tmp_path / "photos", tmp_path / "letters.git"
    draw(photos / "letters")
    subprocess.run(["git", "init", "--quiet", "--bare", "-b", "main", remote], check=True)
    replaced = {
        "https://git.example.org/digits": ROOT,
        "https://git.example.org/letters": f"{remote} letters",
        "~/photos": photos,
        "/mnt/team": tmp_path / "team",
    }
    clone, *blocks, colleague = steps(replaced)
    mine = Project(tmp_path)
    mine.run("bash", "-c", clone[0])
    mine = Project(tmp_path / "letters")
    for key, value in (("user.name", "test"), ("user.email", "test@localhost")):
        mine.run("git", "config", key, value)
    mine.run("git", "checkout", "--quiet", "-B", "main")
    for command in clone[1:]:
        mine.run("bash", "-c", command)
    mine.run("git", "remote", "add", "origin", str(remote))
    for command in (command for block in blocks for command in block):
        mine.run("bash", "-c", command)
    text = (mine.root / "params.yaml").read_text()
    assert "{name: custom, source: data/own/letters, size: [28, 28], invert: true}" in text
    assert (mine.root / "report/samples.png").exists()
    assert mine.run("git", "status", "--porcelain").stdout == ""
    ignored = mine.run("git", "check-ignore", "report/samples.png").stdout
    assert ignored == "report/samples.png\n"
    mine.run("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", DOCS_TESTS)

    (tmp_path / "colleague").mkdir()
    other = Project(tmp_path / "colleague")
    other.run("bash", "-c", colleague[0])
    other = Project(tmp_path / "colleague/letters")
    results = {command: other.run("bash", "-c", command) for command in colleague[1:]}
    assert Project.stages_run(results["dvc repro"]) == []
    assert "metrics/softmax.json" in results["dvc metrics show"].stdout
    shown = [*results.values()][-1].stdout.splitlines()
    rows = [line.split() for line in shown if ".png" in line]
    assert len(rows) == 15
    assert all(row[-1] == row[0].split("/")[-2] for row in rows)  # the variant softmax
