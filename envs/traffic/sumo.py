"""The others are SUMO's (extra ``sumo``): drivers that share no model with ours."""

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

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ppuu.recordings.road import Road
from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

from . import sumo_worker
from .fleet import Fleet, Rows
from .idm import Idm
from .lane_order import NOBODY
from .sumo_network import edges, network
from .sumo_worker import DRIVER

MOST_EPISODES = 16
"""At once: each has a process of its own."""
_SUBLANE_M = 0.925
"""Width of SUMO's sub-lanes: with them lane changes are continuous."""


_BRAKING_MPS2 = 4.5
"""SUMO's default."""
_SIDEWAYS = {
    "maxSpeedLat": 1.3,
    "lcAccelLat": 1.0,
    "lcMaxSpeedLatStanding": 0.0,
    "lcMaxSpeedLatFactor": 0.2,
    "lcSigma": 0.1,
    "lcSpeedGain": 5.0,
    "lcKeepRight": 0.0,
}
"""A lane change takes about three seconds, and none is made at standstill."""


class Sumo(Fleet):
    """Krauss's car following and SUMO's lane changes (SL2015), with the ego among them.

    Vehicles enter where, when and as fast as they were recorded; from then on SUMO drives them.
    Their time headway, gap, acceleration and desired speed are those of the other driven traffic.
    The ego is shown to SUMO where it will be if it keeps its velocity for one step.

    Args:
        scene: the recordings.
        roads: their roads, in the same order, each with lanes in one direction.
        idm: whose time headway, gap, acceleration and braking the drivers have.

    Raises:
        InputError: SUMO is not installed, or a road that cannot be given to it.
    """

    def __init__(self, scene: Scene, roads: Sequence[Road], idm: Idm | None = None):
        if importlib.util.find_spec("libsumo") is None:
            raise InputError("others sumo: SUMO is not installed: pip install -e '.[sumo]'")
        super().__init__(scene, roads, idm)
        self._folder = tempfile.TemporaryDirectory(prefix="ppuu-sumo-")
        self._edges = []
        for index, road in enumerate(roads):
            root = network(road)
            ElementTree(root).write(self._net(index))
            self._edges.append(edges(root))
        self._driver = Path(self._folder.name, "driver.add.xml")
        ElementTree(_driver(self.idm)).write(self._driver)
        self._workers: dict[int, _Worker] = {}

    def _net(self, road: int) -> Path:
        return Path(self._folder.name, f"{road}.net.xml")

    def _own_columns(self, zeros: Float[Tensor, "envs slots"]) -> Rows:
        return {"known": zeros.bool(), "place": zeros.new_zeros(len(zeros), dtype=torch.int64)}

    def _settle(
        self,
        vehicle: Int[Tensor, " n"],
        frame: Int[Tensor, " n"],
        state: Float[Tensor, "n 4"],
        late: Bool[Tensor, " n"],
    ) -> Rows:
        """Driven, but not yet by SUMO, which is told at the next step."""
        return {"driven": torch.ones_like(late), "known": torch.zeros_like(late)}

    def reset(
        self, envs: Int[Tensor, " envs"], ego: Int[Tensor, " envs"], frame: Int[Tensor, " envs"]
    ) -> None:
        """An empty road, on which everybody will appear as recorded."""
        if int(envs.max()) >= MOST_EPISODES:
            raise InputError(
                f"others sumo: {int(envs.max()) + 1} episodes at once, each in a process of its "
                f"own; use at most {MOST_EPISODES}"
            )
        super().reset(envs, ego, frame)
        self._rows["place"] = self._rows["place"].index_copy(0, envs, envs)
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
            *("--net-file", str(self._net(road)), "--additional-files", str(self._driver)),
            *("--step-length", str(dt_s), "--seed", "0"),
            *("--lateral-resolution", str(_SUBLANE_M), "--no-internal-links", "true"),
            # Nobody is taken off the road, whatever the ego does.
            *("--time-to-teleport", "-1", "--collision.action", "none"),
            *("--no-step-log", "true", "--no-warnings", "true", "--duration-log.disable", "true"),
        ]
        return {"options": options, "edges": self._edges[road], "dt_s": dt_s}

    def _drive(
        self,
        rows: Rows,
        road: Int[Tensor, " envs"],
        frame: Int[Tensor, " envs"],
        boxes: Float[Tensor, "envs vehicles 5"],
        speed_mps: Float[Tensor, "envs vehicles"],
    ) -> None:
        workers = [self._workers[place] for place in rows["place"].tolist()]
        fresh = (rows["vehicle"] >= 0) & ~rows["known"]
        columns = torch.cat([boxes[..., :3], speed_mps[..., None], boxes[..., 3:]], dim=-1)
        for env, worker in enumerate(workers):
            vehicle = rows["vehicle"][env, fresh[env]]
            entering = torch.cat(
                [
                    vehicle[:, None].double(),
                    columns[env, :-1][fresh[env]].double(),
                    self.desired_mps[vehicle, None].double(),
                ],
                dim=1,
            )
            ego = columns[env, -1].tolist()
            worker.ask("step", {"ego": ego, "entering": entering.tolist()})
        moved, there = rows["boxes"].clone(), torch.zeros_like(fresh)
        speeds = torch.zeros_like(rows["speed_mps"])
        for env, worker in enumerate(workers):
            slot_of = {number: k for k, number in enumerate(rows["vehicle"][env].tolist())}
            found = [row for row in worker.answer() if int(row[0]) in slot_of]
            if found:
                slot = torch.tensor([slot_of[int(row[0])] for row in found])
                table = torch.tensor(found, dtype=boxes.dtype)
                moved[env, slot, :3], speeds[env, slot] = table[:, 1:4], table[:, 4]
                there[env, slot] = True
        rows["boxes"], rows["speed_mps"], rows["known"] = moved, speeds, there
        rows["vehicle"] = torch.where(there, rows["vehicle"], NOBODY)

    def with_state(self, state: Mapping[str, Tensor]) -> Fleet:
        """Refused.

        Raises:
            InputError: always.
        """
        raise InputError("others sumo: SUMO's drivers cannot be copied; use other others")


def _driver(idm: Idm) -> Element:
    """The one type of driver, as SUMO reads it."""
    root = Element("additional")
    following = {
        "tau": idm.time_headway_s,
        "minGap": idm.jam_gap_m,
        "accel": idm.max_acceleration_mps2,
        # SUMO's drivers plan to brake as hard as this where they must.
        "decel": max(idm.comfortable_braking_mps2, _BRAKING_MPS2),
        "emergencyDecel": max(idm.hardest_braking_mps2, _BRAKING_MPS2),
    }
    numbers = {name: f"{value:.4g}" for name, value in (following | _SIDEWAYS).items()}
    SubElement(root, "vType", id=DRIVER, latAlignment="center", **numbers)
    return root


class _Worker:
    """A process that runs SUMO; it ends with this object."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, sumo_worker.__file__],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        )  # fmt: skip
        weakref.finalize(self, self._process.kill)

    def ask(self, command: str, arguments: dict[str, Any]) -> None:
        """Sends a command; ``answer`` waits for what comes back."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({command: arguments}) + "\n")
        self._process.stdin.flush()

    def answer(self) -> list:
        """What the last command returned."""
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise InputError("others sumo: SUMO has ended; is libsumo installed whole?")
        return json.loads(line)
