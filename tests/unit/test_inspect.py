"""The command `digits inspect`: what it prints, draws and proposes."""

import re
import shutil
from functools import partial

import numpy as np
import pytest
from PIL import Image

from digits.commands import inspect
from digits.config import params
from digits.data import dataset
from digits.data.dataset import Dataset, Split
from digits.figures import class_samples
from stages import download, filter  # noqa: A004 (a stage)
from tests.helpers import drawings
from tests.helpers.project import PARAMS, ROOT
from tests.unit import test_formats as formats

SMALL = [name for name in formats.FORMATS if "load_digits" not in name]


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A folder with the tests' parameters, as working folder."""
    shutil.copy(PARAMS, tmp_path / "params.yaml")
    shutil.copy(ROOT / ".dvcignore", tmp_path / ".dvcignore")
    (tmp_path / "data/own/mine").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def run(command):
    return partial(command, "inspect")


def files_in(folder):
    return sorted(path for path in folder.rglob("*") if path.is_file())


SHOWN = """\
data/own/mine: CSV, one image per line
images of 4 by 4 pixels, with grey values from 1 to 255 (mean 91)

class    train     test
0            8        2
1            8        2
2            8        2
all         24        6

warnings:
  data/own/mine/sample_submission.csv: is not read
  data/own/mine/test.csv: has no labels, so it is not used

read with these parameters of `dataset`:
  test_share: 0.2  # there are no test images, so they are drawn from the training images

The whole of params.yaml for this data:

dataset: {name: custom, source: data/own/mine, test_share: 0.2}
"""


def test_it_prints_what_would_be_read_and_writes_only_the_picture(project, run):
    formats.competition(project / "data/own/mine")
    before = files_in(project)
    status, out = run("data/own/mine")
    assert status == 0
    assert out.startswith(SHOWN)
    assert out.endswith("\n\npicture: report/samples.png\n")
    picture = project / "report/samples.png"
    assert files_in(project) == sorted([*before, picture])
    with Image.open(picture) as image:
        assert image.format == "PNG"
    assert run("data/own/mine")[0] == 0  # writes its own picture again


def test_without_the_picture_it_prints_the_rest(project, run, caplog):
    formats.competition(project / "data/own/mine")
    (project / "report").touch()  # so it cannot be a folder
    status, out = run("data/own/mine")
    assert status == 1
    assert out.startswith(SHOWN)
    assert "picture" not in out
    assert "report/samples.png: cannot be written (Not a directory)" in caplog.text
    assert "or name another file with --output" in caplog.text
    assert run("data/own/mine", "--output", "mine.png")[0] == 0


def test_git_ignores_the_picture():
    assert "/report" in (ROOT / ".gitignore").read_text().splitlines()


@pytest.mark.parametrize("name", list(map(formats.with_its_packages, SMALL)))
def test_the_proposed_parameters_are_valid_and_read_the_same_data(project, run, name):
    write, expected = formats.FORMATS[name]
    write(project / "data/own/mine")
    status, out = run("--params", "data/own/mine")
    assert status == 0
    (project / "params.yaml").write_text(out)
    checked = params.load(project / "params.yaml")
    data = download.fetch(checked.dataset, project)
    found = inspect.read(inspect.Place.of(project / "data/own/mine"))
    np.testing.assert_array_equal(found.data.train.images, data.train.images)
    for subset in checked.subsets.values():
        assert len(filter.subset_labels(subset, data)) in (2, 3)
    assert ("test_share" in out) == name.endswith("no test images")
    if "size" not in name:  # it proposes another one
        assert expected in "\n".join(text for said in found.said.values() for text in said)


# What is refused with the advice to set a parameter, which is then proposed.
REMEDIES = {
    "no test images, and no `test_share`": "test_share: 0.2",
    "folders: no folder `test/`": "test_share: 0.2",
    "folders: images of several sizes": "size: [28, 28]",
    "images of more than 64 by 64 pixels": "size: [28, 28]",
}


@pytest.mark.parametrize("name", formats.REFUSED)
def test_what_download_refuses_is_refused_with_its_message(project, run, caplog, name):
    formats.REFUSED[name](project / "data/own/mine")
    status, out = run("data/own/mine")
    (message,) = (m for row, m in formats.documented("refused") if row == name)
    if name in REMEDIES:
        assert status == 0
        assert f", {REMEDIES[name]}}}" in out
        return
    assert (status, out) == (1, "")
    for part in message.strip("`").split("…"):
        assert part.strip() in caplog.text.replace("\\", "")
    assert not (project / "report").exists()


def test_it_works_outside_a_project(tmp_path, monkeypatch, run):
    formats.pictures(tmp_path / "my photos")
    monkeypatch.chdir(tmp_path)
    status, out = run("my photos")
    assert status == 0
    assert "put it into data/own/ of the project: cp -r 'my photos' data/own/\n" in out
    assert "source: data/own/my photos}" in out
    assert (tmp_path / "samples.png").exists()


def test_a_file_needs_the_names_next_to_it(tmp_path, monkeypatch, run):
    formats.npz(tmp_path)
    (tmp_path / "names.txt").write_text("\n".join(formats.NAMES))
    monkeypatch.chdir(tmp_path)
    assert "cp -r own.npz names.txt data/own/\n" in run("own.npz")[1]


def test_a_picture_is_not_written_over_a_file(tmp_path, monkeypatch, run, caplog):
    formats.npz(tmp_path)
    (tmp_path / "samples.png").write_text("mine")
    monkeypatch.chdir(tmp_path)
    assert run("own.npz") == (1, "")
    assert "samples.png: exists; --force replaces it" in caplog.text
    assert run("own.npz", "--output", "other.png")[0] == 0
    assert (tmp_path / "samples.png").read_text() == "mine"
    written = (tmp_path / "other.png").read_bytes()
    assert run("own.npz", "--force")[0] == 0
    assert (tmp_path / "samples.png").read_bytes() == written
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/mine").touch()
    assert run("own.npz", "--output", "folder", "--force") == (1, "")
    assert "folder: is a folder; give another --output" in caplog.text
    assert (tmp_path / "folder/mine").exists()


def test_a_path_that_does_not_exist_is_named(tmp_path, run, caplog):
    assert run(tmp_path / "nosuch") == (1, "")
    assert f"{tmp_path / 'nosuch'}: does not exist" in caplog.text


def test_a_link_that_dvc_does_not_follow_is_refused_as_by_download(project, run, caplog):
    formats.pictures(project / "elsewhere")
    (project / "data/own/link").symlink_to(project / "elsewhere")
    assert run("data/own/link") == (1, "")
    assert "is a symbolic link to a folder" in caplog.text


def test_names_are_quoted_where_yaml_would_change_them(project, run):
    names = ("no", "1e3", "a: b", "猫", "'", "~", "1:30")
    labels = np.repeat(np.arange(7, dtype=np.uint8), 2)
    images = np.arange(14, dtype=np.uint8).reshape(14, 1, 1) * 10
    given = {"x_train": images, "y_train": labels, "x_test": images, "y_test": labels}
    for first in range(0, 7, 2):  # two names are in the parameters
        turned = (*names[first:], *names[:first])
        np.savez(project / "data/own/mine/a.npz", **given, names=np.array(turned))
        (project / "params.yaml").write_text(run("--params", "data/own/mine/a.npz")[1])
        checked = params.load(project / "params.yaml")
        assert checked.subsets["pair"].classes == turned[:2]


def test_the_two_classes_have_test_images(project, run):
    formats.npz(
        project / "data/own/mine",
        of=formats.BOTH | {"y_test": np.ones(formats.N_TEST, np.uint8)},
    )
    assert "pair: {classes: [0, 1]}" in run("--params", "data/own/mine")[1]
    formats.npz(
        project / "data/own/mine",
        of=formats.BOTH | {"y_test": np.full(formats.N_TEST, 2, np.uint8)},
    )
    assert "pair: {classes: [0, 2]}" in run("--params", "data/own/mine")[1]


def test_test_images_that_are_training_images_are_a_warning(project, run):
    images = np.concatenate([formats.TRAIN.images[:3], formats.TEST.images[3:]])
    formats.npz(project / "data/own/mine", of=formats.BOTH | {"x_test": images})
    warning = "warning: 3 test images are among the training images as well"
    assert warning in run("data/own/mine")[1]


def test_the_picture_has_the_images_of_each_class(tmp_path):
    """Each class is a grey value of its own."""
    labels = np.repeat(np.arange(30, dtype=np.uint8), 4)
    images = np.broadcast_to(labels[:, None, None] * 8, (120, 5, 9)).astype(np.uint8)
    data = Dataset(*[Split(images, labels)] * 2, tuple(map(str, range(30))))
    class_samples.draw(tmp_path / "a.png", data)
    with Image.open(tmp_path / "a.png") as picture:
        seen = np.asarray(picture.convert("L"))
    for label in range(30):  # 4 training and 3 test images, of some 45 by 25 pixels
        assert 7 * 900 < np.count_nonzero(seen == label * 8) < 10 * 1200


@pytest.mark.results
def test_mnist_is_recognised_by_its_content():
    data = dataset.load(ROOT / "data/raw")
    assert inspect.known_name(data) == "mnist"
    assert inspect.known_name(Dataset(data.test, data.train)) is None


def test_a_known_data_set_is_read_by_its_name():
    found = inspect.Found(Dataset(formats.TRAIN, formats.TEST), {}, {}, "mnist")
    text = inspect.parameters(inspect.Place.of(PARAMS), found)
    assert re.match(r"dataset: \{name: mnist, source: data/own/params\.yaml\}", text)


def test_dark_images_on_light_are_inverted(project, run):
    light = {n: 255 - a if n[0] == "x" else a for n, a in formats.BOTH.items()}
    light |= {n: np.pad(light[n], [(0, 0), (2, 2), (2, 2)], constant_values=250)
              for n in ("x_train", "x_test")}  # fmt: skip
    formats.npz(project / "data/own/mine", of=light)
    assert "source: data/own/mine, invert: true}" in run("--params", "data/own/mine")[1]


def test_images_of_emnist_are_transposed(project, run):
    formats.emnist(project / "data/own/mine")
    assert "source: data/own/mine, transpose: true}" in run("--params", "data/own/mine")[1]
    assert "transpose: true  # EMNIST's images" in run("data/own/mine")[1]


def test_drawn_digits_are_centred_and_photographs_are_not(project, run):
    for name in (0, 1, 3, 4):
        for i, size in enumerate([(60, 80), (80, 60), (70, 70)]):
            folder = project / f"data/own/mine/{name}"
            folder.mkdir(exist_ok=True)
            picture = drawings.mix(drawings.digit(name, size), [20] * 3, [240] * 3)
            picture.save(folder / f"{i}.png")
    proposed = "test_share: 0.2, size: [28, 28], centre: true}"
    assert proposed in run("--params", "data/own/mine")[1]
    for old, new in zip("0134", ("a", "b", "c", "d"), strict=True):
        (project / "data/own/mine" / old).rename(project / "data/own/mine" / new)
    proposed = "test_share: 0.2, size: [28, 28], invert: true}"
    assert proposed in run("--params", "data/own/mine")[1]
