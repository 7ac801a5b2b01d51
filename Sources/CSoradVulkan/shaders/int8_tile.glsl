// 64 × 64 sums of int8 products by 256 invocations, 4 × 4 each; 16 groups of four inputs at a time pass through shared memory.
// The includer has the buffer `weights` [N/16][groups][16] and a function left_word(row, group).
const uint TILE = 64u, DEPTH = 16u, STRIDE = DEPTH + 1u;
shared int leftTile[TILE * STRIDE], rightTile[DEPTH * TILE];

void sum_products(uint row0, uint rowEnd, uint column0, uint columns, uint groups, uint weightsAt, out int sums[16]) {
    uint t = gl_LocalInvocationID.x, tx = t % 16u, ty = t / 16u;
    for (uint i = 0u; i < 16u; i++) sums[i] = 0;
    for (uint first = 0u; first < groups; first += DEPTH) {
        for (uint i = t; i < TILE * DEPTH; i += 256u) {
            uint row = row0 + i / DEPTH, group = first + i % DEPTH;
            leftTile[i / DEPTH * STRIDE + i % DEPTH] = row < rowEnd && group < groups ? left_word(row, group) : 0;
        }
        for (uint i = t; i < DEPTH * TILE; i += 256u) {
            uint column = column0 + i % TILE, group = first + i / TILE;
            bool isInside = column < columns && group < groups;
            rightTile[i] = isInside ? weights[weightsAt + (column / 16u * groups + group) * 16u + column % 16u] : 0;
        }
        barrier();
        for (uint g = 0u; g < DEPTH; g++) {
            int left[4], right[4];
            for (uint i = 0u; i < 4u; i++) {
                left[i] = leftTile[(ty * 4u + i) * STRIDE + g];
                right[i] = rightTile[g * TILE + tx + 16u * i];
            }
            for (uint i = 0u; i < 4u; i++)
                for (uint j = 0u; j < 4u; j++) sums[i * 4u + j] += dot4(left[i], right[j]);
        }
        barrier();
    }
}
