"""A result is refused if the inputs of its stage changed during the run."""

import os
import shutil

import pytest

from digits.config import fingerprint, guard, params
from digits.data import files
from digits.errors import InputError
from tests.helpers.params import GOOD
from tests.helpers.project import ROOT

STAGE = "train@multinomial"
SUBSET = "digits"


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with parameters and all inputs of a stage."""
    monkeypatch.setattr(fingerprint, "ROOT", tmp_path)
    (tmp_path / "params.yaml").write_text(GOOD)
    (tmp_path / ".dvcignore").write_text((ROOT / ".dvcignore").read_text())
    for folder in ("digits", "stages"):
        skip = shutil.ignore_patterns("__pycache__", "page")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=skip)
    recorded = fingerprint.compute("train/multinomial_logistic")
    files.write_json(tmp_path / "fingerprints/train/multinomial_logistic.json", recorded)
    (tmp_path / f"data/subsets/{SUBSET}/train").mkdir(parents=True)
    (tmp_path / f"data/subsets/{SUBSET}/train/images.npy").write_text("before")
    fingerprint._parse.cache_clear()
    yield tmp_path
    fingerprint._parse.cache_clear()


def add(path, text):
    path.write_text(f"{path.read_text()}\n{text}\n")


def change(root, old, new):
    text = (root / "params.yaml").read_text()
    assert old in text
    (root / "params.yaml").write_text(text.replace(old, new, 1))


def used(now):
    variant = now.variants.get("multinomial")
    return variant and variant.text("subset", "train")


def run(root, meanwhile):
    names = f"data/subsets/{SUBSET}/train", "fingerprints/train/multinomial_logistic.json"
    inputs = [root / name for name in names]
    checked = params.load(root / "params.yaml")
    with guard.unchanged(checked, STAGE, inputs, used, root):
        meanwhile()


def test_unchanged_inputs_are_accepted(root):
    run(root, lambda: None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 0.5"),
        ("  multinomial:\n    subset: digits", "  multinomial:\n    subset: binary"),
        ("  multinomial:\n", "  another:\n"),
    ],
)
def test_the_stages_own_parameters_must_not_change(root, old, new):
    with pytest.raises(InputError, match=f"params.yaml changed while {STAGE} ran"):
        run(root, lambda: change(root, old, new))


def test_parameters_of_other_stages_may_change(root):
    run(root, lambda: change(root, "threshold: 0.49", "threshold: 0.3"))
    run(
        root,
        lambda: change(
            root, "one_vs_rest_logistic, C: 1.0", "one_vs_rest_logistic, C: 2.0"
        ),
    )


@pytest.mark.parametrize("module", ["stages/train", "digits/solvers/logistic"])
def test_the_stages_own_code_must_not_change(root, module):
    named = module.replace("/", r"\.")
    with pytest.raises(InputError, match=f"{named} differs from .*fingerprints"):
        run(root, lambda: add(root / f"{module}.py", "X = 1"))


def test_code_that_changed_before_the_start_is_refused_before_any_work(root):
    add(root / "digits/solvers/logistic.py", "X = 1")
    with pytest.raises(InputError, match="run `dvc repro --force --single-item check`"):
        run(root, lambda: pytest.fail("the stage began"))


def test_a_library_of_another_version_is_refused(root, monkeypatch):
    said = r"numpy \d.* \(now 0\.1\) differs from"

    def install():
        monkeypatch.setattr(fingerprint.metadata, "version", lambda _: "0.1")

    with pytest.raises(InputError, match=said):
        run(root, install)  # while the stage runs
    with pytest.raises(InputError, match=said):
        run(root, lambda: pytest.fail("the stage began"))


def test_a_fingerprint_that_is_damaged_is_refused(root):
    (root / "fingerprints/train/multinomial_logistic.json").write_text("{")
    with pytest.raises(InputError, match=r"multinomial_logistic\.json: cannot be read"):
        run(root, lambda: pytest.fail("the stage began"))


def test_a_comment_or_a_docstring_may_change(root):
    run(root, lambda: add(root / "stages/train.py", "# only a comment"))
    run(root, lambda: add(root / "stages/train.py", '"""Only a text."""'))


def test_code_of_other_stages_may_change(root):
    run(root, lambda: add(root / "digits/figures/plots.py", "X = 1"))


def replaced(path):
    """Replace a file by another of the same size and time."""
    before = path.stat()
    new = path.with_name("new")
    new.write_text("after!")
    os.utime(new, ns=(before.st_atime_ns, before.st_mtime_ns))
    new.replace(path)


@pytest.mark.parametrize(
    "meanwhile",
    [
        replaced,
        lambda path: path.write_text("after!"),
        lambda path: path.unlink(),
        lambda path: path.with_name("more.npy").touch(),
    ],
)
def test_data_that_is_replaced_removed_or_added_is_noticed(root, meanwhile):
    path = root / f"data/subsets/{SUBSET}/train/images.npy"
    with pytest.raises(InputError, match=f"data/subsets/{SUBSET}/train changed"):
        run(root, lambda: meanwhile(path))


def test_an_error_of_the_stage_is_passed_on(root):
    def fail():
        (root / f"data/subsets/{SUBSET}/train/images.npy").touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(root, fail)
