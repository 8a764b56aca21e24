"""The equations: one file per family of cells, the contract they keep, and the registry that lists them."""
