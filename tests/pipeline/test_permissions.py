"""Checkouts that are read-only, belong to another user or contain links."""

import os
import shutil

import pytest
from PIL import Image

from digits import pipeline
from digits.commands import unlock, verify
from digits.config import cli
from digits.errors import InputError

# Then even root may write only where the mode of a file allows it.
AS_ANYONE = ("setpriv", "--bounding-set=-all", "--inh-caps=-all") * (os.geteuid() == 0)
VERIFY, PREDICT, COMPARE, REMOVE, EXPERIMENTS = (
    ("python", "-m", "digits", name, *arguments)
    for name, *arguments in (
        ("verify",),
        ("predict", "seven.png"),
        ("compare", "HEAD"),
        ("remove", "--dry-run", "multinomial"),
        ("experiments",),
    )
)
ANOTHERS = "the repository belongs to another user"


@pytest.fixture
def project(done, tmp_path):
    return done.copy(tmp_path / "project")


@pytest.fixture
def read_only(project, tiny):
    """A read-only project."""
    Image.fromarray(tiny.test.images[7]).save(project.root / "seven.png")
    project.run("chmod", "-R", "a-w", ".")
    yield project
    project.run("chmod", "-R", "u+w", ".")


def run(project, *command):
    return project.run(*AS_ANYONE, *command, check=False)


@pytest.mark.slow
def test_verify_and_predict_work_in_a_read_only_checkout(read_only):
    result = run(read_only, *VERIFY)
    assert "results and the cache match dvc.lock" in result.stdout, result.stderr
    assert run(read_only, *PREDICT).stdout.splitlines()[-1].startswith("seven.png  ")


@pytest.mark.slow
def test_commands_that_read_work_in_a_read_only_checkout(read_only):
    assert "No parameter, metric" in run(read_only, *COMPARE).stdout
    assert "  dvc.lock: train@multinomial" in run(read_only, *REMOVE).stdout


@pytest.mark.slow
@pytest.mark.parametrize(
    "command",
    [
        EXPERIMENTS,
        ("python", "-m", "stages.evaluate", "multinomial"),
        tuple(word for word in REMOVE if word != "--dry-run"),
    ],
)
def test_commands_that_write_fail_in_one_line_in_a_read_only_checkout(read_only, command):
    result = run(read_only, *command)
    assert result.returncode
    assert "Permission denied" in result.stderr.splitlines()[-1]
    assert result.stderr.startswith("error: ") or "\nerror: " in result.stderr
    assert "Traceback" not in result.stderr
    assert run(read_only, "git", "status", "--porcelain").stdout == "?? seven.png\n"


@pytest.fixture
def anothers(monkeypatch):
    """Let Git treat each repository as another user's."""
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")


def test_a_repository_of_another_user_is_refused_with_the_remedy(fresh, anothers):
    with pytest.raises(InputError, match=ANOTHERS) as caught:
        pipeline.refuse_foreign_repository(fresh.root)
    assert "`git config --global --add safe.directory " in str(caught.value)
    assert str(fresh.root) in str(caught.value)


def test_the_users_own_repository_is_not_refused(fresh, tmp_path):
    pipeline.refuse_foreign_repository(fresh.root)
    pipeline.refuse_foreign_repository(tmp_path)  # not in a repository


def test_unlock_deletes_nothing_that_git_cannot_restore(fresh, tmp_path, anothers):
    project = fresh.copy(tmp_path / "project")
    lock = project.root / "dvc.lock"
    lock.write_text("stages: {a")
    with pytest.raises(InputError, match=ANOTHERS):
        list(unlock.unlock(project.root))
    assert lock.read_text() == "stages: {a"


@pytest.mark.slow
@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
def test_in_another_users_checkout_files_are_read_and_history_is_refused(project, tiny):
    Image.fromarray(tiny.test.images[7]).save(project.root / "seven.png")
    project.run("chown", "-R", "65534:65534", ".")
    assert "results and the cache match dvc.lock" in run(project, *VERIFY).stdout
    assert run(project, *PREDICT).stdout.splitlines()[-1].startswith("seven.png  ")
    assert "  dvc.lock: train@multinomial" in run(project, *REMOVE).stdout
    for command in (COMPARE, EXPERIMENTS):
        result = run(project, *command)
        assert (result.returncode, result.stdout) == (2, "")
        assert ANOTHERS in result.stderr
        assert result.stderr.count("\n") == 1


MODEL = "data/models/multinomial.npz"


def elsewhere(root, name):
    """Move a file or folder out of a project, and link to it."""
    target = root.parent / "elsewhere" / name
    target.parent.mkdir(parents=True)
    shutil.move(root / name, target)
    (root / name).symlink_to(target)


def in_place_of_model(root, make):
    (root / MODEL).unlink()
    make(root / MODEL)


SAME = {
    "empty folders": lambda root: (root / "data/raw/none/none").mkdir(parents=True),
    "a link to data": lambda root: elsewhere(root, "data"),
    "a link to the raw data": lambda root: elsewhere(root, "data/raw"),
    "a link to metrics": lambda root: elsewhere(root, "metrics"),
    "a link to a model": lambda root: elsewhere(root, MODEL),
    "a link to a file in a folder": lambda root: elsewhere(root, "data/raw/classes.json"),
    "a hard link": lambda root: (root / "model").hardlink_to(root / MODEL),
    "a link to another folder": lambda root: (root / "data/raw/more").symlink_to("/tmp"),  # noqa: S108
    "a link in a circle": lambda root: (root / "data/raw/round").symlink_to("."),
    "a link to the cache": lambda root: elsewhere(root, ".dvc/cache"),
}
DAMAGED = {
    "a link to nothing": lambda root: (root / "data/raw/no").symlink_to("/no"),
    "a link to itself": lambda root: (root / "data/raw/me").symlink_to("me"),
    "a pipe": lambda root: os.mkfifo(root / "data/raw/pipe"),
    # DVC does not follow such a link.
    "a link to a folder in a folder": lambda root: elsewhere(root, "data/raw/train"),
}
REPLACED = {
    "a pipe": ("damaged", os.mkfifo),
    "a folder": ("damaged", lambda path: path.mkdir()),
    "a link to nothing": ("missing", lambda path: path.symlink_to("/no")),
    "a link to itself": ("missing", lambda path: path.symlink_to(path.name)),
}


def found(root):
    store = root / ".dvc/cache/files/md5"
    return [(damage.what, damage.out.path) for damage in verify.damages(root, store)]


@pytest.mark.slow
@pytest.mark.parametrize("name", SAME)
def test_links_and_empty_folders_are_not_damage(project, name):
    SAME[name](project.root)
    assert found(project.root) == []


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_dvc_cannot_hash_is_damage_of_its_folder(project, name):
    DAMAGED[name](project.root)
    assert found(project.root) == [("damaged", "data/raw")]


@pytest.mark.slow
@pytest.mark.parametrize("name", REPLACED)
def test_a_special_file_is_damage(project, name):
    what, make = REPLACED[name]
    in_place_of_model(project.root, make)
    assert found(project.root) == [(what, MODEL)]


@pytest.mark.slow
@pytest.mark.parametrize("of", ["data", "data/raw", "metrics", ".dvc/cache"])
def test_results_behind_a_link_are_repaired(project, of):
    elsewhere(project.root, of)
    path = project.root / (
        "metrics/multinomial.json" if of == "metrics" else "data/raw/classes.json"
    )
    before = path.read_bytes()
    path.chmod(0o644)
    path.write_text("damaged")
    result = project.run(*VERIFY, "--fix", check=False)
    assert result.returncode == 0, result.stdout + result.stderr
    assert path.read_bytes() == before
    assert found(project.root) == []


@pytest.mark.slow
@pytest.mark.parametrize("cases", [DAMAGED, REPLACED])
def test_a_special_file_is_repaired(project, cases):
    for name in cases:
        if cases is DAMAGED:
            DAMAGED[name](project.root)
        else:
            in_place_of_model(project.root, REPLACED[name][1])
        result = project.run(*VERIFY, "--fix", check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        assert found(project.root) == []
        shutil.rmtree(project.root.parent / "elsewhere", ignore_errors=True)
        project.run("dvc", "status", "--quiet")


@pytest.mark.parametrize("of", ["data", "data/models", "data/subsets", "report"])
def test_results_behind_a_link_are_refused(tmp_path, of):
    (tmp_path / "project" / of).mkdir(parents=True)
    elsewhere(tmp_path / "project", of)
    with pytest.raises(InputError, match="symbolic link to a folder, and DVC records"):
        cli._refuse_links(tmp_path / "project")


@pytest.mark.slow
def test_dvc_stops_at_a_link_before_a_stage_works(fresh, tmp_path):
    project = fresh.copy(tmp_path / "project")
    elsewhere(project.root, "data")
    result = project.run("dvc", "repro", check=False)
    assert result.returncode
    assert "error: data: is a symbolic link to a folder" in result.stderr
    assert not (project.root / "fingerprints").exists()


@pytest.mark.slow
def test_metrics_may_be_behind_a_link(project):
    elsewhere(project.root, "metrics")
    project.edit("threshold: 0.49", "threshold: 0.3")
    assert "evaluate@linear_binary" in project.repro("evaluate@linear_binary")
