"""Driving world models and policies learned from recorded traffic.

The library: tracks, rasters, kinematics, costs, world models and policies.  It knows nothing
of Gymnasium, of raw files or of command lines; see ARCHITECTURE.md for the map.
"""

import os

# Threads of torch (GNU OpenMP) that run out of work keep their core busy for some 5 ms, in case
# more comes, and so take it from compiled loops (ppuu.cpu_loops): drawing halves its speed.  A
# third of a millisecond serves torch as well.  Read when torch is loaded, hence here, and the
# other packages import this one first.
os.environ.setdefault("GOMP_SPINCOUNT", "20000")

__version__ = "0.1.0"
