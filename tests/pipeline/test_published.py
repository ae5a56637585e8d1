"""The published table: a DVC project in a folder that the root does not depend on.

It can be removed: `rm -r published tests/pipeline/test_published.py`.
"""

import ast
import json
import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

from digits import pipeline
from digits.commands import verify
from digits.config import cli, fingerprint, guard, params
from digits.data.registry import DATASETS
from digits.errors import InputError
from tests.helpers.dvc_yaml import STAGES, declared
from tests.helpers.project import ROOT
from tests.helpers.results import damage

PUBLISHED = ROOT / "published"
if not PUBLISHED.is_dir():
    pytest.skip("published/ was removed", allow_module_level=True)

from published import table  # noqa: E402 (where there is one)


@pytest.fixture
def published(tmp_path):
    """A folder like after a run on MNIST, with 309 errors in every variant."""
    root = tmp_path / "published"
    root.mkdir()
    shutil.copy(PUBLISHED / "rows.yaml", root)
    write(root / "metrics/dataset/summary.json", {"sha256": DATASETS["mnist"].sha256})
    checked = params.load(PUBLISHED / "params.yaml")
    for variant in checked.variants:
        confuse(root / f"metrics/{variant}", 309, 10_000)
    confuse(root / "../metrics/lenet5", 309, 10_000)
    return checked, root


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def confuse(folder, errors, n_images):
    """Write a confusion matrix of two classes, and its mistakes."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = (f"0,0,{n_images - errors}", f"0,1,{errors - 1}", "1,0,1", "1,1,0")
    text = "\n".join(("actual,predicted,count", *rows))
    (folder / "confusion.csv").write_text(text + "\n")
    mistakes = [*(f"{image},0,1" for image in range(errors - 1)), f"{n_images - 1},1,0"]
    text = "\n".join(("image,actual,predicted", *mistakes))
    (folder / "mistakes.csv").write_text(text + "\n")


def test_every_variant_has_a_row_with_wilsons_interval(published):
    checked, root = published
    table.main(checked, root)
    rows = (root / "table.md").read_text().splitlines()[2:]
    assert len(rows) == len(checked.variants) + 1  # LeNet-5 belongs to the other pipeline
    assert all("| 3.09 | 2.77 to 3.45 |" in row for row in rows)
    assert all(row.count("|") == 6 for row in rows)


def test_each_row_is_of_the_images_of_its_own_subset(published):
    checked, root = published
    subset = checked.subsets["digits"].model_copy(update={"classes": (0, 1)})
    checked.subsets["binary"] = subset
    confuse(root / "metrics/pairwise", 50, 2_000)
    table.main(checked, root)
    rows = (root / "table.md").read_text().splitlines()[2:]
    (row,) = (row for row in rows if row.startswith("| Pairwise"))
    assert "| 2.50 | 1.90 to 3.28 |" in row
    assert sum("| 3.09 |" in row for row in rows) == len(rows) - 1


def test_results_on_other_data_are_not_compared_with_mnist(published):
    checked, root = published
    write(
        root / "metrics/dataset/summary.json", {"sha256": DATASETS["fashion_mnist"].sha256}
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


@pytest.mark.parametrize(
    "content", [None, "", "[]", "actual,predicted,count\n0,0,x\n", "a,b\n1,2\n"]
)
@pytest.mark.parametrize("path", ["metrics/pairwise/confusion.csv",
                                  "metrics/dataset/summary.json"])  # fmt: skip
def test_a_result_that_is_missing_or_damaged_is_named(published, path, content):
    checked, root = published
    (root / path).unlink()
    if content is not None:
        (root / path).write_text(content)
    with pytest.raises(InputError) as caught:
        table.main(checked, root)
    assert str(caught.value).startswith(f"{root / path}: ")
    assert str(caught.value).endswith("; `make published` writes it")


@pytest.mark.parametrize("stage", ["check", "filter", "train", "evaluate", "report"])
def test_a_stage_has_the_fingerprint_and_the_results_of_the_roots(stage):
    here, above = declared(stage, folder=PUBLISHED), declared(stage)
    if stage == "check":
        assert here["deps"] == ["params.yaml", "../params.schema.json"]
        assert here["outs"] == ["params.schema.json", "plots.yaml"]
        return
    deps = {dep.removeprefix("../") for dep in here["deps"]}
    assert deps == set(above["deps"]) - {"data/paths"}  # there is no stage `path`
    for key in ("params", "outs", "metrics", "plots"):
        assert here[key] == above[key]


def test_the_plots_and_the_artifacts_are_those_of_the_root():
    here, above = (
        yaml.safe_load((at / "dvc.yaml").read_text()) for at in (PUBLISHED, ROOT)
    )
    for key in ("vars", "artifacts"):
        assert here[key] == above[key]
    of_data = [plot for plot in above["plots"] if "metrics/dataset" in plot]
    assert here["plots"] == [plot for plot in above["plots"] if plot not in of_data]


def test_plots_yaml_has_all_variants():
    names = params.load(PUBLISHED / "params.yaml").variants
    for tables in pipeline.read(PUBLISHED / "plots.yaml")["plots"].values():
        assert [path.split("/")[1] for path in tables] == [*names]


def test_the_table_depends_on_what_it_reads_and_computes_with():
    deps = declared("table", folder=PUBLISHED)["deps"]
    assert {"metrics", "rows.yaml", "table.py"} <= set(deps)
    assert {dep for dep in deps if dep.startswith("../digits")} == {
        "../digits/data/files.py",
        "../digits/data/registry.py",
    }


def test_inputs_outside_the_folder_have_no_compiled_code():
    """DVC applies no .dvcignore there, so __pycache__/ would be part of a folder."""
    plan = yaml.safe_load((PUBLISHED / "dvc.yaml").read_text())["stages"]
    deps = {dep for entry in plan.values() for dep in entry.get("do", entry)["deps"]}
    folders = {dep for dep in deps if dep.startswith("../") and not Path(dep).suffix}
    assert folders == {
        "../data/raw",
        "../digits/report/page",
        "../metrics/dataset",
    }


def test_a_stage_runs_in_the_folder_and_ends_with_dvc():
    """Without `exec`, a shell between them and the stage would outlive DVC."""
    plan = yaml.safe_load((PUBLISHED / "dvc.yaml").read_text())["stages"]
    for name, entry in plan.items():
        cmd = entry.get("do", entry)["cmd"]
        module = "published.table" if name == "table" else f"stages.{name}"
        if name != "raw":
            assert cmd.startswith(f"cd .. && exec python -m {module} ")
            assert cmd.endswith(" --in published")


@pytest.fixture(scope="module")
def never_run(done, tmp_path_factory):
    """The project on small data after `dvc repro` at its root, with the folder.

    Copy it before you change it.
    """
    project = done.copy(tmp_path_factory.mktemp("never-run") / "project")
    made_here = ("data", "report", "metrics", "dvc.lock", "table.md", "cache", "tmp")
    shutil.copytree(
        PUBLISHED,
        project.root / "published",
        symlinks=True,
        ignore=shutil.ignore_patterns(*made_here, "__pycache__", "config.local"),
    )
    path = project.root / "published/params.yaml"
    plan = yaml.safe_load(path.read_text())
    plan["dataset"] = {"name": "custom", "source": "data/own/tiny.npz"}
    plan["variants"] = {"one_hot": plan["variants"]["one_hot"]}
    path.write_text(yaml.safe_dump(plan))
    project.commit("Add the published table")
    return project


@pytest.fixture(scope="module")
def has_run(never_run, tmp_path_factory):
    """The same after the table's variant has run and was committed."""
    project = never_run.copy(tmp_path_factory.mktemp("has-run") / "project")
    project.run(*REPRO)
    project.commit("Run a variant of the published table")
    return project


REPRO = ("dvc", "--cd", "published", "repro", "evaluate@one_hot")


@pytest.fixture
def project(never_run, tmp_path):
    return never_run.copy(tmp_path / "project")


@pytest.fixture
def ran(has_run, tmp_path):
    return has_run.copy(tmp_path / "project")


def folders(project):
    return {path for path in (project.root / "published").rglob("*") if path.is_dir()}


@pytest.mark.slow
def test_everyday_dvc_commands_succeed_before_the_first_run(project, tmp_path):
    """Each of these failed when the folder's stages belonged to the root's project."""
    before = folders(project)

    def dvc(*command):
        project.run("dvc", *command)  # fails here unless DVC exits with 0

    dvc("status", "--quiet")
    dvc("checkout")
    dvc("data", "status")
    (tmp_path / "team").mkdir()
    dvc("remote", "add", "--default", "team", str(tmp_path / "team"))
    project.commit("Share the cache")
    dvc("push")
    shutil.rmtree(project.root / ".dvc/cache")
    dvc("pull")
    dvc("gc", "--workspace", "--force")
    dvc("exp", "run", "--name", "try", "-S", "variants.linear_binary.evaluate.threshold=5")
    project.run("git", "checkout", "--quiet", ".")
    dvc("exp", "apply", "try")
    dvc("exp", "branch", "try", "tried")
    project.run("git", "checkout", "--quiet", ".")
    dvc("checkout")
    dvc("install")
    project.run("git", "switch", "tried")
    dvc("status", "--quiet")
    project.run("git", "switch", "main")
    assert project.repro() == []
    assert folders(project) == before


@pytest.mark.slow
def test_removing_the_folder_removes_the_table(ran):
    objects = sorted((ran.root / "published/.dvc/cache").rglob("*"))
    ran.run("dvc", "gc", "--workspace", "--force")
    assert sorted((ran.root / "published/.dvc/cache").rglob("*")) == objects
    shutil.rmtree(ran.root / "published")
    ran.commit("Remove the published table")
    assert ran.repro() == []
    ran.run("dvc", "status", "--quiet")
    ran.run("dvc", "checkout")
    ran.run("dvc", "gc", "--workspace", "--force")
    ran.run("python", "-m", "digits", "verify")
    assert not ran.run("git", "status", "--porcelain").stdout


@pytest.mark.slow
def test_a_variant_runs_in_the_folder_under_dvc(project):
    """It uses the data that the root has downloaded, and its own parameters."""
    assert project.stages_run(project.run(*REPRO)) == [
        "check", "raw", "filter@digits", "train@one_hot", "evaluate@one_hot"
    ]  # fmt: skip
    values = json.loads((project.root / "published/metrics/one_hot.json").read_text())
    assert [*values][:5] == [
        "accuracy",
        "errors",
        "precision_macro",
        "recall_macro",
        "f1_macro",
    ]
    assert not values.keys() & {"rmse", "log_loss"}
    changed = project.run("git", "status", "--porcelain", "--untracked-files=all").stdout
    assert all(line[3:].startswith("published/") for line in changed.splitlines())
    assert "published/data" not in changed
    cache = project.root / "digits/config/__pycache__"  # does not change the code
    cache.mkdir(exist_ok=True)
    (cache / "cli.cpython-311.pyc").write_text("bytecode")
    assert project.stages_run(project.run(*REPRO)) == []

    # The models that are trained there can predict there.
    ask = ("python", "-m", "digits", "predict", "--in", "published", "--json", "seven.png")
    with np.load(project.root / "published/data/predictions/one_hot.npz") as file:
        row = np.flatnonzero(file["actual"] == 7)[0]
        expected, scores = file["predicted"][row].item(), file["scores"][row]
    images = np.load(project.root / "data/raw/test/images.npy")
    Image.fromarray(images[row]).save(project.root / "seven.png")
    (answer,) = json.loads(project.run(*ask, "--variant", "one_hot").stdout)
    assert answer["variants"]["one_hot"]["class"] == expected
    np.testing.assert_allclose(answer["variants"]["one_hot"]["scores"], scores, atol=1e-9)
    (project.root / "published/data/models/one_hot.npz").unlink()
    result = project.run(*ask, check=False)
    assert (result.returncode, result.stdout) == (2, "")
    assert "`dvc --cd published repro` trains it" in result.stderr
    assert "`dvc --cd published pull` fetches it" in result.stderr


@pytest.mark.slow
def test_an_experiment_runs_in_a_temporary_folder(ran):
    """The root's data is missing there, but the project's cache has all it needs."""
    ran.run(
        "dvc", "--cd", "published", "exp", "run", "--temp", "--allow-missing",
        "-S", "+variants.one_hot.train.preprocess=deskew", "evaluate@one_hot",
    )  # fmt: skip
    assert not ran.run("git", "status", "--porcelain").stdout


@pytest.mark.slow
def test_its_plots_have_the_roots_templates_and_page(ran):
    ran.run("dvc", "--cd", "published", "plots", "show")
    page = (ran.root / "published/dvc_plots/index.html").read_text()
    assert "Confusion matrix of one_hot" in page
    assert len(page) > 700_000  # with Vega in it
    assert not ran.run("git", "status", "--porcelain").stdout


COMMANDS = {  # in a message, and what it becomes under `--in published`
    "`dvc repro` writes it": "`dvc --cd published repro` writes it",
    "`dvc pull` gets it": "`dvc --cd published pull` gets it",
    "`dvc repro evaluate@one_hot`": "`dvc --cd published repro evaluate@one_hot`",
    "`dvc repro --force --single-item train@one_hot`":
        "`dvc --cd published repro --force --single-item train@one_hot`",
    "`dvc cache dir --local FOLDER`": "`dvc --cd published cache dir --local FOLDER`",
    "`dvc --cd . repro`": "`dvc --cd . repro`",
    "`digits verify --fix`": "`digits verify --fix --in published`",
    "`digits remove --leftovers`": "`digits remove --leftovers --in published`",
    "`digits unlock` repairs it": "`digits unlock` repairs it",
    "`git checkout published/dvc.yaml`": "`git checkout published/dvc.yaml`",
}  # fmt: skip


@pytest.mark.parametrize(("said", "expected"), COMMANDS.items())
def test_a_message_names_the_command_for_its_project(said, expected):
    for root, text in (("published", expected), (".", said)):
        with pytest.raises(InputError) as caught, cli.commands_act_on(Path(root)):
            raise InputError(said)
        assert str(caught.value) == text
    assert cli.commands_for(Path("a b"), "`dvc repro`") == "`dvc --cd 'a b' repro`"


def test_every_command_in_a_message_can_be_changed_for_another_project():
    """That is: it is in backticks, and is not a target of the Makefile at the root."""
    command = re.compile(
        r"(?<!`)\b(dvc|digits) (repro|pull|checkout|verify|remove)\b|make repro"
    )
    for folder in ("digits", "stages", "published"):
        for path in (ROOT / folder).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.Call) and ast.unparse(node.func) == "InputError":
                    for part in ast.walk(node):
                        if isinstance(part, ast.Constant) and isinstance(part.value, str):
                            assert not command.search(part.value), f"{path}: {part.value}"


def test_changed_code_is_recorded_by_the_project_that_has_the_code(tmp_path):
    """The stage `check` of the folder records no code: it has none."""
    recorded = fingerprint.compute("filter")
    recorded["modules"]["stages.filter"] = "other"
    write(tmp_path / "fingerprints/filter.json", recorded)
    checked = params.load(PUBLISHED / "params.yaml")
    for root, here in ((tmp_path / "published", "--cd . "), (tmp_path, "")):
        inputs = [tmp_path / "fingerprints/filter.json"]
        with (
            pytest.raises(InputError) as caught,
            guard.unchanged(checked, "filter@digits", inputs, lambda _: None, root),
        ):
            pass
        check = f"`dvc {here}repro --force --single-item check`"
        assert f"run {check}, then `dvc repro`" in str(caught.value)


VERIFY = ("python", "-m", "digits", "verify", "--in", "published")


@pytest.mark.slow
def test_damage_is_found_and_repaired(ran):
    assert "match published/dvc.lock" in ran.run(*VERIFY).stdout
    folder = ran.root / "published"
    model, metrics = folder / "data/models/one_hot.npz", folder / "metrics/one_hot.json"
    whole = model.read_bytes(), metrics.read_bytes()
    (out,) = (
        o for o in verify.recorded(folder) if o.path == "data/predictions/one_hot.npz"
    )
    damage(model)
    damage(metrics)
    damage(folder / ".dvc/cache/files/md5" / out.md5[:2] / out.md5[2:])
    found = ran.run(*VERIFY, check=False)
    assert found.returncode == 1
    assert found.stdout.count("damaged") == 3
    assert "published/data/models/one_hot.npz  (made by train@one_hot)" in found.stdout
    assert "to repair it: `digits verify --fix --in published`\n" in found.stdout
    ran.run("python", "-m", "digits", "verify")  # those of the root are intact
    ran.run(*VERIFY, "--fix")
    assert (model.read_bytes(), metrics.read_bytes()) == whole
    assert not ran.run("git", "status", "--porcelain").stdout


@pytest.mark.slow
def test_its_variants_are_compared(ran):
    folder = ran.root / "published"
    confuse(folder / "metrics/one_hot", 7, 120)
    write(folder / "metrics/one_hot.json", {"accuracy": 0.9})
    shown = ran.run(
        "python", "-m", "digits", "compare", "--in", "published", "--tolerance", "0.01",
        check=False,
    )  # fmt: skip
    assert shown.returncode == 1
    assert "| `one_hot` | `accuracy` | 1 | 0.9 | -0.1 |" in shown.stdout
    assert "No parameter" in ran.run("python", "-m", "digits", "compare").stdout


def test_make_has_a_target_while_the_folder_exists(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    assert "make published " not in make(tmp_path, "help")
    (tmp_path / "published").mkdir()
    shutil.copy(PUBLISHED / "targets.mk", tmp_path / "published")
    assert "make published " in make(tmp_path, "help")
    (tmp_path / "requirements.lock").touch()
    shown = make(tmp_path, "--dry-run", "published")
    assert shown.index("\ndvc repro\n") < shown.index("\ndvc --cd published repro\n")


def test_make_verifies_it_where_it_was_run(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    (tmp_path / "requirements.lock").touch()
    models = tmp_path / "published/data/models"
    models.mkdir(parents=True)
    assert "for folder in . ;" in make(tmp_path, "--dry-run", "verify")
    (models / "one_hot.npz").touch()
    assert "for folder in . published;" in make(tmp_path, "--dry-run", "verify")


def make(folder, *arguments):
    command = ("make", *arguments)
    result = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    return result.stdout


@pytest.mark.results
def test_the_readme_has_the_table():
    table = (PUBLISHED / "table.md").read_text()
    assert table in (PUBLISHED / "README.md").read_text()


@pytest.mark.results
def test_exact_methods_have_the_published_accuracy():
    """That of the paper, or of a rerun that is named next to it."""
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


@pytest.mark.slow
def test_every_stage_may_run_in_another_folder(done):
    for stage in STAGES:
        shown = done.run("python", "-m", f"stages.{stage}", "--help").stdout
        assert shown.startswith(f"usage: python -m stages.{stage} ")
        assert "--in FOLDER" in shown
