"""``ppuu/DenseTraffic-v1``, single and vector, against Gymnasium's conventions."""

import functools
import math
import pickle
import tempfile
import warnings
from pathlib import Path

import gymnasium
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from data.traffic import PRESETS, generate
from envs.core.termination import CollisionKind, Outcome
from envs.gym.dense_traffic import DenseTrafficEnv
from envs.gym.reward import DEFAULT_WEIGHTS, TERMS, UNFELT_MPS2
from envs.gym.vector import DenseTrafficVectorEnv
from envs.tasks.registry import TASKS
from ppuu.runtime.errors import InputError
from tests.helpers import Car, dense_recording, straight_recording

ID = "envs:ppuu/DenseTraffic-v1"


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("recordings") / "dense.h5"
    dense_recording().save(path)
    return str(path)


@pytest.fixture
def env(file):
    with gymnasium.make(ID, recording=file, distance_m=60.0) as made:
        yield made


def swerve(random: np.random.Generator, count: int) -> np.ndarray:
    """Actions wild enough that episodes end in every way."""
    return random.uniform([-0.6, -0.15], [1.0, 0.15], (count, 2)).astype(np.float32)


def same(a, b) -> None:
    """Equal observations; images may differ by a rounding."""
    assert a.keys() == b.keys()
    assert np.abs(a["image"].astype(int) - b["image"].astype(int)).max() <= 1
    for name in a.keys() - {"image"}:
        np.testing.assert_allclose(a[name], b[name], atol=1e-4, err_msg=name)


def test_gymnasiums_checker_has_nothing_to_say(file):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        made = gymnasium.make(ID, recording=file, render_mode="rgb_array")
        check_env(made.unwrapped)
        made.close()


def test_the_checker_stays_on_for_every_step(env):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        env.reset(seed=0)
        ended = False
        while not ended:
            _, reward, terminated, truncated, _ = env.step(np.zeros(2, np.float32))
            assert isinstance(reward, float)
            ended = terminated or truncated


def test_info_has_the_same_plain_keys_at_every_step(env):
    _, first = env.reset(seed=0, options={"scenario": 3})
    _, _, _, _, second = env.step(np.zeros(2, np.float32))
    assert first.keys() == second.keys()
    assert {
        "collision",
        "offroad",
        "arrived",
        "missed",
        "stalled",
        "timeout",
        "outcome",
    } <= first.keys()
    assert all(type(value) in (bool, int, float) for value in second.values())
    assert not any(key.startswith("_") for key in first)
    assert not {"episode", "final_obs", "final_info"} & first.keys()
    assert first["scenario"] == 3 and first["frame"] == 10 and second["frame"] == 11
    assert env.unwrapped.recording_names[first["recording"]] == "dense"
    assert env.unwrapped.outcome_names[first["outcome"]] == "running" and first["time_s"] == 0.0
    assert second["progress_m"] == pytest.approx(second["speed_mps"] * 0.1, abs=1e-3)
    assert second["progress_m"] == pytest.approx(second["human_progress_m"], abs=1e-3)


def run(env, seed=None, options=None, steps=30):
    observation, info = env.reset(seed=seed, options=options)
    found = [(observation, info)]
    for action in swerve(np.random.default_rng(7), steps):
        observation, reward, terminated, truncated, info = env.step(action)
        found.append((observation, {**info, "reward": reward}))
        if terminated or truncated:
            break
    return found


def test_a_seed_fixes_the_episode_whatever_came_before(file, env):
    first = run(env, seed=11)
    run(env)
    run(env, options={"scenario": 2})
    with gymnasium.make(ID, recording=file, distance_m=60.0) as other:
        again, fresh = run(env, seed=11), run(other, seed=11)
    for one, two, three in zip(first, again, fresh, strict=True):
        for key in ("image", "ego"):
            np.testing.assert_array_equal(one[0][key], two[0][key])
            np.testing.assert_array_equal(one[0][key], three[0][key])
        assert one[1] == two[1] == three[1]


def test_seeds_choose_among_all_scenarios(env):
    seen = {env.reset(seed=seed)[1]["scenario"] for seed in range(80)}
    assert len(seen) > 0.8 * env.unwrapped.scenarios


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scenarios": 1}, "unknown option 'scenarios'"),
        ({"scenario": 999}, "no scenario 999; there are 0 to"),
        ({"scenario": -1}, "no scenario -1"),
        ({"scenario": "first"}, "not a whole number"),
        ({"vehicle_id": 1}, "no scenario has vehicle_id 1"),
        ({"recording": "sparse"}, "no recording 'sparse'; there are dense"),
        ({"start_frame": 9}, "no scenario has start_frame 9"),
        ({"start_frame": 1.5}, "start_frame 1.5 is not a whole number"),
        ({"vehicle_id": 100, "start_frame": 5000}, "vehicle_id 100, start_frame 5000"),
    ],
)
def test_wrong_options_are_named(env, options, message):
    with pytest.raises(InputError, match=message):
        env.reset(options=options)


def test_options_find_a_vehicle_and_a_moment(env):
    _, first = env.reset(options={"vehicle_id": 103, "recording": "dense"})
    assert first["vehicle_id"] == 103 and first["start_frame"] == 10
    observation, later = env.reset(options={"vehicle_id": 103, "start_frame": 30})
    assert later["scenario"] == first["scenario"] and later["time_s"] == 0.0
    assert later["frame"] == later["start_frame"] == 30 and later["progress_m"] == 0.0
    env.reset(options={"vehicle_id": 103})
    for _ in range(20):
        driven, *_, info = env.step(np.zeros(2, np.float32))
    # The recorded cars keep their speed: driving there is the same as starting there.
    same(observation, driven)
    assert info["frame"] == 30
    found = {env.reset(seed=k, options={"start_frame": 30})[1]["vehicle_id"] for k in range(20)}
    assert len(found) > 5


def test_one_arrives_where_the_human_did_from_any_start(env):
    """Two seconds later, two seconds less to drive."""
    times = []
    for frame in (10, 30):
        env.reset(options={"scenario": 0, "start_frame": frame})
        ended = False
        while not ended:
            *_, ended, _, info = env.step(np.zeros(2, np.float32))
        assert info["outcome"] == Outcome.ARRIVED and info["is_success"]
        times.append(info["time_s"])
    assert times[0] - times[1] == pytest.approx(2.0)


def test_wrong_arguments_are_named(file):
    with pytest.raises(InputError, match="no such file"):
        DenseTrafficEnv("absent.h5")
    with pytest.raises(InputError, match="did you mean 'comfort'"):
        DenseTrafficEnv(file, reward={"comfrot": 1.0})
    with pytest.raises(InputError, match="traffic 'sumoo'"):
        DenseTrafficEnv(file, others="sumoo")
    with pytest.raises(TypeError, match="speed_limit"):
        DenseTrafficEnv(file, speed_limit=3)
    with pytest.raises(InputError, match="render_mode 'human'"):
        DenseTrafficEnv(file, render_mode="human")
    with pytest.raises(InputError, match="autoreset_mode 'never'"):
        DenseTrafficVectorEnv(2, file, autoreset_mode="never")


def test_an_action_that_is_no_number_is_refused(env):
    env.reset(seed=0)
    with pytest.raises(InputError, match="not a number"):
        env.unwrapped.step(np.array([np.nan, 0.0]))


def ending(tmp_path, cars, action, frames=120, **settings):
    """The last step of an episode with the first car as ego."""
    path = tmp_path / "ending.h5"
    straight_recording(cars, frames).save(path)
    env = DenseTrafficEnv(str(path), **settings)
    env.reset(options={"scenario": 0})
    while True:
        result = env.step(np.array(action, np.float32))
        if result[2] or result[3]:
            return result


def test_terminations_and_truncations(tmp_path):
    ahead = [Car(0.0), Car(25.0, speed_mps=1.0)]
    _, reward, terminated, truncated, info = ending(tmp_path, ahead, [0.0, 0.0])
    assert terminated and not truncated and info["collision"]
    assert info["collision_kind"] == CollisionKind.FRONT and info["at_fault"] and reward < -9
    _, reward, terminated, _, info = ending(tmp_path, [Car(0.0)], [0.0, 0.4])
    assert terminated and info["offroad"] and info["outcome"] == Outcome.OFFROAD and reward < -9
    _, reward, terminated, _, info = ending(tmp_path, [Car(0.0)], [0.0, 0.0], distance_m=50.0)
    assert terminated and info["arrived"] and reward > 0
    _, _, terminated, truncated, info = ending(tmp_path, [Car(0.0)], [0.0, 0.0])
    assert terminated and info["arrived"] and info["progress_m"] < 215.0
    _, _, terminated, truncated, info = ending(tmp_path, [Car(0.0)], [-1.0, 0.0])
    assert truncated and not terminated and info["stalled"] and not info["is_success"]
    _, _, terminated, truncated, info = ending(
        tmp_path, [Car(0.0)], [-1.0, 0.0], distance_m=50.0, time_limit_s=6.0
    )
    assert truncated and not terminated and info["timeout"] and info["time_s"] == 6.0


def test_the_reward_is_the_sum_of_its_terms(file):
    env = DenseTrafficEnv(file, reward={"comfort": -2.0})
    env.reset(seed=3)
    _, reward, _, _, info = env.step(np.array([0.5, 0.1], np.float32))
    terms = {name: info[f"reward/{name}"] for name in DEFAULT_WEIGHTS}
    assert reward == pytest.approx(sum(terms.values()))
    assert terms["progress"] == pytest.approx(0.1 * info["progress_m"])
    along, across = 0.5 * 6.0, 0.1 * 0.065 * info["speed_mps"] ** 2
    felt = (math.hypot(along, across) - UNFELT_MPS2) / (6.0 - UNFELT_MPS2)
    assert terms["comfort"] == pytest.approx(-2.0 * 0.1 * felt**2, rel=1e-4)
    assert terms["collision"] == terms["offroad"] == 0.0


def weigh(tmp_path, cars, actions, **settings):
    """The terms of the last of some steps, each with weight 1 a second, the first car driving."""
    path = tmp_path / "terms.h5"
    straight_recording(cars).save(path)
    env = DenseTrafficEnv(str(path), reward=dict.fromkeys(TERMS, 1.0), **settings)
    env.reset(options={"scenario": 0})
    for action in actions:
        _, reward, _, _, info = env.step(np.array(action, np.float32))
    terms = {name: info[f"reward/{name}"] for name in TERMS}
    assert reward == pytest.approx(sum(terms.values()))
    return terms


STRAIGHT = [[0.0, 0.0]]


def test_terms_of_a_car_alone_in_the_middle_of_its_lane(tmp_path):
    terms = weigh(tmp_path, [Car(0.0, speed_mps=10.0)], STRAIGHT)
    assert terms.pop("progress") == pytest.approx(1.0)
    # The lines are 2 m away, their edges and the raster's blur a little less.
    assert terms == pytest.approx(dict.fromkeys(terms, 0.0), abs=0.01)


def test_lane_grows_towards_the_line(tmp_path):
    """Lane 0.5 is on the line between lanes 0 and 1."""
    for lane, expected in ((0.5, 1.0), (0.25, 1 - 1.0 / 1.85)):
        terms = weigh(tmp_path, [Car(0.0, lane=lane)], STRAIGHT)
        assert terms["lane"] / 0.1 == pytest.approx(expected, abs=0.2)
    assert terms["lane"] < weigh(tmp_path, [Car(0.0, lane=0.5)], STRAIGHT)["lane"]


def test_proximity_and_time_to_collision_ahead(tmp_path):
    """6.5 m bumper to bumper before the step, closing at 4 m/s; safe is 0.9 s and 2 m."""
    terms = weigh(tmp_path, [Car(0.0), Car(15.0, speed_mps=6.0)], STRAIGHT)
    gap = 15.0 - 1.1 * 4.0 - 4.5
    assert terms["proximity"] / 0.1 == pytest.approx(1 - gap / 11.0, abs=1e-3)
    assert terms["time_to_collision"] / 0.1 == pytest.approx(1 - gap / 4.0 / 3.0, abs=1e-3)
    beside = weigh(tmp_path, [Car(0.0), Car(15.0, lane=1, speed_mps=6.0)], STRAIGHT)
    assert beside["proximity"] == beside["time_to_collision"] == 0.0


def test_speed_is_measured_against_the_human_or_a_number(tmp_path):
    braking = [[-0.5, 0.0]]
    assert weigh(tmp_path, [Car(0.0)], braking)["speed"] == pytest.approx(0.1 * 0.3, rel=1e-3)
    terms = weigh(tmp_path, [Car(0.0)], braking, target_speed_mps=12.0)
    assert terms["speed"] == pytest.approx(0.1 * 2.3, rel=1e-3)


def test_jerk_needs_two_steps(tmp_path):
    assert weigh(tmp_path, [Car(0.0)], [[0.5, 0.0]])["jerk"] == 0.0
    terms = weigh(tmp_path, [Car(0.0)], [[0.5, 0.0], [0.25, 0.0]])
    assert terms["jerk"] == pytest.approx(0.1 * (1.5 / 0.1 / 5.0) ** 2, rel=1e-3)


def test_the_goal_counts_once(tmp_path):
    terms = weigh(tmp_path, [Car(0.0)], STRAIGHT * 49, distance_m=50.0)
    assert terms["goal"] == 0.0
    terms = weigh(tmp_path, [Car(0.0)], STRAIGHT * 50, distance_m=50.0)
    assert terms["goal"] == 1.0


def test_terms_without_a_weight_are_left_out(env):
    _, info = env.reset(seed=0)
    found = {key for key in info if key.startswith("reward/")}
    assert found == {f"reward/{name}" for name in DEFAULT_WEIGHTS}


def test_several_recordings_and_a_window(file, tmp_path):
    other = tmp_path / "other.h5"
    straight_recording([Car(0.0), Car(30.0)], name="other").save(other)
    env = DenseTrafficEnv([file, str(other)], last_frame=80)
    assert env.scenarios == 26
    number = env.reset(options={"scenario": 25})[1]["recording"]
    assert env.recording_names[number] == "other"
    result = run(env, options={"scenario": 0}, steps=100)
    assert result[-1][1]["frame"] <= 79


def test_the_history_is_stacked_in_channels(file):
    env = DenseTrafficEnv(file, history_frames=2, history_stride=1)
    observation, _ = env.reset(seed=0)
    assert observation["image"].shape == (6, 117, 24) and observation["ego"].shape == (10,)
    later = env.step(np.zeros(2, np.float32))[0]
    np.testing.assert_array_equal(later["image"][:3], observation["image"][3:])
    # The present pose is the origin.
    np.testing.assert_allclose(later["ego"][4:7], 0.0, atol=1e-6)
    assert later["ego"][0] == pytest.approx(-0.1 * later["ego"][3], abs=1e-3)


def test_pictures(file):
    env = DenseTrafficEnv(file, render_mode="rgb_array")
    env.reset(options={"scenario": 9})
    picture = env.render()
    assert picture is not None
    assert picture.dtype == np.uint8 and picture.ndim == 3 and picture.shape[2] == 3
    red = (picture[..., 0] > 200) & (picture[..., 1] < 110)
    # The ego is 4 to 5.5 m long and 1.8 m wide, at 8 pixels a metre; glass takes its share.
    assert 200 < red.sum() < 900
    columns = np.flatnonzero(red.any(0))
    assert abs(columns.mean() - 0.35 * picture.shape[1]) < 5
    assert DenseTrafficEnv(file).render() is None


MODES = ["next_step", "same_step", "disabled"]


@functools.cache
def preset_file(name: str) -> str:
    path = Path(tempfile.mkdtemp()) / f"{name}.h5"
    generate(PRESETS[name], 40.0, seed=3).save(path)
    return str(path)


@pytest.fixture
def settings_of(file, tmp_path):
    def of(task: str) -> dict:
        if task == "groups":
            short = tmp_path / "short.h5"
            straight_recording([Car(0.0)], frames=12, name="short").save(short)
            other = tmp_path / "other.h5"
            straight_recording([Car(0.0), Car(30.0)], name="other").save(other)
            files = [file, str(short), str(other)]
            return {"recording": files, "groups": {"recordings": 1, "episodes": 1}}
        on = {"exit": "weave", "merge": "merge"}
        recording = preset_file(on[task]) if task in on else file
        longer = {"distance_m": 150.0} if task == "merge" else {}
        return {"recording": recording, "task": task, **longer}

    return of


@pytest.mark.parametrize("task", [*TASKS, "groups"])
@pytest.mark.parametrize("mode", MODES)
def test_the_vector_environment_equals_single_ones(settings_of, mode, task):
    count = 3
    settings = {"distance_m": 60.0} | settings_of(task)
    settings["observation"] = {"image": True, "ego": True, "goal": True}
    vector = DenseTrafficVectorEnv(count, autoreset_mode=mode, **settings)
    singles = SyncVectorEnv(
        [lambda: DenseTrafficEnv(**settings) for _ in range(count)],
        autoreset_mode=AutoresetMode[mode.upper()],
    )
    assert vector.observation_space == singles.observation_space
    assert vector.action_space == singles.action_space
    assert vector.metadata["autoreset_mode"] == AutoresetMode[mode.upper()]
    random = np.random.default_rng(0)
    found, expected = vector.reset(seed=5), singles.reset(seed=5)
    same_infos(found[1], expected[1])
    endings = 0
    for _ in range(200 if task == "merge" else 60):
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
            with pytest.raises(gymnasium.error.ResetNeeded):
                vector.step(actions)
            found = vector.reset(options={"reset_mask": ended})
            expected = singles.reset(options={"reset_mask": ended.copy()})
            same(found[0], expected[0])
            same_infos(found[1], expected[1])
    assert endings >= 2
    vector.close()
    singles.close()


def same_infos(found: dict, expected: dict) -> None:
    assert found.keys() == expected.keys()
    for key, values in expected.items():
        if isinstance(values, dict):
            same_infos(found[key], values)
        elif key == "final_obs":
            for one, two in zip(found[key], values, strict=True):
                assert (one is None) == (two is None)
                if one is not None:
                    same(one, two)
        elif values.dtype.kind == "f":
            np.testing.assert_allclose(found[key], values, atol=1e-3, err_msg=key)
        else:
            assert found[key].dtype == values.dtype, key
            np.testing.assert_array_equal(found[key], values, err_msg=key)


def test_make_vec_takes_the_batched_twin(file):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        vector = gymnasium.make_vec(ID, num_envs=3, recording=file, autoreset_mode="same_step")
    assert isinstance(vector, DenseTrafficVectorEnv)
    wrapped = gymnasium.wrappers.vector.RecordEpisodeStatistics(vector)
    wrapped.reset(seed=0)
    for _ in range(3):
        observation, *_ = wrapped.step(np.zeros((3, 2), np.float32))
    assert observation in vector.observation_space
    wrapped.close()


def test_specs_are_json_and_environments_travel(file):
    env = gymnasium.make(ID, recording=file)
    assert env.spec is not None
    again = gymnasium.make(EnvSpec.from_json(env.spec.to_json()))
    same(env.reset(seed=4)[0], again.reset(seed=4)[0])
    assert pickle.loads(pickle.dumps(env.spec)) == env.spec


@pytest.mark.slow
def test_spawned_workers_find_the_environment(file):
    """As Windows and macOS start workers: with an empty registry."""
    vector = gymnasium.make_vec(
        ID, num_envs=2, vectorization_mode="async", vector_kwargs={"context": "spawn"},
        recording=file,
    )  # fmt: skip
    single = DenseTrafficEnv(file)
    try:
        observation, _ = vector.reset(seed=5)
        expected, _ = single.reset(seed=5)
        same({key: value[0] for key, value in observation.items()}, expected)
        vector.step(np.zeros((2, 2), np.float32))
    finally:
        vector.close()
