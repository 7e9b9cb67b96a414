"""How the others move, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ppuu.errors import InputError
from ppuu.road import Road
from ppuu.scene import Scene

from .base import Traffic
from .reactive import Reactive
from .replay import Replay
from .until_disturbed import UntilDisturbed

TRAFFICS: dict[str, Callable[[Scene, Sequence[Road]], Traffic]] = {
    "replay": lambda scene, roads: Replay(scene),
    "until-disturbed": UntilDisturbed,
    "reactive": Reactive,
}


def traffic_by_name(name: str, scene: Scene, roads: Sequence[Road]) -> Traffic:
    """The others of ``scene``, driven as the name says.

    Args:
        name: one of ``TRAFFICS``.
        scene: the recordings.
        roads: their roads, in the same order.

    Raises:
        InputError: no such traffic.
    """
    if name not in TRAFFICS:
        raise InputError(f"traffic '{name}': unknown; known are {', '.join(TRAFFICS)}")
    return TRAFFICS[name](scene, roads)
