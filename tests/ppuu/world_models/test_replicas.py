"""Replicas: each is one function for all rows of a batch; the model is not changed."""

import copy
from dataclasses import replace

import pytest
import torch

from ppuu.encoders.dropout import Dropout
from ppuu.runtime.errors import InputError
from ppuu.world_models import ConstantVelocity, DropoutReplicas, Ensemble, MemberReplicas
from tests.models import CONFIGS, ENSEMBLES, STEPS, case_of, contents, model_like_trained, seeded

COUNT = 3
MODELS = [*CONFIGS, *ENSEMBLES]


@pytest.fixture(scope="module", params=MODELS)
def case(request):
    return case_of(request.param)


def predicted(case, seed=0, count=COUNT, shared=True):
    """The replicas and their predictions."""
    generator = seeded(seed)
    replicas = case.model.replicas(count, generator)
    return replicas.predict(
        case.clip.observation, STEPS, replicas.count, generator, case.paths, shared=shared
    )


def apart(prediction):
    """The largest difference between replicas."""
    tensors = contents(prediction)
    return tensors["states" if "states" in tensors else "vehicles"].var(2).max()


@pytest.mark.parametrize("training", [False, True])
def test_the_model_is_not_changed(case, training):
    model = copy.deepcopy(case.model).train(training)
    modes = [module.training for module in model.modules()]
    before = copy.deepcopy(dict(model.state_dict()) | dict(model.named_buffers()))
    random = torch.get_rng_state()
    replicas = model.replicas(COUNT, seeded())
    if not training:  # a model in training draws dropout of its own before replicas begin
        replicas.predict(case.clip.observation, STEPS, replicas.count, seeded(), case.paths)
        assert torch.equal(torch.get_rng_state(), random)
    assert [module.training for module in model.modules()] == modes
    after = dict(model.state_dict()) | dict(model.named_buffers())
    assert after.keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in after.items())
    # They hold no weights of their own, either.
    assert not list(replicas.parameters())
    assert replicas.spec == model.spec


def test_equal_rows_have_equal_predictions(case):
    twice = torch.tensor([0, 0, 1, 1, 2, 2])
    for name, prediction in contents(predicted(case.rows(twice))).items():
        torch.testing.assert_close(prediction[::2], prediction[1::2], rtol=0, atol=1e-12, msg=name)


def test_a_row_does_not_depend_on_the_others(case):
    together = contents(predicted(case))
    for row in range(len(case.paths)):
        for name, alone in contents(predicted(case.rows(torch.tensor([row])))).items():
            expected = together[name][row : row + 1]
            torch.testing.assert_close(alone, expected, rtol=0, atol=1e-9, msg=name)


def test_they_differ_and_depend_on_the_seed(case):
    first, again, other = (predicted(case, seed) for seed in (0, 0, 1))
    assert apart(first) > 1e-8
    key = "states" if "states" in contents(first) else "vehicles"
    prediction, repeated, different = (contents(one)[key] for one in (first, again, other))
    assert torch.equal(prediction, repeated)
    # The members of an ensemble are what they are.
    assert torch.equal(prediction, different) == isinstance(case.model, Ensemble)


def test_they_share_the_noise(case):
    """Samples of other histories have noise of their own, replicas of one history do not."""
    replicas, like = case.model.replicas(COUNT, seeded()), case.clip.observation.ego
    noise = replicas.noise(like, 3, COUNT, STEPS, seeded())
    assert noise.shape == (3, COUNT, STEPS, case.model.spec.latent)
    torch.testing.assert_close(noise, noise[:, :1].expand_as(noise), rtol=0, atol=0)
    assert (noise == 0).all() == isinstance(case.model, Ensemble)


@pytest.mark.parametrize("name", CONFIGS)
def test_without_dropout_there_are_none(name):
    config = CONFIGS[name]
    if name == "jepa":
        predictor = replace(config.jepa.predictor, dropout=0.0)
        config = replace(config, jepa=replace(config.jepa, predictor=predictor))
    else:
        config = replace(config, dropout=0.0)
    model = model_like_trained(config)
    with pytest.raises(InputError, match="has no dropout, so its replicas would be equal"):
        model.replicas(COUNT, seeded())


def test_the_number_of_samples_must_be_that_of_replicas(case):
    """Another number of samples would assign masks to the wrong rows."""
    replicas = case.model.replicas(2, seeded())
    with pytest.raises(InputError, match="3 samples of 2 replicas"):
        replicas.predict(case.clip.observation, STEPS, 3, seeded(), case.paths)


@pytest.mark.parametrize("name", CONFIGS)
def test_a_replica_is_the_model_under_one_mask(name):
    """The same for all rows, candidates and steps; the history is encoded without a mask."""
    case, observation = case_of(name), case_of(name).clip.observation
    replicas = case.model.replicas(COUNT, seeded())
    assert isinstance(replicas, DropoutReplicas)
    noise = case.noise(1)
    prediction = contents(
        replicas.rollout(observation, noise.expand(-1, COUNT, -1, -1), case.paths)
    )
    for k in range(COUNT):
        masked = copy.deepcopy(case.model)
        for layer, module in masked.named_modules():
            if isinstance(module, Dropout) and module.probability:
                module.mask = replicas.masks[f"module.{layer}.mask"][k : k + 1]
                kept = module.mask[module.mask > 0]  # scaled, so that means stay
                assert (kept == 1.0 / (1.0 - module.probability)).all()
        state = case.model.begin(observation)
        alone = contents(masked.rollout_from(state, observation, noise, case.paths))
        for key in {"states", "vehicles", "momentum"} & prediction.keys():
            torch.testing.assert_close(
                prediction[key][:, :, k], alone[key][:, :, 0], rtol=0, atol=1e-9
            )


@pytest.mark.parametrize("name", ENSEMBLES)
def test_replicas_of_an_ensemble_are_its_members(name):
    case = case_of(name)
    replicas = case.model.replicas(COUNT, seeded())
    assert isinstance(replicas, MemberReplicas)
    assert replicas.count == 2  # there are no more different ones
    prediction = contents(predicted(case))
    members = [model_like_trained(CONFIGS[ENSEMBLES[name]], seed).double() for seed in range(2)]
    for k, model in enumerate(members):
        silence = torch.zeros_like(case.noise(1))
        alone = contents(model.rollout(case.clip.observation, silence, case.paths))
        for key in {"states", "vehicles"} & prediction.keys():
            torch.testing.assert_close(
                prediction[key][:, :, k], alone[key][:, :, 0], rtol=0, atol=1e-9
            )


def test_extrapolations_have_none():
    with pytest.raises(InputError, match="ConstantVelocity is not a learned model") as error:
        ConstantVelocity().replicas(2, seeded())
    assert "\n" not in str(error.value)
