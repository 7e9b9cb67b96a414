"""What a policy looks at: invariances, gradients, and what is frozen."""

import dataclasses
import math

import pytest
import torch

from ppuu.perception.observation import ObservationConfig
from ppuu.policies import NetworkPolicyConfig
from ppuu.policies.features import EmbeddingConfig, PixelsConfig, TracksConfig
from ppuu.world_models import TokensConfig
from tests.helpers import dense_recording
from tests.rollouts import TINY_MODEL, TINY_OBSERVATION, tiny_clips

SEEN = ObservationConfig(frames=3, stride=3, raster=TINY_OBSERVATION.raster, vehicles=8)
BLIND = dataclasses.replace(SEEN, images=False)


@pytest.fixture(scope="module")
def observation():
    clips = tiny_clips([dense_recording()], config=SEEN)
    index = torch.randint(len(clips), (5,), generator=torch.Generator().manual_seed(0))
    return clips.batch(index).observation


def policy_on(features, components=0):
    torch.manual_seed(0)
    policy = NetworkPolicyConfig(features, hidden=16, components=components).build().eval()
    with torch.no_grad():
        policy.head.last.weight.normal_(0, 0.3)
    return policy


@pytest.fixture
def on_tracks():
    return policy_on(TracksConfig(BLIND, hidden=8, heads=2))


def with_tracks(observation, **changes):
    return dataclasses.replace(
        observation, tracks=dataclasses.replace(observation.tracks, **changes)
    )


def test_the_order_of_vehicles_does_not_matter(on_tracks, observation):
    order = torch.randperm(8, generator=torch.Generator().manual_seed(1))
    tracks = observation.tracks
    shuffled = with_tracks(
        observation,
        **{name: value[:, order] for name, value in vars(tracks).items()},
    )
    torch.testing.assert_close(on_tracks(shuffled), on_tracks(observation), atol=1e-5, rtol=1e-4)


def test_free_slots_do_not_matter(on_tracks, observation):
    """But the vehicles in the others do."""
    present = observation.tracks.valid.clone()
    present[:, 5:] = False
    states = observation.tracks.states.clone()
    states[:, 5:] += 7.0
    alone = with_tracks(observation, valid=present)
    torch.testing.assert_close(
        on_tracks(with_tracks(observation, valid=present, states=states)), on_tracks(alone)
    )
    states = observation.tracks.states.clone()
    states[:, 0, :, 0] += 3.0
    assert (on_tracks(with_tracks(alone, states=states)) != on_tracks(alone)).any()


def test_actions_do_not_depend_on_where_traffic_is_going(on_tracks, observation):
    """Turned and shifted as a whole, road aside, traffic asks for the same actions."""
    angle, shift = 0.7, torch.tensor([120.0, -40.0])
    cos, sin = math.cos(angle), math.sin(angle)

    def moved(states):
        x, y = states[..., 0], states[..., 1]
        place = torch.stack([cos * x - sin * y, sin * x + cos * y], dim=-1) + shift
        return torch.cat([place, states[..., 2:3] + angle, states[..., 3:]], dim=-1)

    with torch.no_grad():
        on_tracks.features.road_encoder[0].weight.zero_()
    turned = with_tracks(observation, states=moved(observation.tracks.states))
    turned = dataclasses.replace(turned, ego=moved(observation.ego))
    torch.testing.assert_close(on_tracks(turned), on_tracks(observation), atol=1e-3, rtol=1e-3)


def test_the_road_is_seen(on_tracks, observation):
    beside = observation.ego.clone()
    beside[..., 1] += 1.2
    tracks = observation.tracks.states.clone()
    tracks[..., 1] += 1.2
    shifted = with_tracks(dataclasses.replace(observation, ego=beside), states=tracks)
    assert (on_tracks(shifted) - on_tracks(observation)).abs().max() > 1e-4


@pytest.mark.parametrize("features", [
    TracksConfig(BLIND, hidden=8, heads=2),
    EmbeddingConfig(TokensConfig(BLIND, hidden=8, pair=4, heads=2)),
    EmbeddingConfig(dataclasses.replace(TINY_MODEL, observation=SEEN)),
    PixelsConfig(SEEN, (4, 4, 4)),
    PixelsConfig(SEEN, (4, 4, 4), draw_ego=True),
])  # fmt: skip
def test_gradients_reach_the_ego(features, observation):
    ego = observation.ego.clone().requires_grad_()
    action = policy_on(features)(dataclasses.replace(observation, ego=ego))
    assert action.shape == (5, 2)
    (slope,) = torch.autograd.grad(action.sum(), ego)
    assert (slope[:, -1].abs().sum(1) > 0).all() and slope.isfinite().all()


def test_the_encoder_of_an_embedding_stays_frozen(observation):
    policy = policy_on(EmbeddingConfig(TokensConfig(BLIND, hidden=8, pair=4, heads=2, dropout=0.5)))
    policy.train()
    assert torch.equal(policy(observation), policy(observation))  # no dropout
    policy(observation).sum().backward()
    learns = {name for name, p in policy.named_parameters() if p.grad is not None}
    assert learns and not any("world_model" in name for name in learns)


def largest(observation):
    """Acceleration and curvature at the limit of the pedals, the wheel and the tyres."""
    curvature = (6.0 / observation.ego[:, -1, 3] ** 2).clamp(max=0.065)
    return torch.stack([torch.full_like(curvature, 6.0), curvature], dim=1)


def drawn_action():
    return torch.randn(5, 2, generator=torch.Generator().manual_seed(1))


def test_a_gaussian_s_surprise_is_its_negative_log_likelihood(observation):
    policy = policy_on(TracksConfig(BLIND, hidden=8, heads=2), components=1)
    deviation = torch.tensor([0.8, 0.01])
    policy.normalizer.action_std.copy_(deviation)
    action = drawn_action() * deviation
    told = policy.head.last(policy._hidden(observation)).detach()
    mean = torch.tanh(told[:, 1:3]) * largest(observation)
    spread = told[:, 3:].clamp(-4.0, 1.0).exp() * deviation
    likely = torch.distributions.Normal(mean, spread).log_prob(action).sum(1)
    # In units of the experts' deviation.
    expected = -likely - deviation.log().sum()
    torch.testing.assert_close(
        policy.negative_log_likelihood(observation, action).detach(), expected
    )


def test_a_mixture_s_surprise_is_torch_s(observation):
    policy = policy_on(TracksConfig(BLIND, hidden=8, heads=2), components=3)
    action = drawn_action()
    told = policy.head.last(policy._hidden(observation)).detach().view(5, 3, 5)
    mean = torch.tanh(told[..., 1:3]) * largest(observation)[:, None]
    parts = torch.distributions.Normal(mean, told[..., 3:].clamp(-4.0, 1.0).exp())
    mixture = torch.distributions.MixtureSameFamily(
        torch.distributions.Categorical(logits=told[..., 0]),
        torch.distributions.Independent(parts, 1),
    )
    torch.testing.assert_close(
        policy.negative_log_likelihood(observation, action), -mixture.log_prob(action)
    )


def test_samples_are_drawn_from_a_generator(observation):
    """Without one the action is the likeliest, in training as well."""
    policy = policy_on(TracksConfig(BLIND, hidden=8, heads=2), components=1)
    steady = policy(observation).detach()
    policy.train()
    before = torch.get_rng_state()
    assert torch.equal(policy(observation), steady)
    one, again = (policy(observation, torch.Generator().manual_seed(3)) for _ in range(2))
    assert torch.equal(one, again)
    generator = torch.Generator().manual_seed(0)
    many = torch.stack([policy(observation, generator).detach() for _ in range(300)])
    assert torch.equal(torch.get_rng_state(), before)
    told = policy.head.last(policy._hidden(observation)).detach()
    spread = told[:, 3:].clamp(-4.0, 1.0).exp()
    torch.testing.assert_close(many[..., 0].std(0), spread[:, 0], rtol=0.2, atol=0.02)
    torch.testing.assert_close(
        many[..., 0].mean(0), steady[:, 0], atol=4 * float(spread[:, 0].max()) / 300**0.5, rtol=0
    )


def test_a_mixture_draws_its_components_by_their_weights(observation):
    policy = policy_on(TracksConfig(BLIND, hidden=8, heads=2), components=2)
    with torch.no_grad():
        # Three times as likely on the left, both narrow.
        policy.head.last.weight.zero_()
        policy.head.last.bias.copy_(
            torch.tensor([math.log(3.0), 0.0, 0.5, -4, -4, 0.0, 0.0, -0.5, -4, -4])
        )
    policy.normalizer.action_std.copy_(torch.tensor([1.0, 1e-4]))
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([policy(observation, generator).detach() for _ in range(200)])
    assert (drawn[..., 1] > 0).float().mean() == pytest.approx(0.75, abs=0.05)
    assert (policy(observation)[:, 1] > 0).all()


def test_the_ego_is_drawn_on_request(observation):
    """In the middle and as large as it is; without, nobody shows it."""
    features = policy_on(PixelsConfig(SEEN, (4, 4, 4), draw_ego=True)).features
    shown = []
    features.convolutions[0].register_forward_hook(
        lambda layer, given, told: shown.append(given[0])
    )
    ego = torch.zeros(len(observation.ego), SEEN.frames * 4 + 2)
    features(observation, ego)
    own, raster = shown[0][:, -1], SEEN.raster
    area = raster.metres_per_pixel**2 * own.sum((1, 2))
    torch.testing.assert_close(area, observation.size_m.prod(-1))
    assert (own[:, raster.rows // 2, raster.columns // 2] == 1).all()
    torch.testing.assert_close(own, own.flip(1))
    torch.testing.assert_close(own, own.flip(2))
    others = policy_on(PixelsConfig(SEEN, (4, 4, 4))).features.convolutions[0].in_channels
    assert features.convolutions[0].in_channels == others + 1
