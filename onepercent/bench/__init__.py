"""Benchmarks: commands that time both sides of a comparison in one process, never timed tests.

Each file here is one benchmark, a function ``(device) → Report`` whose other arguments are the size, so that a
test can run it small. `onepercent.bench.registry` names them all.
"""
