"""Value function and cost model: what they are taught, and that they learn it."""

import pytest
import torch

from ppuu.costs import DrivingCost
from ppuu.objectives import cost_model_loss, current_rollout, recorded_rollout, value_loss
from ppuu.objectives.learned_cost_losses import discounted_sum
from ppuu.perception.observation import Observation, ObservationConfig
from ppuu.policies.features import PixelsConfig, TracksConfig
from ppuu.policies.learned_costs import CostModelConfig, ValueConfig
from ppuu.runtime.errors import InputError
from ppuu.world_models import CopyLast, tracks_spec
from tests.helpers import Car, straight_recording
from tests.rollouts import TINY, tiny_clips

STEPS = 4
SEEN = ObservationConfig(3, 3, TINY, vehicles=4)
TRACKS = TracksConfig(SEEN, hidden=8, heads=2)
COST = DrivingCost()


def follower(gap_m):
    """A car behind another one in the same lane, a third one far away in another lane."""
    return straight_recording([Car(0.0), Car(gap_m + 4.5), Car(60.0, lane=2)], frames=60)


@pytest.fixture(scope="module")
def batch():
    clips = tiny_clips([follower(gap) for gap in (2.0, 6.0, 30.0)], 3 * STEPS, SEEN)
    return clips, clips.batch(torch.arange(0, len(clips), 12))


def driven(batch, lost=False):
    """What the recorded driver did, and the target; with ``lost``, no vehicle is recorded."""
    clips, clip = batch
    target = clips.target(clip, CopyLast(tracks_spec(SEEN, 3, 0.1)), STEPS)
    if lost:
        target.valid[:] = False
    actions = clip.actions[:, 2 : 3 * STEPS : 3]
    return recorded_rollout(
        clip.observation, target, actions, clip.previous_action, 0.3, TINY
    ), target


def test_a_sum_is_discounted_from_its_second_term_on():
    costs = torch.tensor([[1.0, 10.0, 100.0]])
    torch.testing.assert_close(discounted_sum(costs, 0.5), torch.tensor([31.0]))
    torch.testing.assert_close(discounted_sum(costs, 1.0), torch.tensor([111.0]))


def test_the_recorded_driver_is_among_the_recorded(batch):
    """Who follows closely pays, who has room does not; a vehicle that is lost costs nothing."""
    rollout, target = driven(batch)
    torch.testing.assert_close(rollout.states[:, 0], target.ego)
    proximity = COST.evaluate(rollout).terms["proximity"]
    ego = batch[1].ego
    assert proximity[ego == 0].min() > 0.5
    assert proximity[ego == 6].max() == 0.0
    gone, _ = driven(batch, lost=True)
    assert COST.evaluate(gone).terms["proximity"].max() == 0.0


def test_the_present_is_where_all_vehicles_are(batch):
    """No vehicle accelerates here, so the costs of now are those of any time."""
    _, clip = batch
    now = COST.evaluate(current_rollout(clip.observation, TINY)).terms
    later = COST.evaluate(driven(batch)[0]).terms
    for name in ("proximity", "lane", "contact"):
        torch.testing.assert_close(now[name], later[name][:, :, :1], atol=1e-3, rtol=1e-3)


def test_the_value_is_regressed_on_what_was_paid(batch):
    _, clip = batch
    rollout, _ = driven(batch)
    torch.manual_seed(0)
    value = ValueConfig(TRACKS, 8, steps=STEPS, discount=0.9).build()
    told = value(clip.observation)
    assert told.shape == clip.ego.shape and (told >= 0).all()
    paid = discounted_sum(COST.evaluate(rollout).total[:, 0], 0.9)
    terms = value_loss(value, clip.observation, rollout, COST)
    torch.testing.assert_close(terms.total, (told - paid).square().mean())
    torch.testing.assert_close(
        terms.named["unexplained"], (told - paid).square().mean().detach() / paid.var()
    )


def trained(judge, loss, updates=150):
    optimizer = torch.optim.Adam(judge.parameters(), lr=5e-3)
    for _ in range(updates):
        terms = loss()
        optimizer.zero_grad()
        terms.total.backward()
        optimizer.step()
    return terms


def test_a_value_falls_with_the_distance_and_pushes_the_ego_back(batch):
    _, clip = batch
    rollout, _ = driven(batch)
    torch.manual_seed(0)
    value = ValueConfig(TRACKS, 16, steps=STEPS).build()
    terms = trained(value, lambda: value_loss(value, clip.observation, rollout, COST))
    assert terms.named["unexplained"] < 0.1
    seen = clip.observation
    ego = seen.ego.clone().requires_grad_()
    told = value(Observation(seen.images, ego, seen.size_m, seen.tracks, seen.road))
    close = clip.ego == 0
    assert told[close].mean() > told[clip.ego == 6].mean() + 0.5
    # Drawing the whole history forwards brings the ego closer to the car ahead, which costs.
    (gradient,) = torch.autograd.grad(told[close].sum(), ego)
    assert gradient[close][..., 0].sum(1).mean() > 0.01


@pytest.mark.parametrize("features", [TRACKS, PixelsConfig(SEEN, (16, 16, 16))])
def test_a_cost_model_learns_proximity(features, batch):
    _, clip = batch
    torch.manual_seed(0)
    model = CostModelConfig(features, 32).build()
    now = current_rollout(clip.observation, TINY)
    terms = trained(model, lambda: cost_model_loss(model, clip.observation, now, COST))
    torch.testing.assert_close(terms.total, sum(terms.named.values()))
    paid = COST.evaluate(now).terms["proximity"]
    assert terms.named["proximity"] < 0.4 * paid.var()
    assert set(model(clip.observation)) == {"proximity", "lane"}


@pytest.mark.parametrize("wrong", [{"steps": 0}, {"discount": 0.0}, {"discount": 1.1}])
def test_a_value_sums_up_something(wrong):
    with pytest.raises(InputError, match=r"must be at least 1, discount .* above 0"):
        ValueConfig(**wrong)
