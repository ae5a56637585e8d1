"""Settings of a user or a scheduler change no result, and no stage fails on them."""

import os
import shlex
import shutil
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from digits import memory, start
from digits.config import cli, params
from digits.data import dataset, large
from digits.errors import InputError
from digits.memory import MIB
from stages import check, train
from tests.helpers.project import PARAMS, ROOT

PICTURES = {
    "in_the_folder": (
        "matplotlibrc",
        "text.usetex: True\nfont.size: 20\n",
        {"MPLBACKEND": "nonsense"},
    ),
    "by_variable": ("set/rc", "axes.facecolor: red\n", {"MATPLOTLIBRC": "set/rc"}),
    "at_home": (
        "set/matplotlib/matplotlibrc",
        "font.size: 20\n",
        {"XDG_CONFIG_HOME": "set"},
    ),
    "that_is_no_text": ("matplotlibrc", "\udcff\udcfe", {}),
    "no_place_for_a_cache": ("unused", "", {"MPLCONFIGDIR": "/proc/nothing"}),
}


def but_the_first_slow(cases):
    """Mark all cases of a test except the first as slow."""
    first, *rest = cases
    return [
        first,
        *(
            pytest.param(*(c if isinstance(c, tuple) else [c]), marks=pytest.mark.slow)
            for c in rest
        ),
    ]


@pytest.fixture
def folder(tmp_path, tiny):
    """A folder without code in which `filter` can run."""
    shutil.copy(PARAMS, tmp_path / "params.yaml")
    dataset.save(tmp_path / "data/raw", tiny)
    return tmp_path


def run(folder, *command, before="", after="", **environment):
    """Run a stage or a command in bash, with shell code before and after it."""
    python = (sys.executable, "-m", *command)
    return subprocess.run(
        ["bash", "-c", f'{before} exec "$@" {after}', "bash", *python],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture(scope="module")
def usual(tiny, tmp_path_factory):
    """The figure of a subset, plotted without any settings."""
    folder = tmp_path_factory.mktemp("usual")
    shutil.copy(PARAMS, folder / "params.yaml")
    dataset.save(folder / "data/raw", tiny)
    assert run(folder, "stages.filter", "binary").returncode == 0
    return (folder / "metrics/subsets/binary/first_images.png").read_bytes()


@pytest.mark.slow
@pytest.mark.long
@pytest.mark.parametrize("name", but_the_first_slow(PICTURES))
def test_settings_of_matplotlib_change_no_figure(folder, usual, name):
    path, text, environment = PICTURES[name]
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text(text, errors="surrogateescape")
    done = run(folder, "stages.filter", "binary", **environment)
    assert done.returncode == 0, done.stderr
    assert (folder / "metrics/subsets/binary/first_images.png").read_bytes() == usual


@pytest.mark.slow
@pytest.mark.parametrize(
    ("closed", "said_on"),
    but_the_first_slow(
        [("2>&-", "stdout"), (">&-", "stderr"), ("<&-", "stderr"), ("<&- >&- 2>&-", None)]
    ),
)
def test_a_stage_works_or_reports_an_error_with_any_streams_closed(folder, closed, said_on):
    right = run(folder, "stages.filter", "binary", after=closed)
    wrong = run(folder, "stages.filter", "nothing", after=closed)
    assert (right.returncode, wrong.returncode) == (0, 1)
    for stream in ("stdout", "stderr"):
        for result, words in ((right, "done in"), (wrong, "has no subset 'nothing'")):
            assert (words in getattr(result, stream)) == (stream == said_on)


@pytest.mark.parametrize(
    "command",
    but_the_first_slow(["remove", "predict", "compare", "experiments", "verify"]),
)
def test_a_command_without_stderr_reports_errors_on_stdout(tmp_path, command):
    words = {"predict": ["x.png"], "remove": ["x"]}.get(command, [])
    done = run(tmp_path, "digits", command, *words, after="2>&-")
    assert done.returncode in (1, 2)
    assert "error: " in done.stdout


def test_opened_streams_are_inherited_by_child_processes(tmp_path):
    program = (
        "from digits import start; start.open_streams(); import os; os.system('echo x >&2')"
    )
    command = f'exec {shlex.quote(sys.executable)} -c "{program}" 2>&-'
    done = subprocess.run(
        ["bash", "-c", command], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, "x\n")


@pytest.mark.long
@pytest.mark.parametrize("limit", [60_000, 250_000])
def test_too_little_memory_is_one_line_with_the_required_amount(folder, limit):
    for command, status in (
        (("stages.filter", "binary"), 1),
        (("digits", "predict", "x"), 2),
    ):
        done = run(folder, *command, before=f"ulimit -v {limit};")
        assert done.returncode == status
        assert done.stderr.count("\n") == 1
        assert "MiB more memory" in done.stderr
        assert f"`ulimit -v`: {limit // 1024} MiB" in done.stderr


@pytest.mark.long
def test_training_checks_the_memory_before_it_starts(folder, tiny):
    dataset.save(folder / "data/subsets/digits", tiny)
    limit = 450_000 + 80_000 * memory.threads()  # where SciPy's OpenBLAS would not return
    done = run(
        folder, "stages.train", "multinomial", before=f"ulimit -v {limit}; ulimit -t 20;"
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: training needs ")
    assert not (folder / "data/models").exists()


def test_mapped_images_need_less_memory_than_their_size(tmp_path, monkeypatch):
    asked = []
    monkeypatch.setattr(memory, "require", lambda _, data, **__: asked.append(data))
    for n_bytes in (0, large.MAPPED_FROM - 1, 8 * large.MAPPED_FROM):
        with (tmp_path / "images.npy").open("wb") as file:
            file.truncate(n_bytes)  # takes no space
        train._require_memory(tmp_path)
    none, read, mapped = asked
    assert read - none == 2 * (large.MAPPED_FROM - 1)
    assert mapped - none == 4 * large.MAPPED_FROM


def test_without_docstrings_there_is_no_schema(tmp_path, monkeypatch):
    """PYTHONOPTIMIZE=2 would remove its descriptions."""
    monkeypatch.setattr(sys, "flags", SimpleNamespace(optimize=2))
    with pytest.raises(InputError, match=r"PYTHONOPTIMIZE=2.*unset it"):
        check.main(params.load(PARAMS), tmp_path)
    assert not list(tmp_path.iterdir())


def test_running_out_of_memory_is_one_line(caplog):
    with pytest.raises(SystemExit, match=r"^3$"), cli.reporting(3):
        np.empty(2**60, np.uint8)
    assert "error: not enough memory. Unable to allocate" in caplog.text
    assert "Traceback" not in caplog.text


def test_the_available_memory_is_enough():
    memory.require("a test", MIB, libraries=MIB)


@pytest.mark.parametrize(
    ("groups", "file"),
    [
        ("0::/a/b\n", "memory.max"),
        ("5:cpu:/x\n4:memory:/a/b\n0::/\n", "memory/memory.limit_in_bytes"),
    ],
)
def test_the_limit_of_a_control_group_counts(tmp_path, monkeypatch, groups, file):
    (tmp_path / "proc/self").mkdir(parents=True)
    shutil.copy("/proc/meminfo", tmp_path / "proc/meminfo")
    (tmp_path / "proc/self/cgroup").write_text(groups)
    (tmp_path / file).parent.mkdir(exist_ok=True)
    (tmp_path / file).write_text(f"{50 * MIB}\n")
    monkeypatch.setattr(memory, "PROC", tmp_path / "proc")
    monkeypatch.setattr(memory, "CGROUPS", tmp_path)
    memory.require("a test", 40 * MIB, libraries=40 * MIB)
    with pytest.raises(InputError, match=r"a test needs 60 MiB.*cgroup: 50 MiB"):
        memory.require("a test", 60 * MIB)


def test_open_streams_leaves_open_ones_alone():
    before = (sys.stdin, sys.stdout, sys.stderr)
    start.open_streams()
    assert before == (sys.stdin, sys.stdout, sys.stderr)


def test_the_number_of_threads_is_what_the_user_allows(monkeypatch):
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS"):
        monkeypatch.delenv(name, raising=False)
    there = memory.threads()
    assert there >= 1
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert memory.threads() == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "nonsense")
    assert memory.threads() == there
