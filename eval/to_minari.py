"""``python -m eval.to_minari``: driven episodes as a Minari dataset."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from data.splits import Split, window
from ppuu.loading.policy_names import policy_by_name
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.policies.device import to_device
from ppuu.recordings.recording import Recording, load_recordings
from ppuu.runtime.command import run
from ppuu.runtime.device import choose_device
from ppuu.runtime.errors import InputError

from .driving.minari_dataset import write_dataset


def _frames(recordings: Sequence[Recording], split: Split) -> tuple[int, int | None]:
    """First and last frame of a split; an environment has one window for all recordings."""
    if split == "all":
        return 0, None
    windows = {window(recording, split) for recording in recordings}
    if len(windows) > 1:
        raise InputError(
            f"--split {split}: other frames in each of the {len(recordings)} recordings, but an "
            "environment has one window; export them one by one, then minari combine"
        )
    (frames,) = windows
    return frames.first, frames.last


def main(
    recordings: tuple[Path, ...],
    dataset_id: str,
    policy: str = "human",
    split: Split = "train",
    device: str = "cpu",
) -> None:
    """Drives every scenario once and writes the episodes as a Minari dataset.

    The dataset goes where Minari looks for it: $MINARI_DATASETS_PATH, else ~/.minari/datasets.
    Images are not compressed: 34 kB a step with the default history.

    Args:
        recordings: files written by data.generate or data.prepare.
        dataset_id: such as i80/human-v0.
        policy: human, random, no-action, idm, or a run directory of train.policy.
        split: part of each recording.
        device: where networks compute: cpu, or cuda for large ones; the simulator stays on the
            CPU.
    """
    driver = to_device(policy_by_name(policy), choose_device(device))
    observed = driver.observation or ObservationConfig()
    if observed.raster != RasterConfig() or observed.vehicles:
        raise InputError(
            f"--policy {policy}: observes something else than the environment's images; choose "
            "human, idm, no-action or a policy of images at the default scale"
        )
    first, last = _frames(load_recordings(recordings), split)
    settings = {
        "recording": [str(path) for path in recordings],
        "history_frames": observed.frames,
        "history_stride": observed.stride,
        "first_frame": first,
        "last_frame": last,
    }
    folder = write_dataset(dataset_id, settings, driver, Path(policy).name)
    print(f"{folder}: read it with minari.load_dataset({dataset_id!r})")


if __name__ == "__main__":
    run(main)
