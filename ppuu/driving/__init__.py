"""How vehicles are driven: car-following, lane changes, lane order, gaps, SUMO's files.

The traffic generator (``data/``), the simulator's traffic (``envs/``) and the models and policies
of ``ppuu/`` share these functions.  Formulas are written with operators and methods that NumPy
arrays and torch tensors have in common.
"""
