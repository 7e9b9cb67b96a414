"""The scene from above, as a picture for people: the camera follows the ego along the road."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ppuu.geometry import box_corners
from ppuu.recording import Recording
from ppuu.road import Road
from ppuu.runtime import import_opencv

from .simulator import Simulator
from .termination import Outcome

FRAMES_PER_SECOND = 10

_SHIFT = 4
"""OpenCV takes sub-pixel positions as integers scaled by 2**shift."""

_GROUND = (46, 52, 44)
_ASPHALT = (66, 69, 74)
_LINE = (196, 199, 203)
_EGO = (236, 82, 76)
_HUMAN = (255, 214, 102)
_GOAL = (120, 214, 140)
_GLASS = (32, 36, 42)
_BAR = (24, 27, 31)
_TEXT = (238, 240, 243)
_MUTED = (158, 164, 172)
_SLOW, _FAST = np.array([88, 112, 196.0]), np.array([128, 222, 210.0])
_FAST_MPS = 20.0

_TEXT_ROWS = 28

_VERDICT = {
    Outcome.RUNNING: ("", _TEXT),
    Outcome.ARRIVED: ("arrived", _GOAL),
    Outcome.SURVIVED: ("survived", _GOAL),
    Outcome.TIMEOUT: ("time is up", _HUMAN),
    Outcome.COLLISION: ("collision", _EGO),
    Outcome.OFFROAD: ("off the road", _EGO),
}


@dataclass(frozen=True)
class RenderConfig:
    """What the camera takes in.

    Attributes:
        width_m, height_m: section of the world; below it comes a line of text.
        pixels_per_metre: scale.
        ahead_share: where the ego stands between the left (0) and the right edge (1).
    """

    width_m: float = 120.0
    height_m: float = 32.0
    pixels_per_metre: float = 8.0
    ahead_share: float = 0.35


class Renderer:
    """Draws frames; holds nothing but the roads.

    Traffic is blue where it stands and turns to mint at 20 m/s; the ego is red, the recorded
    human's box a yellow outline, the line to reach green.
    """

    def __init__(self, recordings: Sequence[Recording], config: RenderConfig | None = None):
        self.roads = [recording.road for recording in recordings]
        self.config = config or RenderConfig()
        self._markings: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def frame(self, simulator: Simulator, env: int, caption: str = "") -> np.ndarray:
        """One episode's present moment, ``(rows, columns, 3)`` uint8.

        Args:
            simulator: where it runs.
            env: which of its slots.
            caption: shown at the bottom left, e.g. the driver's name.
        """
        number = int(simulator.road[env])
        if number not in self._markings:
            self._markings[number] = road_markings(self.roads[number])
        road = self.roads[number]
        ego = simulator.state[env].cpu()
        canvas = _Canvas(self.config, self._centre(road, ego[:2].tolist()))
        canvas.road(road, *self._markings[number])
        goal = simulator.goal_pose[env].cpu()
        if bool(goal.isfinite().all()):
            canvas.goal(goal.tolist(), road)
        others = simulator.neighbours()
        present = others.present[env].cpu()
        boxes = others.boxes[env].cpu()[present]
        speeds = others.speed_mps[env].cpu()[present]
        size = simulator.size_m[env].cpu()
        for box, speed in zip(boxes, speeds.tolist(), strict=True):
            canvas.car(box, _speed_colour(speed))
        canvas.car(torch.cat([ego[:3], size]), _EGO)
        canvas.outline(torch.cat([simulator.human_state[env, :3].cpu(), size]), _HUMAN)
        canvas.texts(simulator, env, caption)
        return canvas.image

    def _centre(self, road: Road, ego: list[float]) -> tuple[float, float]:
        """World position of the picture's middle: ahead of the ego, and steady across the road."""
        x = ego[0] + (0.5 - self.config.ahead_share) * self.config.width_m
        stations = x + self.config.width_m * np.linspace(-0.5, 0.5, 25)
        edges = []
        for lane in range(road.lanes):
            for line in road.lane(lane):
                order = np.argsort(line[:, 0])
                y = np.interp(stations, *line[order].T, left=np.nan, right=np.nan)
                edges.append(y)
        edges = np.array(edges).reshape(-1, len(stations))
        edges = edges[:, np.isfinite(edges).any(0)]
        if edges.size == 0:
            return x, ego[1]
        # Averaged over the picture, so that a lane that begins does not make it jump.
        low, high = np.nanmin(edges, 0).mean(), np.nanmax(edges, 0).mean()
        slack = max(0.0, 0.5 * (high - low - self.config.height_m) + 2.0)
        middle = 0.5 * (low + high)
        return x, float(np.clip(ego[1], middle - slack, middle + slack))


_DASH_M, _PERIOD_M = 3.0, 9.0


def road_markings(road: Road) -> tuple[np.ndarray, np.ndarray]:
    """Painted pieces ``(n, 2, 2)``: solid where the road ends beside the line, else dashes."""
    solid, dashed = [np.zeros((0, 2, 2))], [np.zeros((0, 2, 2))]
    for lane in range(road.lanes):
        left, right = road.lane(lane)
        for line, opposite in ((left, right), (right, left)):
            length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
            # Counted from a multiple of the period in x, so that both lanes paint the same dashes.
            start = np.arange(-(line[0, 0] % _PERIOD_M), length[-1], _DASH_M)
            ends = np.stack([start, start + _DASH_M], axis=1).clip(0.0, length[-1])
            pieces = np.stack([np.interp(ends, length, line[:, k]) for k in (0, 1)], axis=-1)
            middle = pieces.mean(1)
            along = (
                np.interp(ends.mean(1), length, opposite[:, 0]),
                np.interp(ends.mean(1), length, opposite[:, 1]),
            )
            outward = middle - np.stack(along, axis=-1)
            outward /= np.linalg.norm(outward, axis=1, keepdims=True).clip(1e-9)
            outer = ~road.drivable(middle + 0.5 * outward)
            solid.append(pieces[outer])
            dashed.append(
                pieces[~outer & (np.arange(len(start)) % round(_PERIOD_M / _DASH_M) == 0)]
            )
    return np.concatenate(solid), np.concatenate(dashed)


class _Canvas:
    """An image and the map from metres to its pixels."""

    def __init__(self, config: RenderConfig, centre: tuple[float, float]):
        self.cv2 = import_opencv()
        self.scale = config.pixels_per_metre
        columns = 2 * round(0.5 * config.width_m * self.scale)
        rows = 2 * round(0.5 * config.height_m * self.scale)
        self.image = np.full((rows + _TEXT_ROWS, columns, 3), _GROUND, np.uint8)
        self.offset = np.array([0.5 * columns, 0.5 * rows])
        self.centre = np.array(centre)

    def pixels(self, points_m: np.ndarray) -> np.ndarray:
        """World points to OpenCV's scaled integers: x to the right, y up."""
        where = (points_m - self.centre) * [self.scale, -self.scale] + self.offset - 0.5
        return np.rint(where * 2**_SHIFT).clip(-(2**24), 2**24).astype(np.int32)

    def polygon(self, points_m: np.ndarray, colour: tuple) -> None:
        points = self.pixels(points_m)
        self.cv2.fillConvexPoly(self.image, points, colour, self.cv2.LINE_AA, _SHIFT)

    def lines(self, pieces_m: np.ndarray, colour: tuple, width: int, closed=False) -> None:
        points = list(self.pixels(pieces_m))
        self.cv2.polylines(self.image, points, closed, colour, width, self.cv2.LINE_AA, _SHIFT)

    def road(self, road: Road, solid: np.ndarray, dashed: np.ndarray) -> None:
        """Asphalt and the markings in view."""
        reach = 0.5 * self.image.shape[1] / self.scale + _PERIOD_M
        for corners in road.quadrilaterals_m:
            # Without anti-aliasing, or seams show between neighbouring pieces.
            points = self.pixels(corners)
            self.cv2.fillConvexPoly(self.image, points, _ASPHALT, self.cv2.LINE_8, _SHIFT)
        for pieces, width in ((solid, 2), (dashed, 1)):
            near = np.abs(pieces[:, 0, 0] - self.centre[0]) < reach
            self.lines(pieces[near], _LINE, width)

    def goal(self, pose: list[float], road: Road) -> None:
        """The line to reach, from one edge of the road to the other."""
        x, y, heading = pose
        half = 0.5 * self.image.shape[0] / self.scale
        reach = np.arange(-half, half, 0.25)[:, None]
        line = np.array([[x, y]]) + reach * [[-np.sin(heading), np.cos(heading)]]
        line = line[road.drivable(line)]
        if len(line):
            self.lines(line[None, [0, -1]], _GOAL, 2)

    def car(self, box: torch.Tensor, colour: tuple) -> None:
        """A body with cut corners, windscreen and rear window, so that its direction shows."""
        x, y, heading, length, width = box.tolist()
        cut = min(0.35, 0.2 * width)
        half = np.array([0.5 * length, 0.5 * width])
        body = [
            (sx * (half[0] - a), sy * (half[1] - b))
            for sx, sy, order in ((1, 1, 0), (-1, 1, 1), (-1, -1, 0), (1, -1, 1))
            for a, b in ([(0.0, cut), (cut, 0.0)] if order == 0 else [(cut, 0.0), (0.0, cut)])
        ]
        self.polygon(_placed(body, x, y, heading), colour)
        inner = half[1] - 0.22
        if length > 7.0:
            # A lorry: a windscreen right behind the bumper, and nothing but box after it.
            windows = [(0.5, 1.1, 0.0)]
        else:
            windows = [(0.30 * length, 0.44 * length, 0.12), (0.80 * length, 0.89 * length, 0.2)]
        for front, back, taper in windows:
            glass = [
                (half[0] - front, inner), (half[0] - back, inner - taper),
                (half[0] - back, taper - inner), (half[0] - front, -inner),
            ]  # fmt: skip
            self.polygon(_placed(glass, x, y, heading), _GLASS)

    def outline(self, box: torch.Tensor, colour: tuple) -> None:
        self.lines(box_corners(box).numpy()[None], colour, 1, closed=True)

    def texts(self, simulator: Simulator, env: int, caption: str) -> None:
        """One line below the scene: who drives, how far, and how it ended."""
        self.image[-_TEXT_ROWS:] = _BAR
        dt_s = simulator.scene.dt_s
        time_s = int(simulator.frame[env] - simulator.start_frame[env]) * dt_s
        facts = (
            f"{time_s:.1f} s    {float(simulator.state[env, 3]):.1f} m/s    "
            f"{float(simulator.distance_m[env]):.0f} m    "
            f"human {float(simulator.human_distance_m[env]):.0f} m"
        )
        verdict, colour = _VERDICT[Outcome(int(simulator.outcome[env]))]
        self._text(caption, 0.0, _TEXT)
        self._text(facts, 0.5, _MUTED)
        self._text(verdict, 1.0, colour)

    def _text(self, text: str, place: float, colour: tuple) -> None:
        """Writes at a share of the free width: 0 is left, 0.5 centred, 1 right."""
        font, scale, margin = self.cv2.FONT_HERSHEY_SIMPLEX, 0.5, 12
        (width, _), _ = self.cv2.getTextSize(text, font, scale, 1)
        left = margin + round(place * (self.image.shape[1] - width - 2 * margin))
        baseline = self.image.shape[0] - 9
        self.cv2.putText(
            self.image, text, (left, baseline), font, scale, colour, 1, self.cv2.LINE_AA
        )


def _placed(points: list[tuple[float, float]], x: float, y: float, heading: float) -> np.ndarray:
    """Points of a vehicle's own frame in the world."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array(points) @ np.array([[cos, sin], [-sin, cos]]) + [x, y]


def _speed_colour(speed_mps: float) -> tuple[int, ...]:
    share = min(max(speed_mps / _FAST_MPS, 0.0), 1.0)
    return tuple(int(value) for value in _SLOW + share * (_FAST - _SLOW))
