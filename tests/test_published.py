"""The published table: a pipeline of its own, and ours beside what others published."""

import json
import re
import shutil

import numpy as np
import pytest
import yaml
from PIL import Image
from test_pipeline import MODEL, STAGES, code, declared, imports
from tiny import ROOT

from digits.config import params
from digits.config.params import MODELS
from digits.data.registry import KNOWN
from digits.errors import InputError
from stages import table

PUBLISHED = ROOT / "published"


@pytest.fixture
def published(tmp_path):
    """A folder as after the pipeline has run on MNIST, with 309 errors everywhere."""
    root = tmp_path / "published"
    root.mkdir()
    shutil.copy(PUBLISHED / "rows.yaml", root)
    write(tmp_path / "metrics/dataset/summary.json", {"sha256": KNOWN["mnist"].sha256})
    write(root / "metrics/subsets/digits/summary.json", {"test": {"images": 10_000}})
    checked = params.load(PUBLISHED / "params.yaml")
    for variant in checked.variants:
        write(root / f"metrics/{variant}.json", {"errors": 309})
    write(root / "../metrics/lenet5.json", {"errors": 309})
    return checked, root


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def test_every_variant_has_a_row_with_wilsons_interval(published):
    checked, root = published
    table.main(checked, root)
    rows = (root / "table.md").read_text().splitlines()[2:]
    assert len(rows) == len(checked.variants) + 1  # LeNet-5, of the other pipeline
    assert all("| 3.09 | 2.77 to 3.45 |" in row for row in rows)
    assert all(row.count("|") == 6 for row in rows)


def test_results_on_other_data_are_not_set_beside_mnists(published):
    checked, root = published
    write(
        root / "../metrics/dataset/summary.json", {"sha256": KNOWN["fashion_mnist"].sha256}
    )
    with pytest.raises(InputError, match="this is not MNIST"):
        table.main(checked, root)
    assert not (root / "table.md").exists()


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("variant: pairwise", "variant: pair", "needs one row for each variant"),
        ("  published: 12.0\n", "", "a row has model, published, variant, why"),
        ("- model", "-\tmodel", "cannot be read"),
    ],
)
def test_a_mistake_in_the_rows_is_named(published, old, new, expected):
    checked, root = published
    text = (root / "rows.yaml").read_text()
    assert old in text
    (root / "rows.yaml").write_text(text.replace(old, new, 1))
    with pytest.raises(InputError, match=rf"rows\.yaml: {expected}"):
        table.main(checked, root)


def test_a_missing_result_is_named(published):
    checked, root = published
    (root / "metrics/pairwise.json").unlink()
    with pytest.raises(InputError, match=r"pairwise\.json: cannot be read"):
        table.main(checked, root)


@pytest.mark.parametrize("stage", ["filter", "train", "evaluate", "report"])
def test_the_stages_depend_on_the_same_code_as_at_the_root(stage):
    for model in MODELS:
        assert code(stage, model, PUBLISHED) == code(stage, model)


def test_the_table_depends_on_the_modules_that_it_imports():
    deps, wanted = code("table", MODEL, PUBLISHED), imports(ROOT / "stages/table.py")
    assert wanted <= set().union(*deps.values())
    assert all(modules & wanted for modules in deps.values())


def test_all_that_is_written_lies_in_the_folder_and_runs_in_it():
    plan = yaml.safe_load((PUBLISHED / "dvc.yaml").read_text())["stages"]
    for name, entry in plan.items():
        block = entry.get("do", entry)
        assert block["wdir"] == ".."
        assert block["cmd"].startswith(f"python -m stages.{name}")
        assert block["cmd"].endswith(" --in published")
        (file,) = block["params"]
        assert [*file] == ["published/params.yaml"]
        written = declared(name, MODEL, PUBLISHED)
        for kind in ("outs", "metrics", "plots"):
            assert all(path.startswith("published/") for path in written[kind])


@pytest.fixture
def project(done, tmp_path):
    """The project on small data after `dvc repro` at its root, with the folder."""
    project = done.copy(tmp_path / "project")
    project.add_published()
    return project


def test_dvc_knows_the_table_and_the_root_does_not_run_it(project):
    listed = project.run("dvc", "stage", "list", "published/dvc.yaml", "--name-only").stdout
    assert "published/dvc.yaml:train@support_vectors" in listed.split()
    assert "published" not in project.run("dvc", "repro", "--dry").stdout


def test_a_variant_runs_in_the_folder_under_dvc(project):
    """Its data is what the root has downloaded; its parameters are the folder's own."""
    ran = project.repro("published/dvc.yaml:evaluate@one_hot")
    assert [re.sub(r"published/dvc.yaml:", "", stage) for stage in ran] == [
        "filter@digits", "train@one_hot", "evaluate@one_hot"
    ]  # fmt: skip
    values = json.loads((project.root / "published/metrics/one_hot.json").read_text())
    assert [*values] == [
        "accuracy",
        "errors",
        "precision_macro",
        "recall_macro",
        "f1_macro",
    ]
    changed = project.run("git", "status", "--porcelain", "--untracked-files=all").stdout
    assert all(line[3:].startswith("published/") for line in changed.splitlines())
    assert "published/data" not in changed
    assert project.repro("published/dvc.yaml:evaluate@one_hot") == []

    # What is trained there can be asked there.
    ask = ("python", "-m", "commands.predict", "--in", "published", "--json", "seven.png")
    with np.load(project.root / "published/data/predictions/one_hot.npz") as file:
        row = np.flatnonzero(file["actual"] == 7)[0]
        expected, scores = file["predicted"][row].item(), file["scores"][row]
    images = np.load(project.root / "data/raw/test/images.npy")
    Image.fromarray(images[row]).save(project.root / "seven.png")
    (answer,) = json.loads(project.run(*ask, "--variant", "one_hot").stdout)
    assert answer["variants"]["one_hot"]["digit"] == expected
    np.testing.assert_allclose(answer["variants"]["one_hot"]["scores"], scores, atol=1e-9)
    result = project.run(*ask, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "`dvc repro published/dvc.yaml` trains it" in result.stderr


def test_the_readme_has_the_table():
    readme = (ROOT / "README.md").read_text()
    for line in (PUBLISHED / "table.md").read_text().splitlines()[2:]:
        model, published, here, interval = line.split(" | ")[:4]
        assert f"{model} | {published} | {here} | {interval} |" in readme


def test_the_exact_methods_are_where_they_must_be():
    """Of the paper, or of a rerun that is named beside it."""
    expected = {
        "one_hot": (13.96, 0.7),
        "pairwise": (7.6, 0.7),
        "quadratic": (3.3, 0.1),
        "nearest_1": (3.09, 0.001),
        "nearest_3": (2.95, 0.001),
    }
    for variant, (error, tolerance) in expected.items():
        values = json.loads((PUBLISHED / f"metrics/{variant}.json").read_text())
        assert 100 * (1 - values["accuracy"]) == pytest.approx(error, abs=tolerance)


def test_every_stage_may_run_in_another_folder(done):
    for stage in STAGES:
        shown = done.run("python", "-m", f"stages.{stage}", "--help").stdout
        assert shown.startswith(f"usage: python -m stages.{stage} ")
        assert "--in FOLDER" in shown
