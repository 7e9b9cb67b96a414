"""Convolutions with fast bfloat16 kernels on CPUs.

Layers and results are those of torch, whose code is used in float32 and on GPUs.  In bfloat16 on a
CPU, torch is slow for transposed convolutions with a bias, for gradients that are not channels
last, and for weight gradients with many weights and few positions.  Here the bias is added
separately, gradients are made contiguous in channels last, and small weight gradients are one
matrix product.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_FEW_POSITIONS = 200
"""Up to this number per image, a matrix product is faster than torch's weight gradient."""


class Conv2d(nn.Conv2d):
    """``torch.nn.Conv2d``."""

    def forward(self, input: Tensor) -> Tensor:
        """As in torch."""
        return self._convolve(input, self.weight, self.bias)

    def partial(
        self, values: Float[Tensor, "batch some rows columns"], channels: slice
    ) -> Float[Tensor, "batch maps rows2 columns2"]:
        """The contribution of some input channels, without the bias."""
        return self._convolve(values, self.weight[:, channels], None)

    def _convolve(self, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _in_bfloat16(values):
            return self._conv_forward(values, weight, bias)
        values, weight, bias = _cast(values, weight, bias)
        return _Conv2dFunction.apply(values, weight, bias, self.stride, self.padding)


class ConvTranspose2d(nn.ConvTranspose2d):
    """``torch.nn.ConvTranspose2d``."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As in torch."""
        if output_size is not None or not _in_bfloat16(input):
            return super().forward(input, output_size)
        values, weight, bias = _cast(input, self.weight, self.bias)
        if torch.is_grad_enabled() or bias is None:
            return _ConvTranspose2dFunction.apply(values, weight, bias, self.stride, self.padding)
        output = functional.conv_transpose2d(values, weight, None, self.stride, self.padding)
        return output.add_(bias[:, None, None])


def _in_bfloat16(values: Tensor) -> bool:
    """Whether torch would compute in bfloat16 on a CPU."""
    if not values.is_cpu:
        return False
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return values.dtype == torch.bfloat16


def _cast(*tensors: Tensor | None) -> list:
    return [None if tensor is None else tensor.bfloat16() for tensor in tensors]


class _ConvolutionFunction(torch.autograd.Function):
    """The context that both functions save."""

    generate_vmap_rule = True  # ensembles use vmap over their members

    @staticmethod
    def setup_context(ctx, inputs, output):
        values, weight, _, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(values, weight)


class _Conv2dFunction(_ConvolutionFunction):
    @staticmethod
    def forward(values, weight, bias, stride, padding):
        return functional.conv2d(values, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx, gradient):
        values, weight = ctx.saved_tensors
        gradient = _channels_last(gradient)
        geometry = ctx.stride, ctx.padding
        to_values = _gradient(0, values, weight, gradient, *geometry) if _wants(ctx, 0) else None
        to_weight = (
            _weight_gradient(values, weight, gradient, *geometry) if _wants(ctx, 1) else None
        )
        return to_values, to_weight, gradient.sum((0, 2, 3)) if _wants(ctx, 2) else None, None, None


class _ConvTranspose2dFunction(_ConvolutionFunction):
    """The transpose: forward and backward of a convolution, exchanged."""

    @staticmethod
    def forward(values, weight, bias, stride, padding):
        output = functional.conv_transpose2d(values, weight, None, stride, padding)
        # Not in place: under vmap it is a view.
        return output if bias is None else output + bias[:, None, None]

    @staticmethod
    def backward(ctx, gradient):
        values, weight = ctx.saved_tensors
        gradient = _channels_last(gradient)
        geometry = ctx.stride, ctx.padding
        to_values = functional.conv2d(gradient, weight, None, *geometry) if _wants(ctx, 0) else None
        to_weight = (
            _weight_gradient(gradient, weight, values, *geometry) if _wants(ctx, 1) else None
        )
        return to_values, to_weight, gradient.sum((0, 2, 3)) if _wants(ctx, 2) else None, None, None


def _channels_last(images: Tensor) -> Tensor:
    # ``memory_format`` is not supported under vmap.
    return images.movedim(1, -1).contiguous().movedim(-1, 1)


def _wants(ctx, number: int) -> bool:
    return ctx.needs_input_grad[number]


def _gradient(
    of: Literal[0, 1],
    values: Float[Tensor, "batch channels rows columns"],
    weight: Float[Tensor, "maps channels kernel_rows kernel_columns"],
    gradient: Float[Tensor, "batch maps rows2 columns2"],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Tensor:
    """Gradient of a convolution's input (0) or weight (1), given that of its output.

    Calls aten directly, since ``torch.nn.grad`` allocates placeholders as large as the images.
    """
    output_mask = (of == 0, of == 1, False)
    return torch.ops.aten.convolution_backward(
        gradient, values, weight, None, stride, padding, (1, 1), False, (0, 0), 1, output_mask
    )[of]


def _weight_gradient(
    values: Float[Tensor, "batch channels rows columns"],
    weight: Float[Tensor, "maps channels kernel_rows kernel_columns"],
    gradient: Float[Tensor, "batch maps rows2 columns2"],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Float[Tensor, "maps channels kernel_rows kernel_columns"]:
    """Weight gradient of a convolution of ``values``, given the gradient of its output."""
    if gradient.shape[2] * gradient.shape[3] > _FEW_POSITIONS:
        return _gradient(1, values, weight, gradient, stride, padding)
    padded = functional.pad(values, (padding[1], padding[1], padding[0], padding[0]))
    windows = padded.movedim(1, -1).unfold(1, weight.shape[2], stride[0])
    windows = windows.unfold(2, weight.shape[3], stride[1])  # batch rows2 columns2 channels k k
    rows, columns = gradient.shape[2:]
    windows = windows[:, :rows, :columns].permute(0, 1, 2, 4, 5, 3).flatten(0, 2).flatten(1)
    product = gradient.movedim(1, -1).flatten(0, 2).mT @ windows
    return product.unflatten(1, (*weight.shape[2:], -1)).movedim(-1, 1)
