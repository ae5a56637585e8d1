"""What the command lines of all stages share: arguments, log, errors, exit status."""

import argparse
import logging
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Literal

from digits import params
from digits.errors import InputError
from digits.params import Params

log = logging.getLogger(__name__)


def run(
    main: Callable[..., None],
    description: str | None,
    of: Literal["subset", "variant"] | None = None,
) -> None:
    """Run `main(params, root)`, or `main(params, name, root)` for one `of` its kind.

    All of `params.yaml` is checked first. A mistake of the user's, or of the
    machine's such as a full disk, is one message on stderr and status 1.
    """
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    if of:
        parser.add_argument(of, help=f"a name under `{of}s` in params.yaml")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    logging.captureWarnings(capture=True)
    root, start = Path(), time.perf_counter()
    try:
        checked = params.load(root / "params.yaml")
        if of:
            name = getattr(arguments, of)
            _check_name(checked, of, name)
            main(checked, name, root)
        else:
            main(checked, root)
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.exit(130)  # as a shell reports it; what was begun is already removed
    log.info("done in %.1f s", time.perf_counter() - start)


def _check_name(checked: Params, of: Literal["subset", "variant"], name: str) -> None:
    known = checked.subsets if of == "subset" else checked.variants
    if name not in known:
        raise InputError(
            f"params.yaml has no {of} {name!r}; it has {', '.join(sorted(known))}"
        )
