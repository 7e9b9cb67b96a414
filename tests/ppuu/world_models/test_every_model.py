"""Properties of all world models: independent rows, composable steps, adversarial latents."""

import copy
from dataclasses import replace

import pytest
import torch

from ppuu.costs import DrivingCost
from ppuu.objectives import AdversarialConfig, adversarial_latents
from ppuu.predictions import Rollout
from ppuu.runtime.errors import InputError
from ppuu.runtime.pytree import repeat
from ppuu.world_models import (
    ConstantAcceleration,
    ConstantVelocity,
    CopyLast,
    Ensemble,
    IdmRollForward,
    LatentTemperature,
)
from tests.models import CONFIGS, ENSEMBLES, STEPS, case_of, contents, seeded

SAMPLES = 2
MODELS = [*CONFIGS, *ENSEMBLES]
REFERENCES = [ConstantVelocity, ConstantAcceleration, CopyLast, IdmRollForward]


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    return case_of(request.param)


def assert_same(result, expected, atol=1e-9):
    """All tensors of two predictions are equal."""
    result, expected = contents(result), contents(expected)
    assert result.keys() == expected.keys()
    for name, value in result.items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=atol, msg=name)


def shared(predictor, case):
    """A prediction with noise that all histories share."""
    return predictor.predict(
        case.clip.observation, STEPS, SAMPLES, seeded(), case.paths, shared=True
    )


def rows_apart(predictor, case):
    """Each row is predicted as if it were alone."""
    together = contents(shared(predictor, case))
    for row in range(len(case.paths)):
        for name, alone in contents(shared(predictor, case.rows(torch.tensor([row])))).items():
            expected = together[name][row : row + 1]
            torch.testing.assert_close(alone, expected, rtol=0, atol=1e-9, msg=name)


def test_with_shared_noise_a_row_does_not_depend_on_the_others(case):
    rows_apart(case.model, case)


def test_rows_are_independent_at_any_temperature(case):
    rows_apart(LatentTemperature(case.model, 0.5), case)


@pytest.mark.parametrize("reference", REFERENCES)
def test_rows_of_an_extrapolation_are_independent(reference):
    case = case_of("tokens")
    rows_apart(reference(case.model.spec), case)


def test_independent_noise_differs_between_rows(case):
    """Equal histories have different samples, and equal ones if noise is shared."""
    twice = case.rows(torch.tensor([1, 1]))
    for share in (False, True):
        prediction = contents(
            case.model.predict(
                twice.clip.observation, STEPS, SAMPLES, seeded(), twice.paths, shared=share
            )
        )
        key = "states" if "states" in prediction else "vehicles"
        apart = (prediction[key][0] - prediction[key][1]).abs().max()
        assert apart < 1e-12 if share else apart > 1e-4


def candidates_of(case):
    return case.paths.shape[1] if case.model.spec.conditioned_on_ego else 1


def stepwise(case, noise):
    """The states of a rollout, and where the egos are at each, by one step after the other."""
    model, samples, candidates = case.model, noise.shape[1], candidates_of(case)
    rows = noise[:, None].expand(-1, candidates, -1, -1, -1).flatten(0, 2)
    path = case.paths[:, :candidates].flatten(0, 1).repeat_interleave(samples, 0)
    state = model.repeated(model.begin(case.clip.observation), candidates, samples)
    states, egos = [], []
    for number in range(STEPS):
        if isinstance(model, Ensemble):  # each member has a prior of its own
            state, ego = model.step(state, path[:, number], rows, number)
        else:
            now = rows[:, number if model.spec.latent_span == "step" else 0]
            prior = model.prior(state)
            latent = now if prior is None else prior.reparameterize(now)
            state, ego = model.advance(state, path[:, number], latent)
        states.append(state)
        egos.append(ego)
    return states, torch.stack(egos, dim=1), path


def test_a_rollout_is_begin_advance_and_decode(case):
    """Of all steps at once, or decoded step by step and put together, as an unroll does."""
    noise, observation = case.noise(SAMPLES), case.clip.observation
    whole = case.model.rollout(observation, noise, case.paths)
    assert whole.pose.shape[:3] == (len(case.paths), candidates_of(case), STEPS)
    assert whole.samples == SAMPLES
    states, _, _ = stepwise(case, noise)
    assert_same(case.model.decode(states, observation, SAMPLES), whole)
    parts = [case.model.decode([state], observation, SAMPLES) for state in states]
    assert_same(type(whole).concatenate(parts), whole)
    for number, part in enumerate(parts):
        assert_same(whole.at(number), part)


def test_a_rollout_can_begin_from_a_state(case):
    noise, observation = case.noise(SAMPLES), case.clip.observation
    begun = case.model.begin(observation)
    for _ in range(2):  # and leaves it as it was
        again = case.model.rollout_from(begun, observation, noise, case.paths)
        assert_same(again, case.model.rollout(observation, noise, case.paths), atol=0)


def test_only_models_that_move_the_ego_change_it(case):
    noise = case.noise(SAMPLES)
    _, egos, path = stepwise(case, noise)
    assert torch.equal(egos, path) != case.model.spec.moves_ego
    if case.model.spec.conditioned_on_ego:
        whole = case.model.rollout(case.clip.observation, noise, case.paths)
        first = egos.unflatten(0, (len(case.paths), -1, SAMPLES))[:, :, 0, :, :3]
        torch.testing.assert_close(first, whole.pose, rtol=0, atol=1e-9)


def test_one_noise_for_all_is_the_same_noise_for_each(case):
    noise, observation = case.noise(SAMPLES, rows=1), case.clip.observation
    each = noise.expand(len(case.paths), -1, -1, -1)
    one, all_of_them = (case.model.rollout(observation, n, case.paths) for n in (noise, each))
    assert_same(one, all_of_them, atol=0)


@pytest.mark.parametrize("name", ENSEMBLES)
def test_an_ensemble_has_no_posterior_and_says_so_in_one_line(name):
    case = case_of(name)
    target = case.clips.target(case.clip, case.model, STEPS)
    with pytest.raises(InputError, match="an ensemble has no posterior") as error:
        case.model.posterior(case.model.begin(case.clip.observation), target, 0)
    assert "\n" not in str(error.value)


def driven(case, begun=1):
    """The recorded drive, from so many beginnings of each history."""
    observation = repeat(case.clip.observation, begun)
    path = case.paths[:, :1].expand(-1, begun, -1, -1)
    prediction = case.model.rollout(case.clip.observation, case.noise(1), path)
    actions = case.clip.actions[:, None, 2 : 3 * STEPS : 3].expand(-1, begun, -1, -1)
    before = case.clip.previous_action[:, None].expand(-1, begun, -1)
    return Rollout(
        path, actions, before, observation.size_m[::begun], prediction, case.model.step_s
    )


def danger(case, noise):
    """Costs of the surroundings that noise stands for."""
    prediction = case.model.rollout(case.clip.observation, noise[:, None], case.paths[:, :1])
    return DrivingCost().evaluate(replace(driven(case), prediction=prediction)).vehicle_cost.mean()


def test_adversarial_latents_are_more_dangerous_by_one_step(case):
    model, noise = case.model, case.noise(1, seed=5)[:, 0]
    before = copy.deepcopy(dict(model.named_parameters()))
    rate = 1e-4
    moved = adversarial_latents(
        model, case.clip.observation, noise, driven(case), DrivingCost(),
        AdversarialConfig(step_size=rate),
    )  # fmt: skip
    assert moved.shape == noise.shape and not moved.requires_grad
    by = (moved - noise).abs()
    torch.testing.assert_close(by, by.round(decimals=4), rtol=0, atol=1e-9)
    assert by.max() == pytest.approx(rate) and danger(case, moved) > danger(case, noise)
    assert not model.training
    for name, weight in model.named_parameters():
        assert weight.grad is None and torch.equal(weight, before[name])


def test_of_several_beginnings_the_first_one_counts(case):
    noise = case.noise(1, seed=5)[:, 0]
    config = AdversarialConfig(step_size=0.1)
    one, first = (
        adversarial_latents(
            case.model, case.clip.observation, noise, driven(case, begun), DrivingCost(), config
        )
        for begun in (1, 2)
    )
    torch.testing.assert_close(first, one)
