"""The diffusion transformer, with the state-dict names and mathematics of diffusers' `WanTransformer3DModel`.

Letters: B clips, C latent channels, T latent frames, h x w latent pixels, N tokens = T * h/2 * w/2, L text tokens,
D model width, H heads. Written lean because training on a CPU needs it; `tests` compare it with diffusers' class.
Invariant: every token carries its own timestep (`expand_timesteps`), so that known frames can stand at 0.
"""
from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

MIXED = 2       # blocks that see all tokens also where training drops some


@dataclass
class TransformerConfig:
    num_attention_heads: int = 6
    attention_head_dim: int = 64
    in_channels: int = 48
    out_channels: int = 48
    text_dim: int = 256
    freq_dim: int = 256
    ffn_dim: int = 1024
    num_layers: int = 9
    eps: float = 1e-6
    rope_max_seq_len: int = 1024

    @property
    def width(self) -> int:
        return self.num_attention_heads * self.attention_head_dim

    def to_json(self) -> dict:
        """`transformer/config.json` as diffusers writes it."""
        fields = {k: v for k, v in self.__dict__.items()}
        return {"_class_name": "WanTransformer3DModel", "_diffusers_version": "0.42.1", "patch_size": [1, 2, 2],
                **fields, "cross_attn_norm": True, "qk_norm": "rms_norm_across_heads", "added_kv_proj_dim": None,
                "image_dim": None, "pos_embed_seq_len": None}


def rotary_table(config: TransformerConfig, t: int, h: int, w: int) -> Tensor:
    """e^(i angle), complex [N, 1, head_dim / 2]: time, row and column each own a share of the head."""
    d = config.attention_head_dim
    side = 2 * (d // 6)
    shares = (d - 2 * side, side, side)
    axes = []
    for share, size in zip(shares, (t, h, w)):
        frequency = 1.0 / 10000.0 ** (torch.arange(0, share, 2, dtype=torch.float64) / share)
        axes.append(torch.outer(torch.arange(size), frequency))
    grid = torch.cat([axes[0][:, None, None].expand(t, h, w, -1), axes[1][None, :, None].expand(t, h, w, -1),
                      axes[2][None, None].expand(t, h, w, -1)], dim=-1)
    return torch.polar(torch.ones((), dtype=torch.float64), grid.reshape(t * h * w, 1, -1)).to(torch.complex64)


def rotate(x: Tensor, table: Tensor) -> Tensor:
    """float32 [B, N, H, d] rotated pairwise by `table` [N, 1, d / 2] or [B, N, 1, d / 2], as complex numbers."""
    return torch.view_as_real(torch.view_as_complex(x.unflatten(-1, (-1, 2))) * table).flatten(-2)


def narrow(x: Tensor) -> Tensor:
    """x as autocast will have it, converted once for several layers that read it."""
    kind = x.device.type
    return x.to(torch.get_autocast_dtype(kind)) if torch.is_autocast_enabled(kind) else x


class RowNorm(torch.autograd.Function):
    """x / root mean square(x) * weight of rows [..., D], float32 from any dtype: half the passes over memory of the
    composed operations, which on a CPU are all that a norm costs."""

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        rows = x.float()
        scale = (torch.linalg.vector_norm(rows, dim=-1, keepdim=True).square() / x.shape[-1] + eps).rsqrt()
        ctx.save_for_backward(x, weight, scale)
        return rows * scale * weight

    @staticmethod
    def backward(ctx, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, scale = ctx.saved_tensors
        normed = x.float() * scale
        product = gradient * normed
        along = (product @ weight)[..., None] / x.shape[-1]
        to_x = torch.addcmul(gradient * weight, normed, along, value=-1) * scale
        return to_x.to(x.dtype), product.flatten(0, -2).sum(0), None


class RMSNorm(nn.RMSNorm):
    """nn.RMSNorm with `RowNorm`; `factor` multiplies the result at no cost."""

    def forward(self, x: Tensor, factor: float = 1.0) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return RowNorm.apply(x, self.weight * factor, self.eps)


class Attention(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.heads = config.num_attention_heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width) for _ in range(3))
        self.to_out = nn.ModuleList([nn.Linear(width, width), nn.Identity()])
        self.norm_q, self.norm_k = RMSNorm(width, config.eps), RMSNorm(width, config.eps)

    def forward(self, x: Tensor, context: Tensor, table: Tensor | None, bias: Tensor | None = None) -> Tensor:
        """x [B, N, D] attends to context [B, M, D]; bias [M] is added to the logits of its rows."""
        b, n, width = x.shape
        split = (b, -1, self.heads, width // self.heads)
        same = context is x
        x = narrow(x)
        context = x if same else narrow(context)
        q = self.norm_q(self.to_q(x), (width // self.heads) ** -0.5).view(split)
        k, v = self.norm_k(self.to_k(context)).view(split), self.to_v(context).view(split)
        if table is not None:
            q, k = rotate(q, table), rotate(k, table)
        q, k, v = (y.transpose(1, 2).flatten(0, 1) for y in (q, k, v))
        # plain products: at 80 tokens the fused attention's backward pass costs as much as all matrix products
        logits = torch.bmm(q, k.transpose(1, 2))
        if bias is not None:
            logits = logits + bias
        y = torch.bmm(logits.softmax(-1), v)
        return self.to_out[0](y.unflatten(0, (b, -1)).transpose(1, 2).reshape(b, n, width))


class GeluProjection(nn.Module):
    def __init__(self, n_in: int, n_out: int) -> None:
        super().__init__()
        self.proj = nn.Linear(n_in, n_out)

    def forward(self, x: Tensor) -> Tensor:
        return F.gelu(self.proj(x), approximate="tanh")


class FeedForward(nn.Module):
    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.net = nn.Sequential(GeluProjection(width, inner), nn.Identity(), nn.Linear(inner, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class Block(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        width = config.width
        self.norm1 = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.attn1, self.attn2 = Attention(config), Attention(config)
        self.norm2 = nn.LayerNorm(width, config.eps)
        self.ffn = FeedForward(width, config.ffn_dim)
        self.norm3 = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 6, width) / width ** 0.5)

    def forward(self, x: Tensor, text: Tensor, modulation: Tensor, table: Tensor,
                text_bias: Tensor | None) -> Tensor:
        """x [B, N, D], text [B, L, D], modulation [B, N or 1, 6, D]."""
        shift1, scale1, gate1, shift2, scale2, gate2 = (self.scale_shift_table[None] + modulation).unbind(2)
        y = torch.addcmul(shift1, self.norm1(x), 1 + scale1)
        x = torch.addcmul(x, self.attn1(y, y, table), gate1)
        x = x + self.attn2(self.norm2(x), text, None, text_bias)
        return torch.addcmul(x, self.ffn(torch.addcmul(shift2, self.norm3(x), 1 + scale2)), gate2)


class MLP(nn.Module):
    """Two linear layers under the names linear_1 and linear_2."""

    def __init__(self, n_in: int, width: int, activation: str) -> None:
        super().__init__()
        self.linear_1, self.linear_2 = nn.Linear(n_in, width), nn.Linear(width, width)
        self.activation = activation

    def forward(self, x: Tensor) -> Tensor:
        y = self.linear_1(x)
        return self.linear_2(F.silu(y) if self.activation == "silu" else F.gelu(y, approximate="tanh"))


class ConditionEmbedder(nn.Module):
    def __init__(self, config: TransformerConfig) -> None:
        super().__init__()
        self.freq_dim = config.freq_dim
        self.time_embedder = MLP(config.freq_dim, config.width, "silu")
        self.time_proj = nn.Linear(config.width, 6 * config.width)
        self.text_embedder = MLP(config.text_dim, config.width, "gelu")

    def forward(self, timestep: Tensor, context: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """timestep [B, N or 1], context [B, L, text_dim] to time [B, ., D], modulation [B, ., 6, D], text [B, L, D]."""
        half = self.freq_dim // 2
        frequency = torch.exp(-math.log(10000) * torch.arange(half, device=timestep.device) / half)
        angle = timestep[..., None].float() * frequency
        time = self.time_embedder(torch.cat([angle.cos(), angle.sin()], dim=-1))
        modulation = self.time_proj(F.silu(time)).unflatten(-1, (6, -1))
        return time, modulation, self.text_embedder(context)


def tokens_of(latent: Tensor) -> Tensor:
    """[B, C, T, h, w] to [B, N, 4 C] as `proj_out` says them: row, column, channel within a token."""
    b, c, t, h, w = latent.shape
    return latent.view(b, c, t, h // 2, 2, w // 2, 2).permute(0, 2, 3, 5, 4, 6, 1).reshape(b, -1, 4 * c)


class Transformer(nn.Module):
    """Velocity of a noised latent: latent [B, C, T, h, w], timestep [B] or [B, N], context [B, L, text_dim].

    The L rows of the context are all attended to, padding too, as in diffusers. `text_bias` [L] allows the same result
    with fewer rows: n equal rows may be given once, with a bias of ln n.

    `tap` names a block: the tokens after it are returned beside the velocity, for lessons in training. `kept` [B, K]
    names tokens that alone go on after the first MIXED blocks, which have told them of the others: training is cheaper by
    what is dropped (deferred masking, Sehwag et al. 2024, arXiv 2407.15811). The velocity is then that of these tokens,
    [B, K, 4 C], in the order of `tokens_of`, and tapped are only those."""

    def __init__(self, config: TransformerConfig = TransformerConfig()) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.patch_embedding = nn.Conv3d(config.in_channels, width, (1, 2, 2), (1, 2, 2))
        self.condition_embedder = ConditionEmbedder(config)
        self.blocks = nn.ModuleList([Block(config) for _ in range(config.num_layers)])
        self.norm_out = nn.LayerNorm(width, config.eps, elementwise_affine=False)
        self.proj_out = nn.Linear(width, 4 * config.out_channels)
        self.scale_shift_table = nn.Parameter(torch.randn(1, 2, width) / width ** 0.5)
        self.tables: dict[tuple[int, int, int], Tensor] = {}

    def forward(self, latent: Tensor, timestep: Tensor, context: Tensor, text_bias: Tensor | None = None,
                tap: int | None = None, kept: Tensor | None = None) -> Tensor | tuple[Tensor, Tensor]:
        b, c, t, h, w = latent.shape
        grid = (t, h // 2, w // 2)
        if grid not in self.tables:
            self.tables[grid] = rotary_table(self.config, *grid).to(latent.device)
        # [B, C, T, h/2, 2, w/2, 2] to tokens [B, N, C * 4]: the patch convolution as one product
        patches = latent.view(b, c, t, h // 2, 2, w // 2, 2).permute(0, 2, 3, 5, 1, 4, 6).reshape(b, -1, 4 * c)
        x = F.linear(patches, self.patch_embedding.weight.flatten(1), self.patch_embedding.bias)
        time, modulation, text = self.condition_embedder(timestep.reshape(b, -1), context)
        text = narrow(text)
        tapped, table = None, self.tables[grid]
        for k, block in enumerate(self.blocks):
            if kept is not None and k == MIXED:
                x, table = x.gather(1, kept[..., None].expand(-1, -1, x.shape[-1])), table[kept]
                if modulation.shape[1] > 1:
                    modulation = modulation.gather(1, kept[..., None, None].expand(-1, -1, *modulation.shape[2:]))
                    time = time.gather(1, kept[..., None].expand(-1, -1, time.shape[-1]))
            x = block(x, text, modulation, table, text_bias)
            if k == tap:
                tapped = x
        shift, scale = (self.scale_shift_table[None] + time[:, :, None]).unbind(2)
        x = self.proj_out(self.norm_out(x) * (1 + scale) + shift)
        if kept is None:
            x = x.view(b, *grid, 2, 2, -1).permute(0, 6, 1, 2, 4, 3, 5).reshape(b, -1, t, h, w)
        return x if tap is None else (x, tapped)

    @torch.no_grad()
    def initialise(self) -> None:
        """Xavier weights and zero biases as in Wan's reference, but with the input carried to the output.

        Most of a velocity is the noise in the input itself; beginning with v about 1.05 x_t, which holds for most
        noise levels, saves the hundreds of steps in which the model would learn to pass its input through.
        """
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.xavier_uniform_(module.weight)
                nn.init.zeros_(module.bias)
        carry = self.patch_embedding.weight.flatten(1)              # [D, C * 4]
        nn.init.orthogonal_(carry)
        nn.init.zeros_(self.patch_embedding.bias)
        for mlp in (self.condition_embedder.text_embedder, self.condition_embedder.time_embedder):
            nn.init.normal_(mlp.linear_1.weight, std=0.02)
            nn.init.normal_(mlp.linear_2.weight, std=0.02)
        # proj_out gives each token as (row, column, channel), patch_embedding takes (channel, row, column)
        back = carry.T.view(self.config.in_channels, 4, -1).transpose(0, 1).flatten(0, 1)
        self.proj_out.weight.copy_(0.64 * back)
