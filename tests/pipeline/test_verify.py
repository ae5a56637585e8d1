"""`digits verify` finds, names and repairs all damage, and changes nothing else."""

import json
import shutil

import pytest

from digits import pipeline
from digits.commands import verify
from digits.errors import InputError
from tests.helpers.project import PARAMS, ROOT
from tests.helpers.results import damage

VERIFY = ("python", "-m", "digits", "verify")


@pytest.fixture
def project(done, tmp_path):
    return done.copy(tmp_path / "project")


def stored(project, path):
    """Return the path in the cache of a result, or of the first file of a folder."""
    (out,) = [out for out in verify.recorded(project.root) if out.path == path]
    objects = project.root / ".dvc/cache/files/md5"
    if out.md5.endswith(".dir"):
        value = verify.md5(next(p for p in (project.root / path).rglob("*.npy")))
        return objects / value[:2] / value[2:]
    return objects / out.md5[:2] / out.md5[2:]


def test_an_intact_project_passes(done):
    result = done.run(*VERIFY)
    assert "results and the cache match dvc.lock" in result.stdout


def test_the_hash_of_a_folder_is_that_of_dvc(done):
    folders = [out for out in verify.recorded(done.root) if out.md5.endswith(".dir")]
    assert len(folders) > 5
    for out in folders:
        assert verify.md5(done.root / out.path) == out.md5


CASES = [
    "data/models/multinomial.npz",
    *(
        pytest.param(path, marks=pytest.mark.slow)
        for path in (
            "plots.yaml",
            "params.schema.json",
            "data/raw/train/images.npy",
            "metrics/one_vs_rest.json",
            "metrics/linear_binary/figures/scores.png",
            "metrics/linear_digits/figures/scores.png",
            "report/index.html",
        )
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize("path", CASES)
def test_a_damaged_result_is_found_and_repaired(done, project, path):
    damage(project.root / path)
    found = project.run(*VERIFY, check=False)
    assert found.returncode == 1
    assert all(line.startswith("damaged") for line in found.stdout.splitlines()[:-1])
    assert "/".join(path.split("/")[:2]) in found.stdout
    assert "to repair it: `digits verify --fix`, or `make verify FIX=1`\n" in found.stdout
    assert "repaired" in project.run(*VERIFY, "--fix").stdout
    assert (project.root / path).read_bytes() == (done.root / path).read_bytes()
    assert not project.run("git", "status", "--porcelain").stdout


@pytest.mark.slow
@pytest.mark.parametrize("path", ["data/models/multinomial.npz", "data/raw"])
@pytest.mark.parametrize("both", [False, True])
def test_a_damaged_cache_is_found_and_repaired(done, project, path, both):
    damage(stored(project, path))
    if both:
        target = project.root / path
        damage(target if target.is_file() else next(target.rglob("*.npy")))
    found = project.run(*VERIFY, check=False)
    assert found.returncode == 1
    assert "damaged  .dvc/cache/files/md5/" in found.stdout
    project.run(*VERIFY, "--fix")
    shutil.rmtree(project.root / "data/models")
    project.run("dvc", "checkout")
    model = "data/models/multinomial.npz"
    assert (project.root / model).read_bytes() == (done.root / model).read_bytes()


@pytest.mark.slow
def test_missing_results_are_found_and_repaired(project):
    (project.root / "metrics/multinomial.json").unlink()
    shutil.rmtree(project.root / "data/subsets")
    stored(project, "data/models/multinomial.npz").unlink()
    found = project.run(*VERIFY, check=False)
    assert found.stdout.count("missing") == 4
    assert "made by filter@binary" in found.stdout
    project.run(*VERIFY, "--fix")
    assert not project.run("git", "status", "--porcelain").stdout


@pytest.mark.parametrize(
    "content", [None, "", "[]", "stages: 3", "{", "stages: {a: {outs: [{}]}}"]
)
def test_a_missing_lock_is_one_line(tmp_path, content):
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    (tmp_path / "params.yaml").write_text(PARAMS.read_text())
    if content is not None:
        (tmp_path / "dvc.lock").write_text(content)
    with pytest.raises(InputError) as caught:
        verify.recorded(tmp_path)
    assert "dvc.lock" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_lock_that_is_truncated_after_a_path_is_read(tmp_path):
    (tmp_path / "dvc.yaml").write_text((ROOT / "dvc.yaml").read_text())
    (tmp_path / "params.yaml").write_text(PARAMS.read_text())
    lock = (
        "schema: '2.0'\nstages:\n  check:\n    cmd: a\n    outs:\n    - path: fingerprints"
    )
    (tmp_path / "dvc.lock").write_text(lock)
    assert verify.recorded(tmp_path) == []
    (tmp_path / "dvc.lock").write_text(lock.replace("outs", "deps"))
    assert "differs from dvc.lock" in verify.Inputs(tmp_path).changed("check")


def test_leftovers_of_a_removed_variant_are_named_and_are_not_damage(project):
    text = (project.root / "params.yaml").read_text()
    start, end = text.index("  one_vs_rest:"), text.index("  multinomial:")
    (project.root / "params.yaml").write_text(text[:start] + text[end:])
    (project.root / "metrics/one_vs_rest.json").unlink()
    damage(project.root / "data/models/one_vs_rest.npz")
    said = project.run(*VERIFY).stdout
    assert "results and the cache match dvc.lock" in said
    assert "in dvc.lock: train@one_vs_rest, evaluate@one_vs_rest" in said
    assert "  data/models/one_vs_rest.npz\n" in said
    assert "  metrics/one_vs_rest\n" in said
    assert "digits remove --leftovers" in said


def locked(project):
    return (project.root / "dvc.lock").read_bytes()


@pytest.mark.slow
@pytest.mark.parametrize("both", [False, True])
def test_a_repair_records_no_old_result_under_new_parameters(project, both):
    """The threshold is edited, but not yet run."""
    before = locked(project)
    project.edit("threshold: 0.49", "threshold: 5.0")
    path = "data/predictions/linear_binary.npz"
    damage(stored(project, path))
    if both:
        damage(project.root / path)
    said = project.run(*VERIFY, "--fix", check=False)
    assert locked(project) == before
    assert (said.returncode == 1) == both
    assert ("linear_binary.evaluate in params.yaml has changed" in said.stdout) == both
    assert "evaluate@linear_binary" in project.repro()
    assert not project.run(*VERIFY).stdout.count("damaged")
    assert (
        json.loads((project.root / "metrics/linear_binary.json").read_text())["errors"] > 0
    )  # at this threshold


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "old", "new", "reason"),
    [
        ("digits/metrics.py", "import numpy", "X = 1\nimport numpy", "digits.metrics"),
        pytest.param(
            *(
                "params.yaml",
                "C: 1.0",
                "C: 0.5",
                "variants.one_vs_rest.train in params.yaml",
            ),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_a_repair_runs_no_stage_that_would_refuse(project, file, old, new, reason):
    """Its code or the training before it is edited; DVC would delete its outputs."""
    path = project.root / file
    path.write_text(path.read_text().replace(old, new, 1))
    damage(project.root / "metrics/one_vs_rest.json")
    before = locked(project), len([*project.root.rglob("*")])
    said = project.run(*VERIFY, "--fix", check=False)
    assert said.returncode == 1
    assert f"not repaired: evaluate@one_vs_rest, because {reason}" in said.stdout
    assert (locked(project), len([*project.root.rglob("*")])) == before


@pytest.mark.slow
def test_a_repair_deletes_nothing_that_it_cannot_replace(project):
    """The data is damaged in the workspace and in the cache, and its source is missing."""
    (project.root / "data/own/tiny.npz").unlink()
    project.run("git", "commit", "--quiet", "--all", "--message", "Lose the source")
    path = "data/raw/test/images.npy"
    value = verify.md5(project.root / path)
    for copy in (f".dvc/cache/files/md5/{value[:2]}/{value[2:]}", path):
        damage(project.root / copy)
    images = project.root / "data/raw/train/images.npy"
    before = (project.root / path).read_bytes(), images.read_bytes(), locked(project)
    said = project.run(*VERIFY, "--fix", check=False)
    assert said.returncode == 1
    after = (project.root / path).read_bytes(), images.read_bytes(), locked(project)
    assert after == before


MODELS = "data/models/multinomial.npz", "data/models/one_vs_rest.npz"


def exchange(project):
    """Exchange the hashes of two models in dvc.lock, as a bad merge does."""
    path = project.root / "dvc.lock"
    lock = pipeline.read(path)
    one, other = (
        next(out for out in stage["outs"] if out["path"] in MODELS)
        for key in ("multinomial", "one_vs_rest")
        for stage in [lock["stages"][f"train@{key}"]]
    )
    one["md5"], other["md5"] = other["md5"], one["md5"]
    pipeline.write(path, lock)


@pytest.mark.slow
def test_an_inconsistent_lock_is_reported(project):
    exchange(project)
    for run in (project.root / ".dvc/cache/runs").glob("*/*"):
        (run / ".cut.tmp").write_text("outs: [")  # as a killed DVC leaves it
    lock = project.root / "dvc.lock"
    lock.write_text(lock.read_text().replace("threshold: 0.49", "threshold: 0.3"))
    found = project.run(*VERIFY, check=False)
    assert found.returncode == 1
    for stage, reason in {
        "train@multinomial": "a run with these inputs gave other results",
        "train@one_vs_rest": "a run with these inputs gave other results",
        "evaluate@linear_binary": "data/predictions/linear_binary.npz was made with",
    }.items():
        assert f"wrong    dvc.lock  ({stage}: {reason}" in found.stdout


@pytest.mark.slow
@pytest.mark.parametrize("checked_out", [False, True])
def test_hashes_exchanged_in_the_lock_are_not_accepted(done, project, checked_out):
    exchange(project)
    if checked_out:
        project.run("dvc", "checkout", "--force")
    found = project.run(*VERIFY, check=False)
    assert found.returncode == 1
    for stage in ("train@multinomial", "train@one_vs_rest"):
        assert f"wrong    dvc.lock  ({stage}: " in found.stdout
    # DVC accepts it, but the stages that read the models do not
    assert "was made with" in project.run("dvc", "repro", check=False).stderr
    project.run(*VERIFY, "--fix")
    project.run("dvc", "repro")
    for path in MODELS:
        assert (project.root / path).read_bytes() == (done.root / path).read_bytes()
    assert locked(project) == locked(done)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stage", "old", "new"),
    [
        ("evaluate@linear_binary", "threshold: 0.49", "threshold: 0.3"),
        ("train@multinomial", "C: 1.0", "C: 0.5"),
    ],
)
def test_parameters_edited_in_the_lock_are_not_accepted(project, stage, old, new):
    """params.yaml is edited as well, so for DVC nothing has changed."""
    lock = project.root / "dvc.lock"
    before, at, after = lock.read_text().rpartition(f"\n  {stage}:")
    lock.write_text(before + at + after.replace(old, new, 1))
    text = (project.root / "params.yaml").read_text()
    block = text.index(f"  {stage.partition('@')[2]}:")
    text = text[:block] + text[block:].replace(old, new, 1)
    (project.root / "params.yaml").write_text(text)
    found = project.run(*VERIFY, check=False)
    assert found.returncode == 1
    assert f"wrong    dvc.lock  ({stage}: data/" in found.stdout
    assert "was made with" in found.stdout
    project.run(*VERIFY, "--fix")
    project.run("dvc", "repro")
    assert old.partition(" ")[2] not in project.run("dvc", "status").stdout
    project.run(*VERIFY)
