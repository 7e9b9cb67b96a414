"""Which episode ``reset`` begins: by its options, else by chance."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ppuu.recordings.scene import Scene
from ppuu.runtime.errors import InputError

from ..core.scenario import Scenarios

OPTIONS = ("scenario", "vehicle_id", "recording", "start_frame")


@dataclass(frozen=True)
class Start:
    """A scenario, from its own first frame or a later one.

    Attributes:
        scenario: its number.
        frame: of the recording; None for the scenario's own.
    """

    scenario: int
    frame: int | None = None


def choose_start(
    scenarios: Scenarios,
    recordings: Sequence[str],
    random: np.random.Generator,
    options: Mapping[str, Any] | None,
) -> Start:
    """A start that fits all options, drawn at random if there are several.

    - ``scenario``: its number;
    - ``vehicle_id``, ``recording``: the source's number of the vehicle, the recording's name;
    - ``start_frame``: the frame of the recording to start from, between the scenario's own start
      and where the human reached its goal; the goal stays where it is.

    Args:
        scenarios: all there are.
        recordings: their recordings' names.
        random: the environment's.
        options: of ``reset``.

    Raises:
        InputError: an unknown option, a value of the wrong kind, or no scenario that fits.
    """
    options = dict(options or {})
    for name in options:
        if name not in OPTIONS:
            near = difflib.get_close_matches(name, OPTIONS, 1)
            hint = f"did you mean '{near[0]}'? " if near else ""
            raise InputError(f"reset: unknown option '{name}'; {hint}known: {', '.join(OPTIONS)}")
    number, frame = _whole(options, "scenario"), _whole(options, "start_frame")
    vehicle_id, recording = _whole(options, "vehicle_id"), options.get("recording")
    count = len(scenarios)
    if number is not None and not 0 <= number < count:
        raise InputError(f"reset: no scenario {number}; there are 0 to {count - 1}")
    if recording is not None and recording not in recordings:
        raise InputError(f"reset: no recording '{recording}'; there are {', '.join(recordings)}")
    fits = np.ones(count, bool)
    if number is not None:
        fits &= np.arange(count) == number
    if vehicle_id is not None:
        fits &= scenarios.vehicle_id == vehicle_id
    if recording is not None:
        fits &= scenarios.recording == recordings.index(recording)
    if frame is not None:
        first = scenarios.start_frame
        fits &= (first <= frame) & (frame < first + scenarios.human_frames)
    candidates = np.flatnonzero(fits)
    if not len(candidates):
        wanted = ", ".join(f"{name} {value}" for name, value in options.items())
        raise InputError(f"reset: no scenario has {wanted}; give fewer options")
    return Start(int(candidates[random.integers(len(candidates))]), frame)


def begin_at(scenarios: Scenarios, starts: Sequence[Start], scene: Scene) -> Scenarios:
    """The scenarios of some starts, beginning where these say, with the human's progress there."""
    chosen = scenarios[[start.scenario for start in starts]]
    own = zip(starts, chosen.start_frame, strict=True)
    frames = [frame if start.frame is None else start.frame for start, frame in own]
    vehicle = chosen.vehicle + scene.vehicle_offset[chosen.recording].numpy(force=True)
    path_m = scene.path_m.numpy(force=True)
    row = scene.row_pointer[vehicle].numpy(force=True) + chosen.start_frame
    row += (scene.frame_offset[chosen.recording] - scene.first_frame[vehicle]).numpy(force=True)
    later = np.array(frames) - chosen.start_frame
    return dataclasses.replace(
        chosen, start_frame=np.array(frames), start_m=path_m[row + later] - path_m[row]
    )


def _whole(options: Mapping[str, Any], name: str) -> int | None:
    value = options.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise InputError(f"reset: {name} {value!r} is not a whole number")
    return int(value)
