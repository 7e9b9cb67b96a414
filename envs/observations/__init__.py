"""What the environments show, chosen by name: one file for each entry of the dictionary."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from typing import Any

from ppuu.runtime.config import from_json, to_json
from ppuu.runtime.errors import InputError

from .base import Sensor, SensorConfig
from .ego import EgoConfig
from .goal import GoalConfig
from .image import ImageConfig
from .lidar import LidarConfig
from .neighbours import NeighboursConfig

SENSORS = {
    "image": ImageConfig,
    "ego": EgoConfig,
    "neighbours": NeighboursConfig,
    "lidar": LidarConfig,
    "goal": GoalConfig,
}

__all__ = ["SENSORS", "ImageConfig", "Sensor", "SensorConfig", "sensor_configs"]


def sensor_configs(requested: Mapping[str, Any]) -> dict[str, SensorConfig]:
    """The sensors that an environment's ``observation`` argument asks for.

    Args:
        requested: for each name True, or the arguments that differ from the defaults; what is False
            or left out is not observed.

    Raises:
        InputError: an unknown name or argument, a value that does not fit, or nothing chosen.
    """
    configs = {}
    for name, arguments in requested.items():
        if name not in SENSORS:
            near = difflib.get_close_matches(name, SENSORS, 1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(SENSORS)}"
            raise InputError(f"observation: nothing is called '{name}'; {hint}")
        if arguments is False:
            continue
        if arguments is not True and not isinstance(arguments, Mapping):
            raise InputError(f"observation.{name}: {arguments!r} is neither true nor arguments")
        kind = SENSORS[name]
        values = {} if arguments is True else {k: to_json(v) for k, v in arguments.items()}
        configs[name] = from_json(kind, values, f"observation.{name}")
    if not configs:
        raise InputError(f"observation: nothing is observed; choose of {', '.join(SENSORS)}")
    return configs
