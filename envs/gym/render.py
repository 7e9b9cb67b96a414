"""The scene from above, as a picture for people: the camera follows the ego along the road."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, UInt8

from ppuu.geometry import box_corners
from ppuu.policies.plan_snapshot import PlanSnapshot
from ppuu.recordings.polyline import arc_length_m
from ppuu.recordings.recording import Recording
from ppuu.recordings.road import Road
from ppuu.runtime.packages import import_opencv

from ..core.simulator import Simulator
from ..core.termination import Outcome

FRAMES_PER_SECOND = 10

_SHIFT = 4
"""OpenCV takes sub-pixel positions as integers scaled by 2**shift."""

_GROUND = (46, 52, 44)
_ASPHALT = (66, 69, 74)
_LINE = (196, 199, 203)
_EGO = (236, 82, 76)
_HUMAN = (255, 214, 102)
_GOAL = (120, 214, 140)
_HIT = (229, 139, 255)
_PREDICTED = (176, 222, 255)
_EXPENSIVE = (214, 40, 120)
_GLASS = (32, 36, 42)
_BAR = (24, 27, 31)
_TEXT = (238, 240, 243)
_MUTED = (158, 164, 172)
_SLOW, _FAST = np.array([88, 112, 196.0]), np.array([128, 222, 210.0])
_FAST_MPS = 20.0

_TEXT_ROWS = 28

_BAR_ROWS, _NAME_COLUMNS, _BAR_COLUMNS, _NUMBER_COLUMNS = 16, 84, 60, 52
"""Of one bar on the panel; the bar is full at 1."""
_PANEL_OPACITY = 0.8
"""How much of the scene a panel hides."""

_VERDICT = {
    Outcome.RUNNING: ("", _TEXT),
    Outcome.ARRIVED: ("arrived", _GOAL),
    Outcome.MISSED: ("in another lane", _HUMAN),
    Outcome.STALLED: ("too little progress", _HUMAN),
    Outcome.TIMEOUT: ("time is up", _HUMAN),
    Outcome.COLLISION: ("collision", _EGO),
    Outcome.OFFROAD: ("off the road", _EGO),
    Outcome.WRONG_WAY: ("wrong way", _EGO),
}


@dataclass(frozen=True)
class RenderConfig:
    """What the camera takes in.

    Attributes:
        width_m, height_m: section of the world; below it comes a line of text.
        pixels_per_metre: scale.
        ego_position: where the ego stands between the left (0) and the right edge (1).
        ids: whether the vehicles' numbers are written above them.
    """

    width_m: float = 120.0
    height_m: float = 32.0
    pixels_per_metre: float = 8.0
    ego_position: float = 0.35
    ids: bool = False


class Renderer:
    """Draws frames; holds nothing but the roads.

    Traffic is blue where it stands and turns to mint at 20 m/s; the ego is red, the recorded
    human's box a yellow outline, the goal line and a planned path green, a vehicle that was hit is
    framed in violet.  Of a planner: the paths it considered, from yellow (cheap) to purple
    (expensive), and the boxes it predicts, the later the fainter.
    """

    def __init__(self, recordings: Sequence[Recording], config: RenderConfig | None = None):
        self.roads = [recording.road for recording in recordings]
        self._ids = np.concatenate([recording.vehicle_id for recording in recordings])
        self.config = config or RenderConfig()
        self._markings: dict[int, tuple[np.ndarray, np.ndarray]] = {}

    def frame(
        self,
        simulator: Simulator,
        env: int,
        caption: str = "",
        bars: Mapping[str, float] | None = None,
        plan_m: Float[np.ndarray, "points 2"] | None = None,
        snapshot: PlanSnapshot | None = None,
    ) -> UInt8[np.ndarray, "rows columns 3"]:
        """One episode's present moment.

        Args:
            simulator: where it runs.
            env: which of its slots.
            caption: shown at the bottom left, e.g. the driver's name.
            bars: costs or rewards by name, shown at the top left.
            plan_m: where the driver means to go.
            snapshot: what else it considered, and what it expects of the others.
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
        box = torch.cat([ego[:3], simulator.size_m[env].cpu()])
        others = _present(simulator, env)
        hit = int(simulator.hit_vehicle[env])
        for _, other, speed_mps in others:
            canvas.car(other, _speed_colour(speed_mps))
        if snapshot is not None:
            canvas.predicted(snapshot)
        canvas.car(box, _EGO)
        if snapshot is not None:
            canvas.candidates(snapshot)
        if plan_m is not None:
            canvas.lines(plan_m[None], _GOAL, 2)
        human = simulator.human_state[env, :3].cpu()
        canvas.outline(torch.cat([human, box[3:]]), _HUMAN, 1)
        if hit >= 0:
            canvas.outline(box, _HIT, 2)
            for other in (box for vehicle, box, _ in others if vehicle == hit):
                canvas.outline(other, _HIT, 2)
        if self.config.ids:
            for vehicle, other, _ in others:
                canvas.number(int(self._ids[vehicle]), other)
        if bars:
            canvas.bars(bars)
        canvas.texts(simulator, env, caption)
        return canvas.image

    def _centre(self, road: Road, ego: list[float]) -> tuple[float, float]:
        """World position of the picture's middle: ahead of the ego, and steady across the road."""
        x = ego[0] + (0.5 - self.config.ego_position) * self.config.width_m
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


def _present(simulator: Simulator, env: int) -> list[tuple[int, torch.Tensor, float]]:
    """Number in the scene, box and speed of every vehicle but the ego."""
    others = simulator.neighbours()
    present = others.valid[env].cpu()
    numbers = others.vehicle[env].cpu()[present].tolist()
    speeds_mps = others.speed_mps[env].cpu()[present].tolist()
    return list(zip(numbers, others.boxes[env].cpu()[present], speeds_mps, strict=True))


_DASH_M, _PERIOD_M = 3.0, 9.0


def road_markings(road: Road) -> tuple[np.ndarray, np.ndarray]:
    """Painted pieces ``(n, 2, 2)``: solid where the road ends beside the line, else dashes."""
    solid, dashed = [np.zeros((0, 2, 2))], [np.zeros((0, 2, 2))]
    for lane in range(road.lanes):
        left, right = road.lane(lane)
        for line, opposite in ((left, right), (right, left)):
            length = arc_length_m(line)
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

    def outline(self, box: torch.Tensor, colour: tuple, width: int) -> None:
        self.lines(box_corners(box).numpy()[None], colour, width, closed=True)

    def predicted(self, snapshot: PlanSnapshot) -> None:
        """Where others are expected, the later the fainter."""
        for box, ahead in zip(torch.from_numpy(snapshot.boxes), snapshot.ahead, strict=True):
            colour = _blend(_PREDICTED, _ASPHALT, 0.75 * float(ahead))
            self.outline(box, colour, 1)

    def candidates(self, snapshot: PlanSnapshot) -> None:
        """Considered paths, from cheap (yellow) to expensive (purple); the cheapest on top."""
        cost_range = max(float(np.ptp(snapshot.costs)), 1e-6)
        for path, cost in zip(snapshot.candidates_m[::-1], snapshot.costs[::-1], strict=True):
            fraction = float(cost - snapshot.costs[0]) / cost_range
            self.lines(path[None], _blend(_HUMAN, _EXPENSIVE, fraction), 1)

    def number(self, number: int, box: torch.Tensor) -> None:
        """A vehicle's number above its box."""
        x, y = (self.pixels(box[None, :2].numpy())[0] >> _SHIFT).tolist()
        across = 0.5 * self.scale * float(box[3:].min())
        self._write(str(number), x, round(y - across - 3), _TEXT, 0.36, centred=True)

    def bars(self, values: Mapping[str, float]) -> None:
        """A panel at the top left: a name, a bar and a number a row."""
        rows = _BAR_ROWS * len(values) + 8
        panel = self.image[:rows, : _NAME_COLUMNS + _BAR_COLUMNS + _NUMBER_COLUMNS]
        panel[:] = (_PANEL_OPACITY * np.array(_BAR) + (1 - _PANEL_OPACITY) * panel).astype(np.uint8)
        for row, (name, value) in enumerate(values.items()):
            top, low = _BAR_ROWS * row + 8, _BAR_ROWS * (row + 1)
            self._write(name, 8, low + 1, _MUTED, 0.4)
            length = round(min(abs(value), 1.0) * _BAR_COLUMNS)
            self.image[top:low, _NAME_COLUMNS : _NAME_COLUMNS + _BAR_COLUMNS] = _ASPHALT
            colour = _EGO if value < 0 else _HUMAN
            self.image[top:low, _NAME_COLUMNS : _NAME_COLUMNS + length] = colour
            left = _NAME_COLUMNS + _BAR_COLUMNS + 6
            self._write(f"{value:.2f}", left, low + 1, _TEXT, 0.4)

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
        self._row([(caption, _TEXT), (facts, _MUTED), (verdict, colour)])

    def _row(self, words: list[tuple[str, tuple]]) -> None:
        """Left, middle and right; smaller where the picture is narrow."""
        margin, columns = 12, self.image.shape[1]
        longest = max((text for text, _ in _VERDICT.values()), key=len)
        needed = sum(self._width(text, 0.5) for text in (words[0][0], words[1][0], longest))
        scale = 0.5 * min(1.0, (columns - 4 * margin) / needed)
        caption, facts, verdict = (self._width(text, scale) for text, _ in words)
        middle = max((columns - facts) // 2, caption + 2 * margin)
        for (text, colour), left in zip(
            words, (margin, middle, columns - margin - verdict), strict=True
        ):
            self._write(text, left, self.image.shape[0] - 9, colour, scale)

    def _width(self, text: str, scale: float) -> int:
        return self.cv2.getTextSize(text, self.cv2.FONT_HERSHEY_SIMPLEX, scale, 1)[0][0]

    def _write(
        self, text: str, left: int, baseline: int, colour: tuple, scale: float, centred=False
    ) -> None:
        left -= self._width(text, scale) // 2 if centred else 0
        font, smooth = self.cv2.FONT_HERSHEY_SIMPLEX, self.cv2.LINE_AA
        self.cv2.putText(self.image, text, (left, baseline), font, scale, colour, 1, smooth)


def _blend(one: tuple, other: tuple, fraction: float) -> tuple[int, ...]:
    """A colour between two."""
    return tuple(round(a + fraction * (b - a)) for a, b in zip(one, other, strict=True))


def _placed(points: list[tuple[float, float]], x: float, y: float, heading: float) -> np.ndarray:
    """Points of a vehicle's own frame in the world."""
    cos, sin = np.cos(heading), np.sin(heading)
    return np.array(points) @ np.array([[cos, sin], [-sin, cos]]) + [x, y]


def _speed_colour(speed_mps: float) -> tuple[int, ...]:
    fraction = min(max(speed_mps / _FAST_MPS, 0.0), 1.0)
    return tuple(int(value) for value in _SLOW + fraction * (_FAST - _SLOW))
