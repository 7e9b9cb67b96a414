"""Commands."""

from ppuu.openmp import spin_briefly

spin_briefly()
