"""``ppuu/Dream-v1``: ``ppuu/DenseTraffic-v1`` as a world model imagines it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from ppuu.loading.runs import load_world_model
from ppuu.perception.raster_image import LANES, OFFROAD, VEHICLES
from ppuu.perception.vehicle_raster import draw_boxes
from ppuu.runtime.errors import InputError

from ..core.imagined_simulator import ImaginedSimulator
from ..core.simulator import SimulatorConfig
from ..core.world import World
from .dense_traffic import DenseTrafficEnv
from .episodes import DenseTrafficConfig, Episodes
from .reset_options import Start
from .vector import DenseTrafficVectorEnv

SENSORS = ("image", "ego")
"""What an imagined environment can show."""
REWARDS = ("progress", "collision", "offroad", "comfort", "goal", "speed", "jerk")
"""The terms of ``envs.gym.reward`` that are defined in imagination."""
UNKNOWN = ("collision_kind", "at_fault", "clearance_m", "time_to_collision_s")
"""Infos of the real environment that an imagined image does not determine."""

_ASPHALT, _GROUND, _LINE = (66.0, 69.0, 74.0), (46.0, 52.0, 44.0), (196.0, 199.0, 203.0)
_VEHICLE, _EGO = (128.0, 222.0, 210.0), (236.0, 82.0, 76.0)
_ENLARGED = 8
"""Pixels of a picture a pixel of the image."""


@dataclass(frozen=True)
class DreamConfig(DenseTrafficConfig):
    """Arguments of the imagined environment: those of the real environment, and

    Attributes:
        world_model: run directory of ``train.world_model``.
        horizon_s: longest episode.
    """

    world_model: str = field(kw_only=True)
    horizon_s: float = 5.0

    def __post_init__(self):
        for name in self.sensors:
            if name not in SENSORS:
                raise InputError(
                    f"observation: '{name}' is not imagined; choose of {', '.join(SENSORS)}"
                )
        for name, weight in self.reward.items():
            if name not in REWARDS and weight:
                raise InputError(
                    f"reward: '{name}' is not defined in imagination; "
                    f"choose of {', '.join(REWARDS)}"
                )
        if self.others != type(self).others:
            raise InputError(
                f"others '{self.others}': in imagination the world model moves them; leave it out"
            )
        for name in ("variation", "groups"):
            if getattr(self, name):
                raise InputError(f"{name}: not defined in imagination; leave it out")
        if self.device != type(self).device:
            raise InputError(f"device {self.device}: imagined on the CPU alone; leave it out")
        super().__post_init__()

    def episodes(
        self, envs: int, world: World, recording_numbers: Sequence[int] | None = None
    ) -> DreamEpisodes:
        """Imagined episodes, in so many slots."""
        return DreamEpisodes(self, envs, world, recording_numbers)

    def simulator(self, world: World) -> ImaginedSimulator:
        """The imagined one.

        Raises:
            InputError: no such world model, or it does not fit.
        """
        model, context = load_world_model(Path(self.world_model)), self.context_frames
        if model.observation.span > context:
            raise InputError(
                f"{self.world_model}: sees {model.observation.span} frames of history, scenarios "
                f"have {context}; use a longer history_frames x history_stride"
            )
        return ImaginedSimulator(
            world.scene, world.road_map, SimulatorConfig(self.history), model, self.horizon_s
        )


class DreamEpisodes(Episodes):
    """Episodes whose simulator imagines; the slots' generators draw the latents.

    Args:
        config: the environment's arguments.
        envs: number of slots.
    """

    simulator: ImaginedSimulator

    def begin(
        self,
        envs: Sequence[int],
        random: Sequence[np.random.Generator],
        options: Mapping[str, Any] | None,
    ) -> None:
        """Starts episodes where the options say, else anywhere along the recorded drives."""
        super().begin(envs, random, options)
        shape = self.simulator.latents.shape[1:]
        latents = np.stack([g.standard_normal(shape, np.float32) for g in random])
        self.simulator.draw(envs, torch.from_numpy(latents))

    def choose(self, random: np.random.Generator, options: Mapping[str, Any] | None) -> Start:
        """Anywhere along the recorded drives, unless the options say where."""
        start = super().choose(random, options)
        if options:
            return start
        first = self.world.scenarios.start_frame[start.scenario]
        last = first + self.world.scenarios.human_frames[start.scenario]
        return Start(start.scenario, int(random.integers(first, last)))

    def picture(self, env: int) -> UInt8[np.ndarray, "height width 3"]:
        """The imagined image, enlarged; there are no boxes to draw."""
        observation = self.simulator.observe()
        box = torch.cat([torch.zeros(3), observation.size_m[env]])
        ego = draw_boxes(
            box[None, None], torch.ones(1, 1, dtype=torch.bool), self.simulator.model.raster
        )
        return _picture(observation.images[env, -1], ego[0])

    def numbers(self) -> dict[str, np.ndarray]:
        """As in the real environment, without what an image does not determine."""
        real = super().numbers()
        beyond = self.simulator.beyond_view_m.numpy() > 0
        return {key: values for key, values in real.items() if key not in UNKNOWN} | {
            "beyond_view": beyond,
            "imagined": np.ones(len(beyond), bool),
        }


def _picture(
    image: Float[Tensor, "3 rows columns"], ego: Float[Tensor, "rows columns"]
) -> UInt8[np.ndarray, "height width 3"]:
    """The imagined image, forward to the right, the ego in red."""
    layers = {
        _LINE: image[LANES],
        _GROUND: image[OFFROAD],
        _VEHICLE: image[VEHICLES],
        _EGO: ego,
    }
    picture = torch.tensor(_ASPHALT).expand(*ego.shape, 3)
    for colour, opacity in layers.items():
        picture = torch.lerp(picture, torch.tensor(colour).expand_as(picture), opacity[..., None])
    picture = picture.round().to(torch.uint8).flip(0).transpose(0, 1)
    return picture.numpy().repeat(_ENLARGED, 0).repeat(_ENLARGED, 1)


class DreamEnv(DenseTrafficEnv):
    """The real environment's spaces, rewards and infos; the others are imagined.

    ## Description
    Each episode starts at a recorded moment.  From there a trained world model predicts what the
    others do; the ego moves exactly as in ``ppuu/DenseTraffic-v1``.  What is learned here can be
    scored there.

    ## Action space, observation space
    Those of ``ppuu/DenseTraffic-v1`` with the same settings.  One step is one step of the world
    model, ``frames_per_step`` frames (0.3 s as a rule), for which the action is held.

    ## Rewards
    The same terms, weights and names; those that need the others' boxes are refused.

    ## Starting state
    A scenario and a frame of it drawn at random, or what ``reset``'s options ask for.  The future
    is drawn as well: a latent for each step, from the environment's generator.

    ## Episode end
    See ``envs.core.imagined_simulator.ImaginedSimulator``.

    ## Arguments
    See ``DreamConfig``; ``recording`` and ``world_model`` are required.

    ## Version history
    - v1: success is progress along the route.
    - v0: first release.
    """

    _config = DreamConfig


class DreamVectorEnv(DenseTrafficVectorEnv):
    """The batched twin of ``DreamEnv``, with the same three modes of auto-reset."""

    _config = DreamConfig
