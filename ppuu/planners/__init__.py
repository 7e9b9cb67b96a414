"""Planners: minimisers of costs of action sequences, independent of driving; one a file."""

from .base import CostFunction, Plan, Planner
from .cem import CemPlanner
from .chain import Chain
from .gradient import GradientPlanner
from .lbfgs import LbfgsPlanner
from .mppi import MppiPlanner
from .sampling import NoiseConfig, RandomShooting

PLANNERS: dict[str, Planner] = {
    "gradient": GradientPlanner(iterations=8),
    "sgd": GradientPlanner("sgd", learning_rate=0.1),
    "lbfgs": LbfgsPlanner(),
    "cem": CemPlanner(reused_elites=0.0, population_decay=1.0, noise=NoiseConfig(0.5, 0.0)),
    "icem": CemPlanner(),
    "mppi": MppiPlanner(),
    "random": RandomShooting(),
    "cem-gradient": Chain(
        CemPlanner(candidates=64, iterations=2, elites=8), GradientPlanner(iterations=10)
    ),
}
"""Planners by their name on the command line."""

__all__ = [
    "PLANNERS",
    "CemPlanner",
    "Chain",
    "CostFunction",
    "GradientPlanner",
    "LbfgsPlanner",
    "MppiPlanner",
    "NoiseConfig",
    "Plan",
    "Planner",
    "RandomShooting",
]
