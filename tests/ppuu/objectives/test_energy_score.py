"""The energy score: what it adds up to, and that honest futures win it."""

import math
from dataclasses import replace

import pytest
import torch

from ppuu.geometry import to_world
from ppuu.objectives import WorldModelLossConfig, world_model_loss
from ppuu.objectives.energy_score import energy_scores
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.road_map import LocalRoad, RoadMap
from ppuu.predictions import BoxPrediction, Target
from ppuu.runtime.errors import InputError
from ppuu.world_models import TokensConfig
from tests.helpers import dense_recording
from tests.rollouts import TINY, TINY_MODEL, tiny_clips

STEPS = 3
CONFIG = TokensConfig(
    ObservationConfig(3, 3, TINY, vehicles=4), hidden=8, pair=8, scene_latent=1,
    latent_span="rollout",
)  # fmt: skip


def by_loops(off, weight, across_weight):
    """The same, future by future."""
    batch, count, steps, slots = off.shape[:4]

    def norm(x, w):
        squares = x[..., 0] ** 2 + across_weight * x[..., 1] ** 2
        return math.sqrt(float((w * squares).sum()) + 1e-4)

    def score(x, w):
        truth = sum(norm(x[k], w) for k in range(count)) / count
        pairs = [norm(x[k] - x[m], w) for k in range(count) for m in range(count) if k != m]
        return truth - 0.5 * sum(pairs) / len(pairs)

    vehicles, scenes = [], []
    for element in range(batch):
        x, w = off[element], weight[element] / steps
        known = [slot for slot in range(slots) if w[:, slot].max() > 0]
        vehicles += [score(x[:, :, slot], w[:, slot]) for slot in known]
        scenes.append(score(x, w / max(1, len(known))))
    return sum(vehicles) / len(vehicles), sum(scenes) / len(scenes)


@pytest.mark.parametrize("count", [2, 3, 4])
def test_scores_are_those_of_loops(count):
    torch.manual_seed(0)
    off = torch.randn(3, count, 4, 5, 2, dtype=torch.float64)
    weight = torch.rand(3, 4, 5, dtype=torch.float64) * (torch.rand(3, 4, 5) < 0.7)
    weight[1, :, 2] = 0.0
    named = energy_scores(off, weight, 3.0)
    vehicles, scenes = by_loops(off, weight, 3.0)
    assert named["vehicle_score"].item() == pytest.approx(vehicles)
    assert named["scene_score"].item() == pytest.approx(scenes)
    # What is not known has no say.
    off = torch.where((weight > 0)[:, None, ..., None], off, 99.0)
    assert energy_scores(off, weight, 3.0)["scene_score"].item() == pytest.approx(scenes)


def test_honest_futures_win():
    """Truth of deviation 1: futures of the same win against narrower and wider ones, on average."""
    torch.manual_seed(0)
    noise = torch.randn(60_000, 5, 1, 1, 2)
    truth, drawn = noise[:, :1], noise[:, 1:]
    weight = torch.ones(len(noise), 1, 1)

    def score(deviation):
        named = energy_scores(deviation * drawn - truth, weight, 1.0)
        assert named["vehicle_score"] == pytest.approx(named["scene_score"].item(), rel=1e-4)
        return named["vehicle_score"].item()

    honest = score(1.0)
    for other in (0.0, 0.6, 1.4):
        assert score(other) > honest + 0.01


def deviations(prediction, target):
    """What energy scores are made of."""
    errors = prediction.errors(target)
    off = torch.stack([errors["along_m"].value, errors["across_m"].value], dim=-1)
    return off, errors["along_m"].weight[:, 0]


def test_errors_are_along_and_across_the_true_vehicle():
    heading = math.radians(40)
    true = torch.tensor([100.0, 50.0, heading, 10.0]).expand(1, 1, 2, 4)
    ahead = to_world(torch.tensor([[3.0, 0.5, 0.0, 0.0]]), true[0, 0, :1])[0]
    told = torch.stack([torch.cat([ahead[:3], true[0, 0, 0, 3:]])] * 2)[None, None, None, :, None]
    ego = torch.tensor([100.0, 80.0, 0.0, 10.0]).expand(1, 2, 4)
    valid = torch.tensor([[[True, False]]])
    road = LocalRoad(
        RoadMap.build([dense_recording().road], TINY), torch.zeros(1, dtype=torch.long)
    )
    here, pose = torch.ones(1, 1, dtype=torch.bool), torch.zeros(1, 1, 2, 3)
    prediction = BoxPrediction(pose, TINY, told, torch.ones(1, 1, 2), here, road)
    off, weight = deviations(prediction, Target(ego, true, valid))
    torch.testing.assert_close(off[0, 0, :, 0], torch.tensor([[3.0, 0.5]] * 2), atol=1e-4, rtol=0)
    # 30 m from the ego: half the weight; not known: none.
    torch.testing.assert_close(weight[0, :, 0], torch.tensor([0.5, 0.0]))


@pytest.fixture(scope="module")
def case():
    clips = tiny_clips([dense_recording(per_lane=3, frames=60)], 3 * STEPS, CONFIG.observation)
    clip = clips.batch(torch.arange(0, len(clips), 60), images=False)
    torch.manual_seed(0)
    model = CONFIG.build()
    return model, clip.observation, clips.target(clip, model, STEPS)


def test_scores_are_added_to_a_loss_without_z_dropout(case):
    model, observation, target = case
    both = WorldModelLossConfig(samples=3, score_weight=0.5, kl_weight=1e-3)
    alone = replace(both, samples=0, latent_dropout=0.0)
    torch.manual_seed(0)  # dropout of the model
    terms = world_model_loss(model, observation, target, both, torch.Generator().manual_seed(0))
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(0)
    inferred = world_model_loss(model, observation, target, alone, generator)
    sampled = model.predict(observation, STEPS, 3, generator)
    scores = energy_scores(*deviations(sampled, target), 3.0)
    expected = 0.5 * (scores["vehicle_score"] + 0.3 * scores["scene_score"])
    torch.testing.assert_close(terms.total, inferred.total + expected)
    assert set(terms.named) == {*inferred.named, *scores}
    terms.total.backward()
    for name, weight in model.named_parameters():
        assert weight.grad is not None, name


def test_pixels_have_no_energy_score():
    clips = tiny_clips([dense_recording(per_lane=2, frames=40)], 6)
    clip = clips.batch(torch.tensor([0]))
    model = TINY_MODEL.build()
    target, config = clips.target(clip, model, 2), WorldModelLossConfig(samples=2)
    with pytest.raises(InputError, match="samples 2: energy scores need a model of tracks"):
        world_model_loss(model, clip.observation, target, config, torch.Generator())
    for samples in (-1, 1):
        with pytest.raises(InputError, match=f"samples {samples}"):
            WorldModelLossConfig(samples=samples)
