"""All vehicles are driven by a world model: each samples its own future, in closed loop.

Which prediction moves a vehicle?  The token model predicts the vehicles around an ego, and trains
on their futures, not on the ego's own.  So the ego of the simulator is its ego, and *all* other
vehicles of the road, not the 24 nearest, are its tokens: one prediction moves them.  This is what
centring a prediction on every vehicle in turn comes to, since no feature of a token tells where
the ego is (features are relative to the vehicle itself, attention goes to its eight nearest
neighbours), except that nothing is cut off: of 24 vehicles some have neighbours that are missing.
It costs a twenty-fifth of that.

Every 0.3 s, one step of the model, all vehicles are predicted anew from their true histories, with
fresh noise; the hidden state is not carried on.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu import kinematics
from ppuu.perception.observation import Observation
from ppuu.perception.road_map import LocalRoad, RoadMap
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.recordings.tracks import Tracks
from ppuu.world_models import WorldModel

from .chance import Dice
from .fleet import Appearance, Rows, Situation
from .steered import SteeredFleet

_OWN, _SHARED = range(2)
"""Purposes of random numbers."""


class ModelTraffic(SteeredFleet):
    """All vehicles but the ego go where a sample of a world model's prediction takes them.

    The noise of a vehicle is a function of the episode, the vehicle and the time (``Dice``).

    Args:
        scene: the recordings' tracks.
        recordings: in the same order.
        model: a token model.
        seed: of the noise.

    Raises:
        InputError: a model that predicts no tracks, or another frame rate than the model's.
    """

    def __init__(
        self, scene: Scene, recordings: Sequence[Recording], model: WorldModel, seed: int = 0
    ):
        self._dice = Dice(scene, recordings, seed)
        observation = model.observation
        super().__init__(scene, recordings, observation.span + 1)
        self.model = model.with_vehicles(self.slots)
        roads = [recording.road for recording in recordings]
        self.road_map = RoadMap.build(roads, observation.raster, scene.boxes.device)

    def _further_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        return super()._further_columns(zeros) | {
            "age": torch.zeros_like(zeros, dtype=torch.int64),
            "episode": zeros.new_zeros(len(zeros), dtype=torch.int64),
        }

    def reset(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> None:
        """All vehicles are where they were recorded, with the recorded past, the ego's included."""
        super().reset(envs, ego, frame)
        episode = self._dice.episode(ego, frame)
        self._rows["episode"] = self._rows["episode"].index_copy(0, envs, episode)

    def _initial_columns(self, entering: Appearance) -> Rows:
        """Driven, with as much of a past as was recorded."""
        age = entering.frame - self.scene.first_frame[entering.vehicle]
        return super()._initial_columns(entering) | {"age": torch.where(entering.late, 0, age)}

    def _turns(self, rows: Rows, now: Situation) -> Bool[Tensor, "envs 1"]:
        frame = now.frame - self.scene.frame_offset[now.road]
        return (frame % self.model.frames_per_step == 0)[:, None]

    def _drive(self, rows: Rows, now: Situation) -> None:
        super()._drive(rows, now)
        rows["age"] = rows["age"] + 1

    @torch.no_grad()
    def _decide(
        self,
        rows: Rows,
        now: Situation,
        past: Float[Tensor, "envs vehicles past 4"],
        env: Int[Tensor, " n"],
        slot: Int[Tensor, " n"],
    ) -> Float[Tensor, "n 2"]:
        """The actions that lead to the predicted states after one step of the model."""
        envs = env.unique()
        chance = self._dice.chance(rows, now.frame)
        tokens = chance.normal(_OWN, self.model.config.latent)[envs]
        noise = self.model.noise_of(
            chance.normal_of_scene(_SHARED, self.model.config.scene_latent)[envs].float(),
            # The ego moves as it will: the model's idea of it is the mean.
            torch.nn.functional.pad(tokens, (0, 0, 1, 0)).float(),
        )
        observation = self._observe(rows, now, past, envs)
        state, _ = self.model.step(self.model.begin(observation), None, noise, 0)
        predicted = self.model.decode([state], observation, 1).states[:, 0, 0, 0]
        row = torch.searchsorted(envs, env)
        return kinematics.action_between(
            past[env, slot, -1], predicted[row, slot], self.model.step_s
        )

    def _observe(
        self,
        rows: Rows,
        now: Situation,
        past: Float[Tensor, "envs vehicles past 4"],
        envs: Int[Tensor, " n"],
    ) -> Observation:
        """What the egos of some environments would see if they saw all vehicles of the road."""
        config = self.model.observation
        lags = config.lags(past.device)
        states = past[envs][:, :, self._ring - 1 - lags]
        there = now.valid[envs, :-1]
        recorded = there[..., None] & (rows["age"][envs, :, None] >= lags)
        size = now.boxes[envs][..., 3:]
        vehicle = rows["vehicle"][envs]
        return Observation(
            states.new_zeros(len(envs), config.frames, 3, 0, 0),
            states[:, -1],
            size[:, -1],
            Tracks(states[:, :-1], recorded, size[:, :-1], vehicle),
            LocalRoad(self.road_map, now.road[envs]),
        )
