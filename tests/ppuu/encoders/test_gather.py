"""Two processes with half a batch each get what one process gets from the joint batch."""

import sys
from datetime import timedelta

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

from ppuu.encoders import EmbeddingRollout, gather
from ppuu.encoders.norms import SyncBatchNorm
from ppuu.encoders.regularizers import (
    BarlowTwinsConfig,
    DclConfig,
    DirectClrConfig,
    InfoNceConfig,
    Mcr2Config,
    SigRegConfig,
    TiCoConfig,
    VicRegConfig,
)

CONFIGS = (
    VicRegConfig(temporal_variance=0.5), InfoNceConfig(), DclConfig(), BarlowTwinsConfig(),
    TiCoConfig(), SigRegConfig(directions=8), Mcr2Config(), DirectClrConfig(),
)  # fmt: skip


def data():
    return torch.randn(8, 3, 4, 6, generator=torch.Generator().manual_seed(0)).double()


class Net(torch.nn.Module):
    """A linear layer, a batch norm, and a prediction by another linear layer."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.encode, self.predict = torch.nn.Linear(6, 5), torch.nn.Linear(5, 5)
        self.norm = SyncBatchNorm(5)

    def forward(self, seen):
        target = self.norm(self.encode(seen).movedim(-1, 1)).movedim(1, -1)
        ahead = self.predict(target[:, :-1])
        return EmbeddingRollout.of(torch.cat([target[:, :1], ahead], dim=1), target)


def gradients(seen):
    """Of every objective with respect to every weight, averaged over the ranks there are."""
    found = []
    for config in CONFIGS:
        net = Net().double()
        config.build(5, 4).double()(gather(net(seen))).total.backward()
        for weight in net.parameters():
            grad = weight.grad
            if dist.is_initialized():
                dist.all_reduce(grad)
                grad = grad / dist.get_world_size()
            found.append(grad)
    return found


def work(rank, path):
    dist.init_process_group(
        "gloo", init_method=f"file://{path}", rank=rank, world_size=2,
        timeout=timedelta(seconds=60),
    )  # fmt: skip
    torch.set_num_threads(1)
    found = gradients(data().chunk(2)[rank])
    torch.save(found, f"{path}.{rank}")
    dist.destroy_process_group()


@pytest.mark.skipif(sys.platform == "win32", reason="needs Gloo with files")
def test_two_ranks_have_the_gradient_of_the_joint_batch(tmp_path):
    path = tmp_path / "meeting"
    mp.spawn(work, (str(path),), nprocs=2)
    expected = gradients(data())
    for rank in range(2):
        found = torch.load(f"{path}.{rank}", weights_only=True)
        for ours, theirs in zip(found, expected, strict=True):
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-10)
