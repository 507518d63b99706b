"""The processes in which the notebooks of `shl run` are executed."""
