"""Check all of params.yaml; write the schema by which editors check it, too.

Every other stage comes after this one, so a mistake stops a run before it has begun.

reads   params.yaml
writes  params.schema.json
"""

from pathlib import Path

from digits.config import cli, params
from digits.config.params import Params
from digits.data import files


def main(_params: Params, root: Path) -> None:
    """Write the schema; the check itself comes before any stage's `main`."""
    files.write_json(root / "params.schema.json", params.schema())


if __name__ == "__main__":
    cli.run(main, __doc__)
