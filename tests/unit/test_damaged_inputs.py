"""Each damaged input of each stage is refused by name, with the remedy."""

import json
import os
import shutil
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from digits.config import params
from digits.errors import InputError
from stages import download, evaluate, filter, report, train  # noqa: A004 (the stage's name)
from stages import path as path_stage
from tests.helpers.params import SMALL
from tests.helpers.project import ROOT, as_arrays

pytestmark = pytest.mark.long  # hundreds of cases


# Each stage: how to run it, and its inputs.
STAGES = {
    "download": (download.main, [], ["data/own/tiny.npz"]),
    "filter": (filter.main, ["binary"], ["data/raw"]),
    "train": (train.main, ["line"], ["data/subsets/binary/train"]),
    "evaluate": (
        evaluate.main,
        ["line"],
        [
            "data/models/line.npz",
            "data/subsets/binary/test",
            "data/subsets/binary/classes.json",
        ],
    ),
    "path": (
        path_stage.main,
        ["binary"],
        ["data/subsets/binary/train", "data/subsets/binary/test"],
    ),
    "report": (
        report.main,
        [],
        [
            "data/raw",
            "data/paths/binary.npz",
            "data/models/line.npz",
            "data/models/softmax.npz",
            "data/predictions/line.npz",
            "data/predictions/softmax.npz",
        ],
    ),
}


@cache
def parameters(root):
    """Return the parameters, which these tests do not damage."""
    return params.load(root / "params.yaml")


@pytest.fixture(scope="module")
def sound(tmp_path_factory, tiny):
    """A folder in which all stages have run."""
    root = tmp_path_factory.mktemp("sound")
    (root / "params.yaml").write_text(SMALL)
    (root / "data/own").mkdir(parents=True)
    np.savez(root / "data/own/tiny.npz", **as_arrays(tiny))
    (root / "dvc.yaml").symlink_to(ROOT / "dvc.yaml")
    checked = parameters(root)
    download.main(checked, root)
    for subset in checked.subsets:
        filter.main(checked, subset, root)
        path_stage.main(checked, subset, root)
    for variant in checked.variants:
        train.main(checked, variant, root)
        evaluate.main(checked, variant, root)
    report.main(checked, root)
    return root


def files_of(root, inputs):
    """Return the files that a stage reads, relative to the root."""
    for path in inputs:
        found = (
            sorted((root / path).rglob("*")) if (root / path).is_dir() else [root / path]
        )
        yield from (str(p.relative_to(root)) for p in found if p.is_file())


def snapshot(root):
    """Return the size and time of each file, which change when it is written."""
    paths = (Path(folder, name) for folder, _, names in os.walk(root) for name in names)
    stats = {path: path.stat() for path in paths}
    return {path: (stat.st_size, stat.st_mtime_ns) for path, stat in stats.items()}


@contextmanager
def damaged(root, name):
    """Yield a path to damage; restore the file afterwards."""
    path, before = root / name, (root / name).read_bytes()
    siblings = set(path.parent.iterdir())
    try:
        yield path
    finally:
        for other in {*path.parent.iterdir(), path} - siblings | {path}:
            shutil.rmtree(other) if other.is_dir() else other.unlink(missing_ok=True)
        path.write_bytes(before)


def refuse(root, stage, name, *, where=None):
    """Run a stage, which must refuse its input by name with a remedy and write nothing."""
    main, arguments, _ = STAGES[stage]
    before = snapshot(root)
    with pytest.raises(InputError) as caught:
        main(parameters(root), *arguments, root)
    message = str(caught.value)
    named = [str(root / name), str((root / name).parent)] if where is None else where
    assert any(path in message for path in named), message
    assert stage == "download" or "`dvc repro" in message, message
    assert "\n" not in message
    assert snapshot(root) == before


# Damages of any file.
FILE_DAMAGES = {
    "missing": lambda path: path.unlink(),
    "empty": lambda path: path.write_bytes(b""),
    "cut off at the end": lambda path: path.write_bytes(path.read_bytes()[:-2]),
    "cut in half": lambda path: path.write_bytes(
        path.read_bytes()[: path.stat().st_size // 2]
    ),
    "cut after its first bytes": lambda path: path.write_bytes(path.read_bytes()[:8]),
    "zeros": lambda path: path.write_bytes(bytes(path.stat().st_size)),
    "a web page": lambda path: path.write_text("<!doctype html>"),
    "a pickle": lambda path: path.write_bytes(b"cos\nsystem\n(S'touch evil'\ntR."),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "another kind of array": lambda path: (
        np.savez(path.with_suffix(".npz"), x=1)
        if path.suffix != ".npz"
        else path.with_suffix(".npy").unlink(missing_ok=True) or save(path, np.zeros(3)),
        path.with_suffix(".npz").replace(path),
    ),
}


def save(path, array):
    with path.open("wb") as file:
        np.save(file, array, allow_pickle=True)


CASES = [
    (stage, path, damage)
    for stage, (_, _, inputs) in STAGES.items()
    for path in inputs
    for damage in FILE_DAMAGES
]


@pytest.mark.parametrize(("stage", "path", "damage"), CASES)
def test_a_damaged_file_is_refused_by_name(sound, stage, path, damage):
    for name in files_of(sound, [path]):
        with damaged(sound, name) as file:
            FILE_DAMAGES[damage](file)
            refuse(sound, stage, name)


# Damages of an array: functions from an array to another.
ARRAY_DAMAGES = {
    "one entry less": lambda a: a[1:] if a.ndim else np.array([a, a]),
    "one dimension more": lambda a: a[None],
    "nothing in it": lambda a: a[:0] if a.ndim else a[None][:0],
    "floats, one not a number": lambda a: np.full(a.shape, np.nan),
    "floats, one infinite": lambda a: np.full(a.shape, np.inf),
    "texts": lambda a: np.full(a.shape, "grey"),
    "objects": lambda a: np.full(a.shape, None),
    "complex numbers": lambda a: np.full(a.shape, 1j),
    "records": lambda a: np.zeros(a.shape, [("x", "u1")]),
    "times": lambda a: np.zeros(a.shape, "M8[s]"),
}


@pytest.mark.parametrize("damage", ARRAY_DAMAGES)
@pytest.mark.parametrize(
    ("stage", "path"),
    [(stage, path) for stage, (_, _, inputs) in STAGES.items() for path in inputs],
)
def test_a_wrong_array_is_refused_by_the_name_of_its_file(sound, stage, path, damage):
    for name in files_of(sound, [path]):
        if name.endswith(".npy"):
            with damaged(sound, name) as file:
                save(file, ARRAY_DAMAGES[damage](np.load(file)))
                refuse(sound, stage, name)
        elif name.endswith(".npz"):
            with np.load(sound / name) as held:
                arrays = dict(held)
            for field, array in arrays.items():
                if (field, damage) == ("gap", "floats, one infinite"):
                    continue  # it says that no bound is known
                if (stage, damage) == ("download", "one dimension more"):
                    continue  # an axis of one is left out
                with damaged(sound, name) as file:
                    np.savez(file, **arrays | {field: ARRAY_DAMAGES[damage](array)})
                    refuse(sound, stage, name)


@pytest.mark.parametrize("stage", STAGES)
def test_an_extra_or_a_missing_array_is_refused(sound, stage):
    for name in files_of(sound, STAGES[stage][2]):
        if name.endswith(".npy"):
            with damaged(sound, name) as file:
                save(file.with_name("more.npy"), np.zeros(3, np.uint8))
                refuse(sound, stage, name)
        elif name.endswith(".npz"):
            with np.load(sound / name) as held:
                arrays = dict(held)
            for field in arrays:
                with damaged(sound, name) as file:
                    np.savez(file, **{k: v for k, v in arrays.items() if k != field})
                    refuse(sound, stage, name)
            if stage != "download":  # a user's file may hold more
                with damaged(sound, name) as file:
                    np.savez(file, **arrays, more=np.zeros(3))
                    refuse(sound, stage, name)


def change(root, name, **arrays):
    with np.load(root / name) as held:
        found = dict(held)
    np.savez(root / name, **found | {k: f(found[k]) for k, f in arrays.items()})


def relabel(root, name, labels):
    save(root / name, labels(np.load(root / name)))


TEST = "data/subsets/binary/test"
# Valid files that belong to other data.
MISFITS = {
    "labels that the model does not know": (
        "evaluate", f"{TEST}/labels.npy", lambda r, n: relabel(r, n, lambda a: a + 7)),
    "larger images": ("evaluate", f"{TEST}/images.npy",
        lambda r, n: relabel(r, n, lambda a: np.pad(a, ((0, 0), (1, 1), (1, 1))))),
    "too few names": ("evaluate", "data/subsets/binary/classes.json",
        lambda r, n: (r / n).write_text(json.dumps(["a"]))),
    "names that are numbers": ("evaluate", "data/subsets/binary/classes.json",
        lambda r, n: (r / n).write_text("[0, 1, 2]")),
    "endless brackets": ("evaluate", "data/subsets/binary/classes.json",
        lambda r, n: (r / n).write_text("[" * 100_000)),
    "the model of another variant": ("evaluate", "data/models/line.npz",
        lambda r, n: shutil.copy(r / "data/models/softmax.npz", r / n)),
    "a scale of zero": ("evaluate", "data/models/line.npz",
        lambda r, n: change(r, n, scale=np.zeros_like)),
    "classes that descend": ("evaluate", "data/models/line.npz",
        lambda r, n: change(r, n, classes=lambda a: a[::-1])),
    "another decision": ("evaluate", "data/models/line.npz",
        lambda r, n: change(r, n, decision=lambda _: np.array("sigmoid"))),
    "no such decision": ("evaluate", "data/models/line.npz",
        lambda r, n: change(r, n, decision=lambda _: np.array("oracle"))),
    "one class alone": ("train", "data/subsets/binary/train/labels.npy",
        lambda r, n: relabel(r, n, np.zeros_like)),
    "a label without a name": ("filter", "data/raw/train/labels.npy",
        lambda r, n: relabel(r, n, lambda a: a + 100)),
    "test images of another size": ("filter", "data/raw/test/images.npy",
        lambda r, n: relabel(r, n, lambda a: a[:, 1:])),
    "predictions of another variant": ("report", "data/predictions/line.npz",
        lambda r, n: shutil.copy(r / "data/predictions/softmax.npz", r / n)),
    "predictions of other images": ("report", "data/predictions/softmax.npz",
        lambda r, n: change(r, n, actual=lambda a: a[::-1])),
    "a class that was never there": ("report", "data/predictions/softmax.npz",
        lambda r, n: change(r, n, predicted=lambda a: a + 200)),
    "a score that is not finite": ("report", "data/predictions/softmax.npz",
        lambda r, n: change(r, n, scores=lambda a: np.where(a == a.max(), np.inf, a))),
    "a change that is never tried": ("report", "data/predictions/softmax.npz",
        lambda r, n: change(r, n, flipped_at=lambda a: a + 3)),
    "the model of another variant, on the page": ("report", "data/models/line.npz",
        lambda r, n: shutil.copy(r / "data/models/softmax.npz", r / n)),
}  # fmt: skip


@pytest.mark.parametrize(("stage", "name", "spoil"), MISFITS.values(), ids=MISFITS)
def test_a_valid_input_of_other_data_is_refused(sound, stage, name, spoil):
    with damaged(sound, name):
        spoil(sound, name)
        refuse(sound, stage, name, where=["data/subsets/binary", "data/raw", name])


@pytest.mark.long
@pytest.mark.parametrize("stage", ["filter", "evaluate", "report"])
@given(st.data())
def test_no_change_of_bytes_gives_a_traceback(sound, stage, data):
    name = data.draw(st.sampled_from(list(files_of(sound, STAGES[stage][2]))))
    with damaged(sound, name) as file:
        content = bytearray(file.read_bytes())
        for _ in range(data.draw(st.integers(1, 3))):
            # Most of what can break is in the headers at the start and the end.
            at = data.draw(st.integers(-300, 300)) % len(content)
            content[at] = data.draw(st.integers(0, 255))
        file.write_bytes(content)
        load_all(stage, sound)


def load_all(stage, root):
    """Read a stage's inputs, like its `main` without computing and plotting."""
    with suppress(InputError):
        if stage == "evaluate":
            evaluate.serialization.load(root / "data/models/line.npz")
            evaluate.dataset.load_split(root / TEST)
            evaluate.dataset.load_names(root / "data/subsets/binary")
        else:
            raw = filter.dataset.load(root / "data/raw")
            if stage == "report":
                report.load_results(parameters(root), raw.test, root)
