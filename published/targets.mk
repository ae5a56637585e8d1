# Included by the Makefile in the root folder while this folder exists.
.PHONY: published
published: repro  ## compute the published table, published/table.md (minutes)
	dvc --cd published repro
