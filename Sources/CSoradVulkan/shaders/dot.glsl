// Sums of four int8 products; packed where the device is quick at it. Both ways give the same integers.
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4450)
int packed_dot(int a, int b, spirv_literal int format);
spirv_instruction(extensions = ["SPV_KHR_integer_dot_product"], capabilities = [6019, 6018], id = 4452)
int packed_dot_unsigned(int a, uint b, spirv_literal int format);

int dot4(int a, int b) {
    if (PACKED_DOT != 0u) return packed_dot(a, b, 0);
    int sum = 0;
    for (int i = 0; i < 32; i += 8) sum += bitfieldExtract(a, i, 8) * bitfieldExtract(b, i, 8);
    return sum;
}

// The bytes of b count from 0 to 255.
int dot4_unsigned(int a, uint b) {
    if (PACKED_DOT != 0u) return packed_dot_unsigned(a, b, 0);
    int sum = 0;
    for (int i = 0; i < 32; i += 8) sum += bitfieldExtract(a, i, 8) * int(bitfieldExtract(b, i, 8));
    return sum;
}
