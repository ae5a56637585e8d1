"""The stages: each is a program."""

from digits import start

start.begin(1)
