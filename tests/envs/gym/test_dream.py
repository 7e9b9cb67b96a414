"""``ppuu/Dream-v1``: the real environment's conventions, with imagined surroundings."""

import dataclasses
import pickle
import warnings

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from envs.core.imagined_simulator import ImaginedSimulator
from envs.core.scenario import list_scenarios
from envs.core.simulator import SimulatorConfig
from envs.gym.dense_traffic import DenseTrafficEnv
from envs.gym.dream import UNKNOWN, DreamEnv, DreamVectorEnv
from ppuu.loading.runs import load_world_model, weights_hash
from ppuu.perception.observation import ObservationConfig
from ppuu.perception.raster_image import RasterConfig
from ppuu.perception.road_map import RoadMap
from ppuu.recordings.scene import Scene
from ppuu.runtime.checkpoint import FILE_NAME, Checkpoint
from ppuu.runtime.config import to_json
from ppuu.runtime.errors import InputError
from ppuu.world_models import CoupledConfig, DecoupledConfig, TokensConfig
from tests.envs.gym.test_environments import same, same_infos, swerve
from tests.helpers import Car, dense_recording, straight_recording

ID = "envs:ppuu/Dream-v1"
MODEL = DecoupledConfig(channels=(4, 8, 8), latent=4)
"""Untrained, it predicts constant velocity whatever the latents; see ``moody``."""
TOKENS = TokensConfig(hidden=8, pair=8)
"""Untrained, it predicts boxes of constant velocity."""


def save_model(folder, config=MODEL, moody=False) -> str:
    """A run directory with a fresh model; a moody one listens to its latents."""
    torch.manual_seed(0)
    model = config.build()
    if moody:
        last = model.action_head if isinstance(config, TokensConfig) else model.motion_change_head
        torch.nn.init.normal_(last[-1].weight, std=0.3)
    weights = model.state_dict()
    saved = Checkpoint("world_model", {"model": to_json(config)}, weights, 0, {})
    folder.mkdir(exist_ok=True)
    saved.save(folder / FILE_NAME)
    return str(folder)


@pytest.fixture(scope="module")
def settings(tmp_path_factory) -> dict:
    folder = tmp_path_factory.mktemp("dream")
    dense_recording().save(folder / "dense.h5")
    return {"recording": str(folder / "dense.h5"), "world_model": save_model(folder / "world")}


@pytest.fixture(scope="module")
def boxes(settings, tmp_path_factory) -> dict:
    return settings | {"world_model": save_model(tmp_path_factory.mktemp("boxes"), TOKENS)}


@pytest.fixture(params=["images", "boxes"])
def either(request, settings, boxes) -> dict:
    """In a model of images, or of boxes."""
    return settings if request.param == "images" else boxes


@pytest.fixture(scope="module")
def moody(settings, tmp_path_factory) -> dict:
    return settings | {"world_model": save_model(tmp_path_factory.mktemp("moody"), moody=True)}


def real(settings: dict) -> DenseTrafficEnv:
    return DenseTrafficEnv(settings["recording"])


STILL = np.zeros(2, np.float32)


def test_gymnasiums_checker_has_nothing_to_say(settings):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gymnasium.make(ID, **settings, render_mode="rgb_array")
        check_env(made.unwrapped)
        made.close()


def test_spaces_and_first_observation_are_the_real_ones(settings):
    dream, world = DreamEnv(**settings), real(settings)
    assert dream.observation_space == world.observation_space
    assert dream.action_space == world.action_space
    for options in ({"scenario": 5}, {"scenario": 5, "start_frame": 30}):
        imagined, info = dream.reset(options=options)
        seen, true_info = world.reset(options=options)
        for name, values in seen.items():
            np.testing.assert_array_equal(imagined[name], values)
        extra = {"imagined": True, "beyond_view": False}
        assert info == {k: v for k, v in true_info.items() if k not in UNKNOWN} | extra


def test_the_egos_motion_and_rewards_are_exact(settings):
    dream, world = DreamEnv(**settings), real(settings)
    for env in (dream, world):
        env.reset(options={"scenario": 17})
    for action in np.array([[0.3, 0.0], [-0.4, 0.1], [0.0, -0.1]], np.float32):
        *_, imagined = dream.step(action)
        terms = [world.step(action)[-1] for _ in range(3)]
        assert imagined["speed_mps"] == terms[-1]["speed_mps"]
        for key in ("progress_m", "human_progress_m", "time_s", "frame"):
            assert imagined[key] == pytest.approx(terms[-1][key], abs=1e-5), key
        earned = sum(term["reward/progress"] for term in terms)
        assert imagined["reward/progress"] == pytest.approx(earned, abs=1e-5)
        effort = sum(term["reward/comfort"] for term in terms)
        assert imagined["reward/comfort"] == pytest.approx(effort, rel=0.15)
    simulators = (env._episodes.simulator for env in (dream, world))
    states = [simulator.state for simulator in simulators]
    assert torch.equal(*states)


def test_what_is_imagined_is_near_what_happens(either):
    """Untrained, the models carry on at the speeds seen; that beats the first image."""
    dream, world = DreamEnv(**either), real(either)
    errors = []
    for scenario in range(8):
        first, _ = dream.reset(options={"scenario": scenario})
        world.reset(options={"scenario": scenario})
        for _ in range(3):
            imagined, _, terminated, truncated, _ = dream.step(STILL)
            assert not (terminated or truncated)
        for _ in range(9):
            truth = world.step(STILL)[0]
        images = [seen["image"][-2] / 255.0 for seen in (imagined, first, truth)]
        errors.append([np.square(image - images[2]).mean() for image in images[:2]])
    assert np.mean(errors, axis=0)[0] < 0.5 * np.mean(errors, axis=0)[1]


def test_the_history_moves_on(settings):
    env = DreamEnv(**settings, history_frames=2, history_stride=6)
    frames = [env.reset(seed=3)[0]["image"]] + [env.step(STILL)[0]["image"] for _ in range(3)]
    np.testing.assert_array_equal(frames[2][:3], frames[0][3:])
    np.testing.assert_array_equal(frames[3][:3], frames[1][3:])
    assert not np.array_equal(frames[1][:3], frames[0][3:])


def run(env, seed, steps=6):
    found = [env.reset(seed=seed)]
    for action in swerve(np.random.default_rng(7), steps):
        observation, reward, terminated, truncated, info = env.step(action)
        assert env.observation_space.contains(observation)
        found.append((observation, {**info, "reward": reward}))
        if terminated or truncated:
            break
    return found


def test_a_seed_fixes_start_and_future_whatever_came_before(moody):
    env = DreamEnv(**moody)
    first = run(env, 11)
    run(env, 12)
    env.reset(options={"scenario": 2})
    again, fresh = run(env, 11), run(DreamEnv(**moody), 11)
    for one, two, three in zip(first, again, fresh, strict=True):
        for key in ("image", "ego"):
            np.testing.assert_array_equal(one[0][key], two[0][key])
            np.testing.assert_array_equal(one[0][key], three[0][key])
        assert one[1] == two[1] == three[1]


@pytest.mark.parametrize("config", [MODEL, TOKENS], ids=["images", "boxes"])
def test_futures_of_the_same_moment_differ(config, settings, tmp_path):
    def after(env, seed):
        env.reset(seed=seed, options={"scenario": 3})
        for _ in range(3):
            observation = env.step(STILL)[0]
        return observation["image"][-2].astype(int)

    moody = save_model(tmp_path / "moody", config, moody=True)
    env = DreamEnv(**settings | {"world_model": moody})
    assert np.abs(after(env, 0) - after(env, 1)).max() > 5
    starts = {DreamEnv(**settings).reset(seed=seed)[1]["frame"] for seed in range(6)}
    assert len(starts) > 3


@pytest.mark.parametrize("mode", ["next_step", "same_step", "disabled"])
def test_the_vector_environment_equals_single_ones(moody, mode):
    count, kwargs = 3, moody | {"horizon_s": 1.5}
    vector = DreamVectorEnv(count, autoreset_mode=mode, **kwargs)
    singles = SyncVectorEnv(
        [lambda: DreamEnv(**kwargs) for _ in range(count)],
        autoreset_mode=AutoresetMode[mode.upper()],
    )
    random = np.random.default_rng(0)
    found, expected = vector.reset(seed=5), singles.reset(seed=5)
    same_infos(found[1], expected[1])
    endings = 0
    for _ in range(12):
        actions = swerve(random, count)
        found, expected = vector.step(actions), singles.step(actions)
        same(found[0], expected[0])
        np.testing.assert_allclose(found[1], expected[1], atol=1e-4)
        np.testing.assert_array_equal(found[2], expected[2])
        np.testing.assert_array_equal(found[3], expected[3])
        same_infos(found[4], expected[4])
        ended = found[2] | found[3]
        endings += int(ended.sum())
        if mode == "disabled" and ended.any():
            found = vector.reset(options={"reset_mask": ended})
            expected = singles.reset(options={"reset_mask": ended.copy()})
            same(found[0], expected[0])
            same_infos(found[1], expected[1])
    assert endings >= 3


def ending(tmp_path, settings, cars, action, **more):
    """The last step of an episode with the first car as ego."""
    path = tmp_path / "ending.h5"
    straight_recording(cars).save(path)
    env = DreamEnv(**settings | {"recording": str(path)} | more)
    env.reset(options={"scenario": 0})
    while True:
        result = env.step(np.array(action, np.float32))
        if result[2] or result[3]:
            return result


def test_terminations_and_truncations(tmp_path, either):
    def end(cars, action, **more):
        return ending(tmp_path, either, cars, action, **more)

    blocked = [Car(0.0), Car(30.0, speed_mps=5.0)]
    _, reward, terminated, truncated, info = end(blocked, [0.0, 0.0], horizon_s=9.0)
    assert terminated and not truncated and info["collision"] and reward < -9
    # Their centres start 25 m apart and touch 4.5 m before they would meet.
    assert info["time_s"] == pytest.approx(4.2, abs=0.35)
    _, reward, terminated, _, info = end([Car(0.0)], [0.0, -0.4])
    assert terminated and info["offroad"] and reward < -9
    _, _, terminated, _, info = end([Car(0.0)], [0.0, 0.0], distance_m=30.0)
    assert terminated and info["arrived"] and info["time_s"] == pytest.approx(3.0)
    _, _, terminated, truncated, info = end([Car(0.0)], [0.0, 0.0], horizon_s=2.0)
    assert truncated and not terminated and info["time_s"] == pytest.approx(1.8)
    _, _, _, truncated, info = end([Car(0.0)], [1.0, 0.0], horizon_s=9.0, distance_m=100.0)
    assert truncated and info["timeout"] and info["beyond_view"]
    assert 0.5 * 6.0 * info["time_s"] ** 2 > 33.0


def test_nothing_learns(settings):
    env = DreamEnv(**settings)
    simulator = env._episodes.simulator
    assert isinstance(simulator, ImaginedSimulator)
    model = simulator.model
    before = weights_hash(model)
    env.reset(seed=0)
    env.step(STILL)
    assert weights_hash(model) == before and not model.training
    assert not any(tensor.requires_grad for tensor in simulator.state_dict().values())


def test_copies_of_a_dream_go_on_as_it_would(moody):
    env = DreamVectorEnv(2, **moody)
    env.reset(seed=1)
    env.step(np.zeros((2, 2), np.float32))
    simulator = env._episodes.simulator
    copy = simulator.select([1, 0])
    for one in (simulator, copy):
        one.step(torch.zeros(2, 2))
    assert torch.equal(copy.observe().images, simulator.observe().images[[1, 0]])


def test_specs_travel_and_make_vec_takes_the_batched_twin(settings):
    env = gymnasium.make(ID, **settings)
    assert env.spec is not None
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    same(env.reset(seed=4)[0], again.reset(seed=4)[0])
    assert pickle.loads(pickle.dumps(env.spec)) == env.spec
    vector = gymnasium.make_vec(ID, num_envs=2, **settings)
    assert isinstance(vector, DreamVectorEnv)


def test_pictures_show_what_is_imagined(settings):
    env = DreamEnv(**settings, render_mode="rgb_array")
    env.reset(options={"scenario": 9})
    first = env.render()
    env.step(STILL)
    second = env.render()
    assert first is not None and second is not None
    assert first.dtype == np.uint8 and first.shape == second.shape
    assert not np.array_equal(first, second)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"world_model": "absent"}, "absent: no such checkpoint"),
        ({"horizon_s": 0.2}, "horizon_s 0.2: at least one step of 0.3 s"),
        ({"history_stride": 2}, "history_stride 2: .* every 3 frames"),
        ({"history_frames": 2, "reward": {"lane": -1.0}}, "'lane' is not defined in imagination"),
        ({"reward": {"comfrot": -1.0}}, "'comfrot' is not defined|did you mean 'comfort'"),
        ({"observation": {"image": True, "lidar": True}}, "'lidar' is not imagined"),
        ({"observation": {"image": {"rows": 20}}}, "draws 117 x 24 pixels"),
        ({"others": "idm"}, "the world model moves them"),
    ],
)
def test_wrong_arguments_are_named(settings, arguments, message):
    with pytest.raises(InputError, match=message) as caught:
        DreamEnv(**settings | arguments)
    assert "\n" not in str(caught.value)


def test_models_that_do_not_fit_are_named(settings, tmp_path):
    with pytest.raises(TypeError, match="world_model"):
        DreamEnv(settings["recording"])
    longer = dataclasses.replace(MODEL, observation=ObservationConfig(frames=6))
    model = save_model(tmp_path / "longer", longer)
    with pytest.raises(InputError, match="sees 15 frames of history, scenarios have 10"):
        DreamEnv(settings["recording"], world_model=model)
    slower = save_model(tmp_path / "slower", dataclasses.replace(MODEL, dt_s=0.2))
    with pytest.raises(InputError, match=r"frames of 0\.2 s, the recording has 0\.1 s"):
        DreamEnv(settings["recording"], world_model=slower)


def test_boxes_are_drawn_as_the_simulator_draws_them(boxes):
    """At constant velocity they are where the others really are; the ego glides with the view."""
    dream, world = DreamEnv(**boxes), real(boxes)
    for env in (dream, world):
        env.reset(options={"scenario": 5})
    for _ in range(3):
        imagined = dream.step(STILL)[0]["image"][-3:]
        for _ in range(3):
            seen = world.step(STILL)[0]["image"][-3:]
        apart = np.abs(imagined.astype(int) - seen)
        assert apart.max() < 12 and apart.mean() < 0.2


def test_a_model_that_follows_the_ego_is_refused(settings, tmp_path):
    model = save_model(tmp_path / "coupled", CoupledConfig(ObservationConfig(3, 3), features=8))
    with pytest.raises(InputError, match="conditioned on the ego's path; choose one"):
        DreamEnv(settings["recording"], world_model=model)


def test_undrawn_latents_are_the_most_likely(settings, moody):
    """The simulator is of use without an environment, too."""
    recording = dense_recording()
    roads = RoadMap.build([recording.road], RasterConfig())
    model = load_world_model(moody["world_model"])
    scene, config = Scene.build([recording]), SimulatorConfig()
    simulator = ImaginedSimulator(scene, roads, config, model, 3.0)
    simulator.reset(list_scenarios(recording)[[0, 0]])
    simulator.draw([1], torch.randn(1, 10, MODEL.latent, generator=torch.manual_seed(0)))
    for _ in range(3):
        result = simulator.step(torch.zeros(2, 2))
    assert result.steps.tolist() == [3, 3]
    images = simulator.observe().images[:, -1]
    assert (images[0] - images[1]).abs().max() > 0.02
