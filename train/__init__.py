"""Commands."""

from ppuu.runtime.openmp import spin_briefly

spin_briefly()
