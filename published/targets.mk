# Part of the Makefile at the root, while this folder is there.
.PHONY: published
published: repro  ## compute the published table, published/table.md (minutes)
	dvc --cd published repro
