"""Traffic models by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ppuu.loading.policy_names import policy_by_name
from ppuu.recordings.road import Road
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

from .base import Traffic
from .idm import Idm
from .policy_traffic import PolicyTraffic
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
"""Those whose aggressiveness can be varied."""

POLICY = "policy:"
"""Prefix of the name of a policy that drives all vehicles."""
_PRIVILEGED = ("human",)
"""Policies that know the recorded future."""


def traffic_by_name(
    name: str, scene: Scene, roads: Sequence[Road], idm: Idm | None = None
) -> Traffic:
    """The traffic of ``scene`` under the named model.

    Args:
        name: one of ``TRAFFICS``, or ``policy:`` and a run directory of train.policy or the name
            of a policy without learning.
        scene: the recordings.
        roads: their roads, in the same order.
        idm: car-following other than the default.

    Raises:
        InputError: an unknown name, or ``idm`` for a model without car-following.
    """
    if idm is not None:
        if name not in FOLLOWING:
            raise InputError(
                f"others {name}: aggressiveness changes nothing there; "
                f"choose --others {' or '.join(FOLLOWING)}"
            )
        return FOLLOWING[name](scene, roads, idm)
    if name.startswith(POLICY):
        driver = name.removeprefix(POLICY)
        if driver in _PRIVILEGED:
            raise InputError(f"others {name}: it replays the recording; choose --others replay")
        return PolicyTraffic(scene, roads, policy_by_name(driver, f"others {POLICY}"))
    if name not in TRAFFICS:
        raise InputError(
            f"traffic '{name}': unknown; known are {', '.join(TRAFFICS)}, and {POLICY}RUN"
        )
    return TRAFFICS[name](scene, roads)
