"""What replicas disagree about: standardised along expert paths, with gradients."""

from dataclasses import replace

import torch

from ppuu.costs import Contact, DrivingCost, DrivingCostConfig, Proximity, Uncertainty
from ppuu.perception.raster_image import RasterConfig
from ppuu.predictions import OccupancyPrediction, RasterizedMotion
from tests.rollouts import crowd, random_images

SMALL = DrivingCostConfig(proximity=Proximity(weight=0.1), contact=Contact(weight=0.1))
"""Costs around 1, where their bound does not saturate."""


def replica_costs(rollout):
    return DrivingCost(SMALL).evaluate(rollout).vehicle_cost


def expert_paths(rows=200, replicas=5, time=3):
    """Costs and images of replicas along many paths."""
    generator = torch.Generator().manual_seed(0)
    costs = torch.rand(rows, 1, replicas, time, generator=generator)
    costs = costs * torch.tensor([1.0, 2.0, 4.0])
    images = torch.rand(rows, 1, replicas, time, 4, 2, generator=generator)
    rollout = random_images(rows, samples=replicas, time=time, raster=RasterConfig(4, 2))
    prediction = OccupancyPrediction(
        rollout.prediction.pose.float(), RasterConfig(4, 2), images,
        torch.zeros(rows, 1, 1, time, 2, 4, 2), RasterizedMotion(lambda: images[:, :, :, :, None]),
    )  # fmt: skip
    return replace(rollout, prediction=prediction), costs, images


def test_variances_by_hand():
    """Of costs, bounded as 1 - exp(-cost), and of pixels."""
    rollout, costs, images = expert_paths()
    told = Uncertainty(3, include_predictions=True).variances(rollout, costs)
    assert told.shape == (200, 1, 2, 3)
    bounded = 1 - torch.exp(-costs)
    expected = ((bounded - bounded.mean(2, keepdim=True)) ** 2).sum(2) / 4
    torch.testing.assert_close(told[:, :, 0], expected)
    pixels = ((images - images.mean(2, keepdim=True)) ** 2).sum(2) / 4
    torch.testing.assert_close(told[:, :, 1], pixels.mean((-2, -1)))
    without = Uncertainty(3).variances(rollout, costs)
    torch.testing.assert_close(without, told[:, :, :1])


def test_disagreement_is_standardised_along_expert_paths():
    rollout, costs, _ = expert_paths()
    uncertainty = Uncertainty(3, hinge=0.5, include_predictions=True)
    told = uncertainty.variances(rollout, costs)
    uncertainty.fit(told[:, 0])
    torch.testing.assert_close(uncertainty.expert_mean, told[:, 0].mean(0))
    torch.testing.assert_close(uncertainty.expert_std, told[:, 0].std(0))
    standard = uncertainty.standardise(told)
    torch.testing.assert_close(standard.mean((0, 1)), torch.zeros(2, 3), atol=1e-4, rtol=0)
    torch.testing.assert_close(standard[:, 0].std(0), torch.ones(2, 3), atol=1e-4, rtol=0)
    found = uncertainty.disagreement(told)
    assert found.shape == (200, 1, 3)
    torch.testing.assert_close(found, (standard - 0.5).clamp(min=0).sum(2), atol=1e-4, rtol=0)
    # A shorter horizon uses the first steps.
    torch.testing.assert_close(uncertainty.disagreement(told[..., :2]), found[..., :2])


def test_replicas_that_agree_cost_nothing():
    rollout, costs, _ = expert_paths()
    alike = costs[:, :, :1].expand(-1, -1, 5, -1)
    assert (Uncertainty(3).variances(rollout, alike) == 0).all()
    same = replace(rollout.prediction, vehicles=rollout.prediction.vehicles[:, :, [0] * 5])
    told = Uncertainty(3, include_predictions=True).variances(
        replace(rollout, prediction=same), alike
    )
    assert (told == 0).all()
    unfitted = Uncertainty(3, hinge=0.0, include_predictions=True)
    assert (unfitted.disagreement(told) == 0).all()


def test_experts_that_never_disagree_do_not_blow_it_up():
    uncertainty = Uncertainty(2)
    uncertainty.fit(torch.zeros(10, 1, 2))
    assert uncertainty.disagreement(torch.full((1, 1, 1, 2), 1e-3)).isfinite().all()


def test_every_candidate_is_measured_by_itself():
    rollout = crowd(rows=2, candidates=3, samples=4, dtype=torch.float64)
    uncertainty = Uncertainty(2, hinge=0.0, include_predictions=True).double()
    told = uncertainty.variances(rollout, replica_costs(rollout))
    assert told.shape == (2, 3, 2, 2)
    # Boxes that are the same for all candidates disagree equally along all of them.
    shared = rollout.prediction.disagreement()
    torch.testing.assert_close(told[:, :, 1], shared.expand(-1, 3, -1))
    for candidate in range(3):
        one = slice(candidate, candidate + 1)
        alone = replace(rollout, states=rollout.states[:, one], actions=rollout.actions[:, one])
        found = uncertainty.variances(alone, replica_costs(alone))
        torch.testing.assert_close(found, told[:, one])


def check(rollout):
    """Gradients of the disagreement by the path, against finite differences."""
    uncertainty = Uncertainty(2, hinge=0.0).double()
    uncertainty.expert_mean.fill_(-1e-3)

    def disagreement(states):
        moved = replace(rollout, states=states)
        return uncertainty.disagreement(uncertainty.variances(moved, replica_costs(moved)))

    states = rollout.states.clone().requires_grad_()
    value = disagreement(states)
    assert (value > 1e-4).all()
    assert torch.autograd.gradcheck(disagreement, [states], eps=1e-8, atol=1e-5, rtol=1e-4)
    assert torch.autograd.grad(value.sum(), states)[0].abs().sum() > 1e-6


def test_gradients_of_disagreement_on_images():
    check(random_images(samples=4))


def test_gradients_of_disagreement_among_boxes():
    check(crowd(samples=4, candidates=2, dtype=torch.float64))


def test_gradients_reach_predictions_that_disagree():
    rollout = random_images(samples=4, dtype=torch.float32)
    vehicles = rollout.prediction.vehicles.clone().requires_grad_()
    moving = replace(rollout, prediction=replace(rollout.prediction, vehicles=vehicles))
    uncertainty = Uncertainty(2, hinge=0.0, include_predictions=True)
    told = uncertainty.variances(moving, replica_costs(moving))
    for kind in range(2):
        gradient = torch.autograd.grad(told[:, :, kind].sum(), vehicles, retain_graph=True)[0]
        assert gradient.abs().max() > 1e-6


def test_gradients_outside_the_view():
    rollout = random_images()
    far = rollout.states + torch.tensor([6.0, 1.0, 0, 0])

    def outside(states):
        return rollout.prediction.outside_view_m(replace(rollout, states=states).ego)

    assert (outside(far) > 0.1).all()
    assert torch.autograd.gradcheck(outside, [far.requires_grad_()], eps=1e-7, atol=1e-6)
