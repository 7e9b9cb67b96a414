"""Generated traffic on both carriageways of one road, as a camera would see it; and the way back.

A layout's writer turns these rows into files, the reader reads them, ``assert_recovered`` compares.
"""

from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import numpy as np

from data.roads.frame import LocalFrame
from data.traffic.road import I80
from ppuu.recordings.recording import Recording
from ppuu.units import LANE_WIDTH_M

OPPOSITE = 10_000
"""Added to the vehicle numbers of the second carriageway."""
HALF_MEDIAN_M = 5.0


@dataclass(frozen=True)
class Rows:
    """Rows of all vehicles, sorted by vehicle and frame; metres, radians, y to the left of x."""

    vehicle: np.ndarray
    frame: np.ndarray
    x_m: np.ndarray
    y_m: np.ndarray
    heading_rad: np.ndarray
    speed_mps: np.ndarray
    length_m: np.ndarray
    width_m: np.ndarray

    def __len__(self) -> int:
        return len(self.frame)

    def of(self, chosen: np.ndarray) -> "Rows":
        return Rows(**{name: values[chosen] for name, values in vars(self).items()})

    def seen_from(self, frame: LocalFrame) -> "Rows":
        """The same rows in other axes."""
        x_m, y_m = frame.to_local(np.stack([self.x_m, self.y_m], 1)).T
        return replace(self, x_m=x_m, y_m=y_m, heading_rad=self.heading_rad - frame.angle_rad)


FIRST_VEHICLE = 171
"""Number of the first vehicle, which is there in frames 0, 1 and 2."""
_LANES, _SECTION_M, _FRAMES = 6, 500.0, 40
_CHANGES = 40
"""Every so many vehicles one changes to the next lane on the right."""


@cache
def generated() -> Recording:
    """Six lanes and a ramp, 10 Hz, every lane in use all along; the left edge is y = 22.2 m.

    A formula, so that what readers are tested with does not change with the generator.
    """
    time = np.arange(_FRAMES) / 10.0
    tracks: list[dict[str, np.ndarray]] = []
    for lane in range(_LANES + 1):
        spacing, speed = 31.0 + lane, 13.0 - lane
        for place in np.arange(-40.0, _SECTION_M if lane < _LANES else 160.0, spacing):
            number = len(tracks)
            x = place + speed * time + 0.4 * np.sin(0.9 * time + number)
            across = 0.25 * np.sin(0.5 * time + 2.0 * number)
            if number % _CHANGES == _CHANGES - 1 and lane < _LANES - 1:
                share = (time / 3.5).clip(0.0, 1.0)
                across = across - LANE_WIDTH_M * share**3 * (10 - 15 * share + 6 * share**2)
            y = LANE_WIDTH_M * (_LANES - 0.5 - lane) + across
            inside = (x >= 0.0) & (x <= _SECTION_M)
            along, aside = np.gradient(x, 0.1), np.gradient(y, 0.1)
            track = {
                "frame": np.arange(_FRAMES), "x_m": x, "y_m": y,
                "heading_rad": np.arctan2(aside, along), "speed_mps": np.hypot(along, aside),
            }  # fmt: skip
            if inside.any():
                tracks.append({key: values[inside] for key, values in track.items()})
    tracks.sort(key=lambda track: track["frame"][0])
    count = len(tracks)
    lorry = np.arange(count) % 9 == 8
    return Recording(
        **{key: np.concatenate([track[key] for track in tracks]) for key in tracks[0]},
        vehicle_pointer=np.cumsum([0] + [len(track["frame"]) for track in tracks]),
        vehicle_id=FIRST_VEHICLE + np.arange(count),
        length_m=np.where(lorry, 12.0, 4.5 + 0.01 * np.arange(count)),
        width_m=np.where(lorry, 2.5, 1.8),
        road=I80.road(),
        dt_s=0.1,
        name="two-way",
    )


def rows_of(recording: Recording) -> Rows:
    vehicle = recording.row_vehicle
    columns = {key: getattr(recording, key) for key in ("frame", "x_m", "y_m")}
    columns |= {key: getattr(recording, key).astype(float) for key in ("heading_rad", "speed_mps")}
    size = {key: getattr(recording, key)[vehicle].astype(float) for key in ("length_m", "width_m")}
    return Rows(vehicle=recording.vehicle_id[vehicle], **columns, **size)


def both_ways(recording: Recording) -> Rows:
    """The recording's traffic towards +x, and again, half a turn about, towards -x.

    Traffic keeps to the right: the first carriageway has y < 0, the second y > 0.
    """
    left_m = float(recording.road.left_m[:, 1].max()) + HALF_MEDIAN_M
    onward = rows_of(recording)
    # Vehicles seen in a single frame are left out: at another rate they may have no sample.
    numbers, frames = np.unique(onward.vehicle, return_counts=True)
    onward = onward.of(np.isin(onward.vehicle, numbers[frames > 1]))
    onward = replace(onward, y_m=onward.y_m - left_m)
    back = onward.seen_from(LocalFrame(500.0, 0.0, np.pi))
    back = replace(back, vehicle=back.vehicle + OPPOSITE)
    return Rows(
        **{key: np.concatenate([getattr(onward, key), getattr(back, key)]) for key in vars(onward)}
    )


def at_rate(rows: Rows, hz: float, recorded_hz: float = 10.0) -> Rows:
    """Linear in time between the rows of each vehicle."""
    found = []
    for number in np.unique(rows.vehicle):
        own = rows.of(rows.vehicle == number)
        time = own.frame / recorded_hz
        frame = np.arange(np.ceil(time[0] * hz - 1e-9), np.floor(time[-1] * hz + 1e-9) + 1)
        columns = {
            key: np.interp(frame / hz, time, values)
            for key, values in vars(own).items()
            if key not in ("vehicle", "frame")
        }
        found.append(Rows(np.full(len(frame), number), frame.astype(int), **columns))
    return Rows(**{key: np.concatenate([getattr(f, key) for f in found]) for key in vars(rows)})


def write_csv(path: Path, columns: dict[str, list | np.ndarray], delimiter: str = ",") -> None:
    """A table with a header; numbers as they are in the columns."""
    lines = [delimiter.join(columns)]
    lists = [v.tolist() if isinstance(v, np.ndarray) else v for v in columns.values()]
    lines += [delimiter.join(map(str, fields)) for fields in zip(*lists, strict=True)]
    path.write_text("\n".join(lines) + "\n")


def assert_recovered(
    made: list[Recording],
    truth: Rows,
    position_m: float,
    heading_rad: float,
    speed_mps: float = 0.02,
    size_m: float = 0.01,
    ends: int = 1,
) -> None:
    """Every row of the truth is in one of the recordings, in the file's axes within tolerance.

    Tracks shorter than a second may be missing, and ``ends`` rows at either end of a track.
    """
    found = []
    for recording in made:
        frame = recording.provenance.get("frame")
        rows = rows_of(recording)
        rows = replace(rows, frame=rows.frame + recording.provenance["first_frame"])
        if frame is not None:
            cos, sin = np.cos(frame["angle_rad"]), np.sin(frame["angle_rad"])
            rows = replace(
                rows,
                x_m=frame["origin_x_m"] + cos * rows.x_m - sin * rows.y_m,
                y_m=frame["origin_y_m"] + sin * rows.x_m + cos * rows.y_m,
                heading_rad=rows.heading_rad + frame["angle_rad"],
            )
        found.append(rows)
    got = {
        (vehicle, frame): (k, row)
        for k, rows in enumerate(found)
        for row, (vehicle, frame) in enumerate(
            zip(rows.vehicle.tolist(), rows.frame.tolist(), strict=True)
        )
    }
    assert len(got) == sum(map(len, found))
    pairs, missing = [], []
    for row, key in enumerate(zip(truth.vehicle.tolist(), truth.frame.tolist(), strict=True)):
        (pairs if key in got else missing).append((row, got.get(key)))
    assert len(pairs) == len(got), "a row that is not in the truth"
    edge = np.flatnonzero(np.concatenate([[True], np.diff(truth.vehicle) != 0, [True]]))
    counts = dict(zip(truth.vehicle[edge[:-1]], np.diff(edge), strict=True))
    second = 1.0 / made[0].dt_s
    for row, _ in missing:
        if counts[truth.vehicle[row]] >= second + 2 * ends:
            away = min(row - edge[edge <= row].max(), edge[edge > row].min() - 1 - row)
            assert away < ends, (truth.vehicle[row], truth.frame[row])
    rows = np.array([row for row, _ in pairs])
    for name, tolerance in (
        ("x_m", position_m),
        ("y_m", position_m),
        ("speed_mps", speed_mps),
        ("length_m", size_m),
        ("width_m", size_m),
        ("heading_rad", heading_rad),
    ):
        values = np.array([getattr(found[k], name)[row] for _, (k, row) in pairs])
        difference = values - getattr(truth, name)[rows]
        if name == "heading_rad":
            difference = np.angle(np.exp(1j * difference))
        assert np.abs(difference).max() <= tolerance, (name, np.abs(difference).max())
