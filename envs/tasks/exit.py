"""Exits: be in the lane that leaves the road."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from ppuu.recordings.lanes import NO_LANE
from ppuu.recordings.recording import Recording

from .lanes import Lanes
from .situation import Situation

_EXITING_SHARE = 0.3
"""Of the vehicles that leave the recording on an exit lane, more have come from other lanes."""
_FEWEST_VEHICLES = 5


def exit_lanes(recording: Recording, lanes: Lanes) -> list[int]:
    """Lanes by which vehicles leave the road, inferred from what they did.

    An exit lane has no lane to its right anywhere, and many of those that end their track on it
    were recorded on other lanes before: on other lanes few were.
    """
    first, last = recording.vehicle_pointer[:-1], recording.vehicle_pointer[1:] - 1
    places = np.stack([recording.x_m, recording.y_m], axis=1)
    came_from, left_on = lanes.at(places[first]), lanes.at(places[last])
    found = []
    for index, lane in enumerate(lanes.all):
        nodes = lane.line.points_m
        right = lanes.beside(nodes, np.full(len(nodes), index), -1)
        leaving = left_on == index
        moved = leaving & (came_from != index) & (came_from != NO_LANE)
        share = moved.sum() / max(leaving.sum(), _FEWEST_VEHICLES)
        if (right == NO_LANE).all() and share > _EXITING_SHARE:
            found.append(index)
    return found


def exit_road(situation: Situation) -> Int[np.ndarray, " n"]:
    """The exit lane one or two lanes to the right; ``NO_LANE`` where there is none."""
    exits = exit_lanes(situation.recording, situation.lanes)
    target = np.full(len(situation.vehicle), NO_LANE)
    for lanes in (-2, -1):
        lane = situation.beside(lanes)
        target = np.where(np.isin(lane, exits) & situation.goes_on(lane), lane, target)
    return target
