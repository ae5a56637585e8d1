"""Check all of params.yaml; record the code and the libraries of each stage.

Every other stage runs after this one, so a mistake stops a run before it begins. DVC
depends on these records instead of the code itself, so that an edited docstring or error
message runs no stage again, and a changed solver runs only the models that use it.

reads   params.yaml; stages/, digits/, the versions of the installed libraries
writes  fingerprints/<stage>.json, fingerprints/{train,evaluate,tune}/<model>.json
        params.schema.json, for editors
        plots.yaml, the tables that the plots of all variants in dvc.yaml show
        tuning/stages.yaml, what the stages of tuning/dvc.yaml depend on
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
            "params.schema.json contains docstrings, which PYTHONOPTIMIZE=2 (python -OO) "
            "removes; unset it"
        )
    files.write_json(root / "params.schema.json", params.schema())
    pipeline.write_plots(root, checked.variants)
    if not (root / "digits").is_dir():
        return  # a project without code depends on the fingerprints of the root project
    if pipeline.write_tunings(root, checked):
        log.info(
            "%s: other tunings than before; if this was `dvc repro tuning/dvc.yaml`, run "
            "it again, because DVC has read the old ones",
            pipeline.TUNINGS,
        )
    with files.replacing(root / fingerprint.FOLDER) as folder:
        for name in fingerprint.names():
            files.write_json(folder / f"{name}.json", fingerprint.compute(name))
    log.info("%d fingerprints of code and libraries", len(fingerprint.names()))


if __name__ == "__main__":
    cli.run(main, __doc__)
