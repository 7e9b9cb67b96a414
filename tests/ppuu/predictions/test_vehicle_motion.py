"""How fast the vehicles of predicted images move: uniformly, as drawn, or as they were carried."""

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor

from ppuu.perception.raster_image import RasterConfig
from ppuu.predictions import Flow, FlowMotion, RasterizedMotion, UniformMotion

RASTER = RasterConfig(12, 6, 1.0)
BATCH, SAMPLES, TIME = 2, 3, 4


@dataclass
class Seen:
    speed_mps: Tensor


def covered(samples=SAMPLES, time=TIME, predicted=1, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(BATCH, predicted, samples, time, 12, 6, generator=generator)


def test_uniform_motion_is_straight_ahead_at_the_seen_speed():
    motion, vehicles = UniformMotion(Seen(torch.tensor([7.0, 3.0]))), covered(predicted=2)
    result = motion.momentum(vehicles)
    assert result.shape == (BATCH, 2, SAMPLES, TIME, 2, 12, 6)
    torch.testing.assert_close(result[0, ..., 0, :, :], 7.0 * vehicles[0])
    torch.testing.assert_close(result[1, ..., 0, :, :], 3.0 * vehicles[1])
    assert (result[..., 1, :, :] == 0).all()


def test_uniform_motion_is_the_same_at_all_times_and_in_all_samples():
    motion = UniformMotion(Seen(torch.tensor([7.0, 3.0])))
    vehicles = covered(time=1)
    for same in (motion.at(2), UniformMotion.concatenate([motion, motion])):
        torch.testing.assert_close(same.momentum(vehicles), motion.momentum(vehicles))
    turns = UniformMotion.interleave([motion, motion], 2)
    torch.testing.assert_close(turns.momentum(vehicles), motion.momentum(vehicles))


class Drawing:
    """Counts how often something is drawn."""

    def __init__(self, seed=0):
        generator = torch.Generator().manual_seed(seed)
        self.drawn = torch.randn(BATCH, 1, SAMPLES, TIME, 2, 12, 6, generator=generator)
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return self.drawn


def test_momentum_is_drawn_once_and_only_if_it_is_asked_for():
    draw = Drawing()
    motion = RasterizedMotion(draw)
    late = [motion.at(time) for time in range(TIME)]
    whole = RasterizedMotion.concatenate(late)
    assert draw.calls == 0
    for one in (motion, whole, motion):
        torch.testing.assert_close(one.momentum(covered()), draw.drawn)
    torch.testing.assert_close(late[2].momentum(covered(time=1)), draw.drawn[:, :, :, 2:3])
    assert draw.calls == 1


def test_rasterized_samples_are_interleaved():
    draws = Drawing(0), Drawing(1)
    result = RasterizedMotion.interleave([RasterizedMotion(draw) for draw in draws], 5)
    assert [draw.calls for draw in draws] == [0, 0]
    momentum = result.momentum(covered(samples=5))
    assert momentum.shape[2] == 5
    for sample in range(5):
        expected = draws[sample % 2].drawn[:, :, sample // 2]
        torch.testing.assert_close(momentum[:, :, sample], expected)


def carried(metres=None, samples=1, seconds=(2.0,), speed=(5.0, 1.0), mass=(1.0, 1.0)):
    """Two pixels: one in the middle of the first row's image, one in the other's."""
    pixel = torch.tensor([6 * 6 + 2, 8 * 6 + 4])
    if metres is None:
        metres = torch.tensor([[3.0, 1.0], [-2.0, 0.0]])
        metres = metres[:, None, None].expand(2, samples, len(seconds), 2)
    flow = Flow(torch.tensor([0, 1]), pixel, metres)
    return FlowMotion(flow, torch.tensor(mass), torch.tensor(seconds), torch.tensor(speed), RASTER)


def test_flow_lands_where_it_says():
    """Whole pixels ahead are rows up, whole pixels to the left columns down."""
    motion = carried(mass=(0.5, 1.0))
    landed = motion.flow.splat(motion.mass[:, None, None], BATCH, RASTER)
    expected = torch.zeros(BATCH, 1, 1, 12, 6)
    expected[0, 0, 0, 6 - 3, 2 - 1], expected[1, 0, 0, 8 + 2, 4] = 0.5, 1.0
    torch.testing.assert_close(landed, expected)


def test_masses_that_land_together_add_up():
    flow = Flow(
        torch.zeros(2, dtype=torch.int64), torch.tensor([40, 40 - 6]),
        torch.tensor([[[[1.5, 0.0]]], [[[0.5, 0.0]]]]),
    )  # fmt: skip
    landed = flow.splat(torch.tensor([0.6, 0.2])[:, None, None], 1, RASTER)
    assert float(landed.sum()) == pytest.approx(0.8)
    # Both halfway between the same two pixels, so in equal parts.
    torch.testing.assert_close(
        landed[0, 0, 0].flatten()[[40 - 12, 40 - 6]], torch.tensor([0.4, 0.4])
    )


def test_carried_pixels_have_the_velocity_that_carried_them():
    """On top of the view's own; it counts by how much of a pixel is covered."""
    motion = carried()
    vehicles = torch.zeros(BATCH, 1, 1, 1, 12, 6)
    vehicles[0, 0, 0, 0, 3, 1], vehicles[1, 0, 0, 0, 10, 4] = 0.5, 1.0
    vehicles[0, 0, 0, 0, 11, 5] = 1.0  # where nothing was carried to
    result = motion.momentum(vehicles)
    assert result.shape == (BATCH, 1, 1, 1, 2, 12, 6)
    # 3 m ahead and 1 m to the left in 2 s; then 2 m back.
    first, second = result[0, 0, 0, 0, :, 3, 1], result[1, 0, 0, 0, :, 10, 4]
    torch.testing.assert_close(first, 0.5 * torch.tensor([5.0 + 1.5, 0.5]), atol=0, rtol=0.06)
    torch.testing.assert_close(second, torch.tensor([1.0 - 1.0, 0.0]), atol=0.06, rtol=0)
    # Elsewhere the view's own speed decides.
    torch.testing.assert_close(result[0, 0, 0, 0, :, 11, 5], torch.tensor([5.0, 0.0]))
    result[0, 0, 0, 0, :, 3, 1] = result[1, 0, 0, 0, :, 10, 4] = result[0, 0, 0, 0, :, 11, 5] = 0.0
    assert (result == 0).all()


def random_carried(seed=0, samples=SAMPLES):
    generator = torch.Generator().manual_seed(seed)
    metres = 2 * torch.randn(2, samples, TIME, 2, generator=generator)
    return carried(metres, samples, seconds=(0.3, 0.6, 0.9, 1.2), mass=(0.7, 1.0))


def test_times_one_by_one_make_the_whole():
    motion, vehicles = random_carried(), covered()
    whole = motion.momentum(vehicles)
    parts = [motion.at(time) for time in range(TIME)]
    for time, part in enumerate(parts):
        now = vehicles[:, :, :, time : time + 1]
        torch.testing.assert_close(part.momentum(now), whole[:, :, :, time : time + 1])
    torch.testing.assert_close(FlowMotion.concatenate(parts).momentum(vehicles), whole)


def test_carried_samples_take_turns():
    motions, vehicles = (random_carried(0), random_carried(1)), covered(5)
    result = FlowMotion.interleave(motions, 5).momentum(vehicles)
    for sample in range(5):
        part = motions[sample % 2].momentum(vehicles[:, :, [sample] * SAMPLES])
        torch.testing.assert_close(result[:, :, sample], part[:, :, sample // 2])


def test_gradients_reach_the_flow():
    metres = torch.tensor([[[[2.6, 0.8]]], [[[-1.7, 0.3]]]]).requires_grad_()
    motion = carried(metres)
    motion.momentum(covered(1, 1)).sum().backward()
    assert metres.grad.isfinite().all()
    assert metres.grad.abs().min() > 1e-3
