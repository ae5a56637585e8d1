# The Makefile in the root folder includes this file, if this folder exists.
.PHONY: published
published: repro  ## compute the published table, published/table.md (minutes)
	dvc --cd published repro
