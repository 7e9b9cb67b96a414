"""The replay page shows what the simulator did, and works in a browser without a network."""

import base64
import gzip
import html
import json
import re
import shutil
import subprocess

import numpy as np
import pytest
import torch

from envs.core.termination import Outcome
from eval import replay
from eval.driving.episode_recorder import record_episodes
from eval.driving.scenario_set import ScenarioSet
from eval.reports.replay_page import _record, pack, write_replay
from ppuu.loading.policy_names import policy_by_name
from ppuu.perception.raster_image import RasterConfig
from ppuu.policies import NoAction, RecordedHuman
from ppuu.policies.plan_snapshot import PlanSnapshot
from ppuu.predictions import OccupancyPrediction, RasterizedMotion
from ppuu.runtime.command import run
from ppuu.runtime.errors import InputError
from tests.helpers import Car, straight_recording


@pytest.fixture
def file(tmp_path):
    """Without braking, the first car runs into the second; the third is alone."""
    path = tmp_path / "short.h5"
    cars = [
        Car(0.0, speed_mps=12.0, lane=1, to_lane=2, change_frame=15),
        Car(40.0, speed_mps=4.0, lane=1),
        Car(0.0, lane=0),
    ]
    straight_recording(cars, frames=90).save(path)
    return path


@pytest.fixture
def scenario_set(file):
    return ScenarioSet.load([file], "all")


def unpacked(packed):
    """The page's decoder, in numpy."""
    data, start, columns = gzip.decompress(base64.b64decode(packed["data"])), 0, {}
    for name, count, resolution in packed["columns"]:
        planes = np.frombuffer(data, np.uint8, 4 * count, start).reshape(4, count)
        second = planes.T.copy().view("<u4").reshape(-1).astype(np.uint32)
        whole = np.cumsum(np.cumsum(second, dtype=np.uint32), dtype=np.uint32).view(np.int32)
        columns[name] = np.where(whole == -(2**31), np.nan, whole * resolution)
        start += 4 * count
    assert start == len(data)
    return columns


def page_data(path):
    text = re.search(
        r'<script id="data" type="application/json">(.*?)</script>', path.read_text(), re.S
    )
    return json.loads(text.group(1))


def test_packed_columns_come_back_to_their_resolution():
    random = np.random.default_rng(0)
    columns = {
        "smooth": (np.cumsum(random.normal(size=500)) + 1e6, 0.01),
        "jumps": (random.uniform(-2e7, 2e7, 300), 0.01),
        "holes": (np.array([np.inf, 1.5, np.nan, -2.25, -np.inf]), 0.001),
        "empty": (np.zeros(0), 1.0),
        "flags": (np.array([True, False, True]), 1.0),
    }
    back = unpacked(json.loads(json.dumps(pack(columns))))
    assert list(back) == list(columns)
    for name, (values, resolution) in columns.items():
        expected = np.where(np.isfinite(values), values, np.nan)
        np.testing.assert_allclose(back[name], expected, atol=0.51 * resolution)


def test_the_record_is_what_the_simulator_counts(scenario_set):
    scenarios = scenario_set.choose(20)
    assert scenarios == [0, 1, 2]
    drives = record_episodes(NoAction(), "no-action", scenario_set, scenarios)
    assert [one.scenario for one in drives] == scenarios
    simulator = scenario_set.simulator(NoAction())
    for one in drives:
        simulator.reset(scenario_set.scenarios[[one.scenario]])
        states, clearances, distances = [], [], []
        while True:
            states.append(simulator.state[0].numpy().copy())
            clearances.append(float(simulator.clearance_m[0]))
            distances.append(float(simulator.distance_m[0]))
            if bool(simulator.done[0]):
                break
            simulator.step(torch.zeros(1, 2))
        assert one.outcome == Outcome(int(simulator.outcome[0])).name.lower()
        assert one.failed == (one.outcome in ("collision", "offroad", "timeout"))
        np.testing.assert_array_equal(one.state, states)
        np.testing.assert_array_equal(one.signals["clearance_m"], clearances)
        np.testing.assert_array_equal(one.signals["distance_m"], distances)
        assert len(one.human) == len(states)
        assert {len(signal) for signal in one.signals.values()} == {len(states)}
    assert [one.failed for one in drives] == [True, False, False]


def test_others_are_where_they_were_recorded_and_only_nearby(scenario_set):
    (one,) = record_episodes(RecordedHuman(), "human", scenario_set, [0])
    start = int(scenario_set.scenarios.start_frame[0])
    assert set(one.others.vehicle.tolist()) == {1, 2}
    for vehicle in (1, 2):
        mine = one.others.vehicle == vehicle
        frames = torch.as_tensor(one.others.frame[mine] + start)
        expected = scenario_set.scene.state(torch.full_like(frames, vehicle), frames)
        np.testing.assert_allclose(one.others.box[mine, :3], expected[:, :3], atol=1e-5)
    offset = one.others.box[:, :2] - one.state[one.others.frame, :2]
    assert np.hypot(*offset.T).max() <= 120.0


def test_costs_are_read_off_the_true_scene(scenario_set):
    hit = record_episodes(NoAction(), "no-action", scenario_set, [0])[0]
    assert Outcome[hit.outcome.upper()] == Outcome.COLLISION
    assert hit.hit_vehicle == 1
    contact, proximity = hit.signals["cost/contact"], hit.signals["cost/proximity"]
    assert contact[0] == 0 and contact[-1] > 0.1
    assert proximity[0] == 0 and proximity[-1] > 0.1
    assert (
        hit.signals["reward/collision"][-1] == -10
        and not hit.signals["reward/collision"][:-1].any()
    )
    # Straight on, progress is the distance up to where the human's path turns aside.
    paid = hit.signals["reward/progress"][1:]
    driven = 0.1 * np.diff(hit.signals["distance_m"])
    np.testing.assert_allclose(paid[:3], driven[:3], atol=1e-5)
    assert (paid <= 1.2 * driven).all() and paid.sum() > 0.8 * driven.sum()
    # 12 m/s: at first beside the third car alone, at last with the second ahead in the lane, too.
    area = 4.5 * 1.8
    all_lanes = (12.0 + 10.0 * area) / (1.0 + area), (12.0 + 14.0 * area) / (1.0 + 2.0 * area)
    expected = [all_lanes[0], (all_lanes[1] + 4.0 * area) / (1.0 + area)]
    found = hit.signals["cost/lane_speed"][[0, -1]]
    np.testing.assert_allclose(found, 0.5 * ((12.0 - np.array(expected)) / 3.0) ** 2, rtol=1e-4)


class Straight(NoAction):
    """Offers a plan: straight ahead, two points."""

    def act(self, observation, privileged_state):
        ego = observation.ego[:, -1]
        self.path_m = torch.stack([ego[:, :2], ego[:, :2] + 10.0], dim=1)
        return super().act(observation, privileged_state)

    def planned_path_m(self):
        return self.path_m


def test_planned_paths_reach_the_page(scenario_set, tmp_path):
    drives = record_episodes(Straight(), "straight", scenario_set, [2])
    assert len(drives[0].plans) == len(drives[0].state) - 1
    write_replay(tmp_path / "r.html", scenario_set, [drives])
    columns = unpacked(page_data(tmp_path / "r.html")["episodes"][0]["drives"][0]["packed"])
    assert set(columns["planCount"]) == {2}
    np.testing.assert_allclose(columns["planX"][::2], drives[0].state[:-1, 0], atol=0.006)
    np.testing.assert_allclose(columns["planX"][1::2] - columns["planX"][::2], 10.0, atol=0.011)


def test_one_file_with_the_failed_first(file, tmp_path, capsys):
    out = tmp_path / "pages" / "out.html"
    words = ["--recordings", str(file), "--out", str(out), "--split", "all"]
    run(replay.main, ["--policy", "no-action", "human", *words])
    assert "3 scenarios, 1 of them with a failure" in capsys.readouterr().out
    assert [path.name for path in out.parent.iterdir()] == ["out.html"]
    text = out.read_text()
    assert not re.search(r"https?:|src=|<link|@import|fetch\(|XMLHttp", text)
    data = page_data(out)
    assert data["drivers"] == ["no-action", "human"]
    assert [episode["vehicle"] for episode in data["episodes"]] == [100, 101, 102]
    assert [episode["failed"] for episode in data["episodes"]] == [True, False, False]
    first = data["episodes"][0]["drives"]
    assert (first[0]["outcome"], first[0]["hit"]) == ("collision", 101)
    assert first[1]["hit"] is None
    columns = unpacked(first[0]["packed"])
    assert columns["stretchId"].tolist() == [101, 102]
    assert columns["stretchHit"].tolist() == [1, 0]
    assert columns["stretchCount"].sum() == len(columns["otherX"])
    assert len(text) < 150_000
    run(replay.main, ["--policy", "no-action", *words, "--limit", "1", "--failures-first"])
    assert [episode["vehicle"] for episode in page_data(out)["episodes"]] == [100]


def test_names_cannot_break_out_of_the_page(scenario_set, tmp_path):
    name = '</script><img src=x onerror="a&b">'
    write_replay(
        tmp_path / "r.html", scenario_set, [record_episodes(NoAction(), name, scenario_set, [0])]
    )
    text = (tmp_path / "r.html").read_text()
    assert "<img" not in text
    assert html.escape(name) in text
    assert page_data(tmp_path / "r.html")["drivers"] == [name]


def test_wrong_arguments_are_named(file, tmp_path):
    with pytest.raises(InputError, match=r"ends in \.html"):
        replay.main(("human",), (file,), tmp_path / "out.mp4", "all")
    with pytest.raises(InputError, match="there are 0 to 2"):
        replay.main(("human",), (file,), tmp_path / "out.html", "all", scenario=(7,))
    with pytest.raises(InputError, match="0 episodes"):
        replay.main(("human",), (file,), tmp_path / "out.html", "all", limit=0)
    with pytest.raises(InputError, match="exclude each other"):
        replay.main(
            ("human",), (file,), tmp_path / "out.html", "all", scenario=(0,), failures_first=True
        )


_CLOCK = """
<script>
// A headless browser's virtual time runs timers, but hardly any animation frames.
window.requestAnimationFrame = draw => setTimeout(() => draw(performance.now()), 16);
</script>
"""

_CHECK = """
<script>
const found = {errors: []};
const complain = console.error;
console.error = (...words) => { found.errors.push(words.join(" ")); complain(...words); };
addEventListener("error", event => found.errors.push(event.message));
addEventListener("unhandledrejection", event => found.errors.push(String(event.reason)));
const picture = () => new Promise(done => requestAnimationFrame(done));
const drawn = async () => { await picture(); await picture(); };
const press = (key, more = {}) => dispatchEvent(new KeyboardEvent("keydown", {key, ...more}));
const scene = () => document.querySelector(".scene canvas");
const pixels = () => {
  const {width, height} = scene();
  const bytes = scene().getContext("2d").getImageData(0, 0, width, height).data;
  let sum = 0;
  for (let k = 0; k < bytes.length; k++) sum = (sum * 31 + bytes[k]) | 0;
  return sum;
};
const pointer = (type, id, x, y) => scene().dispatchEvent(new PointerEvent(type,
  {pointerId: id, clientX: x, clientY: y, bubbles: true}));
Element.prototype.setPointerCapture = () => {};
(async () => {
  const {state, view, ready} = replay;
  await ready;
  await drawn();
  found.entries = [...document.querySelectorAll(".episode")].map(entry => entry.textContent);
  found.start = [state.episode, state.time];
  const pictures = [pixels()];
  const scrub = document.getElementById("scrub");
  scrub.value = 20;
  scrub.dispatchEvent(new Event("input"));
  await drawn();
  found.scrubbed = state.time;
  found.clock = document.getElementById("clock").textContent;
  pictures.push(pixels());
  press("ArrowRight");
  press("ArrowRight", {shiftKey: true});
  found.stepped = state.time;
  press(" ");
  for (let k = 0; k < 100 && state.time <= 31; k++) await picture();
  found.playing = state.playing;
  press(" ");
  found.played = state.time;
  const zoom = view.zoom;
  scene().dispatchEvent(new WheelEvent("wheel", {deltaY: -200, cancelable: true}));
  found.zoomed = view.zoom / zoom;
  pointer("pointerdown", 1, 300, 100);
  pointer("pointermove", 1, 340, 100);
  found.dragged = view.x;
  pointer("pointerdown", 2, 400, 100);
  const before = view.zoom;
  pointer("pointermove", 2, 460, 100);
  found.pinched = view.zoom / before;
  pointer("pointerup", 1, 340, 100);
  pointer("pointerup", 2, 460, 100);
  press("f");
  found.follow = view.follow;
  press("f");
  press("End");
  await drawn();
  found.outcome = document.querySelector(".tag").textContent;
  pictures.push(pixels());
  press("l");
  await drawn();
  pictures.push(pixels());
  document.querySelectorAll(".episode")[1].click();
  for (let k = 0; k < 100 && state.episode === 0; k++) await picture();
  await drawn();
  found.second = [state.episode, state.time, document.getElementById("heading").textContent];
  pictures.push(pixels());
  found.pictures = new Set(pictures).size;
  found.charts = [...document.querySelectorAll(".chart p")].map(key => key.textContent);
  found.trouble = document.getElementById("trouble")?.textContent ?? null;
})().catch(error => found.errors.push(String(error))).finally(() => {
  const result = document.createElement("pre");
  result.id = "result";
  result.textContent = JSON.stringify(found);
  document.body.append(result);
});
</script>
"""


@pytest.fixture
def browser():
    for name in ("chromium", "chromium-browser", "google-chrome", "chrome"):
        if shutil.which(name):
            return shutil.which(name)
    pytest.skip("no Chromium on this machine; the page was not opened in a browser")


def test_the_page_works_in_a_browser(file, tmp_path, browser):
    page = tmp_path / "out.html"
    replay.main(("no-action", "human"), (file,), page, "all")
    text = page.read_text().replace("</head>", f"{_CLOCK}</head>")
    page.write_text(text.replace("</body>", f"{_CHECK}</body>"))
    dump = subprocess.run(
        [
            browser, "--headless", "--no-sandbox", "--disable-gpu", "--window-size=1400,900",
            f"--user-data-dir={tmp_path / 'profile'}", "--virtual-time-budget=20000",
            "--dump-dom", page.as_uri(),
        ],
        capture_output=True, text=True, timeout=120, check=True,
    ).stdout  # fmt: skip
    result = re.search(r'<pre id="result">(.*?)</pre>', dump, re.S)
    assert result, "the check did not come to its end"
    found = json.loads(html.unescape(result.group(1)))
    assert found["errors"] == [] and found["trouble"] is None
    assert found["start"] == [0, 0]
    assert len(found["entries"]) == 3
    assert found["entries"][0].startswith("vehicle 100no-action: collision: ran into 101")
    assert found["scrubbed"] == 20 and found["clock"].startswith("2.0 / ")
    assert found["stepped"] == 31
    assert found["playing"] and found["played"] > 31
    assert found["zoomed"] == pytest.approx(np.exp(0.3), rel=1e-6)
    assert found["dragged"] < 0
    assert found["pinched"] == pytest.approx(2.0)
    assert found["follow"] is False
    assert "collision: ran into 101 after" in found["outcome"]
    assert found["second"] == [1, 0, "Vehicle 101"]
    assert found["pictures"] == 5
    assert any("proximity" in key for key in found["charts"])
    assert any("recorded human" in key for key in found["charts"])


def test_what_a_planner_considers_comes_with_each_frame(scenario_set):
    policy = policy_by_name("planner:constant-velocity,iterations=2,steps=4,replan_every=2")
    drives = record_episodes(policy, "planner", scenario_set, [0, 1])
    for drive in drives:
        assert len(drive.snapshots) == len(drive.plans) == len(drive.state) - 1
        # Between two plans the snapshot stays.
        assert drive.snapshots[0] is drive.snapshots[1] is not drive.snapshots[2]
        first = drive.snapshots[0]
        np.testing.assert_allclose(
            first.candidates_m[:, 0], [drive.state[0, :2]] * len(first.costs)
        )
        assert (np.diff(first.costs) >= 0).all()
        # At constant velocity the last box is where its vehicle will be 1.2 s later.
        last = first.boxes[first.ahead == 1.0]
        now = drive.others.box[drive.others.frame == 0]
        later = (
            now[:, 0]
            + 1.2 * np.array([12.0, 4.0, 10.0])[drive.others.vehicle[drive.others.frame == 0]]
        )
        np.testing.assert_allclose(sorted(last[:, 0]), sorted(later), atol=0.3)
    columns = unpacked(_record(drives[0], np.arange(100, 103))["packed"])
    counts = columns["pathCount"].astype(int)
    assert len(counts) == len(drives[0].snapshots)
    expected = np.concatenate([one.candidates_m for one in drives[0].snapshots])
    np.testing.assert_allclose(columns["pathX"], expected[..., 0].ravel(), atol=0.006)
    assert columns["pathPoints"][0] == expected.shape[1]
    assert columns["predictedCount"].sum() == len(columns["predictedX"]) > 0


def test_predicted_images_are_shown_as_runs_of_pixels():
    raster = RasterConfig()
    vehicles = torch.zeros(1, 1, 1, 3, raster.rows, raster.columns)
    vehicles[0, 0, 0, 2, 10:17, 4] = 1.0
    road = torch.zeros(1, 1, 1, 3, 2, raster.rows, raster.columns)
    pose = torch.tensor([[[[5.0, 2.0, 0.0]] * 3]])
    motion = RasterizedMotion(lambda: torch.zeros(1, 1, 1, 3, 2, raster.rows, raster.columns))
    prediction = OccupancyPrediction(pose, raster, vehicles, road, motion)
    start = torch.tensor([5.0, 2.0])
    snapshot = PlanSnapshot.take(torch.zeros(1, 3, 2), torch.zeros(1), start, prediction, 0)
    metres = raster.metres_per_pixel
    assert snapshot.ahead.tolist() == [1.0]
    x = 5.0 + (0.5 * (raster.rows - 1) - 13) * metres
    y = 2.0 + (0.5 * (raster.columns - 1) - 4) * metres
    expected = [[x, y, 0.0, 7 * metres, metres]]
    np.testing.assert_allclose(snapshot.boxes, expected, atol=1e-4, rtol=1e-4)
