"""Traffic models by name, ``KIND`` or ``KIND:ARGUMENT``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ppuu.loading.policy_names import policy_by_name
from ppuu.loading.runs import load_world_model
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError
from ppuu.runtime.pretrained import is_run

from .base import Traffic
from .model_traffic import ModelTraffic
from .others_config import OthersConfig
from .policy_traffic import PolicyTraffic
from .population import Population, population_by_name
from .reactive import Reactive
from .replay import Replay
from .sumo import Sumo
from .until_disturbed import UntilDisturbed

POLICY = "policy:"
"""What the name of a policy that drives all vehicles begins with."""
_PRIVILEGED = ("human",)
"""Policies that know the recorded future."""


@dataclass(frozen=True, eq=False)
class Named:
    """A traffic that has been asked for.

    Attributes:
        kind: before the colon.
        argument: after it, empty if there is none.
        scene: the recordings' tracks.
        recordings: in the same order.
        config: what may be random.
    """

    kind: str
    argument: str
    scene: Scene
    recordings: Sequence[Recording]
    config: OthersConfig

    @property
    def option(self) -> str:
        """For messages."""
        return f"others {self.kind}:{self.argument}" if self.argument else f"others {self.kind}"

    @property
    def population(self) -> Population:
        """That the argument names."""
        return population_by_name(self.argument, self.option)


def _replay(named: Named) -> Traffic:
    if named.argument:
        raise InputError(f"{named.option}: write --others replay")
    return Replay(named.scene)


def _until_disturbed(named: Named) -> Traffic:
    return UntilDisturbed(named.scene, named.recordings, named.population)


def _reactive(named: Named) -> Traffic:
    scene, config = named.scene, named.config
    lapses = config.build_lapses(scene.dt_s)
    return Reactive(scene, named.recordings, named.population, lapses, config.seed)


def _sumo(named: Named) -> Traffic:
    return Sumo(named.scene, named.recordings, named.population)


def _policy(named: Named) -> Traffic:
    if named.argument in _PRIVILEGED:
        raise InputError(f"{named.option}: it replays the recording; choose --others replay")
    policy = policy_by_name(named.argument, f"others {POLICY}")
    return PolicyTraffic(named.scene, named.recordings, policy)


def _model(named: Named) -> Traffic:
    if not is_run(named.argument):
        raise InputError(
            f"{named.option}: neither a run directory of train.world_model nor pretrained"
        )
    model = load_world_model(named.argument)
    return ModelTraffic(named.scene, named.recordings, model, named.config.seed)


TRAFFICS: dict[str, Callable[[Named], Traffic]] = {
    "replay": _replay,
    "until-disturbed": _until_disturbed,
    "reactive": _reactive,
    "sumo": _sumo,
    "policy": _policy,
    "model": _model,
}
"""By kind.  Arguments: a population of ``until-disturbed``, ``reactive`` and ``sumo`` (``mixed`` if
none is given), a policy, and a run directory of a world model."""
_WITH_LAPSES = "reactive"
NAMES = (
    *("replay", "until-disturbed[:POPULATION]", "reactive[:POPULATION]", "sumo[:POPULATION]"),
    *("policy:RUN", "model:RUN"),
)
"""What may be written."""


def is_traffic(name: str) -> bool:
    """Whether a name is of a known kind; its argument is not checked."""
    return name.partition(":")[0] in TRAFFICS


def traffic_by_name(
    name: str,
    scene: Scene,
    recordings: Sequence[Recording],
    config: OthersConfig | None = None,
) -> Traffic:
    """The traffic of ``scene`` under the named model.

    Args:
        name: one of ``NAMES``.
        scene: the recordings' tracks.
        recordings: in the same order.
        config: what may be random; nothing but a model's futures by default.

    Raises:
        InputError: an unknown name, or lapses of others that have no drivers.
    """
    config = config or OthersConfig()
    kind, _, argument = name.partition(":")
    if kind not in TRAFFICS:
        raise InputError(f"traffic '{name}': unknown; known are {', '.join(NAMES)}")
    if config.lapses and kind != _WITH_LAPSES:
        raise InputError(
            f"others {name}: phantom_braking and inattention_s change nothing there; "
            f"choose --others {_WITH_LAPSES}"
        )
    return TRAFFICS[kind](Named(kind, argument, scene, recordings, config))
