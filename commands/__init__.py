"""What a user runs outside the pipeline: each is a program."""

from digits import start

start.begin(2)
