"""Planning policies by name, and the settings in them."""

import pytest

from ppuu.costs import DrivingCostConfig
from ppuu.loading.planner_names import WORLDS, PlannerName
from ppuu.loading.policy_names import policy_by_name
from ppuu.planners import PLANNERS, CemPlanner, GradientPlanner
from ppuu.policies import NetworkPolicy
from ppuu.policies.planning import PlanningPolicy
from ppuu.runtime.config import with_setting
from ppuu.runtime.errors import InputError
from ppuu.world_models import TokensConfig
from tests.runs import saved_world_model


@pytest.mark.parametrize("world", WORLDS)
def test_every_world_can_be_named(world):
    policy = policy_by_name(f"planner:{world}")
    assert isinstance(policy, PlanningPolicy)
    assert isinstance(policy.source, type(WORLDS[world]()))
    assert policy.observation == policy.source.observation


def test_settings_reach_planner_and_policy():
    name = "planner:recorded,planner=cem,candidates=40,risk=cvar,samples=5,cost.lane_speed.weight=2"
    config = policy_by_name(name).config
    assert isinstance(config.planner, CemPlanner)
    assert config.planner.candidates == 40
    assert config.planner.elites == PLANNERS["cem"].elites
    assert (config.risk, config.samples, config.cost.lane_speed.weight) == ("cvar", 5, 2.0)
    # The order does not matter, nor what would not have fitted half-way.
    few = policy_by_name("planner:recorded,planner=cem,candidates=16,elites=4").config.planner
    assert (few.candidates, few.elites) == (16, 4)
    other = policy_by_name("planner:recorded,candidates=40,planner=cem").config
    assert other.planner == config.planner
    chain = policy_by_name(
        "planner:idm,planner=cem-gradient,second.learning_rate=0.3"
    ).config.planner
    assert isinstance(chain.second, GradientPlanner) and chain.second.learning_rate == 0.3


def test_a_run_directory_is_a_world(tmp_path):
    run = saved_world_model(tmp_path / "tokens", TokensConfig(hidden=8, pair=4, heads=1))
    name = f"planner:{run},samples=2"
    policy = policy_by_name(name)
    assert policy.source.predictor.config.hidden == 8
    assert PlannerName.parse(name).label == "planner:tokens,samples=2"
    assert PlannerName.parse(name).runs == [run]
    other = saved_world_model(tmp_path / "more", TokensConfig(hidden=8, pair=4, heads=1))
    name = f"planner:{run}+{other}"
    assert policy_by_name(name).source.predictor.members == 2
    assert PlannerName.parse(name).label == "planner:tokens+more"
    plus = saved_world_model(tmp_path / "one+two", TokensConfig(hidden=8, pair=4, heads=1))
    assert PlannerName.parse(f"planner:{plus}").runs == [plus]


@pytest.mark.parametrize(
    ("name", "complaint"),
    [
        ("planner:", "name a world"),
        ("planner:recorded,steps", "'steps' is not of the form KEY=VALUE"),
        ("planner:recorded,risk=max", "risk max of one sample"),
        ("planner:recorded,cost.lane_speed.weight=-1", "cost LaneSpeed: weight -1"),
        ("planner:recorded,uncertainty_weight=1e999", "is not a finite number"),
        ("planner:recorded,step=3", "unknown key 'step'; did you mean 'steps'"),
        ("planner:recorded,iteration=3", "did you mean 'iterations'"),
        ("planner:recorded,cost.lane_sped.weight=3", "did you mean 'lane_speed'"),
        ("planner:recorded,steps=many", "steps: 'many' is not of type int"),
        ("planner:recorded,steps.x=1", "'steps' has no fields"),
        ("planner:recorded,risk=median", "not one of mean, max, cvar"),
        ("planner:recorded,planner=cme", "no planner 'cme'; did you mean 'cem'"),
        ("planner:recorde", "neither a run directory .* did you mean 'recorded'"),
        ("planner:recorded+idm", "world 'recorded' is neither"),
        ("planner:recorded,steps=0", "must be positive"),
        ("planner:recorded,uncertainty_weight=1", "'recorded' is not a learned world model"),
        ("planner:recorded,policy=missing", "policy missing is not a run directory"),
        ("planner:recorded,polcy=pretrained", "did you mean 'policy'"),
        ("planner:recorded,steps=3,steps=4", "'steps' is set twice"),
        ("planner:recorded,planner.clip=3", "unknown key 'planner.clip'; did you mean 'clip_norm'"),
        ("planner:recorded,planner=cem-gradient,candidates=4", "did you mean 'first.candidates'"),
    ],
)
def test_mistakes_are_one_line_with_a_suggestion(name, complaint):
    with pytest.raises(InputError, match=complaint) as error:
        policy_by_name(name)
    assert "\n" not in str(error.value)
    assert "--policy planner:" in str(error.value) or "must be" in str(error.value)


def test_with_setting_changes_one_field():
    changed = with_setting(DrivingCostConfig(), "lane_speed.difference_mps", "12", "here")
    assert changed.lane_speed.difference_mps == 12.0
    assert changed.lane_speed.weight == DrivingCostConfig().lane_speed.weight
    assert changed.contact == DrivingCostConfig().contact


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("cost.lane_speed.weight=NaN", "NaN is not a finite number"),
        ("uncertainty_weight=Infinity", "Infinity is not a finite number"),
        ("deadline_s=-1", "must not be negative"),
        ("seed=99999999999999999999999", "seed"),
        ("planner=random,candidates=0", "candidates must be positive"),
    ],
)
def test_numbers_that_are_none_are_refused(setting, complaint):
    with pytest.raises(InputError, match=complaint):
        PlannerName.parse(f"planner:recorded,{setting}").config("--policy")


def test_a_policy_proposes_the_first_initial_plan(tmp_path):
    name = "planner:recorded,steps=4,policy=pretrained"
    assert PlannerName.parse(name).label == "planner:recorded,policy=pretrained,steps=4"
    assert isinstance(policy_by_name(name).proposal_policy, NetworkPolicy)
    assert policy_by_name("planner:recorded").proposal_policy is None
