// Prefetching of the int8 GEMM: the weights and the rows that come next, and the output that a tile is about to write.
//
// A prefetch_stream is memory that later tiles read, cut into equal shares: each tile prefetches one share, so that a
// new group of weights has arrived in the second-level cache when the loops reach it, and no tile waits for more than
// its own share of loads.
#ifndef SORAD_LANES_PREFETCH_H
#define SORAD_LANES_PREFETCH_H

#include "gemm_tile.h"

enum {
    LONG_K = 1024,   // inputs from which a tile takes long enough to prefetch output while it runs
};

// `blocks` + 1 blocks of `bytes` bytes, `stride` bytes apart.
typedef struct prefetch_stream {
    const char *at, *until, *end;   // the next byte; the end of this tile's share; the end of the block
    size_t blocks;                  // left after this one
    size_t bytes, stride, share;    // of a block; from one block to the next; of a tile
} prefetch_stream;

// `blocks` blocks of `kblocks` K-blocks, spread over `tiles` tiles.
static prefetch_stream prefetch_stream_of(const char *at, size_t blocks, size_t kblocks, size_t stride, size_t tiles) {
    prefetch_stream stream = {.at = at, .until = at, .end = at};
    if (blocks == 0) return stream;
    const size_t tiles_of_block = tiles / blocks;
    const size_t share = tiles_of_block > 0 ? (kblocks + tiles_of_block - 1) / tiles_of_block : (blocks * kblocks + tiles - 1) / tiles;
    stream.share = share * KBLOCK_BYTES;
    stream.bytes = kblocks * KBLOCK_BYTES, stream.stride = stride, stream.blocks = blocks - 1, stream.end += stream.bytes;
    return stream;
}

// Starts a share of `share` bytes, or of what is left of the block.
SORAD_INLINE void prefetch_begin_share(prefetch_stream *stream, size_t share) {
    if (stream->at == stream->end && stream->blocks > 0) {
        stream->at += stream->stride - stream->bytes, stream->end += stream->stride;
        stream->blocks--;
    }
    stream->until = (size_t)(stream->end - stream->at) < share ? stream->end : stream->at + share;
}

// Prefetches a whole share.
static __attribute__((noinline)) void prefetch_share(prefetch_stream *stream) {
    for (size_t share = stream->share; share > 0;) {
        prefetch_begin_share(stream, share);
        if (stream->at == stream->until) return;
        share -= (size_t)(stream->until - stream->at);
        for (; stream->at < stream->until; stream->at += KBLOCK_BYTES) __builtin_prefetch(stream->at, 0, 2);
    }
}

// K-blocks to prefetch in each of `calls` calls, so that they cover a share.
SORAD_INLINE size_t prefetch_kblocks_per_call(const prefetch_stream *stream, size_t calls) {
    const size_t kblocks = stream->share / KBLOCK_BYTES;
    return calls > 0 ? (kblocks + calls - 1) / calls : 0;
}

// Prefetches the next K-block of the share, if any is left, without a branch: a branch here would be mispredicted.
SORAD_INLINE void prefetch_kblock(prefetch_stream *stream) {
    const char *at = stream->at;
    __builtin_prefetch(at, 0, 2);
    stream->at = at + (at < stream->until ? KBLOCK_BYTES : 0);
}

// Prefetches the output and residual rows m ..< m + rows that this tile's epilogue touches: `panels` panels from
// output n on.
SORAD_INLINE void prefetch_output(const sorad_gemm_qd8_args *args, size_t m, size_t rows, size_t n, size_t panels) {
    const float *out = args->out + m * args->out_stride + n;
    for (size_t r = 0; r < rows; r++, out += args->out_stride)
        for (size_t p = 0; p < panels; p++) __builtin_prefetch(out + p * PANEL, 1);
    const float *residual = args->epilogue.residual;
    if (!residual) return;
    residual += m * args->epilogue.residual_stride + n;
    for (size_t r = 0; r < rows; r++, residual += args->epilogue.residual_stride)
        for (size_t p = 0; p < panels; p++) __builtin_prefetch(residual + p * PANEL);
}

#endif
