"""The others of a running simulator, tried out: what they would do if the egos drove elsewhere."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ppuu.kinematics import step
from ppuu.perception.surroundings import TrueWorld

from .simulator import Simulator


@dataclass(frozen=True, eq=False)
class Tryout(TrueWorld):
    """Copies of a simulator's traffic to plan in; the simulator itself does not move.

    Attributes:
        simulator: the true world.
        rows: ``(batch,)`` its episodes that are planned for.
    """

    simulator: Simulator
    rows: Int[Tensor, " batch"]

    @classmethod
    def of(cls, simulator: Simulator) -> Tryout:
        """All episodes."""
        return cls(simulator, torch.arange(simulator.envs, device=simulator.device))

    def take(self, rows: Int[Tensor, " some"]) -> Tryout:
        """Some elements of the batch."""
        return Tryout(self.simulator, self.rows[rows])

    @torch.no_grad()
    def others_along(
        self, path: Float[Tensor, "copies frames 4"], vehicle: Int[Tensor, "copies slots"]
    ) -> Float[Tensor, "copies slots frames 4"]:
        """Where some of the others would be, frame by frame; who has left drives on as it last was.

        Args:
            path: the egos' states at the coming frames; an episode's copies are rows in a row.
            vehicle: the scene's numbers of who is asked for; -1 is nobody.

        Raises:
            InputError: the others cannot be copied (SUMO).
        """
        simulator, copies = self.simulator, len(path)
        envs = self.rows.repeat_interleave(copies // len(self.rows))
        memories = simulator.traffic.state_dict()
        traffic = simulator.traffic.with_state(
            {name: memory.index_select(0, envs) for name, memory in memories.items()}
        )
        every = torch.arange(copies, device=envs.device)
        ego, frame, size = simulator.vehicle[envs], simulator.frame[envs], simulator.size_m[envs]
        scene = simulator.scene
        last = scene.frame_offset[scene.vehicle_recording[ego] + 1] - 1
        state, told = simulator.state[envs].detach(), []
        known = path.new_zeros(*vehicle.shape, 4)
        for number in range(path.shape[1]):
            over = (frame >= last) & (not traffic.reacts)  # a recording has no more to show
            frame = torch.minimum(frame + 1, last)
            if traffic.reacts:
                box = torch.cat([state[:, :3], size], dim=1)
                traffic.advance(every, frame, box, state[:, 3])
            found = traffic.neighbours(every, ego, frame)
            same = (found.vehicle[:, None] == vehicle[..., None]) & found.valid[:, None]
            there, slot = (same & ~over[:, None, None]).max(dim=2)
            states = torch.cat([found.boxes[..., :3], found.speed_mps[..., None]], dim=2)
            now = states.gather(1, slot[..., None].expand(-1, -1, 4))
            gone = step(known, torch.zeros_like(known[..., :2]), scene.dt_s)
            known = torch.where(there[..., None], now, gone)
            told.append(known)
            state = path[:, number].detach()
        return torch.stack(told, dim=2)
