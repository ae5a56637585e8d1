"""Check all of params.yaml; record which code and libraries each stage computes with.

Every other stage comes after this one, so a mistake stops a run before it has begun. DVC
depends on these records instead of on the code itself, so that a docstring or an error
message runs no stage again, and a changed solver only the models that it fits.

reads   params.yaml; stages/, digits/, the versions of the installed libraries
writes  fingerprints/<stage>.json, fingerprints/{train,evaluate}/<model>.json
        params.schema.json, by which editors complete and check params.yaml
        plots.yaml, the tables that the plots of all variants in dvc.yaml show
"""

import logging
import sys
from pathlib import Path

from digits import pipeline
from digits.config import cli, fingerprint, params
from digits.config.params import Params
from digits.data import files
from digits.errors import InputError

log = logging.getLogger(__name__)


def main(checked: Params, root: Path) -> None:
    """Compute and save; params.yaml itself is checked before any stage's `main`."""
    if sys.flags.optimize > 1:
        raise InputError(
            "params.schema.json is made of docstrings, which PYTHONOPTIMIZE=2 (python -OO) "
            "leaves out; unset it"
        )
    files.write_json(root / "params.schema.json", params.schema())
    pipeline.write_plots(root, checked.variants)
    if not (root / "digits").is_dir():
        return  # a project without code of its own depends on those of the root's
    with files.replacing(root / fingerprint.FOLDER) as folder:
        for name in fingerprint.names():
            files.write_json(folder / f"{name}.json", fingerprint.compute(name))
    log.info("%d fingerprints of code and libraries", len(fingerprint.names()))


if __name__ == "__main__":
    cli.run(main, __doc__)
