"""Convolutions that are as fast in bfloat16 on a CPU as its arithmetic allows.

Layers and results are those of torch; in single precision and on a GPU so is the code.  But on a
CPU the library behind it is slow in bfloat16 at transposed convolutions with a bias, at gradients
that do not lie channels last, and at the gradient of many weights over few positions.  So the bias
is added afterwards, gradients are laid out anew, and the last are one matrix product.
"""

from __future__ import annotations

from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

_FEW_POSITIONS = 200
"""Up to so many in an image, a matrix product is faster than the convolution's own gradient."""


class Conv2d(nn.Conv2d):
    """A convolution."""

    def forward(self, input: Tensor) -> Tensor:
        """As its parent."""
        return self._convolved(input, self.weight, self.bias)

    def of(
        self, values: Float[Tensor, "batch some rows columns"], channels: slice
    ) -> Float[Tensor, "batch maps rows2 columns2"]:
        """What only these channels of an input contribute, without the bias."""
        return self._convolved(values, self.weight[:, channels], None)

    def _convolved(self, values: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        if not _in_bfloat16(values):
            return self._conv_forward(values, weight, bias)
        values, weight, bias = _cast(values, weight, bias)
        return _Convolved.apply(values, weight, bias, self.stride, self.padding)


class ConvTranspose2d(nn.ConvTranspose2d):
    """A transposed convolution."""

    def forward(self, input: Tensor, output_size: list[int] | None = None) -> Tensor:
        """As its parent."""
        if output_size is not None or not _in_bfloat16(input):
            return super().forward(input, output_size)
        values, weight, bias = _cast(input, self.weight, self.bias)
        if torch.is_grad_enabled() or bias is None:
            return _Spread.apply(values, weight, bias, self.stride, self.padding)
        spread = functional.conv_transpose2d(values, weight, None, self.stride, self.padding)
        return spread.add_(bias[:, None, None])


def _in_bfloat16(values: Tensor) -> bool:
    """Whether torch would compute in bfloat16, on a CPU."""
    if not values.is_cpu:
        return False
    if torch.is_autocast_enabled("cpu"):
        return torch.get_autocast_dtype("cpu") == torch.bfloat16
    return values.dtype == torch.bfloat16


def _cast(*tensors: Tensor | None) -> list:
    return [None if tensor is None else tensor.bfloat16() for tensor in tensors]


class _Convolution(torch.autograd.Function):
    """What both share."""

    generate_vmap_rule = True  # ensembles map over their members

    @staticmethod
    def setup_context(ctx, inputs, output):
        values, weight, _, ctx.stride, ctx.padding = inputs
        ctx.save_for_backward(values, weight)


class _Convolved(_Convolution):
    @staticmethod
    def forward(values, weight, bias, stride, padding):
        return functional.conv2d(values, weight, bias, stride, padding)

    @staticmethod
    def backward(ctx, gradient):
        values, weight = ctx.saved_tensors
        gradient = _channels_last(gradient)
        how = ctx.stride, ctx.padding
        to_values = _gradient(0, values, weight, gradient, *how) if _wants(ctx, 0) else None
        to_weight = _weight_gradient(values, weight, gradient, *how) if _wants(ctx, 1) else None
        return to_values, to_weight, gradient.sum((0, 2, 3)) if _wants(ctx, 2) else None, None, None


class _Spread(_Convolution):
    """The transpose: a convolution's gradient is its forward pass, and the other way round."""

    @staticmethod
    def forward(values, weight, bias, stride, padding):
        spread = functional.conv_transpose2d(values, weight, None, stride, padding)
        # Not in place: mapped over members it is a view, which what follows must not change.
        return spread if bias is None else spread + bias[:, None, None]

    @staticmethod
    def backward(ctx, gradient):
        values, weight = ctx.saved_tensors
        gradient = _channels_last(gradient)
        how = ctx.stride, ctx.padding
        to_values = functional.conv2d(gradient, weight, None, *how) if _wants(ctx, 0) else None
        to_weight = _weight_gradient(gradient, weight, values, *how) if _wants(ctx, 1) else None
        return to_values, to_weight, gradient.sum((0, 2, 3)) if _wants(ctx, 2) else None, None, None


def _channels_last(images: Tensor) -> Tensor:
    # Not by ``memory_format``, which maps over a batch do not know.
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
    """Of a convolution's values (0) or weight (1), given the gradient at its result.

    Straight from torch: functions of ``torch.nn.grad`` copy placeholders as large as the images.
    """
    asked = (of == 0, of == 1, False)
    return torch.ops.aten.convolution_backward(
        gradient, values, weight, None, stride, padding, (1, 1), False, (0, 0), 1, asked
    )[of]


def _weight_gradient(
    values: Float[Tensor, "batch channels rows columns"],
    weight: Float[Tensor, "maps channels kernel_rows kernel_columns"],
    gradient: Float[Tensor, "batch maps rows2 columns2"],
    stride: tuple[int, int],
    padding: tuple[int, int],
) -> Float[Tensor, "maps channels kernel_rows kernel_columns"]:
    """Of a convolution of ``values``, given the gradient at its result."""
    if gradient.shape[2] * gradient.shape[3] > _FEW_POSITIONS:
        return _gradient(1, values, weight, gradient, stride, padding)
    padded = functional.pad(values, (padding[1], padding[1], padding[0], padding[0]))
    windows = padded.movedim(1, -1).unfold(1, weight.shape[2], stride[0])
    windows = windows.unfold(2, weight.shape[3], stride[1])  # batch rows2 columns2 channels k k
    rows, columns = gradient.shape[2:]
    windows = windows[:, :rows, :columns].permute(0, 1, 2, 4, 5, 3).flatten(0, 2).flatten(1)
    found = gradient.movedim(1, -1).flatten(0, 2).mT @ windows
    return found.unflatten(1, (*weight.shape[2:], -1)).movedim(-1, 1)
