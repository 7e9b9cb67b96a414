"""The scene from above, as a picture for people: the camera follows the ego along the road."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from ppuu.geometry import box_corners
from ppuu.road import Road
from ppuu.runtime import import_opencv

from .simulator import Simulator
from .termination import Outcome
from .world import World

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
_TEXT = (238, 240, 243)
_MUTED = (158, 164, 172)
_SLOW, _FAST = np.array([88, 112, 196.0]), np.array([128, 222, 210.0])
_FAST_MPS = 20.0

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
        width_m, height_m: section of the world.
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

    def __init__(self, world: World, config: RenderConfig | None = None):
        self.world = world
        self.config = config or RenderConfig()

    def frame(self, simulator: Simulator, env: int, caption: str = "") -> np.ndarray:
        """One episode's present moment, ``(rows, columns, 3)`` uint8.

        Args:
            simulator: where it runs.
            env: which of its slots.
            caption: shown at the top left, e.g. the driver's name.
        """
        road = self.world.recordings[int(simulator.road[env])].road
        ego = simulator.state[env].cpu()
        canvas = _Canvas(self.config, self._centre(road, ego[:2].tolist()))
        canvas.road(road)
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
        edges = np.concatenate([road.left_m, road.right_m])
        if len(edges) == 0:
            return x, ego[1]
        near = np.abs(edges[:, 0] - x) < 0.5 * self.config.width_m
        if not near.any():
            # A straight lane has points at its ends only.
            low, high = edges[:, 1].min(), edges[:, 1].max()
        else:
            low, high = edges[near, 1].min(), edges[near, 1].max()
        if high - low > self.config.height_m:
            return x, ego[1]
        return x, 0.5 * (low + high)


class _Canvas:
    """An image and the map from metres to its pixels."""

    def __init__(self, config: RenderConfig, centre: tuple[float, float]):
        self.cv2 = import_opencv()
        self.scale = config.pixels_per_metre
        columns = 2 * round(0.5 * config.width_m * self.scale)
        rows = 2 * round(0.5 * config.height_m * self.scale)
        self.image = np.full((rows, columns, 3), _GROUND, np.uint8)
        self.offset = np.array([0.5 * columns, 0.5 * rows])
        self.centre = np.array(centre)

    def pixels(self, points_m: np.ndarray) -> np.ndarray:
        """World points to OpenCV's scaled integers: x to the right, y up."""
        where = (points_m - self.centre) * [self.scale, -self.scale] + self.offset - 0.5
        return np.rint(where * 2**_SHIFT).clip(-(2**24), 2**24).astype(np.int32)

    def polygon(self, points_m: np.ndarray, colour: tuple) -> None:
        points = self.pixels(points_m)
        self.cv2.fillConvexPoly(self.image, points, colour, self.cv2.LINE_AA, _SHIFT)

    def polyline(self, points_m: np.ndarray, colour: tuple, width: int, closed=False) -> None:
        points = [self.pixels(points_m)]
        self.cv2.polylines(self.image, points, closed, colour, width, self.cv2.LINE_AA, _SHIFT)

    def road(self, road: Road) -> None:
        """Asphalt, dashed lines between lanes, solid ones at the edges."""
        for corners in road.quadrilaterals_m:
            points = self.pixels(corners)
            # Without anti-aliasing, or seams show between neighbouring pieces.
            self.cv2.fillConvexPoly(self.image, points, _ASPHALT, self.cv2.LINE_8, _SHIFT)
        for lane in range(road.lanes):
            left, right = road.lane(lane)
            for line, inward in ((left, right), (right, left)):
                outer = not road.drivable((line + 0.05 * (line - inward)).mean(0)[None])[0]
                if outer:
                    self.polyline(line, _LINE, 2)
                else:
                    for dash in self._dashes(line):
                        self.polyline(dash, _LINE, 1)

    def _dashes(self, line: np.ndarray, dash_m: float = 3.0, period_m: float = 9.0):
        length = np.concatenate([[0.0], np.cumsum(np.hypot(*np.diff(line, axis=0).T))])
        reach = 0.5 * self.image.shape[1] / self.scale + period_m
        # Counted from a multiple of the period in x, so that both lanes draw the same dashes.
        phase = line[0, 0] % period_m
        starts = np.arange(-phase, length[-1], period_m)
        for start in starts:
            ends = np.clip([start, start + dash_m], 0.0, length[-1])
            points = np.stack([np.interp(ends, length, line[:, k]) for k in (0, 1)], axis=1)
            if ends[1] > ends[0] and np.abs(points[0, 0] - self.centre[0]) < reach:
                yield points

    def goal(self, pose: list[float], road: Road) -> None:
        """The line to reach, from one edge of the road to the other."""
        x, y, heading = pose
        half = 0.5 * self.image.shape[0] / self.scale
        reach = np.arange(-half, half, 0.25)[:, None]
        line = np.array([[x, y]]) + reach * [[-np.sin(heading), np.cos(heading)]]
        line = line[road.drivable(line)]
        if len(line):
            self.polyline(line[[0, -1]], _GOAL, 2)

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
        self.polyline(box_corners(box).numpy(), colour, 1, closed=True)

    def texts(self, simulator: Simulator, env: int, caption: str) -> None:
        dt_s = simulator.scene.dt_s
        time_s = int(simulator.frame[env] - simulator.start_frame[env]) * dt_s
        facts = (
            f"{time_s:5.1f} s   {float(simulator.state[env, 3]):4.1f} m/s   "
            f"{float(simulator.distance_m[env]):5.1f} m   "
            f"human {float(simulator.human_distance_m[env]):5.1f} m"
        )
        self._text(facts, self.image.shape[0] - 9, _MUTED)
        self._text(caption, 18, _TEXT)
        verdict, colour = _VERDICT[Outcome(int(simulator.outcome[env]))]
        self._text(verdict, 18, colour, right=True)

    def _text(self, text: str, baseline: int, colour: tuple, right: bool = False) -> None:
        font, scale = self.cv2.FONT_HERSHEY_SIMPLEX, 0.5
        (width, _), _ = self.cv2.getTextSize(text, font, scale, 1)
        left = self.image.shape[1] - width - 12 if right else 12
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
