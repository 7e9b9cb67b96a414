"""One simulation of SUMO in a process of its own: ``libsumo`` allows one for each process.

Run as a program by ``envs.traffic.sumo``.  It reads one JSON object a line and answers each with
one line.  It imports only the standard library and ``libsumo``, so that it starts quickly.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import sys
from typing import Any

EGO, DRIVER = "ego", "driver"


def main() -> None:
    """Answers commands until the input ends."""
    # SUMO's own output must not appear among the answers.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    world = _World()
    for line in sys.stdin:
        command = json.loads(line)
        if "load" in command:
            answer = world.load(**command["load"])
        else:
            answer = world.step(**command["step"])
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


class _World:
    def __init__(self) -> None:
        self.sumo: Any = importlib.import_module("libsumo")
        self.running = False
        self.dt_s = 0.0

    def load(self, options: list[str], edges: list[str], dt_s: float) -> list:
        """Starts again with an empty road."""
        if self.running:
            self.sumo.load(options)
        else:
            self.sumo.start(["sumo", *options])
        self.running, self.dt_s = True, dt_s
        for k in range(len(edges)):
            self.sumo.route.add(f"from-{edges[k]}", edges[k:])
        return []

    def step(self, ego: list[float], entering: list[list[float]]) -> list[list[float]]:
        """Moves all vehicles by one step.

        Args:
            ego: x, y, heading, speed, length and width before the step, and its driver's desired
                speed, time headway, jam gap, acceleration and braking.
            entering: number and the same eleven of each entering vehicle.

        Returns:
            Number, x and y of the middle of the front bumper, and speed of each vehicle but the
            ego.
        """
        vehicle = self.sumo.vehicle
        if self._is_near_a_road(*ego[:2]):
            self._place(EGO, ego[:6], ego[6:])
        elif EGO in vehicle.getIDList():
            vehicle.remove(EGO)
        for number, *values in entering:
            self._place(str(int(number)), values[:6], values[6:])
        self.sumo.simulationStep()
        return [
            [int(name), *vehicle.getPosition(name), vehicle.getSpeed(name)]
            for name in vehicle.getIDList()
            if name != EGO
        ]

    def _is_near_a_road(self, x_m: float, y_m: float) -> bool:
        """Whether SUMO finds a road there; an ego far away is not among its vehicles."""
        try:
            self.sumo.simulation.convertRoad(x_m, y_m)
        except self.sumo.TraCIException:
            return False
        return True

    def _place(self, name: str, box: list[float], driver: list[float]) -> None:
        """Puts a vehicle where it will be after the step at constant velocity.

        SUMO does not move a vehicle in the step in which it is placed.
        """
        vehicle, (x, y, heading, speed, length, width) = self.sumo.vehicle, box
        ahead = 0.5 * length + speed * self.dt_s
        x, y = x + ahead * math.cos(heading), y + ahead * math.sin(heading)
        edge, _, lane = self.sumo.simulation.convertRoad(x, y)
        if name not in vehicle.getIDList():
            vehicle.add(name, f"from-{edge}", DRIVER, departSpeed=str(max(0.0, speed)))
            vehicle.setLength(name, length)
            vehicle.setWidth(name, width)
            desired, headway, jam_gap, acceleration, braking = driver
            if name != EGO:
                vehicle.setMaxSpeed(name, desired)
            vehicle.setTau(name, headway)
            vehicle.setMinGap(name, jam_gap)
            vehicle.setAccel(name, acceleration)
            vehicle.setDecel(name, braking)
        # The ego may be anywhere, the other vehicles stay on their routes.
        keep_route = 2 if name == EGO else 1
        vehicle.moveToXY(name, edge, lane, x, y, 90 - math.degrees(heading), keep_route)
        vehicle.setPreviousSpeed(name, speed)


if __name__ == "__main__":
    main()
