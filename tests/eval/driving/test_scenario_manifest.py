"""Manifests: all policies drive the same scenarios."""

import csv
import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from eval import closed_loop, scenarios
from eval.driving.scenario_manifest import ManifestRecording, ScenarioManifest
from eval.driving.scenario_set import ScenarioSet
from ppuu.policies import NoAction
from ppuu.runtime.errors import InputError
from tests.helpers import dense_recording


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("recordings") / "dense.h5"
    dense_recording().save(path)
    return path


@pytest.fixture(scope="module")
def screened(file, tmp_path_factory):
    """Driven by the human and at random; the hard split that these two make."""
    folder = tmp_path_factory.mktemp("results")
    scenarios.main((file,), folder / "all.json", limit=12)
    driven = folder / "all-driven.json"
    closed_loop.main(("random",), (file,), driven, manifest=folder / "all.json")
    episodes = folder / "all-driven.episodes.csv"
    out = folder / "hard.json"
    choice = {"fail": ("random",), "succeed": ("human",)}
    scenarios.main((file,), out, limit=12, episodes=episodes, starts=2, seed=1, **choice)
    return folder


def test_the_drivers_that_failed_and_succeeded(screened):
    listed = ScenarioManifest.load(screened / "all.json")
    hard = ScenarioManifest.load(screened / "hard.json")
    with open(screened / "all-driven.episodes.csv", newline="") as rows:
        failed = {
            int(row["vehicle_id"])
            for row in csv.DictReader(rows)
            if row["policy"] == "random" and row["outcome"] != "arrived"
        }
    assert 0 < len(failed) <= len(listed.scenarios) == 12
    assert [one.vehicle_id for one in hard.scenarios] == [
        one.vehicle_id for one in listed.scenarios if one.vehicle_id in failed for _ in range(2)
    ]
    assert len({one.aside_m for one in hard.scenarios}) == len(hard.scenarios)
    assert all(abs(one.aside_m) <= 0.3 for one in hard.scenarios)
    assert all(0.95 <= one.speed_ratio <= 1.05 for one in hard.scenarios)


def test_starts_are_aside_and_faster(file, screened):
    manifest = ScenarioManifest.load(screened / "hard.json")
    scenario_set = manifest.choose(ScenarioSet.load([file], "all"))
    simulator = scenario_set.simulator(NoAction())
    simulator.reset(scenario_set.scenarios)
    human, start = simulator.human_state, simulator.state
    away = start[:, :2] - human[:, :2]
    left = torch.stack([-human[:, 2].sin(), human[:, 2].cos()], dim=1)
    aside = torch.tensor([one.aside_m for one in manifest.scenarios])
    torch.testing.assert_close(away, aside[:, None] * left, atol=1e-4, rtol=0)
    ratio = torch.tensor([one.speed_ratio for one in manifest.scenarios])
    torch.testing.assert_close(start[:, 3], ratio * human[:, 3])
    torch.testing.assert_close(simulator.present().ego[:, -1], start)


def test_driving_by_a_manifest_is_driving_its_scenarios(file, screened, tmp_path):
    out = tmp_path / "hard.json"
    manifest = screened / "hard.json"
    closed_loop.main(("no-action",), (file,), out, manifest=manifest)
    report = json.loads(out.read_text())
    assert report["config"]["manifest"] == ScenarioManifest.load(manifest).digest
    assert report["rows"][0]["success"]["n"] == len(ScenarioManifest.load(manifest).scenarios)
    with pytest.raises(InputError, match="leave out"):
        closed_loop.main(("no-action",), (file,), manifest=manifest, limit=3)


def test_another_recording_and_a_changed_manifest_are_refused(file, screened, tmp_path):
    other = tmp_path / "other.h5"
    dense_recording(frames=110).save(other)
    manifest = screened / "hard.json"
    with pytest.raises(InputError, match="of the manifest is missing; it comes from"):
        closed_loop.main(("no-action",), (other,), manifest=manifest)
    changed = tmp_path / "changed.json"
    changed.write_text(manifest.read_text().replace('"task": "keep"', '"task": "merge"'))
    with pytest.raises(InputError, match="was changed"):
        closed_loop.main(("no-action",), (file,), manifest=changed)
    (tmp_path / "none.json").write_text("{}")
    with pytest.raises(InputError, match="no manifest"):
        ScenarioManifest.load(tmp_path / "none.json")


def test_a_recording_is_known_by_its_tracks():
    recording = dense_recording()
    known = ManifestRecording.of(recording)
    assert known.is_of(recording)
    noise = np.random.default_rng(1).uniform(-2e-9, 2e-9, recording.rows)
    assert known.is_of(replace(recording, x_m=recording.x_m + noise))
    moved = recording.x_m.copy()
    moved[100] += 0.2
    assert not known.is_of(replace(recording, x_m=moved))
    assert not known.is_of(dense_recording(frames=110))
