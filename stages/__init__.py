"""The stages of the pipeline; run one with `python -m stages.<stage>`."""

from digits import start

start.begin(1)
