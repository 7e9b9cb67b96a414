"""MOBIL's incentive and safety, by hand-computed cases."""

import numpy as np
import torch

from ppuu.driving.mobil import Mobil

MOBIL = Mobil(threshold_mps2=0.5)


def test_incentive_weighs_the_loss_of_the_new_follower():
    own, after = np.array([-1.0, -1.0, -1.0]), np.array([0.5, 0.5, 0.5])
    follower, follower_after = np.array([0.3, 0.3, -2.0]), np.array([-0.7, -0.7, -1.0])
    has_follower = np.array([True, False, True])
    found = MOBIL.incentive_mps2(own, after, follower, follower_after, has_follower)
    # A follower's gain does not count.
    np.testing.assert_allclose(found, [1.5 - 0.2 * 1.0, 1.5, 1.5])
    tensors = map(torch.tensor, (own, after, follower, follower_after, has_follower))
    np.testing.assert_array_equal(MOBIL.incentive_mps2(*tensors).numpy(), found)


def test_urgency_allows_harder_braking():
    own, follower = np.array([-2.5, -2.5, 0.0, 0.0]), np.array([0.0, 0.0, -3.0, -3.0])
    has_follower = np.array([True, True, True, False])
    relaxed = MOBIL.is_safe(own, follower, has_follower, np.zeros(4))
    urgent = MOBIL.is_safe(own, follower, has_follower, np.ones(4))
    assert relaxed.tolist() == [False, False, False, True]
    assert urgent.tolist() == [True, True, True, True]


def test_room_grows_with_the_followers_speed():
    gap, speed = torch.tensor([1.6, 1.6, 5.0]), torch.tensor([0.0, 10.0, 20.0])
    assert MOBIL.has_room(gap, speed).tolist() == [True, False, True]
