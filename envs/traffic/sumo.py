"""Traffic driven by SUMO (extra ``sumo``), whose models are independent of those here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
import weakref
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ppuu.driving.lane_order import NO_VEHICLE
from ppuu.driving.sumo import LATERAL_BEHAVIOUR, simulation_options
from ppuu.recordings.recording import Recording
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError
from ppuu.tractrix import towed

from . import sumo_worker
from .drivers import HARDEST_BRAKING_MPS2
from .fleet import Appearance, Fleet, Rows, Situation
from .following import FollowingFleet
from .population import MIXED, Population
from .sumo_network import edges, network
from .sumo_worker import DRIVER

MOST_EPISODES = 16
"""Largest number of episodes at a time: each has a process of its own."""
_BRAKING_MPS2 = 4.5
"""SUMO's default."""


class Sumo(FollowingFleet):
    """Krauss's car-following and SUMO's lane changes (SL2015), with the ego among the vehicles.

    Vehicles enter where, when and as fast as they were recorded; from then on SUMO drives them.
    Desired speed, time headway, gap and acceleration are each driver's own, as in other driven
    traffic.  In SUMO the ego is at the position that it reaches in one step at constant velocity.

    Args:
        scene: the recordings' tracks.
        recordings: in the same order, each with lanes in one direction.
        population: that the drivers belong to; only its headways count, lane changes are SUMO's.

    Raises:
        InputError: SUMO is not installed, or a road that it cannot represent.
    """

    def __init__(
        self, scene: Scene, recordings: Sequence[Recording], population: Population = MIXED
    ):
        if importlib.util.find_spec("libsumo") is None:
            raise InputError("others sumo: SUMO is not installed: pip install -e '.[sumo]'")
        super().__init__(scene, recordings, population)
        self._folder = tempfile.TemporaryDirectory(prefix="ppuu-sumo-")
        self._edges = []
        for index, recording in enumerate(recordings):
            root = network(recording.road)
            ElementTree(root).write(self._net(index))
            self._edges.append(edges(root))
        self._vehicle_type = Path(self._folder.name, "vehicle-type.add.xml")
        ElementTree(_vehicle_type()).write(self._vehicle_type)
        self._workers: dict[int, _Worker] = {}

    def _net(self, road: int) -> Path:
        return Path(self._folder.name, f"{road}.net.xml")

    def _further_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        return {"in_sumo": zeros.bool(), "worker": zeros.new_zeros(len(zeros), dtype=torch.int64)}

    def _initial_columns(self, entering: Appearance) -> Rows:
        """Driven, but not yet in SUMO, where vehicles are added at the next step."""
        late = entering.late
        return {"driven": torch.ones_like(late), "in_sumo": torch.zeros_like(late)}

    def reset(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> None:
        """An empty road in SUMO, to which the vehicles are added where they were recorded."""
        if int(envs.max()) >= MOST_EPISODES:
            raise InputError(
                f"others sumo: {int(envs.max()) + 1} episodes at a time, each in a process of its "
                f"own; use at most {MOST_EPISODES}"
            )
        super().reset(envs, ego, frame)
        self._rows["worker"] = self._rows["worker"].index_copy(0, envs, envs)
        roads = self.scene.vehicle_recording[ego].tolist()
        chosen = envs.tolist()
        for env, road in zip(chosen, roads, strict=True):
            if env not in self._workers:
                self._workers[env] = _Worker()
            self._workers[env].ask("load", self._load(road))
        for env in chosen:
            self._workers[env].answer()

    def _load(self, road: int) -> dict[str, Any]:
        dt_s = self.scene.dt_s
        options = [
            *("--net-file", str(self._net(road)), "--additional-files", str(self._vehicle_type)),
            *simulation_options(dt_s, seed=0),
        ]
        return {"options": options, "edges": self._edges[road], "dt_s": dt_s}

    def _drive(self, rows: Rows, now: Situation) -> None:
        workers = [self._workers[number] for number in rows["worker"].tolist()]
        new = now.valid[:, :-1] & ~rows["in_sumo"]
        boxes = now.boxes
        vehicle = torch.cat([rows["vehicle"].clamp(min=0), rows["ego"][:, None]], dim=1)
        drivers = self.drivers.of(vehicle).idm
        # In SUMO the largest braking in normal driving, not the comfortable one.
        braking = drivers.comfortable_deceleration_mps2.clamp(_BRAKING_MPS2, HARDEST_BRAKING_MPS2)
        drivers = torch.stack(drivers._replace(comfortable_deceleration_mps2=braking), dim=-1)
        columns = torch.cat(
            [boxes[..., :3], now.speed_mps[..., None], boxes[..., 3:], drivers], dim=-1
        )
        for env, worker in enumerate(workers):
            entering = torch.cat(
                [vehicle[env, :-1, None].double(), columns[env, :-1].double()], dim=1
            )[new[env]]
            ego = columns[env, -1].tolist()
            worker.ask("step", {"ego": ego, "entering": entering.tolist()})
        moved, valid = rows["boxes"].clone(), torch.zeros_like(new)
        speeds = torch.zeros_like(rows["speed_mps"])
        for env, worker in enumerate(workers):
            slot_of = {number: k for k, number in enumerate(rows["vehicle"][env].tolist())}
            vehicles = [row for row in worker.answer() if int(row[0]) in slot_of]
            if vehicles:
                slot = torch.tensor([slot_of[int(row[0])] for row in vehicles])
                front_m, speed_mps = torch.tensor(vehicles, dtype=torch.float64)[:, 1:].split(
                    [2, 1], dim=1
                )
                moved[env, slot, :3] = _behind(front_m, boxes[env, slot]).to(boxes)
                speeds[env, slot] = speed_mps[:, 0].to(speeds)
                valid[env, slot] = True
        rows["boxes"], rows["speed_mps"], rows["in_sumo"] = moved, speeds, valid
        rows["vehicle"] = torch.where(valid, rows["vehicle"], NO_VEHICLE)

    def with_state(self, state: Mapping[str, Tensor]) -> Fleet:
        """Not supported: the state of SUMO's vehicles cannot be read.

        Raises:
            InputError: always.
        """
        raise InputError("others sumo: SUMO traffic cannot be cloned; choose --others reactive")


def _vehicle_type() -> Element:
    """What all vehicles share, as SUMO reads it."""
    root = Element("additional")
    shared = {"emergencyDecel": HARDEST_BRAKING_MPS2} | LATERAL_BEHAVIOUR
    numbers = {name: f"{value:.4g}" for name, value in shared.items()}
    SubElement(root, "vType", id=DRIVER, latAlignment="center", **numbers)
    return root


def _behind(front_m: Float[Tensor, "n 2"], before: Float[Tensor, "n 5"]) -> Float[Tensor, "n 3"]:
    """Poses behind the fronts' new positions.

    SUMO turns a vehicle about its front: one handed over at an angle to its lane, as in the middle
    of a lane change, would jump sideways by ``length / 2 * sin(angle)`` at once.
    """
    x_m, y_m, heading, length_m, _ = before.double().numpy().T
    reach_m = 0.5 * length_m
    x_m, y_m = x_m + reach_m * np.cos(heading), y_m + reach_m * np.sin(heading)
    step_x_m, step_y_m = front_m.numpy().T - (x_m, y_m)
    heading = towed(heading, np.hypot(step_x_m, step_y_m), np.arctan2(step_y_m, step_x_m), reach_m)
    behind_m = reach_m * np.stack([np.cos(heading), np.sin(heading)])
    return torch.from_numpy(np.stack([*(front_m.numpy().T - behind_m), heading], axis=1))


class _Worker:
    """A process that runs SUMO; it ends with this object."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, sumo_worker.__file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        weakref.finalize(self, self._process.kill)

    def ask(self, command: str, arguments: dict[str, Any]) -> None:
        """Sends a command; ``answer`` waits for its result."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({command: arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> list:
        """The result of the last command."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise InputError("others sumo: the process of SUMO has ended; reinstall libsumo")
        return json.loads(line)
