"""Traffic models by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ppuu.loading.policy_names import policy_by_name
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

from .base import Traffic
from .policy_traffic import PolicyTraffic
from .reactive import Reactive
from .replay import Replay
from .sumo import Sumo
from .until_disturbed import UntilDisturbed

TRAFFICS: dict[str, Callable[[Scene, Sequence[Recording]], Traffic]] = {
    "replay": lambda scene, recordings: Replay(scene),
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
    name: str, scene: Scene, recordings: Sequence[Recording], aggressiveness: float = 1.0
) -> Traffic:
    """The traffic of ``scene`` under the named model.

    Args:
        name: one of ``TRAFFICS``, or ``policy:`` and a run directory of train.policy or the name
            of a policy without learning.
        scene: the recordings' tracks.
        recordings: in the same order.
        aggressiveness: of drivers who follow, 1 for as fitted.

    Raises:
        InputError: an unknown name, or another aggressiveness of a model without car-following.
    """
    if aggressiveness != 1.0:
        if name not in FOLLOWING:
            raise InputError(
                f"others {name}: aggressiveness changes nothing there; "
                f"choose --others {' or '.join(FOLLOWING)}"
            )
        return FOLLOWING[name](scene, recordings, aggressiveness)
    if name.startswith(POLICY):
        driver = name.removeprefix(POLICY)
        if driver in _PRIVILEGED:
            raise InputError(f"others {name}: it replays the recording; choose --others replay")
        return PolicyTraffic(scene, recordings, policy_by_name(driver, f"others {POLICY}"))
    if name not in TRAFFICS:
        raise InputError(
            f"traffic '{name}': unknown; known are {', '.join(TRAFFICS)}, and {POLICY}RUN"
        )
    return TRAFFICS[name](scene, recordings)
