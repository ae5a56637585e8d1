"""Machines of a Dask cluster: processes with a network and folders of their own.

Needs Linux, root, and `ip` of iproute2. `isolate` comes first: it starts the program again
where all that `Machines` makes vanishes with it.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from digits.errors import InputError
from tests.helpers.clusters import Cluster, wait_until

HUB = "hub"  # the network namespace of the bridge
PORT = 8786
NOBODY = "02:00:00:00:00:01"  # a hardware address that no machine has
ISOLATED = "TESTS_ISOLATED"  # the environment variable that `isolate` sets
TOP = Path("/run/machines")  # in a tmpfs that only the program sees

# A machine has the system's programs and the environment, read-only, its code in /code, and
# empty folders in memory. $1: its code; $2: the size of its disk; then the command.
ENTER = """
set -e
code=$1 disk=$2
shift 2
mount -t tmpfs tmpfs /mnt
cd /mnt
mkdir -p code disk dev proc tmp
for path in /usr /etc $SHARED; do
  mkdir -p ".$path"
  mount --bind -o ro "$path" ".$path"
done
for path in /bin /lib /lib64 /sbin; do
  [ ! -e $path ] || ln -s usr$path .$path
done
mount --bind -o ro "$code" code
mount -t tmpfs -o "size=$disk" tmpfs disk
mount --rbind /dev dev
mount --bind /proc proc
exec chroot . "$@"
"""


def isolate() -> None:
    """Start this program again with processes, mounts and a network of its own.

    The kernel ends the processes when the program ends in any way, and then removes the
    mounts and the networks.

    Raises:
        InputError: Not Linux, no root, or a program is missing.
    """
    if os.environ.get(ISOLATED):
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
        return
    if sys.platform != "linux" or os.geteuid():
        raise InputError("machines are network namespaces: run this on Linux as root")
    for program, package in ("ip", "iproute2"), ("unshare", "util-linux"):
        if not shutil.which(program):
            raise InputError(f"the program {program} is missing: install {package}")
    os.environ[ISOLATED] = "1"
    command = (sys.executable, *sys.orig_argv[1:])
    unshare = ("unshare", "--mount", "--net", "--pid", "--fork", "--kill-child")
    os.execvp("unshare", [*unshare, "--mount-proc", *command])  # noqa: S606


def ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True)


def at(machine: str) -> tuple[str, ...]:
    """Return a command that runs its arguments in the network of a machine."""
    return "nsenter", f"--net=/run/netns/{machine}"


class Machines(Cluster):
    """A cluster whose scheduler, workers and client are machines on one bridge.

    Workers and the scheduler see no folder of the client or of each other.

    Args:
        code: The folder whose `digits` and `stages` they import.
    """

    faults = (*Cluster.faults, "cut")
    client = at("client")

    def __init__(self, code: Path):
        for machine in subprocess.check_output(["ip", "netns"], text=True).split("\n"):
            if machine:
                ip("netns", "del", machine.split()[0])
        ip("netns", "add", HUB)
        ip("-n", HUB, "link", "add", "bridge", "type", "bridge")
        ip("-n", HUB, "link", "set", "bridge", "up")
        self.addresses: dict[str, str] = {}
        shutil.rmtree(TOP / "log", ignore_errors=True)
        self.plug("client")
        super().__init__(TOP / "log", code=self.only_code(code))

    @staticmethod
    def only_code(project: Path) -> Path:
        """Copy the code of a project, without its data, and return the folder."""
        folder = TOP / "code" / project.name
        for name in ("digits", "stages"):
            shutil.copytree(project / name, folder / name, dirs_exist_ok=True)
        return folder

    def plug(self, machine: str) -> str:
        """Connect a new machine to the bridge, and return its address."""
        number = len(self.addresses) + 1
        self.addresses[machine] = address = f"10.0.{number // 250}.{number % 250 + 1}"
        ip("netns", "add", machine)
        ip("-n", HUB, "link", "add", machine, "type", "veth",
           "peer", "name", "eth0", "netns", machine)  # fmt: skip
        ip("-n", HUB, "link", "set", machine, "master", "bridge", "up")
        ip("-n", machine, "address", "add", f"{address}/16", "dev", "eth0")
        ip("-n", machine, "link", "set", "eth0", "up")
        ip("-n", machine, "link", "set", "lo", "up")
        return address

    @staticmethod
    def cut(machine: str) -> None:
        """Cut the network of a machine: no packet arrives, and nobody is told."""
        ip("-n", HUB, "link", "set", machine, "down")

    def part(self, machine: str, other: str) -> None:
        """Lose all packets from a machine to another one; nobody is told."""
        place = "lladdr", NOBODY, "dev", "eth0", "nud", "permanent"
        ip("-n", machine, "neigh", "replace", self.addresses[other], *place)

    def enter(
        self, machine: str, code: Path, *arguments: str, disk: str = "1g", **options
    ) -> subprocess.Popen:
        """Start a part of Dask on a machine."""
        inside = ("sh", "-c", ENTER, machine, str(code), disk)
        shared = {os.path.realpath(sys.base_prefix), sys.prefix}
        environment = {"PYTHONPATH": "/code", "SHARED": " ".join(shared), "HOME": "/"}
        environment = self.environment | environment
        environment.pop("TMPDIR", None)
        prefix = (*at(machine), "unshare", "--mount", *inside)
        return self.start(*arguments, prefix=prefix, env=environment, **options)

    def start_scheduler(self) -> subprocess.Popen:
        self.address = f"tcp://{self.plug('scheduler')}:{PORT}"
        scheduler = self.enter(
            "scheduler", self.code, "scheduler", "--host", self.address, "--no-dashboard"
        )
        wait_until(lambda: "Scheduler at:" in self.log())
        return scheduler

    def start_worker(
        self, name: str, code: Path, *arguments: str, **options
    ) -> subprocess.Popen:
        host = f"tcp://{self.plug(name)}"
        return self.enter(
            name, code, "worker", self.address, "--host", host,
            "--local-directory", "/disk", *arguments, **options,
        )  # fmt: skip

    def damage(self, worker: subprocess.Popen, fault: str) -> None:
        if fault == "cut":
            self.cut(f"w{self.workers.index(worker)}")
        else:
            super().damage(worker, fault)
