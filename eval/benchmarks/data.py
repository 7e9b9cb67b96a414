"""How fast raw text becomes HDF5, clips and images; what a file weighs; what training waits for."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch

from data.clips.clips import Clips
from data.clips.poses import ClipPoses
from data.clips.sampler import ClipSampler
from data.sources import ngsim_text
from data.splits import FrameWindow
from data.traffic import PRESETS, generate
from ppuu.perception.observation import ObservationConfig
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.runtime.device import choose_device, use_threads
from ppuu.runtime.errors import InputError

from ..statistics.intervals import median_and_range
from ..statistics.metric import Metric, Row

_IMAGE_BYTES = 3 * 117 * 24
"""One stored image of the original's dump (Henaff et al., 2019): uint8, one a vehicle and frame."""
_ROWS_A_SECOND = 1540
"""Of dense traffic, to choose how long to generate; the file's true number is reported."""


@dataclass(frozen=True)
class DataBenchmark:
    """From raw NGSIM-format text to what a training step needs, on generated dense traffic.

    Attributes:
        rows: of the text file, about.
        clips: a batch.
        horizon: recorded frames after the present in each clip.
        repeats: timed blocks; the table has their median and range.
        block_s: duration of each block.
        warm_up_s: untimed, before the first block.
        updates: of a world model, to see what fraction of them finding and drawing data takes.
        preset: of that world model.
        device: where clips are drawn: cpu, cuda, ...
        threads: of torch; 0 leaves the number to it.
    """

    rows: int = 1_200_000
    clips: int = 64
    horizon: int = 30
    repeats: int = 5
    block_s: float = 2.0
    warm_up_s: float = 3.0
    updates: int = 25
    preset: str = "small"
    device: str = "cpu"
    threads: int = 0

    def run(self) -> list[Row]:
        """Rows for the preparation, the file, and batches of clips without and with images."""
        use_threads(self.threads)
        with tempfile.TemporaryDirectory() as folder:
            text, made = Path(folder) / "trajectories.txt", Path(folder) / "recording.h5"
            seconds = max(20.0, self.rows / _ROWS_A_SECOND)
            ngsim_text.write(generate(PRESETS["dense"], seconds, seed=0, show_progress=True), text)
            prepared = _prepare(text, made)
            (recording,) = load_recordings([made])
            rows = [prepared, _size(recording, made), *self._clips(recording)]
            return [*rows, self._training(made)]

    def _clips(self, recording: Recording) -> list[Row]:
        observation = ObservationConfig()
        clips = Clips(
            [recording],
            [FrameWindow(0, recording.frames)],
            observation,
            self.horizon,
            choose_device(self.device),
        )
        sampler = iter(ClipSampler(len(clips), self.clips))
        states = ClipPoses(clips)
        context = {"batch": self.clips, "device": self.device, "threads": torch.get_num_threads()}
        poses = self._rate(lambda: states[next(sampler)], self.clips)
        images = self._rate(lambda: clips.batch(next(sampler)), self.clips * observation.frames)
        return [
            {"name": "clips, poses only", **context, "clips_per_s": poses},
            {"name": "clips, drawn", **context, "images_per_s": images},
        ]

    def _training(self, recording: Path) -> Row:
        """What the loop itself says of its last updates, run as a user does."""
        out = recording.with_name("run")
        last = -(-self.updates // 2)
        options = {"--updates": self.updates, "--loop.log-every": last, "--out": out}
        options |= {"--device": self.device, "--recordings": recording, "--split": "all"}
        options |= {"--preset": self.preset}
        words = ["--loop.profile", *(str(word) for pair in options.items() for word in pair)]
        _run("train.world_model", *words)
        lines = [json.loads(line) for line in (out / "log.jsonl").read_text().splitlines()]
        shares = lines[-1]["time_shares"]
        return {
            "name": "training step, world model",
            "device": self.device,
            "data_share": shares["data"] + shares["raster"],
        }

    def _rate(self, batch: Callable[[], object], things: int) -> Metric:
        """Things a second, in blocks."""

        def block(seconds: float) -> float:
            start, done = time.perf_counter(), 0
            while time.perf_counter() - start < seconds or done == 0:
                batch()
                done += things
            if self.device != "cpu":
                torch.cuda.synchronize()
            return done / (time.perf_counter() - start)

        block(self.warm_up_s)
        return median_and_range([block(self.block_s) for _ in range(self.repeats)])


def _prepare(text: Path, out: Path) -> Row:
    """The command as a user runs it, in a process of its own; its memory is that of the process."""
    start = time.perf_counter()
    _run("data.prepare", "ngsim", str(text), "--out", str(out))
    seconds = time.perf_counter() - start
    with text.open("rb") as file:
        rows = sum(1 for _ in file)
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    return {
        "name": "prepare ngsim",
        "rows": rows,
        "seconds": round(seconds, 2),
        "rows_per_s": round(rows / seconds),
        "peak_mib": round(peak / (2**20 if sys.platform == "darwin" else 2**10)),
    }


def _run(module: str, *words: str) -> None:
    done = subprocess.run([sys.executable, "-m", module, *words], capture_output=True, text=True)
    if done.returncode != 0:
        raise InputError(f"{module} failed: {done.stderr.strip()}")


def _size(recording: Recording, path: Path) -> Row:
    """The file beside a dump of one image for each vehicle and frame."""
    vehicle_hours = recording.rows * recording.dt_s / 3600
    stored, images = path.stat().st_size, recording.rows * _IMAGE_BYTES
    return {
        "name": "file",
        "rows": recording.rows,
        "mib_per_vehicle_hour": round(stored / vehicle_hours / 2**20, 3),
        "images_mib_per_vehicle_hour": round(images / vehicle_hours / 2**20, 1),
        "smaller_by": round(images / stored),
    }
