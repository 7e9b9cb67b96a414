"""What is passed to Minari, with a fake of the package; ``test_to_minari`` uses the real one."""

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from eval.driving.minari_dataset import write_dataset
from ppuu.loading.policy_names import policy_by_name
from ppuu.runtime.errors import InputError
from tests.helpers import dense_recording


@pytest.fixture
def storage(tmp_path, monkeypatch):
    """A fake of Minari's storage; ``episodes`` and ``metadata`` hold what was written."""
    kept = SimpleNamespace(episodes=[], metadata=[], namespaces=[])

    class Storage:
        @classmethod
        def new(cls, path, **spaces):
            path.mkdir(parents=True)
            kept.spaces = spaces
            return cls()

        def update_metadata(self, metadata):
            kept.dataset = metadata

        def update_episodes(self, buffers):
            kept.episodes += buffers

        def update_episode_metadata(self, metadata, numbers):
            kept.metadata += zip(numbers, metadata, strict=True)

    contents = {
        "minari": {"__version__": "0"},
        "minari.namespace": {
            "list_local_namespaces": lambda: kept.namespaces,
            "create_namespace": kept.namespaces.append,
        },
        "minari.storage": {"get_dataset_path": lambda name: tmp_path / "datasets" / name},
        "minari.dataset": {},
        "minari.dataset.minari_dataset": {
            "parse_dataset_id": lambda name: (name.split("/")[0], name, 0)
        },
        "minari.dataset.minari_storage": {"MinariStorage": Storage},
        "minari.data_collector": {},
        "minari.data_collector.episode_buffer": {"EpisodeBuffer": SimpleNamespace},
    }
    for name, members in contents.items():
        module = ModuleType(name)
        module.__dict__.update(members)
        monkeypatch.setitem(sys.modules, name, module)
    return kept


def test_every_scenario_is_written_once(tmp_path, storage):
    path = tmp_path / "dense.h5"
    recording = dense_recording(per_lane=2, frames=60)
    recording.save(path)
    settings = {"recording": str(path), "minimum_frames": 20}
    folder = write_dataset("road/human-v0", settings, policy_by_name("human"), "human", slots=2)
    assert [entry.name for entry in folder.iterdir()] == ["data"]
    assert storage.namespaces == ["road"]
    assert storage.spaces["env_spec"].kwargs == settings
    assert (storage.dataset["dataset_id"], storage.dataset["algorithm_name"]) == (
        "road/human-v0", "human",
    )  # fmt: skip
    assert [number for number, _ in storage.metadata] == list(range(recording.vehicles))
    facts = [metadata for _, metadata in storage.metadata]
    assert sorted(one["vehicle_id"] for one in facts) == sorted(recording.vehicle_id.tolist())
    for one, episode in zip(facts, storage.episodes, strict=True):
        assert one["vehicle_id"] == recording.vehicle_id[episode.options["scenario"]]
        assert (one["recording"], one["outcome"]) == (recording.name, "arrived")
        assert one["rewards_sum"] == pytest.approx(episode.rewards.sum())
        steps = len(episode.rewards)
        assert episode.actions.shape == (steps, 2)
        assert {len(values) for values in episode.observations.values()} == {steps + 1}
        assert np.flatnonzero(episode.terminations).tolist() == [steps - 1]
        assert not episode.truncations.any()
    with pytest.raises(InputError, match="exists already"):
        write_dataset("road/human-v0", settings, policy_by_name("human"), "human")
