"""`make` notices an unusable environment, and settings do not change what it installs."""

import base64
import hashlib
import os
import re
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import zipfile
from pathlib import Path

import pytest

from tests.helpers.project import ROOT

pytestmark = pytest.mark.long  # each test makes an environment or two, in a few seconds
BASE = Path(sys._base_executable)
PYPROJECT = """\
[build-system]
requires = ["flit_core"]
build-backend = "flit_core.buildapi"
[project]
name = "digits"
version = "1"
description = "test"
[project.scripts]
digits = "digits:main"
"""
FOLDER = """a path of ä, $HOME, 100%, "two" 'quotes' & (a) #"""
OURS = re.compile("PYTHON|PIP_|UV_|MAKE|VIRTUAL_ENV|PATH$")


def wheel(folder, name, files):
    """Write a wheel and return its lines in a lock file."""
    info = f"{name}-1.dist-info"
    files |= {
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {name}\nVersion: 1\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    record = f"{info}/RECORD,,\n"
    for path, content in files.items():
        digest = base64.urlsafe_b64encode(hashlib.sha256(content.encode()).digest())
        record += f"{path},sha256={digest.decode().rstrip('=')},{len(content)}\n"
    path = folder / f"{name}-1-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for inner, content in (files | {f"{info}/RECORD": record}).items():
            entry = zipfile.ZipInfo(inner)
            entry.external_attr = 0o100755 << 16  # an executable regular file
            archive.writestr(entry, content)
    return pin(name, path)


def pin(name, path):
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    return f"{name}==1 \\\n    --hash=sha256:{digest}\n    # via test\n"


def script(path, content):
    path.write_text(f"#!/bin/sh\n{content}\n")
    path.chmod(0o755)
    return path


@pytest.fixture(scope="module")
def top(tmp_path_factory):
    """Make what a setup needs: an index of two wheels, and a Python with pip."""
    top = tmp_path_factory.mktemp("setup")
    (top / "wheels").mkdir()
    uv = {"uv-1.data/scripts/uv": f'#!/bin/sh\nexec "{sys.prefix}/bin/uv" "$@"\n'}
    dvc = {
        "dvc.py": "import sys\ndef main():\n    print(sys.prefix)\n",
        "dvc-1.dist-info/entry_points.txt": "[console_scripts]\ndvc = dvc:main\n",
    }
    lock = wheel(top / "wheels", "dvc", dvc) + wheel(top / "wheels", "uv", uv)
    (top / "requirements.lock").write_text(lock)
    (top / "pip").mkdir()
    for name in ("pip", "flit_core"):
        (top / "pip" / name).symlink_to(Path(sysconfig.get_path("purelib"), name))
    packages = "lib/python{}.{}/site-packages/pip.pth".format(*sys.version_info)
    quick = f"""case "$*" in
      *"-m venv --clear .venv") "{BASE}" -m venv --without-pip --clear .venv
        echo "{top}/pip" > .venv/{packages};;
      *) exec "{BASE}" "$@";;
    esac"""
    script(top / "python", quick)
    return top


def project(top, folder):
    folder.mkdir(parents=True)
    shutil.copy(top / "requirements.lock", folder)
    shutil.copy(ROOT / "Makefile", folder)
    (folder / "pyproject.toml").write_text(PYPROJECT)
    (folder / "digits.py").write_text("def main():\n    print(__file__)\n")
    return folder


def environment(top, **more):
    """Return variables that name an index and hold no settings of Python, pip and uv."""
    kept = {name: value for name, value in os.environ.items() if not OURS.match(name)}
    return kept | {
        "PATH": f"{BASE.parent}:/usr/bin:/bin",
        "PYTHON": str(top / "python"),
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": str(top / "wheels"),
        "PIP_NO_INDEX": "1",
        "UV_FIND_LINKS": str(top / "wheels"),
        "UV_OFFLINE": "1",
        "UV_CACHE_DIR": str(top / "cache"),
        **more,
    }


def run(top, folder, *arguments, **more):
    return subprocess.run(
        ("make", *arguments),
        cwd=folder,
        env=environment(top, **more),
        capture_output=True,
        text=True,
        check=False,
    )


def fits(top, folder):
    """Return whether the environment is used as it is; it could not be made again."""
    result = run(top, folder, "setup", PYTHON="no-python")
    assert result.returncode == 0 or "3.11 or newer is needed" in result.stderr, result
    return result.returncode == 0


def whose(folder, name="dvc"):
    """Return the environment of a project's script `dvc`.

    Of `digits` it is the file of the code.
    """
    command = folder / ".venv/bin" / name
    return subprocess.run([command], capture_output=True, text=True, check=True).stdout[:-1]


@pytest.fixture(scope="module")
def made(top):
    folder = project(top, top / FOLDER)
    result = run(top, folder, "setup")
    assert result.returncode == 0, result.stderr
    return folder


@pytest.fixture
def copy(made, tmp_path):
    """Copy the project, and mark its environment as made in the copy."""
    folder = tmp_path / "copy"
    shutil.copytree(made, folder, symlinks=True)
    complete = folder / ".venv/complete"
    there, here = (ascii(str(path / ".venv")) for path in (made, folder))
    text = complete.read_text()
    assert there in text
    complete.write_text(text.replace(there, here))
    return folder


@pytest.mark.slow
def test_setup_works_in_any_path_and_is_done_once(top, made):
    assert whose(made) == str(made / ".venv")
    assert whose(made, "digits") == str(made / "digits.py")
    assert fits(top, made)
    os.utime(made / "requirements.lock")  # as `git switch` there and back does
    started = time.monotonic()
    assert run(top, made, "setup").stdout == ""
    assert time.monotonic() - started < 2  # 0.04 s on an idle machine


def test_a_moved_or_copied_folder_has_no_environment(top, made, tmp_path):
    shutil.copytree(made, tmp_path / "copied", symlinks=True)
    assert whose(tmp_path / "copied") == str(made / ".venv")  # which runs silently
    assert not fits(top, tmp_path / "copied")
    (tmp_path / "copied").rename(tmp_path / "moved")
    assert not fits(top, tmp_path / "moved")


def remove_python(environment):
    for name in ("python", "python3"):
        (environment / "bin" / name).unlink()
        (environment / "bin" / name).symlink_to("/nowhere/python3")


def break_python(environment):
    for name in ("python", "python3"):
        (environment / "bin" / name).unlink()
        script(environment / "bin" / name, "exit 127")


def upgrade_python(environment):
    (environment / "bin/python").unlink()
    other = "import sys; sys.implementation.cache_tag = 'cpython-399'; exec(sys.argv[3])"
    script(environment / "bin/python", f'exec "{BASE}" -c "{other}" "$@"')


def change_lock(environment):
    with (environment.parent / "requirements.lock").open("a") as file:
        file.write("# another\n")


def interrupt(environment):
    (environment / "complete").unlink()


def fill_the_disk(environment):
    (environment / "complete").write_text("")


@pytest.mark.parametrize(
    "damage",
    [remove_python, break_python, upgrade_python, change_lock, interrupt, fill_the_disk],
)
def test_an_outdated_environment_is_noticed(top, copy, damage):
    assert fits(top, copy)
    damage(copy / ".venv")
    assert not fits(top, copy)


ASTRAY = {
    "CONDA_PREFIX": "/nowhere",
    "PIP_CONSTRAINT": "/nowhere",
    "PIP_NO_BINARY": ":all:",
    "PIP_NO_DEPS": "1",
    "PIP_PREFIX": "/nowhere",
    "PIP_PYTHON": "/nowhere",
    "PIP_REQUIRE_VIRTUALENV": "1",
    "PIP_TARGET": "/nowhere",
    "PIP_USER": "1",
    "PYTHONHASHSEED": "no number",
    "PYTHONHOME": "/nowhere",
    "PYTHONOPTIMIZE": "2",
    "PYTHONPATH": "/nowhere",
    "PYTHONSAFEPATH": "1",
    "PYTHONUSERBASE": "/nowhere",
    "PYTHONWARNINGS": "error",
    "UV_BUILD_CONSTRAINT": "/nowhere",
    "UV_CONSTRAINT": "/nowhere",
    "UV_EXCLUDE_NEWER": "2010-01-01",
    "UV_NO_BINARY": "1",
    "UV_NO_BUILD_ISOLATION": "1",
    "UV_NO_VERIFY_HASHES": "1",
    "UV_OVERRIDE": "/nowhere",
    "UV_PROJECT": "/nowhere",
    "UV_PROJECT_ENVIRONMENT": "/nowhere",
    "UV_PYTHON": "3.9",
    "UV_SYSTEM_PYTHON": "1",
    "UV_WORKING_DIR": "/nowhere",
    "VIRTUAL_ENV": "/nowhere",
}
REACH = {
    "HTTPS_PROXY": "1",
    "SSL_CERT_FILE": "1",
    "PIP_CACHE_DIR": "1",
    "PIP_CERT": "1",
    "PIP_CONFIG_FILE": "1",
    "PIP_DEFAULT_TIMEOUT": "1",
    "PIP_EXTRA_INDEX_URL": "1",
    "PIP_FIND_LINKS": "1",
    "PIP_INDEX_URL": "1",
    "PIP_NO_INDEX": "1",
    "PIP_PROXY": "1",
    "PIP_TRUSTED_HOST": "1",
    "UV_CACHE_DIR": "1",
    "UV_CONFIG_FILE": "1",
    "UV_DEFAULT_INDEX": "1",
    "UV_EXTRA_INDEX_URL": "1",
    "UV_FIND_LINKS": "1",
    "UV_HTTP_TIMEOUT": "1",
    "UV_INDEX": "1",
    "UV_INDEX_OURS_PASSWORD": "$1 'a' #",
    "UV_INDEX_URL": "1",
    "UV_INSECURE_HOST": "1",
    "UV_KEYRING_PROVIDER": "1",
    "UV_NATIVE_TLS": "1",
    "UV_OFFLINE": "1",
    "UV_SYSTEM_CERTS": "1",
}


def test_of_the_settings_of_pip_and_uv_only_the_index_is_kept(top, tmp_path):
    folder = project(top, tmp_path / "project")
    with (folder / "Makefile").open("a") as file:
        file.write("\nshow:\n\t@env\n")
    shown = run(top, folder, "show", **ASTRAY, **REACH).stdout
    found = dict(line.split("=", 1) for line in shown.splitlines() if "=" in line)
    assert {name: found[name] for name in REACH} == REACH
    harmless = {"CONDA_PREFIX", "VIRTUAL_ENV"}
    assert not {*ASTRAY} - harmless & {*found}
    assert found["VIRTUAL_ENV"] == str(folder / ".venv")


@pytest.mark.slow
def test_settings_of_python_pip_and_uv_do_not_change_the_environment(top, made, tmp_path):
    """A copy gets its own environment whatever variables and pip.conf say."""
    folder = tmp_path / "copied"
    shutil.copytree(made, folder, symlinks=True)
    (tmp_path / "pip.conf").write_text(
        "[global]\nuser = true\nprefix = /nowhere\nrequire-virtualenv = true\n"
        "[install]\ntarget = /nowhere\n"
    )
    more = ASTRAY | {"PIP_CONFIG_FILE": str(tmp_path / "pip.conf")}
    result = run(top, folder, "setup", **more)
    assert result.returncode == 0, result.stderr
    assert whose(folder) == str(folder / ".venv")
    assert whose(made) == str(made / ".venv")
    assert fits(top, folder)


@pytest.mark.slow
def test_packages_that_uv_installs_elsewhere_are_an_error(top, tmp_path):
    folder = project(top, tmp_path / "project")
    (tmp_path / "uv").mkdir()
    (tmp_path / "uv/uv.toml").write_text(f"[pip]\ntarget = '{tmp_path / 'elsewhere'}'\n")
    result = run(top, folder, "setup", XDG_CONFIG_HOME=str(tmp_path))
    assert result.returncode
    assert "does a uv.toml set target or prefix?" in result.stderr
    assert not fits(top, folder)


def test_a_colon_in_the_path_is_refused(top, tmp_path):
    folder = project(top, tmp_path / "co:lon")
    result = run(top, folder, "setup")
    assert result.returncode
    assert "The path of this folder has a colon" in result.stderr
    assert not (folder / ".venv").exists()


@pytest.mark.parametrize(
    ("python", "message"),
    [
        ("exit 127", "Python 3.11 or newer is needed, and "),
        ('case "$*" in *version_info*) exit 1;; esac', "Python 3.11 or newer is needed"),
        ('case "$*" in *ensurepip*) exit 1;; esac', "apt install python3-venv"),
    ],
)
def test_an_unusable_python_is_an_error_of_one_line(top, tmp_path, python, message):
    folder = project(top, tmp_path / "project")
    result = run(top, folder, "setup", PYTHON=str(script(tmp_path / "python", python)))
    assert result.returncode
    said = [line for line in result.stderr.splitlines() if not line.startswith("make")]
    assert len(said) == 1
    assert message in said[0]


def test_a_linked_environment_is_used_if_it_fits_and_never_cleared(top, copy):
    shared = copy.parent / "shared"
    (copy / ".venv").rename(shared)
    (copy / ".venv").symlink_to(shared)
    before = sorted(shared.rglob("*"))
    result = run(top, copy, "setup")
    assert result.returncode
    assert ".venv is a symbolic link to an environment that does not match" in result.stderr
    assert sorted(shared.rglob("*")) == before
    complete = shared / "complete"
    complete.write_text(complete.read_text().replace(str(copy / ".venv"), str(shared)))
    assert fits(top, copy)


@pytest.mark.slow
def test_of_two_concurrent_makes_one_waits(top, tmp_path):
    folder = project(top, tmp_path / "project")
    both = [
        subprocess.Popen(
            ("make", "setup"), cwd=folder, env=environment(top),
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )
        for _ in range(2)
    ]  # fmt: skip
    said = sorted((process.communicate()[0] for process in both), key=len)
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0] == "waiting for another make, which sets up .venv\n"
    assert whose(folder) == str(folder / ".venv")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "seconds"),
    [
        *((signal.SIGKILL, seconds) for seconds in (0.2, 0.5, 0.8, 1.1)),
        *((signal.SIGTERM, seconds) for seconds in (0.2, 0.8)),
        *((signal.SIGINT, seconds) for seconds in (0.5, 1.1)),
    ],
)
def test_after_a_kill_the_environment_is_made_again(top, tmp_path, number, seconds):
    folder = project(top, tmp_path / "project")
    process = subprocess.Popen(
        ("make", "setup"), cwd=folder, env=environment(top), start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    time.sleep(seconds)
    os.killpg(process.pid, number)
    process.wait()
    result = run(top, folder, "setup")
    assert result.returncode == 0, result.stderr
    assert whose(folder) == str(folder / ".venv")


@pytest.mark.slow
def test_make_waits_for_processes_of_a_killed_make(top, tmp_path):
    folder = project(top, tmp_path / "project")
    command = ("make", "setup")
    process = subprocess.Popen(command, cwd=folder, env=environment(top))
    time.sleep(0.5)
    process.kill()
    process.wait()
    result = run(top, folder, "setup")
    assert result.returncode == 0, result.stderr
    assert whose(folder) == str(folder / ".venv")


def test_packages_of_the_hard_tests_are_added_and_a_kill_is_noticed(top, copy):
    lock = copy / "requirements-hard.lock"
    lock.write_text(f"nothing==1 --hash=sha256:{'0' * 64}\n")
    assert run(
        top, copy, "environment-hard"
    ).returncode  # it fails, and leaves nothing half-installed
    assert fits(top, copy)
    shutil.copy(copy / "requirements.lock", lock)
    assert run(top, copy, "environment-hard").returncode == 0
    assert fits(top, copy)
    assert run(top, copy, "environment-hard").stdout == ""
    lock.write_text("dvc==1\n")
    with (copy / "Makefile").open("a") as file:
        file.write("\nINSTALL = kill -9 $$$$;\n")
    assert run(top, copy, "environment-hard").returncode
    assert not fits(top, copy)


def test_a_group_of_packages_is_added_when_it_is_named(top, copy):
    shutil.copy(copy / "requirements.lock", copy / "requirements-export.lock")
    assert run(top, copy, "setup", "EXTRAS=export").returncode == 0
    assert (copy / ".venv/export").exists()
    result = run(top, copy, "setup", "EXTRAS=export exprot")
    assert result.returncode
    assert "there is no group exprot; the groups are cluster, export and" in result.stderr
    assert fits(top, copy)


@pytest.mark.slow
def test_build_requirements_are_pinned_by_the_lock(top, tmp_path):
    """A package without a wheel runs its build requirements, which hashes pin."""
    shutil.copytree(top / "wheels", tmp_path / "wheels")
    code = """
import pathlib, shutil
pathlib.Path({ran!r}).touch()
def build_wheel(folder, *_):
    shutil.copy({built!r}, folder)
    return "thing-1-py3-none-any.whl"
"""
    (tmp_path / "built").mkdir()
    wheel(tmp_path / "built", "thing", {"thing.py": ""})
    ran, built = tmp_path / "ran", tmp_path / "built/thing-1-py3-none-any.whl"
    code = code.format(ran=str(ran), built=str(built))
    backend = wheel(tmp_path / "wheels", "backend", {"backend.py": code})
    source = tmp_path / "thing-1"
    source.mkdir()
    required = "[build-system]\nrequires = ['backend']\nbuild-backend = 'backend'\n"
    about = "[project]\nname = 'thing'\nversion = '1'\n"
    (source / "pyproject.toml").write_text(required + about)
    (source / "PKG-INFO").write_text("Metadata-Version: 2.2\nName: thing\nVersion: 1\n")
    archive = tmp_path / "wheels/thing-1"
    thing = Path(shutil.make_archive(str(archive), "gztar", tmp_path, "thing-1"))
    folder = project(top, tmp_path / "project")
    lock = (folder / "requirements.lock").read_text() + pin("thing", thing)
    links = dict.fromkeys(("PIP_FIND_LINKS", "UV_FIND_LINKS"), str(tmp_path / "wheels"))

    (folder / "requirements.lock").write_text(lock)
    result = run(top, folder, "setup", **links)
    assert result.returncode
    said = " ".join(result.stderr.split())  # uv wraps lines at the width of a terminal
    assert "no trusted hash was provided for: `backend`" in said
    assert not ran.exists()

    (folder / "requirements.lock").write_text(lock + backend)
    result = run(top, folder, "setup", **links)
    assert result.returncode == 0, result.stderr
    assert ran.exists()
