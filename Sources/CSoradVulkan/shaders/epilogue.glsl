// What a product or convolution does with its sums (sorad_epilogue of the kernels). The includer has the buffers `gate` [N] and
// `residual`, which may be `out`.
const uint ACTIVATION = 3u, HAS_BIAS = 4u, HAS_GATE = 8u, HAS_RESIDUAL = 16u, RELU_AT_END = 32u, HAS_ZERO = 64u;

float epilogue(uint flags, float x, uint gateAt, uint residualAt) {
    exact y = x;
    switch (flags & ACTIVATION) {
    case 1u: y = relu(y); break;
    case 2u: y = gelu_tanh(y); break;
    case 3u: y = silu(y); break;
    }
    if ((flags & HAS_GATE) != 0u && (flags & HAS_RESIDUAL) != 0u) y = fused(gate[gateAt], y, residual[residualAt]);
    else if ((flags & HAS_RESIDUAL) != 0u) y = residual[residualAt] + y;
    else if ((flags & HAS_GATE) != 0u) y = gate[gateAt] * y;
    if ((flags & RELU_AT_END) != 0u) y = relu(y);
    return y;
}
