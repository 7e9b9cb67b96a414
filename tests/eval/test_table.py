"""The table of policies: what is trained for it, and how its numbers come about."""

from pathlib import Path

import pytest

import train.policy
import train.world_model
from eval.studies.pipeline import Step, carry_out
from eval.studies.table_rows import ENSEMBLE, FAMILIES, PRESETS, WORLDS
from eval.table import main, markdown, plan, tabulate
from ppuu.runtime.errors import InputError
from tests.helpers import dense_recording


def planned(preset, seeds=(0, 1)):
    scale = {"world_model": ("--updates", "7"), "policy": (), "imitation": ()}
    return plan(
        Path("out"),
        preset,
        [Path("a.h5")],
        [Path("t.h5")],
        seeds,
        scale,
        ("replay", "reactive", "ppuu"),
        9,
    )


@pytest.mark.parametrize("preset", PRESETS)
def test_every_row_is_trained_once_a_seed(preset):
    models, starts, policies, scores = planned(preset)
    rows = [row for row in PRESETS[preset].learned if row.method != "imitation"]
    assert len(policies) == 2 * len(rows)
    for stage in (models, starts, policies):
        assert len({step.product for step in stage}) == len(stage)
    for model in models:
        assert model.words[-2:] == ("--updates", "7")
    # What a policy needs is made in an earlier stage, from the same seed.
    made = {str(step.product.parent) for step in (*models, *starts)}
    for policy in policies:
        words = policy.words
        assert words[words.index("--world-model") + 1] in made
        assert words[words.index("--init") + 1] in made
        assert words[words.index("--world-model") + 1][-1] == words[words.index("--init") + 1][-1]
    assert len(scores) == 3
    assert "--protocol" in scores[2].words and "--protocol" not in scores[0].words
    assert all("no-action" in s.words and s.words[0] == "eval.closed_loop" for s in scores)


def test_the_presets_that_rows_name_exist():
    for family in FAMILIES.values():
        assert family.world_model in train.world_model.PRESETS
        assert family.policy in train.policy.PRESETS
    for preset in PRESETS.values():
        for row in preset.learned:
            assert row.world in {*WORLDS, ENSEMBLE} and row.family in FAMILIES
            assert row.method in train.policy.Method.__args__


def episode(policy, vehicle, outcome, distance, at_fault="True", others="replay"):
    return {
        "policy": policy, "others": others, "recording": "r", "vehicle_id": str(vehicle),
        "outcome": outcome, "at_fault": at_fault, "distance_m": str(distance),
    }  # fmt: skip


def test_rows_pool_their_seeds():
    episodes = [
        episode("a-seed0", 1, "arrived", 200), episode("a-seed0", 2, "collision", 100),
        episode("a-seed1", 1, "arrived", 200),
        episode("a-seed1", 2, "collision", 60, at_fault="False"),
        episode("human", 1, "arrived", 210), episode("human", 2, "survived", 190),
    ]  # fmt: skip
    rows = {"human": (["human"], "100"), "A": (["a-seed0", "a-seed1"], "7")}
    human, ours = tabulate(episodes, rows)
    assert (human["success"].value, human["distance_m"].value) == (1.0, 200.0)
    assert human["seed_deviation"] is None
    assert ours["seeds"] == 2
    assert ours["success"].value == 0.5 and ours["seed_deviation"] == 0.0
    # The hit from behind is not counted at all.
    assert ours["success_alt"].value == pytest.approx(2 / 3)
    assert ours["distance_m"].value == 140.0
    # Two scenarios, one always and one never passed: that is all we know.
    assert (ours["success"].low, ours["success"].high) == (0.0, 1.0)
    text = markdown([human, ours])
    assert "| A | replay | 50.0 (0.0-100.0) | 0.0 | 66.7" in text and text.count("\n") == 4


def test_an_ensembles_members_are_all_seeds_of_the_first_world():
    _, _, policies, _ = planned("ablations")
    words = next(p.words for p in policies if "ensemble" in p.title and p.title.endswith("seed1"))
    first = words.index("--world-model") + 1
    assert [Path(word).name for word in words[first : first + 2]] == [
        "tokens-stochastic-seed1", "tokens-stochastic-seed0",
    ]  # fmt: skip
    assert words[first + 2] == "--init"


def test_ppuus_episodes_are_counted_by_its_own_rules():
    struck = {
        "policy": "a", "others": "ppuu", "recording": "r", "vehicle_id": "1",
        "outcome": "collision", "alt_outcome": "arrived", "ahead_collision": "False",
        "distance_m": "50",
    }  # fmt: skip
    (row,) = tabulate([struck, struck | {"ahead_collision": "True"}], {"A": (["a"], "")})
    assert (row["success"].value, row["success_alt"].value) == (0.0, 0.5)


def test_steps_are_taken_once_and_a_failure_is_named(tmp_path):
    first = Step("first", ("platform",), tmp_path / "first")
    second = Step("second", ("platform",), tmp_path / "second")
    assert set(carry_out([[first, second]], 1)) == {"first", "second"}
    assert carry_out([[first, second]]) == {}
    # What was made from something older is stale.
    first.product.unlink()
    assert set(carry_out([[first], [second]])) == {"first", "second"}
    other = Step("first", ("platform", "--terse"), tmp_path / "first")
    with pytest.raises(InputError, match="made by another command"):
        carry_out([[other]])
    broken = Step("broken", ("no.such.module",), tmp_path / "broken")
    with pytest.raises(InputError, match="'broken' failed"):
        carry_out([[broken]])
    assert not broken.product.exists()


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"others": ("replai",)}, "--others replai"),
        ({"others": ()}, "--others"),
        ({"limit": 0}, "--limit 0"),
        ({"seeds": (0, 0)}, "--seeds 0 0: one of them twice"),
        ({"seeds": (3,), "preset": "ablations"}, "--seeds 3: --preset ablations has a row"),
        ({"test": (Path("none.h5"),)}, "none.h5"),
        ({"others": ("policy:nope",)}, "--others policy: nope"),
        ({"out": Path("a,b")}, "--out a,b"),
    ],
)
def test_what_cannot_be_scored_is_refused_before_training(change, complaint, tmp_path, monkeypatch):
    recording = tmp_path / "dense.h5"
    dense_recording(per_lane=2, frames=40).save(recording)
    monkeypatch.setattr("eval.table.carry_out", lambda *_: pytest.fail("training began"))
    learnt = tmp_path / "learnt.h5"
    dense_recording(per_lane=2, frames=41).save(learnt)
    words = {"recordings": (learnt,), "test": (recording,), "out": tmp_path / "out"} | change
    with pytest.raises((InputError, OSError), match=complaint):
        main(**words)


def test_what_is_learnt_from_is_not_driven_in(tmp_path, monkeypatch):
    recording = tmp_path / "dense.h5"
    dense_recording(per_lane=2, frames=40).save(recording)
    monkeypatch.setattr("eval.table.carry_out", lambda *_: pytest.fail("training began"))
    with pytest.raises(InputError, match="is among --recordings"):
        main((recording,), (recording,), tmp_path / "out")


def test_other_options_are_refused_even_where_something_older_is_missing(tmp_path):
    """Else a policy of other options would be taken further, beside a new seed's."""
    model, policy, score = (
        Step(name, ("platform",), tmp_path / name) for name in ("model", "policy", "score")
    )
    carry_out([[model], [policy], [score]])
    further = Step("another seed", ("platform",), tmp_path / "further")
    other = Step("policy", ("platform", "--terse"), tmp_path / "policy")
    with pytest.raises(InputError, match="policy: made by another command"):
        carry_out([[model, further], [other], [score]])
    assert policy.product.exists() and not further.product.exists()
    # Results of all that is there are made anew, whatever else was asked of them before.
    wider = Step("score", ("platform", "--terse"), tmp_path / "score")
    assert set(carry_out([[model, further], [policy], [wider]])) == {
        "another seed", "policy", "score",
    }  # fmt: skip


def test_a_step_that_was_stopped_is_known_by_its_command(tmp_path):
    """What it left is not taken for the product of other options."""
    step = Step("one", ("no.such.module",), tmp_path / "product")
    with pytest.raises(InputError, match="failed"):
        carry_out([[step]])
    step.product.touch()
    with pytest.raises(InputError, match="made by another command"):
        carry_out([[Step("one", ("no.such.module", "--else"), tmp_path / "product")]])
