// 32 × 64 float sums by 256 invocations, 2 × 4 each, every sum over the inputs in their order, fused; 16 inputs at a time pass through
// shared memory. The includer has the buffer `weights` [N/16][inputs][16] and the functions left_value(row, input) and
// takes_part(input): an input that does not adds nothing, not even a zero.
const uint TILE_ROWS = 32u, TILE = 64u, DEPTH = 16u, STRIDE = DEPTH + 1u;
shared float leftTile[TILE_ROWS * STRIDE], rightTile[DEPTH * TILE];

void sum_products(uint row0, uint rowEnd, uint column0, uint columns, uint inputs, uint weightsAt, out float sums[8]) {
    uint t = gl_LocalInvocationID.x, tx = t % 16u, ty = t / 16u;
    for (uint i = 0u; i < 8u; i++) sums[i] = 0.0;
    for (uint first = 0u; first < inputs; first += DEPTH) {
        for (uint i = t; i < TILE_ROWS * DEPTH; i += 256u) {
            uint row = row0 + i / DEPTH, k = first + i % DEPTH;
            leftTile[i / DEPTH * STRIDE + i % DEPTH] = row < rowEnd && k < inputs ? left_value(row, k) : 0.0;
        }
        for (uint i = t; i < DEPTH * TILE; i += 256u) {
            uint column = column0 + i % TILE, k = first + i / TILE;
            bool isInside = column < columns && k < inputs;
            rightTile[i] = isInside ? weights[weightsAt + (column / 16u * inputs + k) * 16u + column % 16u] : 0.0;
        }
        barrier();
        for (uint k = 0u; k < DEPTH && first + k < inputs; k++) {
            if (!takes_part(first + k)) continue;
            for (uint i = 0u; i < 2u; i++)
                for (uint j = 0u; j < 4u; j++) {
                    exact sum = fused(leftTile[(ty * 2u + i) * STRIDE + k], rightTile[k * TILE + tx + 16u * j], sums[i * 4u + j]);
                    sums[i * 4u + j] = sum;
                }
        }
        barrier();
    }
}
