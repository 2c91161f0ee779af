"""Active acquisition: environments in which a policy chooses the next line of k-space to measure.

`gymnasium` finds `mrikit/Acquire-v0` by itself and reads this file whenever it is imported, so nothing is loaded here.
The environments are in `environment.py` and `vector.py`.
"""
