"""Write page.html, the page of `dvc plots`, with Vega in it, so that it needs no network.

`make page` runs this. The npm client downloads the packages.
"""

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
PARTS = {  # npm package: SHA-256 of its build/<name>.min.js
    "vega@5.33.1": "463f3db6a40b20e9747b4ed38f37ed0add508838f9141b1cf8366784b07b30c8",
    "vega-lite@5.23.0": "58c27358e26f2d319cf62f45bc17a4c8362f08645001df2ec8d341eee4097c7f",
    "vega-embed@6.29.0": "12d02acfbe3ec59ef9a37dd4822a2e04e2961b5bbb671bbe661d2221715b99da",
}
# Texts that would end a script early, or that DVC would replace.
FORBIDDEN = ("</script", "<!--", "{scripts}", "{plot_divs}", "{refresh_tag}")


def fetch(package: str) -> bytes:
    """Return the minified build of an npm package."""
    name = package.partition("@")[0]
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["npm", "pack", "--silent", package], cwd=folder, check=True)  # noqa: S603, S607 (fixed arguments)
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            member = tar.extractfile(f"package/build/{name}.min.js")
            return member.read() if member else b""


def script(package: str, content: bytes) -> str:
    """Return the script element; exit if the content does not have the expected hash."""
    digest = hashlib.sha256(content).hexdigest()
    if digest != PARTS[package]:
        sys.exit(f"{package}: expected SHA-256 {PARTS[package]}, got {digest}")
    lines = content.decode().split("\n")
    code = "\n".join(line for line in lines if not line.startswith("//# sourceMapping"))
    for text in FORBIDDEN:
        if text in code.lower():
            sys.exit(f"{package} contains {text!r}, which would break the page")
    notice = f"/* {package}, BSD-3-Clause, see the notice above */"
    return f"<script>{notice}\n{code.strip()}\n</script>"


def main() -> None:
    """Fill in page.in.html."""
    scripts = "\n".join(script(package, fetch(package)) for package in PARTS)
    page = (HERE / "page.in.html").read_text()
    page = page.replace("@LICENCES@", (HERE / "vega-licences.txt").read_text())
    (HERE / "page.html").write_text(page.replace("@SCRIPTS@", scripts))


if __name__ == "__main__":
    main()
