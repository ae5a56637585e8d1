"""Files that operating systems, editors and Python leave in folders change nothing."""

import shutil

import pytest

from digits.config import guard, params
from digits.data import files, readers
from digits.data.ignore import NOTHING, Ignored
from digits.errors import InputError
from tests.helpers.drawings import write_noise
from tests.helpers.project import ROOT

LITTER = (
    ".DS_Store",
    "._dataset.py",
    "Thumbs.db",
    "desktop.ini",
    ".directory",
    ".nfs00000001",
    ".dataset.py.swp",
    ".dataset.py.swx",
    "dataset.py.swo",
    "4913",
    "dataset.py~",
    "#dataset.py#",
    ".~lock.table.ods#",
    "dataset.py.bak",
    "__pycache__/dataset.cpython-311.pyc",
    ".ipynb_checkpoints/dataset.py",
    ".tmp-1-dataset.py",
    ".dataset.py.tmp",
)
NOTES = ("notes.md", "README", "LICENSE", "mine/README.md", ".gitignore", ".hidden.npz")
# A folder of code, outputs cached by DVC and tracked by Git, and the user's data.
FOLDERS = ("digits/data", "data/raw/train", "metrics/linear_binary/tables", "data/own")


def litter(root):
    """Put the files into the folders, and the link with which Emacs locks a file."""
    for folder in FOLDERS:
        for name in LITTER + (NOTES if folder == "data/own" else ()):
            path = root / folder / name
            path.parent.mkdir(exist_ok=True)
            path.write_text("litter")
        (root / folder / ".#dataset.py").symlink_to("somebody@nowhere.1:2")


@pytest.mark.slow
def test_dvc_and_verify_ignore_them_but_see_a_real_change(done, tmp_path):
    project = done.copy(tmp_path / "project")
    litter(project.root)
    assert "up to date" in project.run("dvc", "status").stdout
    sound = project.run("python", "-m", "digits", "verify").stdout
    assert "results and the cache match dvc.lock" in sound
    data = readers.read(project.root / "data/own", Ignored(project.root))
    assert len(data.train.labels) == 300
    (project.root / "data/raw/train/more.npy").write_text("x")
    (project.root / "data/own/names.txt").write_text("x")
    assert project.run("dvc", "status", check=False).stdout.split("\n\tchanged")[:1] == [
        "download:"
    ]
    found = project.run("python", "-m", "digits", "verify", check=False)
    assert found.stdout.startswith("damaged  data/raw ")


def test_a_stage_is_kept_when_an_editor_opens_a_source_file(done, tmp_path):
    project = done.copy(tmp_path / "project")
    checked = params.load(project.root / "params.yaml")
    inputs = [project.root / "data/own", project.root / "digits"]

    def unchanged():
        return guard.unchanged(checked, "download", inputs, str, project.root)

    with unchanged():
        litter(project.root)
    with unchanged():
        (project.root / "digits/data/.dataset.py.swp").unlink()
    with pytest.raises(InputError, match="data/own changed"), unchanged():
        (project.root / "data/own/names.json").write_text("[]")


def test_the_rules_apply_in_folders_of_the_project_and_not_outside(tmp_path):
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    (tmp_path / "published").mkdir()
    ignored = Ignored(tmp_path / "published")
    assert ignored(tmp_path / "published/data/Thumbs.db")
    assert ignored(tmp_path / "data/own/a/notes.md")
    assert not ignored(tmp_path / "docs/notes.md")
    assert not ignored(tmp_path / "data/own/mine.dvc")
    assert ignored(tmp_path / "x/__pycache__", folder=True)
    assert not ignored(tmp_path / "x/__pycache__")
    assert not NOTHING(tmp_path / "data/Thumbs.db")


@pytest.fixture
def mine(tmp_path):
    """A project's folder with images of two classes."""
    shutil.copy(ROOT / ".dvcignore", tmp_path)
    for i, name in enumerate(("train/cat/1", "train/dog/1", "test/cat/1", "test/dog/1")):
        write_noise(tmp_path / f"data/own/mine/{name}.png", seed=i)
    return tmp_path


def read(root, source="data/own/mine"):
    return readers.read_custom(source, root)


def test_the_readers_leave_out_what_dvc_ignores_and_its_own_files(mine):
    for folder in ("data/own/mine", "data/own/mine/train", "data/own/mine/train/cat"):
        for name in ("Thumbs.db", "1.png~", "notes.md", ".gitignore", "cat.dvc"):
            (mine / folder / name).write_text("litter")
    assert len(read(mine).train.labels) == 2


def test_a_class_with_a_name_that_dvc_ignores_is_refused(mine):
    write_noise(mine / "data/own/mine/train/cat.bak/1.png")
    with pytest.raises(InputError, match=r"train/cat\.bak: .* another name"):
        read(mine)
    (mine / "data/own/mine/train/cat.bak").rename(mine / "data/own/mine.bak")
    with pytest.raises(InputError, match=r"mine\.bak: .* another name"):
        read(mine, "data/own/mine.bak")


@pytest.mark.parametrize(
    "at", ["data/own/mine", "data/own/mine/train", "data/own/mine/test/cat"]
)
def test_a_link_to_a_folder_is_refused_because_dvc_does_not_follow_it(mine, at):
    elsewhere = mine / "elsewhere"
    (mine / at).rename(elsewhere)
    (mine / at).symlink_to(elsewhere)
    with pytest.raises(InputError, match=f"{at}: is a symbolic link .* copy of the folder"):
        read(mine)


@pytest.mark.slow
def test_dvc_follows_a_link_to_a_file_or_to_all_of_the_data(done, tmp_path):
    project = done.copy(tmp_path / "project")
    own = project.root / "data/own"
    for path in (own, own / "tiny.npz"):
        elsewhere = tmp_path / f"elsewhere {path.name}"
        path.rename(elsewhere)
        path.symlink_to(elsewhere)
    assert "up to date" in project.run("dvc", "status").stdout
    assert len(read(project.root, "data/own/tiny.npz").train.labels) == 300
    with (own / "tiny.npz").open("ab") as file:
        file.write(b"x")
    assert "data/own" in project.run("dvc", "status").stdout


def test_a_result_is_not_written_over_a_link_to_a_folder(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "raw").symlink_to(tmp_path / "elsewhere")
    with (
        pytest.raises(InputError, match=r"raw: is a symbolic link .* Remove the link"),
        files.replacing(tmp_path / "raw") as temporary,
    ):
        temporary.mkdir()
    assert (tmp_path / "raw").is_symlink()
