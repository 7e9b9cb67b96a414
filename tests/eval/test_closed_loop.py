"""The closed-loop command: its table, its file of episodes, and mistakes."""

import csv
import json

import pytest

from envs.traffic import registry
from envs.traffic.replay import Replay
from eval.closed_loop import main
from eval.driving.episode_row import EpisodeRow
from ppuu.loading.policy_names import policy_by_name
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import PixelsConfig
from ppuu.runtime.checkpoint import FILE_NAME, Checkpoint
from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError
from tests.recorded_traffic import dense_and_queue
from tests.rollouts import TINY_OBSERVATION


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Holds ``dense.h5`` and ``queue.h5``."""
    folder = tmp_path_factory.mktemp("recordings")
    dense_and_queue(folder)
    return folder


def test_the_command_writes_its_table_and_every_episode(folder, tmp_path, capsys):
    policy = NetworkPolicyConfig(PixelsConfig(TINY_OBSERVATION, (4, 4, 4)), 8)
    identity = {"policy": to_json(policy)}
    run = tmp_path / "runs" / "network"
    Checkpoint("policy", identity, policy.build().state_dict(), 1, {}).save(run / FILE_NAME)
    out = tmp_path / "results" / "table.json"
    paths = (folder / "dense.h5", folder / "queue.h5")
    main(("human", "idm", str(run)), paths, out, split="all", limit=6)
    report = json.loads(out.read_text())
    keys = {"command", "commit", "config", "hardware", "rows", "comparisons"}
    assert set(report) == keys
    assert report["command"] == "eval.closed_loop"
    assert [row["name"] for row in report["rows"]] == ["human", "idm", "network"]
    for row in report["rows"]:
        assert set(row["success"]) == {"value", "low", "high", "n"}
        assert row["success"]["n"] == 6
        assert row["others"] == "replay"
        assert row["gap_wasserstein_m"]["n"] == 6
    assert report["rows"][0]["speed_wasserstein_mps"]["value"] == 0.0
    pairs = [row["name"] for row in report["comparisons"]]
    assert pairs == ["human - idm", "human - network", "idm - network"]
    config = report["config"]
    assert config["split"] == "all"
    assert config["recordings"] == [str(path) for path in paths]
    assert len(config["recording_hashes"]) == 2
    assert len(config["scenarios"]) == 64
    with open(tmp_path / "results" / "table.episodes.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 3 * 6
    assert list(rows[0]) == list(EpisodeRow.__dataclass_fields__)
    for row in report["rows"]:
        mine = [r for r in rows if r["policy"] == row["name"]]
        assert len({(r["recording"], r["vehicle_id"]) for r in mine}) == 6
        successes = sum(r["outcome"] == "arrived" for r in mine)
        assert row["success"]["value"] == pytest.approx(successes / 6)
    table = capsys.readouterr().out
    assert "human" in table and "network" in table
    assert sorted(path.name for path in out.parent.iterdir()) == [
        "table.episodes.csv",
        "table.json",
    ]


class Stays(Replay):
    """The others replay; a traffic of another name."""


def test_every_policy_among_all_others_beside_the_human(folder, tmp_path, monkeypatch):
    monkeypatch.setitem(registry.TRAFFICS, "stays", lambda named: Stays(named.scene))
    out = tmp_path / "table.json"
    others = ("replay", "stays")
    main(("idm",), (folder / "queue.h5",), out, split="all", others=others)
    report = json.loads(out.read_text())
    rows = [(row["name"], row["others"]) for row in report["rows"]]
    assert rows == [(name, other) for other in others for name in ("human", "idm")]
    assert report["config"]["others"] == list(others)
    assert [row["others"] for row in report["comparisons"]] == list(others)
    named = [{k: v for k, v in row.items() if k != "others"} for row in report["rows"]]
    assert named[:2] == named[2:]
    with open(out.with_suffix(".episodes.csv"), newline="") as file:
        assert {row["others"] for row in csv.DictReader(file)} == set(others)


def test_mistakes(folder, tmp_path):
    paths = (folder / "dense.h5",)
    with pytest.raises(InputError, match="absent: neither a run directory nor one of human"):
        policy_by_name("absent")
    for wrong in ({"slots": 0}, {"limit": 0}):
        with pytest.raises(InputError, match="must be positive"):
            main(("human",), paths, tmp_path / "x.json", split="all", **wrong)
    for others, complaint in ((("replay",) * 2, "named twice"), (("crowd",), "unknown")):
        with pytest.raises(InputError, match=complaint):
            main(("human",), paths, tmp_path / "x.json", split="all", others=others)
    with pytest.raises(InputError, match="use --split all"):
        main(("human",), paths, tmp_path / "x.json")
    assert not (tmp_path / "x.json").exists()
