"""How the others move, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ppuu.loading.policy_names import policy_by_name
from ppuu.recordings.road import Road
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

from .base import Traffic
from .everybody import Everybody
from .idm import Idm
from .reactive import Reactive
from .replay import Replay
from .sumo import Sumo
from .until_disturbed import UntilDisturbed

TRAFFICS: dict[str, Callable[[Scene, Sequence[Road]], Traffic]] = {
    "replay": lambda scene, roads: Replay(scene),
    "until-disturbed": UntilDisturbed,
    "reactive": Reactive,
    "sumo": Sumo,
}
FOLLOWING = {"until-disturbed": UntilDisturbed, "reactive": Reactive, "sumo": Sumo}
"""Those whose drivers can be more aggressive, or less."""

POLICY = "policy:"
"""What follows it names a policy, which then drives everybody."""
_CLAIRVOYANT = ("human",)


def traffic_by_name(
    name: str, scene: Scene, roads: Sequence[Road], idm: Idm | None = None
) -> Traffic:
    """The others of ``scene``, driven as the name says.

    Args:
        name: one of ``TRAFFICS``, or ``policy:`` and a run directory of train.policy or a driver
            without learning.
        scene: the recordings.
        roads: their roads, in the same order.
        idm: how others follow, if not as usual.

    Raises:
        InputError: no such traffic, or it does not follow by IDM.
    """
    if idm is not None:
        if name not in FOLLOWING:
            raise InputError(
                f"others {name}: aggressiveness changes nothing there; "
                f"choose {' or '.join(FOLLOWING)}"
            )
        return FOLLOWING[name](scene, roads, idm)
    if name.startswith(POLICY):
        driver = name.removeprefix(POLICY)
        if driver in _CLAIRVOYANT:
            raise InputError(f"others {name}: replays the recording; say replay")
        return Everybody(scene, roads, policy_by_name(driver, f"others {POLICY}"))
    if name not in TRAFFICS:
        raise InputError(
            f"traffic '{name}': unknown; known are {', '.join(TRAFFICS)}, and {POLICY}RUN"
        )
    return TRAFFICS[name](scene, roads)
