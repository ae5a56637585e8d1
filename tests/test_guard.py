"""What a stage reads is held fast: a result of what is no longer there is refused."""

import os

import pytest
from test_params import GOOD
from tiny import ROOT

from digits.config import guard, params
from digits.errors import InputError

STAGE = "train@multinomial"
SUBSET = "digits"


@pytest.fixture
def root(tmp_path):
    """A folder with parameters, and all that a stage reads."""
    (tmp_path / "params.yaml").write_text(GOOD)
    for name in ("dvc.yaml", ".dvcignore"):
        (tmp_path / name).write_text((ROOT / name).read_text())
    for name in (
        f"data/subsets/{SUBSET}/train/images.npy",
        "stages/train.py",
        "digits/solvers/logistic.py",
        "digits/plots.py",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("before")
    return tmp_path


def change(root, old, new):
    text = (root / "params.yaml").read_text()
    assert old in text
    (root / "params.yaml").write_text(text.replace(old, new, 1))


def run(root, meanwhile, stage=STAGE):
    with guard.unchanged(params.load(root / "params.yaml"), stage, root):
        meanwhile()


def test_what_nobody_touches_is_accepted(root):
    run(root, lambda: None)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("multinomial_logistic, C: 1.0", "multinomial_logistic, C: 0.5"),
        ("  multinomial:\n    subset: digits", "  multinomial:\n    subset: binary"),
        ("  multinomial:\n", "  another:\n"),
    ],
)
def test_parameters_of_its_own_must_stay(root, old, new):
    with pytest.raises(InputError, match=rf"variants\.multinomial\..* while {STAGE} ran"):
        run(root, lambda: change(root, old, new))


def test_parameters_of_others_may_change_meanwhile(root):
    run(root, lambda: change(root, "threshold: 0.49", "threshold: 0.3"))
    run(
        root,
        lambda: change(
            root, "one_vs_rest_logistic, C: 1.0", "one_vs_rest_logistic, C: 2.0"
        ),
    )


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("stages/train.py", "stages/train.py"),
        ("digits/solvers/logistic.py", "digits/solvers"),
    ],
)
def test_code_of_its_own_must_stay(root, name, named):
    with pytest.raises(InputError, match=f"{named} changed .* run `dvc repro` again"):
        run(root, lambda: (root / name).write_text("after"))


def test_code_of_others_may_change_meanwhile(root):
    run(root, lambda: (root / "digits/plots.py").write_text("after"))


def replaced(path):
    """Put another file of the same size and time in its place."""
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


def test_a_stage_that_dvc_yaml_no_longer_has_is_refused(root):
    (root / "dvc.yaml").write_text("stages: {}")
    with pytest.raises(InputError, match="has no stage train any more; run `dvc repro`"):
        run(root, lambda: None)


def test_a_stage_started_from_a_folder_is_found(root):
    with pytest.raises(InputError, match=r"stages/train\.py changed"):
        run(root, (root / "stages/train.py").touch, f"../dvc.yaml:{STAGE}")


def test_an_error_of_the_stage_itself_comes_through(root):
    def fail():
        (root / "stages/train.py").touch()
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run(root, fail)


def test_what_python_compiles_on_the_way_is_no_change(root):
    folder = root / "digits/solvers/__pycache__"

    def compiled():
        folder.mkdir()
        (folder / "reference.cpython-311.pyc").write_text("bytecode")

    run(root, compiled)
