// One update of R runs in float32 without dropout, as training/step.py makes it, in the same order: batch, losses,
// gradients, clip, AdamW. Runs are updated one after the other, by one thread.
//
// Dimension letters as in model/transformer.py: B batch, N rows, T tokens of a sentence, D model width, H heads,
// d = D / H, L layers, C classes; F feed-forward width. D, F and d are multiples of 16. Rows are the tokens of all
// sentences side by side, without padding; products run over rows in blocks, so that buffers have some rows more
// (`SPARE`). What stands there is never read into a row that counts: a run that holds nan spoils no other.
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <vector>

// -- vectors: by the compiler's extension, as wide as the processor has them ----------------------------------------

#if defined(__AVX512F__)
constexpr long LANES = 16, HEIGHT = 8, BREADTH = 3;  // the sums of a tile fill 24 of 32 registers
#elif defined(__AVX__)
constexpr long LANES = 8, HEIGHT = 4, BREADTH = 3;  // 12 of 16
#elif defined(__aarch64__)
constexpr long LANES = 4, HEIGHT = 4, BREADTH = 4;  // 16 of 32
#else
constexpr long LANES = 4, HEIGHT = 4, BREADTH = 2;  // 8 of 16
#endif
constexpr long BLOCK = 8, SPARE = 16;
static_assert(BLOCK % HEIGHT == 0, "blocks are made of tiles");
typedef float Vector __attribute__((vector_size(4 * LANES)));
typedef float Unaligned __attribute__((vector_size(4 * LANES), aligned(4), may_alias));
typedef int32_t Whole __attribute__((vector_size(4 * LANES)));

static inline Vector load(const float* from) { return *(const Unaligned*)from; }
static inline void store(float* to, Vector v) { *(Unaligned*)to = v; }
static inline Vector all(float x) { return x - Vector{}; }
static inline long up(long n, long unit) { return (n + unit - 1) / unit * unit; }
// The lanes of a vector combined to one number, half of them with the other half at a time
template <long lanes, class Some, class Combine>
static inline float reduce(Some v, Combine combine) {
    if constexpr (lanes == 2) return combine(v[0], v[1]);
    else {
        typedef float Half __attribute__((vector_size(2 * lanes)));
        Half halves[2];
        std::memcpy(halves, &v, sizeof v);
        return reduce<lanes / 2>(Half(combine(halves[0], halves[1])), combine);
    }
}
static inline float sum(Vector v) {
    return reduce<LANES>(v, [](auto a, auto b) { return a + b; });
}
static inline float largest(Vector v) {
    return reduce<LANES>(v, [](auto a, auto b) { return a > b ? a : b; });
}
static inline Vector root(Vector v) {
    for (int i = 0; i < LANES; i++) v[i] = __builtin_sqrtf(v[i]);
    return v;
}
static inline Whole numbers() {
    Whole found;
    for (int i = 0; i < LANES; i++) found[i] = i;
    return found;
}
// e^x for x <= 0 to the last bit but one, nan for nan (Cephes, expf.c): 2^n e^f, |f| <= log(2) / 2
static inline Vector exponential(Vector x) {
    x = x < -87.f ? all(-87.f) : x;
    const Whole n = __builtin_convertvector(x * 1.44269504f - 0.5f, Whole);  // towards zero: to the nearest
    const Vector whole = __builtin_convertvector(n, Vector), f = x - whole * 0.693359375f + whole * 2.12194440e-4f;
    Vector p = 1.9875691500e-4f * f + 1.3981999507e-3f;
    p = p * f + 8.3334519073e-3f;
    p = p * f + 4.1665795894e-2f;
    p = p * f + 1.6666665459e-1f;
    p = p * f + 0.5f;
    return (p * f * f + f + 1.f) * (Vector)((n + 127) << 23);
}

// -- products -------------------------------------------------------------------------------------------------------

struct Left {  // a[i, k] = at[i row + k inner]: transposed, a matrix needs no copy
    const float* at;
    long row, inner;
};
struct Right {
    const float* at;
    long row;  // 0: every row is the same, as for a bias
};
enum Then { NOTHING, RELU, RELU_BACK };

// A tile of `product` whose sums are held in registers
template <long height, long breadth, Then then>
[[gnu::always_inline]] static inline void tile(long inner, Left a, Right b, float* out, long out_row, Right start, const float* relu) {
    Vector sums[height][breadth];
#pragma GCC unroll 8
    for (long i = 0; i < height; i++)
#pragma GCC unroll 4
        for (long j = 0; j < breadth; j++)
            sums[i][j] = start.at ? load(start.at + i * start.row + j * LANES) : Vector{};
    for (long k = 0; k < inner; k++) {
        Vector right[breadth];
#pragma GCC unroll 4
        for (long j = 0; j < breadth; j++) right[j] = load(b.at + k * b.row + j * LANES);
#pragma GCC unroll 8
        for (long i = 0; i < height; i++) {
            const Vector left = all(a.at[i * a.row + k * a.inner]);
#pragma GCC unroll 4
            for (long j = 0; j < breadth; j++) sums[i][j] += left * right[j];
        }
    }
#pragma GCC unroll 8
    for (long i = 0; i < height; i++)
#pragma GCC unroll 4
        for (long j = 0; j < breadth; j++) {
            Vector v = sums[i][j];
            if (then == RELU) v = Vector{} > v ? Vector{} : v;  // nan stays nan
            if (then == RELU_BACK) v = load(relu + i * out_row + j * LANES) <= 0.f ? Vector{} : v;
            store(out + i * out_row + j * LANES, v);
        }
}

// Some columns of `product`, which fill so many vectors
template <long breadth, Then then>
static void panel(long rows, long inner, Left a, Right b, float* out, long out_row, Right start, const float* relu) {
    for (long i = 0; i < rows; i += HEIGHT) {
        tile<HEIGHT, breadth, then>(inner, a, b, out, out_row, start, relu);
        a.at += HEIGHT * a.row, out += HEIGHT * out_row;
        if (start.at) start.at += HEIGHT * start.row;
        if (relu) relu += HEIGHT * out_row;
    }
}

// out[i, j] = start[i, j] + sum over k of a[i, k] b[k, j], then the ReLU, or its gradient where `relu`, as wide as
// out, is what it gave. rows are rounded up to HEIGHT; columns are a multiple of LANES
template <Then then = NOTHING>
static void product(long rows, long columns, long inner, Left a, Right b, float* out, long out_row, Right start = {},
                    const float* relu = nullptr) {
    for (long j = 0, breadth; j < columns; j += breadth * LANES) {
        const long left = (columns - j) / LANES;
        breadth = left == BREADTH || left > BREADTH + 1 ? BREADTH : std::min(left, 2L);
        const auto some = breadth == BREADTH ? panel<BREADTH, then> : breadth == 2 ? panel<2, then> : panel<1, then>;
        some(rows, inner, a, {b.at + j, b.row}, out + j, out_row, {start.at ? start.at + j : nullptr, start.row},
             relu ? relu + j : nullptr);
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

static void sum_rows(long rows, long columns, const float* x, float* out) {
    for (long j = 0; j < columns; j += LANES) {
        Vector total{};
        for (long i = 0; i < rows; i++) total += load(x + i * columns + j);
        store(out + j, total);
    }
}

// -- the parts of a layer: forward, and back ------------------------------------------------------------------------

// unit: x with mean 0 and variance 1 in each row; rate: one over its standard deviation; out = unit weight + bias
static void norm(long rows, long D, const float* x, const float* weight, const float* bias, float* unit, float* rate,
                 float* out) {
    for (long i = 0; i < rows; i++, x += D, unit += D, out += D) {
        Vector total{}, squares{};
        for (long j = 0; j < D; j += LANES) total += load(x + j);
        const Vector mean = all(sum(total) / D);
        for (long j = 0; j < D; j += LANES) {
            const Vector centred = load(x + j) - mean;
            squares += centred * centred;
        }
        const float variance = sum(squares) / D + 1e-5f;
        rate[i] = variance < INFINITY ? 1 / std::sqrt(variance) : NAN;  // an overflow is to be seen in the loss
        for (long j = 0; j < D; j += LANES) {
            const Vector u = (load(x + j) - mean) * rate[i];
            store(unit + j, u);
            store(out + j, u * load(weight + j) + load(bias + j));
        }
    }
}

static void norm_back(long rows, long D, const float* grad_out, const float* weight, const float* unit,
                      const float* rate, float* grad_x, float* grad_weight, float* grad_bias) {
    std::fill_n(grad_weight, D, 0.f);
    std::fill_n(grad_bias, D, 0.f);
    for (long i = 0; i < rows; i++, grad_out += D, unit += D, grad_x += D) {
        Vector total{}, along{};
        for (long j = 0; j < D; j += LANES) {
            const Vector g = load(grad_out + j), u = load(unit + j), weighted = g * load(weight + j);
            total += weighted;
            along += weighted * u;
            store(grad_weight + j, load(grad_weight + j) + g * u);
            store(grad_bias + j, load(grad_bias + j) + g);
        }
        const Vector mean = all(sum(total) / D), slope = all(sum(along) / D);
        for (long j = 0; j < D; j += LANES)
            store(grad_x + j, (load(grad_out + j) * load(weight + j) - mean - load(unit + j) * slope) * rate[i]);
    }
}

// Scores of `seen` keys, a multiple of LANES, become weights: of the first `count` a softmax, of the others 0
static void softmax(float* scores, long count, long seen, float scale) {
    const Whole lane = numbers();
    Vector most = all(-INFINITY), total{};
    for (long c = 0; c < seen; c += LANES) {
        const Vector z = lane + (int32_t)c < (int32_t)count ? load(scores + c) * scale : all(-INFINITY);
        store(scores + c, z);
        most = z > most ? z : most;
    }
    most = all(largest(most));
    for (long c = 0; c < seen; c += LANES) {
        const Vector e = lane + (int32_t)c < (int32_t)count ? exponential(load(scores + c) - most) : Vector{};
        store(scores + c, e);
        total += e;
    }
    const Vector share = all(1 / sum(total));
    for (long c = 0; c < seen; c += LANES) store(scores + c, load(scores + c) * share);
}

struct Heads {
    long D, H;
    long d() const { return D / H; }
    static long row(long T) { return up(T, SPARE); }                                 // floats of a row of weights
    long weights(long T) const { return H * up(T, BLOCK) * row(T); }                  // and of a whole sentence
    float scale() const { return 1 / std::sqrt((float)d()); }
};

// Attention of one sentence. qkv: [T, 3 D]; weights: [H, T, T] with spare room; read: [T, D]; turned: [d, T], scratch
static void attention(Heads heads, long T, const float* qkv, float* weights, float* turned, float* read) {
    const long D = heads.D, d = heads.d(), row = heads.row(T);
    for (long h = 0; h < heads.H; h++, qkv += d, read += d, weights += up(T, BLOCK) * row) {
        const float *k = qkv + D, *v = k + D;
        transpose(row, d, k, 3 * D, turned, row);
        for (long i = 0; i < T; i += BLOCK) {
            const long seen = up(i + BLOCK, LANES);
            float* here = weights + i * row;
            product(BLOCK, seen, d, {qkv + i * 3 * D, 3 * D, 1}, {turned, row}, here, row);
            for (long r = 0; r < BLOCK; r++) softmax(here + r * row, i + r + 1, seen, heads.scale());
            product(BLOCK, d, std::min(i + BLOCK, T), {here, row, 1}, {v, 3 * D}, read + i * D, D);
        }
    }
}

static void attention_back(Heads heads, long T, const float* qkv, const float* weights, const float* read,
                           const float* grad_read, float* turned, float* grad_scores, float* grad_qkv) {
    const long D = heads.D, d = heads.d(), row = heads.row(T);
    for (long h = 0; h < heads.H; h++, qkv += d, read += d, grad_read += d, grad_qkv += d) {
        const float *k = qkv + D, *v = k + D;
        float *grad_k = grad_qkv + D, *grad_v = grad_k + D;
        transpose(row, d, v, 3 * D, turned, row);
        for (long i = 0; i < T; i += BLOCK) {
            const long seen = up(i + BLOCK, LANES);
            float* here = grad_scores + i * row;
            product(BLOCK, seen, d, {grad_read + i * D, D, 1}, {turned, row}, here, row);
            for (long r = i; r < i + BLOCK; r++, here += row) {
                Vector along{};
                for (long j = 0; j < d; j += LANES) along += load(grad_read + r * D + j) * load(read + r * D + j);
                const Vector delta = all(sum(along));  // what the softmax takes off
                for (long c = 0; c < seen; c += LANES)
                    store(here + c, heads.scale() * load(weights + r * row + c) * (load(here + c) - delta));
            }
            here = grad_scores + i * row;
            product(BLOCK, d, std::min(i + BLOCK, T), {here, row, 1}, {k, 3 * D}, grad_qkv + i * 3 * D, 3 * D);
        }
        for (long j = 0; j < T; j += BLOCK) {  // keys j and on are seen by queries j and on
            const long corner = j * row + j;
            product(BLOCK, d, T - j, {grad_scores + corner, 1, row}, {qkv + j * 3 * D, 3 * D}, grad_k + j * 3 * D,
                    3 * D);
            product(BLOCK, d, T - j, {weights + corner, 1, row}, {grad_read + j * D, D}, grad_v + j * 3 * D, 3 * D);
        }
        weights += up(T, BLOCK) * row;
    }
}

// -- what the step is made of ---------------------------------------------------------------------------------------

// As `Given` in step.py of this folder. Tables are those of torch; R, B, .. as above; row: floats of a run's row in the
// flat tables; table, lengths: the lines of the training data and their tokens that something follows
struct Given {
    int64_t R, B, longest, D, H, F, L, C, tied, row, table_row;
    double beta1, beta2, epsilon, weight_decay, clip_norm;
    float *weights, *grad, *exp_avg, *exp_avg_sq;
    const float* sinusoids;
    const int16_t* table;
    const int64_t* lengths;
};

// The parameters of one run, or their gradients, in the order of model/parameters.py
struct Parameters {
    struct Layer {
        float *qkv, *merge, *norm1, *norm1_bias, *ffn1, *ffn1_bias, *ffn2, *ffn2_bias, *norm2, *norm2_bias;
    };
    float *embedding, *output, *output_bias;
    std::vector<Layer> layers;

    Parameters(const Given& g, float* at) {
        const auto take = [&at](long floats) { return at += floats, at - floats; };
        embedding = take(g.C * g.D);
        for (long i = 0; i < g.L; i++) {
            Layer l;
            l.qkv = take(3 * g.D * g.D), l.merge = take(g.D * g.D), l.norm1 = take(g.D), l.norm1_bias = take(g.D);
            l.ffn1 = take(g.D * g.F), l.ffn1_bias = take(g.F), l.ffn2 = take(g.F * g.D), l.ffn2_bias = take(g.D);
            l.norm2 = take(g.D), l.norm2_bias = take(g.D);
            layers.push_back(l);
        }
        output = g.tied ? nullptr : take(g.D * g.C);
        output_bias = take(g.C);
    }
};

// Zeros at the start of a cache line
struct Buffer {
    float* at;
    explicit Buffer(long floats) : at((float*)operator new(4 * floats, std::align_val_t{64})) {
        std::fill_n(at, floats, 0.f);
    }
    Buffer(Buffer&& other) : at(other.at) { other.at = nullptr; }
    ~Buffer() { operator delete(at, std::align_val_t{64}); }
    operator float*() const { return at; }
};

struct Step {
    struct Layer {  // what the backward pass reads again
        Buffer qkv, attention, read, unit1, rate1, middle, hidden, unit2, rate2, out;
    };
    Given g;
    const long classes, rows;  // C rounded up to full vectors; rows of a buffer
    const Heads heads;
    Buffer x, logits, output, grad_output, output_bias, turned, grad_x, grad_y, grad_hidden, grad_qkv, grad_scores;
    std::vector<Layer> layers;
    std::vector<int> inputs, targets;
    std::vector<long> starts, lengths;  // of each sentence: its first row, its tokens
    long N = 0;
    std::unique_ptr<Step> reader;  // of sentences that may be longer

    explicit Step(const Given& given)
        : g(given), classes(up(g.C, 16)), rows(g.B * g.longest + SPARE), heads{g.D, g.H}, x(rows * g.D),
          logits(rows * classes), output(g.D * classes), grad_output(g.D * classes), output_bias(classes),
          turned(std::max({g.D * std::max({3 * g.D, g.F, classes}), heads.d() * heads.row(g.longest)})),
          grad_x(rows * g.D), grad_y(rows * g.D), grad_hidden(rows * g.F), grad_qkv(rows * 3 * g.D),
          grad_scores(up(g.longest, BLOCK) * heads.row(g.longest)) {
        const long D = g.D, weights = g.B * heads.weights(g.longest);
        for (long i = 0; i < g.L; i++)
            layers.push_back({Buffer(rows * 3 * D), Buffer(weights), Buffer(rows * D), Buffer(rows * D), Buffer(rows),
                              Buffer(rows * D), Buffer(rows * g.F), Buffer(rows * D), Buffer(rows), Buffer(rows * D)});
    }

    float update(long run, const int64_t* lines, double learning_rate, double updates) {
        const Parameters w(g, g.weights + run * g.row), grad(g, g.grad + run * g.row);
        pack(w, lines);
        classify(w, forward(w));
        const float loss = loss_and_gradient();
        backward(w, grad);
        adamw(run * g.row, clip(g.grad + run * g.row), learning_rate, updates);
        return loss;
    }

    // The tokens of these lines side by side, and those that follow
    void pack(const Parameters& w, const int64_t* lines) {
        clear();
        for (long b = 0; b < g.B; b++) {
            const int16_t* tokens = g.table + lines[b] * g.table_row;
            place(w, tokens, g.lengths[lines[b]]);
            targets.insert(targets.end(), tokens + 1, tokens + 1 + lengths[b]);
        }
    }

    void clear() { inputs.clear(), targets.clear(), starts.clear(), lengths.clear(); }

    // One sentence behind those that are there: its tokens, words and positions as vectors
    template <class Token>
    void place(const Parameters& w, const Token* tokens, long T) {
        starts.push_back(inputs.size()), lengths.push_back(T);
        inputs.insert(inputs.end(), tokens, tokens + T);
        float* here = x + starts.back() * g.D;
        for (long t = 0; t < T; t++, here += g.D)
            for (long j = 0; j < g.D; j += LANES)
                store(here + j, load(w.embedding + tokens[t] * g.D + j) * std::sqrt((float)g.D) +
                                    load(g.sinusoids + t * g.D + j));
        N = inputs.size();
    }

    // The last layer's vectors
    const float* forward(const Parameters& w) {
        const long D = g.D, F = g.F;
        const float* in = x;
        for (long i = 0; i < g.L; i++) {
            const Parameters::Layer& p = w.layers[i];
            Layer& y = layers[i];
            product(N, 3 * D, D, {in, D, 1}, {p.qkv, 3 * D}, y.qkv, 3 * D);
            float* weights = y.attention;
            for (size_t b = 0; b < lengths.size(); weights += heads.weights(lengths[b++]))
                attention(heads, lengths[b], y.qkv + starts[b] * 3 * D, weights, turned, y.read + starts[b] * D);
            product(N, D, D, {y.read, D, 1}, {p.merge, D}, grad_x, D, {in, D});  // plus what came in; a free buffer
            norm(N, D, grad_x, p.norm1, p.norm1_bias, y.unit1, y.rate1, y.middle);
            product<RELU>(N, F, D, {y.middle, D, 1}, {p.ffn1, F}, y.hidden, F, {p.ffn1_bias, 0});
            for (long r = 0; r < N; r++)
                for (long j = 0; j < D; j += LANES)
                    store(grad_y + r * D + j, load(y.middle + r * D + j) + load(p.ffn2_bias + j));
            product(N, D, F, {y.hidden, F, 1}, {p.ffn2, D}, grad_x, D, {grad_y, D});
            norm(N, D, grad_x, p.norm2, p.norm2_bias, y.unit2, y.rate2, y.out);
            in = y.out;
        }
        return in;
    }

    void classify(const Parameters& w, const float* last) {
        const long D = g.D;
        for (long j = 0; j < D; j++)
            for (long c = 0; c < g.C; c++) output[j * classes + c] = g.tied ? w.embedding[c * D + j] : w.output[j * g.C + c];
        std::copy_n(w.output_bias, g.C, output_bias.at);
        product(N, classes, D, {last, D, 1}, {output, classes}, logits, classes, {output_bias, 0});
    }

    // Mean cross entropy of all rows; the logits become its gradient
    float loss_and_gradient() {
        double loss = 0;
        for (long r = 0; r < N; r++) {
            float* z = logits + r * classes;
            const float right = z[targets[r]];
            std::fill(z + g.C, z + classes, -INFINITY);
            Vector most = load(z), total{};
            for (long c = LANES; c < classes; c += LANES) most = load(z + c) > most ? load(z + c) : most;
            const float highest = largest(most);
            for (long c = 0; c < classes; c += LANES) {
                const Vector e = exponential(load(z + c) - highest);
                total += e;
                store(z + c, e);
            }
            const float normalizer = sum(total);
            loss += std::log(normalizer) + highest - right;
            for (long c = 0; c < classes; c += LANES) store(z + c, load(z + c) * (1 / (normalizer * N)));
            std::fill(z + g.C, z + classes, 0.f);
            z[targets[r]] -= 1.f / N;
        }
        return loss / N;
    }

    // Every gradient of the run, over what was there
    void backward(const Parameters& w, const Parameters& grad) {
        const long D = g.D, C = g.C;
        const float* last = layers.back().out;
        product(D, classes, N, {last, 1, D}, {logits, classes}, grad_output, classes);
        sum_rows(N, classes, logits, output_bias);
        std::copy_n(output_bias.at, C, grad.output_bias);
        transpose(D, classes, output, classes, turned, D);
        product(N, D, classes, {logits, classes, 1}, {turned, D}, grad_x, D);
        for (long i = g.L - 1; i >= 0; i--) layer_back(i, w.layers[i], grad.layers[i]);
        for (long j = 0; j < D && !g.tied; j++) std::copy_n(grad_output + j * classes, C, grad.output + j * C);
        for (long c = 0; c < C; c++)
            for (long j = 0; j < D; j++) grad.embedding[c * D + j] = g.tied ? grad_output[j * classes + c] : 0.f;
        for (long r = 0; r < N; r++) {
            float* word = grad.embedding + inputs[r] * D;
            for (long j = 0; j < D; j += LANES)
                store(word + j, load(word + j) + load(grad_x + r * D + j) * std::sqrt((float)D));
        }
    }

    // From the gradient of what layer i gave to that of what it was given, both in grad_x
    void layer_back(long i, const Parameters::Layer& p, const Parameters::Layer& grad) {
        const long D = g.D, F = g.F;
        Layer& y = layers[i];
        const float* in = i ? layers[i - 1].out : x;
        norm_back(N, D, grad_x, p.norm2, y.unit2, y.rate2, grad_y, grad.norm2, grad.norm2_bias);
        product(F, D, N, {y.hidden, 1, F}, {grad_y, D}, grad.ffn2, D);
        sum_rows(N, D, grad_y, grad.ffn2_bias);
        transpose(F, D, p.ffn2, D, turned, F);
        product<RELU_BACK>(N, F, D, {grad_y, D, 1}, {turned, F}, grad_hidden, F, {}, y.hidden);
        product(D, F, N, {y.middle, 1, D}, {grad_hidden, F}, grad.ffn1, F);
        sum_rows(N, F, grad_hidden, grad.ffn1_bias);
        transpose(D, F, p.ffn1, F, turned, D);
        product(N, D, F, {grad_hidden, F, 1}, {turned, D}, grad_x, D, {grad_y, D});

        norm_back(N, D, grad_x, p.norm1, y.unit1, y.rate1, grad_y, grad.norm1, grad.norm1_bias);
        product(D, D, N, {y.read, 1, D}, {grad_y, D}, grad.merge, D);
        transpose(D, D, p.merge, D, turned, D);
        product(N, D, D, {grad_y, D, 1}, {turned, D}, grad_x, D);  // of what the heads have read
        const float* weights = y.attention;
        for (long b = 0; b < g.B; weights += heads.weights(lengths[b++])) {
            const long start = starts[b];
            attention_back(heads, lengths[b], y.qkv + start * 3 * D, weights, y.read + start * D, grad_x + start * D,
                           turned, grad_scores, grad_qkv + start * 3 * D);
        }
        product(D, 3 * D, N, {in, 1, D}, {grad_qkv, 3 * D}, grad.qkv, 3 * D);
        transpose(D, 3 * D, p.qkv, 3 * D, turned, D);
        product(N, D, 3 * D, {grad_qkv, 3 * D, 1}, {turned, D}, grad_x, D, {grad_y, D});
    }

    // What the gradients are multiplied with, so that their norm is clip_norm at most
    float clip(const float* grad) const {
        double squares = 0;
        for (long i = 0; i < g.row; i += 4096) {
            Vector part{};
            for (long j = i; j < std::min<long>(i + 4096, g.row); j += LANES) part += load(grad + j) * load(grad + j);
            squares += sum(part);
        }
        return std::min(1.0, g.clip_norm / (std::sqrt(squares) + 1e-6));
    }

    void adamw(long first, float scale, double learning_rate, double updates) {
        const float beta1 = g.beta1, rest1 = 1 - g.beta1, beta2 = g.beta2, rest2 = 1 - g.beta2, epsilon = g.epsilon;
        const float rate = learning_rate / (1 - std::pow(g.beta1, updates));
        const float correction = 1 / std::sqrt(1 - std::pow(g.beta2, updates));
        const float kept = 1 - learning_rate * g.weight_decay;
        for (long i = first; i < first + g.row; i += LANES) {
            const Vector grad = load(g.grad + i) * scale;
            const Vector mean = load(g.exp_avg + i) * beta1 + grad * rest1;
            const Vector square = load(g.exp_avg_sq + i) * beta2 + grad * grad * rest2;
            store(g.exp_avg + i, mean);
            store(g.exp_avg_sq + i, square);
            store(g.weights + i, load(g.weights + i) * kept - rate * mean / (root(square) * correction + epsilon));
        }
    }
};

// -- what Python calls ----------------------------------------------------------------------------------------------

extern "C" Step* create(const Given* given) { return new Step(*given); }
extern "C" void destroy(Step* step) { delete step; }

// Update number `updates` (from 1) of all runs. lines: [R, B], of the table; losses: [R], before the update
extern "C" void update(Step* step, const int64_t* lines, double learning_rate, double updates, float* losses) {
    for (long run = 0; run < step->g.R; run++)
        losses[run] = step->update(run, lines + run * step->g.B, learning_rate, updates);
}

// The last layer's vectors [R, S, T, D] of token rows [R, S, T], for evaluation. sinusoids: of T positions
extern "C" void hidden(Step* step, const int64_t* tokens, int64_t S, int64_t T, const float* sinusoids, float* out) {
    Given g = step->g;
    g.longest = T;
    if (!step->reader || step->reader->g.longest < T) step->reader = std::make_unique<Step>(g);
    Step& reader = *step->reader;
    reader.g.sinusoids = sinusoids;
    for (long run = 0; run < g.R; run++) {
        const Parameters w(g, g.weights + run * g.row);
        for (long s = 0; s < S; s += g.B) {
            reader.clear();
            for (long b = s; b < std::min(s + g.B, S); b++, tokens += T) reader.place(w, tokens, T);
            out = std::copy_n(reader.forward(w), reader.N * g.D, out);
        }
    }
}
