// Products of matrices in float32, and of matrices that are rounded to bf16, summed in float32.
#pragma once
#include "vectors.h"

struct Matrix {  // element (i, j) is at[i row + j column]; one of the strides is 1
    const float* at;
    long row, column = 1;
    Matrix turned() const { return {at, column, row}; }
};
struct Left {  // element (i, k) of the tile t, HEIGHT rows, is at[t tile + i row + k inner]; of pairs, so is (i, 2 k)
    const float* at;
    long tile, row, inner;
    Left(const float* at, long tile, long row, long inner) : at(at), tile(tile), row(row), inner(inner) {}
    Left(Matrix m) : Left(m.at, HEIGHT * m.row, m.row, m.column) {}
};
struct Start {
    const float* at = nullptr;
    long row = 0;  // 0: every row is the same, as for a bias
};
struct Relu {
    const float* gave = nullptr;
    float scale = 1;  // of the gradient where it is not 0
};
enum Then { NOTHING, RELU, RELU_BACK };

// A tile of `product` whose sums are held in registers
template <long height, long breadth, Then then, bool pairs>
[[gnu::always_inline]] static inline void tile(long inner, Left a, const float* b, long b_row, float* out, long out_row,
                                               Start start, Relu relu) {
    Vector sums[height][breadth];
#pragma GCC unroll 8
    for (long i = 0; i < height; i++)
#pragma GCC unroll 4
        for (long j = 0; j < breadth; j++)
            sums[i][j] = start.at ? load(start.at + i * start.row + j * LANES) : Vector{};
    for (long k = 0; k < inner; k++) {
        Vector right[breadth];
#pragma GCC unroll 4
        for (long j = 0; j < breadth; j++) right[j] = load(b + k * b_row + j * LANES);
#pragma GCC unroll 8
        for (long i = 0; i < height; i++) {
            const float left = a.at[i * a.row + k * a.inner];
#pragma GCC unroll 4
            for (long j = 0; j < breadth; j++)
                if constexpr (pairs) add_products(sums[i][j], left, right[j]);
                else sums[i][j] += all(left) * right[j];
        }
    }
#pragma GCC unroll 8
    for (long i = 0; i < height; i++)
#pragma GCC unroll 4
        for (long j = 0; j < breadth; j++) {
            Vector v = sums[i][j];
            if (then == RELU) v = Vector{} > v ? Vector{} : v;  // nan stays nan
            if (then == RELU_BACK) v = load(relu.gave + i * out_row + j * LANES) <= 0.f ? Vector{} : v * relu.scale;
            store(out + i * out_row + j * LANES, v);
        }
}

// Some columns of `product`, which fill so many vectors
template <long breadth, Then then, bool pairs>
static void panel(long rows, long inner, Left a, const float* b, long b_row, float* out, long out_row, Start start,
                  Relu relu) {
    for (long i = 0; i < rows; i += HEIGHT) {
        tile<HEIGHT, breadth, then, pairs>(inner, a, b, b_row, out, out_row, start, relu);
        a.at += a.tile, out += HEIGHT * out_row;
        if (start.at) start.at += HEIGHT * start.row;
        if (relu.gave) relu.gave += HEIGHT * out_row;
    }
}

// to[j, i] = from[i, j]; rows and columns are multiples of 4
static void transpose(long rows, long columns, const float* from, long from_row, float* to, long to_row) {
    typedef float Four __attribute__((vector_size(16), aligned(4), may_alias));
    for (long i = 0; i < rows; i += 4)
        for (long j = 0; j < columns; j += 4) {
            const float* x = from + i * from_row + j;
            float* y = to + j * to_row + i;
#if defined(__has_builtin) && __has_builtin(__builtin_shufflevector)  // clang, g++ 12
            const Four a = *(Four*)x, b = *(Four*)(x + from_row), c = *(Four*)(x + 2 * from_row),
                       d = *(Four*)(x + 3 * from_row);
            const Four e = __builtin_shufflevector(a, b, 0, 4, 1, 5), f = __builtin_shufflevector(a, b, 2, 6, 3, 7),
                       g = __builtin_shufflevector(c, d, 0, 4, 1, 5), h = __builtin_shufflevector(c, d, 2, 6, 3, 7);
            *(Four*)y = __builtin_shufflevector(e, g, 0, 1, 4, 5);
            *(Four*)(y + to_row) = __builtin_shufflevector(e, g, 2, 3, 6, 7);
            *(Four*)(y + 2 * to_row) = __builtin_shufflevector(f, h, 0, 1, 4, 5);
            *(Four*)(y + 3 * to_row) = __builtin_shufflevector(f, h, 2, 3, 6, 7);
#else
            for (long b = 0; b < 4; b++) *(Four*)(y + b * to_row) = Four{x[b], x[from_row + b], x[2 * from_row + b], x[3 * from_row + b]};
#endif
        }
}

// to[k, i] = the pair from[i, 2 k], from[i, 2 k + 1]; rows: a multiple of 4, HIGHEST at most; inner: a multiple of 16
constexpr long HIGHEST = BREADTH * LANES;
static void pair_and_transpose(long rows, long inner, const float* from, long from_row, float* to, long to_row) {
    float block[HIGHEST * 32];
    for (long first = 0; first < inner; first += 64) {
        const long some = std::min(64L, inner - first);  // so that memory is read by lines side by side
        for (long i = 0; i < rows; i++)
            for (long k = 0; k < some; k += 16) store_pairs(block + 32 * i + k / 2, load(from + i * from_row + first + k));
        transpose(rows, some / 2, block, 32, to + first / 2 * to_row, to_row);
    }
}

// Columns of b side by side: b[k, j] at to[k columns + j], or pairs of b[2 k, j] and b[2 k + 1, j]
template <bool pairs>
static void pack(long inner, long columns, Matrix b, float* to) {
    if (b.column != 1) {
        if (pairs) pair_and_transpose(columns, inner, b.at, b.column, to, columns);
        else transpose(columns, inner, b.at, b.column, to, columns);
        return;
    }
    for (long k = 0; k < inner; k += 1 + pairs, to += columns)
        for (long j = 0; j < columns; j += LANES) {
            const float* here = b.at + k * b.row + j;
            store(to + j, pairs ? pairs_of(load(here), k + 1 < inner ? load(here + b.row) : Vector{}) : load(here));
        }
}

// Rows of a as `product` reads pairs of them: tile after tile. rows and inner: a multiple of 16 where their stride is 1
static void pack_left(long rows, long inner, Matrix a, float* to) {
    const long tile = HEIGHT * ((inner + 1) / 2);
    if (a.column == 1)
        for (long i = 0; i < rows; i += HEIGHT, to += tile)
            pair_and_transpose(HEIGHT, inner, a.at + i * a.row, a.row, to, HEIGHT);
    else
        for (long i = 0; i < rows; i += LANES)
            for (long k = 0; k < inner; k += 2) {
                const float* here = a.at + i + k * a.column;
                const Vector found = pairs_of(load(here), k + 1 < inner ? load(here + a.column) : Vector{});
                for (long part = 0; part < LANES; part += HEIGHT)
                    std::memcpy(to + (i + part) / HEIGHT * tile + k / 2 * HEIGHT, (const float*)&found + part, 4 * HEIGHT);
            }
}

// Whether so large a b is read often enough to be laid side by side first
static bool far_apart(long inner, Matrix b) { return b.column != 1 || inner * b.row > 1 << 15; }

// out[i, j] = start[i, j] + sum over k of a[i, k] b[k, j], then the ReLU, or its gradient by what it `gave`, as wide as
// out. rows are rounded up to HEIGHT; columns are a multiple of LANES. packed: room for HIGHEST inner floats, in which
// columns of b are laid side by side; without it they are read where they are, of stride 1. pairs: a is of `pack_left`
template <Then then = NOTHING, bool pairs = false>
static void product(long rows, long columns, long inner, Left a, Matrix b, float* out, long out_row, Start start = {},
                    Relu relu = {}, float* packed = nullptr) {
    for (long j = 0, breadth; j < columns; j += breadth * LANES) {
        const long left = (columns - j) / LANES;
        breadth = left == BREADTH || left > BREADTH + 1 ? BREADTH : std::min(left, 2L);
        const auto some = breadth == BREADTH ? panel<BREADTH, then, pairs>
                          : breadth == 2     ? panel<2, then, pairs>
                                             : panel<1, then, pairs>;
        if (packed) pack<pairs>(inner, breadth * LANES, {b.at + j * b.column, b.row, b.column}, packed);
        some(rows, pairs ? (inner + 1) / 2 : inner, a, packed ? packed : b.at + j, packed ? breadth * LANES : b.row,
             out + j, out_row, {start.at ? start.at + j : nullptr, start.row},
             {relu.gave ? relu.gave + j : nullptr, relu.scale});
    }
}
