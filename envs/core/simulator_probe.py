"""What-if queries to a running simulator: its traffic along other paths of the egos."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ppuu.kinematics import step
from ppuu.perception.traffic_probe import TrafficProbe

from .simulator import Simulator

_MOST = 64
"""Vehicles that are rolled out, the nearest: in dense traffic all within about 100 m."""


@dataclass(frozen=True, eq=False)
class SimulatorProbe(TrafficProbe):
    """Rolls copies of a simulator's traffic out; the simulator itself does not advance.

    Attributes:
        simulator: the simulator that the egos drive in.
        rows: ``(batch,)`` the episodes that are planned for.
    """

    simulator: Simulator
    rows: Int[Tensor, " batch"]

    @classmethod
    def of(cls, simulator: Simulator) -> SimulatorProbe:
        """All episodes."""
        return cls(simulator, torch.arange(simulator.envs, device=simulator.device))

    def take(self, rows: Int[Tensor, " some"]) -> SimulatorProbe:
        """Some elements of the batch."""
        return SimulatorProbe(self.simulator, self.rows[rows])

    @torch.no_grad()
    def rollout(
        self, ego_path: Float[Tensor, "copies frames 4"], vehicle: Int[Tensor, "copies slots"]
    ) -> Float[Tensor, "copies slots frames 4"]:
        """States of vehicles, frame by frame; one that has left keeps its last velocity.

        Args:
            ego_path: the egos' states at the coming frames; copies of an episode are consecutive.
            vehicle: numbers of the vehicles in the scene; -1 is an empty slot.

        Raises:
            InputError: the traffic cannot be copied (SUMO).
        """
        simulator, copies = self.simulator, len(ego_path)
        envs = self.rows.repeat_interleave(copies // len(self.rows))
        traffic = simulator.traffic.around(envs, simulator.ego_box[envs], _MOST)
        every = torch.arange(copies, device=envs.device)
        ego, frame, size = simulator.vehicle[envs], simulator.frame[envs], simulator.size_m[envs]
        scene = simulator.scene
        last = scene.frame_offset[scene.vehicle_recording[ego] + 1] - 1
        ego_state, states = simulator.state[envs].detach(), []
        state = ego_path.new_zeros(*vehicle.shape, 4)
        for number in range(ego_path.shape[1]):
            over = (frame >= last) & (not traffic.reacts)  # a recording has no further frames
            frame = torch.minimum(frame + 1, last)
            if traffic.reacts:
                box = torch.cat([ego_state[:, :3], size], dim=1)
                traffic.advance(every, frame, box, ego_state[:, 3])
            others = traffic.neighbours(every, ego, frame)
            same = (others.vehicle[:, None] == vehicle[..., None]) & others.valid[:, None]
            valid, slot = (same & ~over[:, None, None]).max(dim=2)
            other_states = torch.cat([others.boxes[..., :3], others.speed_mps[..., None]], dim=2)
            simulated = other_states.gather(1, slot[..., None].expand(-1, -1, 4))
            extrapolated = step(state, torch.zeros_like(state[..., :2]), scene.dt_s)
            state = torch.where(valid[..., None], simulated, extrapolated)
            states.append(state)
            ego_state = ego_path[:, number].detach()
        return torch.stack(states, dim=2)
