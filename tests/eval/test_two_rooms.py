"""Two rooms at the smallest scale, from training to table, and what counts as success."""

import dataclasses
import json

import pytest
import torch

from data.toys.rooms import SIDE, Layout, RoomsConfig, draw_rooms
from eval.two_rooms import (
    Protocol,
    embedding_cost,
    navigate,
    outcome,
    privileged_cost,
    references,
    tasks,
    within_a_step,
)
from eval.two_rooms import main as plan
from ppuu.encoders import ConvConfig, GruConfig, JepaNetworkConfig, VectorHead
from ppuu.runtime.errors import InputError
from train.two_rooms import Learner, Training, trained, without
from train.two_rooms import main as train

TINY = Training(
    RoomsConfig(steps=3),
    JepaNetworkConfig(ConvConfig((4, 4), 2), VectorHead(8), GruConfig()),
    updates=3,
    batch=4,
)
SHORT = Protocol(episodes=3, budget=4, horizon=3, replan_every=2, candidates=8, iterations=2)


def test_runs_resume_are_evaluated_once_and_make_a_table(tmp_path, capsys):
    runs = tmp_path / "runs"
    train(runs, ("full", "no-variance"), (0,), TINY)
    first = {path: path.stat().st_mtime_ns for path in runs.glob("*/checkpoint.pt")}
    train(runs, ("full", "no-variance"), (0, 1), TINY)
    assert {path: path.stat().st_mtime_ns for path in first} == first
    plan(runs, tmp_path / "table.json", SHORT)
    cached = {path: path.stat().st_mtime_ns for path in runs.glob("*/evaluation-*.json")}
    assert len(cached) == 4
    plan(runs, None, SHORT)
    assert {path: path.stat().st_mtime_ns for path in cached} == cached
    rows = json.loads((tmp_path / "table.json").read_text())["rows"]
    assert [row["seeds"] for row in rows] == [2, 2, 1, 1]
    assert rows[0]["near_hit"]["n"] == 3
    assert rows[-1]["near_hit"]["n"] == 3
    assert "no-variance" in capsys.readouterr().out
    with pytest.raises(InputError, match="another scale"):
        train(runs, ("full",), (0,), Training())


def test_a_run_that_was_trained_again_is_evaluated_again(tmp_path):
    runs = tmp_path / "runs"
    train(runs, ("full",), (0,), TINY)
    plan(runs, None, SHORT)
    (cached,) = runs.glob("*/evaluation-*.json")
    before = json.loads(cached.read_text())
    (runs / "full-seed0" / "checkpoint.pt").unlink()
    train(runs, ("full",), (0,), dataclasses.replace(TINY, updates=5))
    plan(runs, None, SHORT)
    after = json.loads(cached.read_text())
    assert (before["updates"], after["updates"]) == (3, 5)
    # And what was trained at another scale is no further seed of it.
    train(runs, ("full",), (1,), TINY)
    with pytest.raises(InputError, match="full differ in their training"):
        plan(runs, None, SHORT)


def test_targets_of_a_moving_average_let_the_encoder_learn(tmp_path):
    averaged = dataclasses.replace(TINY.jepa, target_momentum=0.9)
    training = dataclasses.replace(TINY, jepa=averaged)
    torch.manual_seed(0)
    before = Learner(training).jepa
    after = trained(training, 0).jepa
    for part in ("encoder", "target_encoder"):
        old, new = getattr(before, part), getattr(after, part)
        moved = [
            not torch.equal(a, b) for a, b in zip(old.parameters(), new.parameters(), strict=True)
        ]
        assert all(moved[:2]), part


def test_a_single_step_is_refused():
    """Nothing varies within it."""
    with pytest.raises(InputError, match=r"rooms\.steps 1"):
        Training(RoomsConfig(steps=1))
    with pytest.raises(InputError, match="turn_rad nan"):
        RoomsConfig(turn_rad=float("nan"))


def test_a_variant_lacks_its_term():
    rooms = draw_rooms(TINY.rooms, 4, torch.Generator().manual_seed(0))
    losses = {}
    for variant in (
        "full", "no-variance", "no-temporal-variance", "no-covariance", "no-time-similarity",
        "no-inverse-dynamics",
    ):  # fmt: skip
        torch.manual_seed(0)
        losses[variant] = Learner(without(TINY, variant))(rooms).item()
    assert all(losses["full"] > losses[variant] for variant in losses if variant != "full")
    assert without(TINY, "random").updates == 0


def test_a_hit_is_counted_once_and_the_end_is_the_end():
    goal = torch.tensor([[0.5, 0.5]]).expand(3, 2)
    through = torch.tensor([[0.2, 0.5], [0.5, 0.5], [0.8, 0.5]])
    beside = torch.tensor([[0.2, 0.5], [0.5, 0.55], [0.5, 0.55]])
    never = torch.tensor([[0.2, 0.5], [0.3, 0.5], [0.3, 0.5]])
    found = outcome(torch.stack([through, beside, never]), goal)
    assert found == {
        "near_hit": [True, True, False], "near_final": [False, True, False],
        "exact_hit": [True, False, False], "exact_final": [False, False, False],
    }  # fmt: skip


def test_true_motion_reaches_goals_and_random_actions_do_not():
    truth, chance = references(RoomsConfig(), Protocol(episodes=24))
    assert sum(truth["near_hit"]) > 18
    assert sum(chance["near_hit"]) < 6


class Seer(torch.nn.Module):
    """A network whose embedding is the position itself."""

    def encode(self, images):
        centres = (torch.arange(SIDE) + 0.5) / SIDE
        dot = images[:, 0]
        total = dot.sum((-2, -1))
        rows = (dot.sum(-1) * centres).sum(-1) / total
        columns = (dot.sum(-2) * centres).sum(-1) / total
        return torch.stack([rows, columns], dim=1)[..., None, None]

    def unroll(self, state, inputs):
        steps = inputs.cumsum(1)[..., None, None] * 2.0 / SIDE
        return torch.cat([state[:, None], state[:, None] + steps], dim=1)


@pytest.mark.parametrize("cost", ["sum", "late", "last"])
def test_where_nothing_is_in_the_way_embeddings_cost_what_the_truth_costs(cost):
    layout = Layout(torch.full((2,), 26.9), torch.full((2,), 14.0))
    start, goal = torch.full((2, 2), 0.4), torch.tensor([[0.5, 0.6], [0.3, 0.3]])
    protocol = Protocol(episodes=2, horizon=4, cost=cost)
    actions = 0.5 * torch.rand(2, 5, 4, 2, generator=torch.Generator().manual_seed(0))
    ours = embedding_cost(Seer(), layout, goal, protocol)(start)(actions)
    # The mean over two coordinates here, their sum there.
    theirs = privileged_cost(layout, goal, protocol)(start)(actions)
    torch.testing.assert_close(2.0 * ours, theirs, rtol=2e-2, atol=1e-3)


def test_paths_are_no_faster_than_a_step_and_the_same_again():
    layout, start, goal = tasks(RoomsConfig(), SHORT)
    ways = [
        navigate(privileged_cost(layout, goal, SHORT), layout, start, SHORT, 0) for _ in range(2)
    ]
    assert torch.equal(*ways)
    assert (ways[0].diff(dim=1).norm(dim=-1) * SIDE).max() < 2.0 + 1e-4
    assert within_a_step(torch.tensor([[3.0, 4.0], [0.1, 0.0]])).norm(dim=1).tolist() == (
        pytest.approx([1.0, 0.1])
    )


def test_senseless_protocols_are_refused(tmp_path):
    with pytest.raises(InputError, match="planner"):
        Protocol(planner="sgd")
    with pytest.raises(InputError, match=r"train\.two_rooms"):
        plan(tmp_path)
