// One update of R runs as training/step.py makes it, in the same order: batch, losses, gradients, clip, AdamW; in
// float32, or with products of bf16 numbers. Runs are updated one after the other, each by all threads: every number is
// made by one of them, from the same sums however many there are.
//
// Dimension letters as in model/transformer.py: B batch, N rows, T tokens of a sentence, D model width, H heads,
// d = D / H, L layers, C classes; F feed-forward width. D, F and d are multiples of 16. Rows are the tokens of all
// sentences side by side, without padding; products run over rows in blocks, so that buffers have some rows more
// (`SPARE`). What stands there is never read into a row that counts: a run that holds nan spoils no other.
#include <memory>
#include <new>

#include "product.h"
#include "threads.h"

constexpr long BLOCK = 8, SPARE = 16;
static_assert(BLOCK % HEIGHT == 0, "blocks are made of tiles");

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
                      const float* rate, float* grad_x) {
    for (long i = 0; i < rows; i++, grad_out += D, unit += D, grad_x += D) {
        Vector total{}, along{};
        for (long j = 0; j < D; j += LANES) {
            const Vector weighted = load(grad_out + j) * load(weight + j);
            total += weighted;
            along += weighted * load(unit + j);
        }
        const Vector mean = all(sum(total) / D), slope = all(sum(along) / D);
        for (long j = 0; j < D; j += LANES)
            store(grad_x + j, (load(grad_out + j) * load(weight + j) - mean - load(unit + j) * slope) * rate[i]);
    }
}

// Sums over rows of some columns: of x, and where `unit` is given, to `along`, of x unit
static void sum_rows(long rows, long columns, long row, const float* x, float* out, const float* unit = nullptr,
                     float* along = nullptr) {
    for (long j = 0; j < columns; j += LANES) {
        Vector total{}, totals{};
        for (long i = j; i < j + rows * row; i += row) {
            total += load(x + i);
            if (unit) totals += load(x + i) * load(unit + i);
        }
        store(out + j, total);
        if (unit) store(along + j, totals);
    }
}

// Entries stay, multiplied by `scale`, where their 16 random bits are a number from `threshold` on
struct Dropout {
    int32_t threshold;
    float scale;
    Vector factors(const uint16_t* bits) const {
        typedef uint16_t Bits __attribute__((vector_size(2 * LANES), aligned(2), may_alias));
        return __builtin_convertvector(*(const Bits*)bits, Whole) >= threshold ? all(scale) : Vector{};
    }
    // out = y after dropout, plus x where that is given
    void operator()(long n, const uint16_t* bits, const float* y, float* out, const float* x = nullptr) const {
        for (long i = 0; i < n; i += LANES)
            store(out + i, load(y + i) * factors(bits + i) + (x ? load(x + i) : Vector{}));
    }
};

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
    Dropout dropout;
    long d() const { return D / H; }
    static long row(long T) { return up(T, SPARE); }            // floats of a row of weights
    static long weights(long T) { return up(T, BLOCK) * row(T); }  // and of all rows
    float scale() const { return 1 / std::sqrt((float)d()); }
};

// One head of one sentence. bits: of its weights, `square` in a row, or none; room: for `turned` [d, T] and all weights
// qkv: [T, 3 D]; weights: [T, T] with spare room, before dropout; read: [T, D]
static void attention(Heads heads, long T, const float* qkv, const uint16_t* bits, long square, float* weights,
                      float* room, float* read) {
    const long D = heads.D, d = heads.d(), row = heads.row(T);
    const float *k = qkv + D, *v = k + D, scale = heads.scale();
    float *turned = room, *dropped = room + d * row;
    transpose(row, d, k, 3 * D, turned, row);
    for (long i = 0; i < T; i += BLOCK) {
        const long seen = up(i + BLOCK, LANES);
        float *here = weights + i * row, *after = bits ? dropped : here;
        product(BLOCK, seen, d, Matrix{qkv + i * 3 * D, 3 * D}, {turned, row}, here, row);
        for (long r = 0; r < BLOCK; r++) softmax(here + r * row, i + r + 1, seen, scale);
        for (long r = 0; r < BLOCK && bits; r++)
            heads.dropout(seen, bits + std::min(i + r, T) * square, here + r * row, after + r * row);
        product(BLOCK, d, std::min(i + BLOCK, T), Matrix{after, row}, {v, 3 * D}, read + i * D, D);
    }
}

static void attention_back(Heads heads, long T, const float* qkv, const uint16_t* bits, long square,
                           const float* weights, const float* read, const float* grad_read, float* room,
                           float* grad_qkv) {
    const long D = heads.D, d = heads.d(), row = heads.row(T);
    const float *k = qkv + D, *v = k + D, *after = weights, scale = heads.scale();
    float *grad_k = grad_qkv + D, *grad_v = grad_k + D;
    float *turned = room, *grad_scores = room + d * row, *dropped = grad_scores + heads.weights(T);
    transpose(row, d, v, 3 * D, turned, row);
    for (long i = 0; i < T; i += BLOCK) {
        const long seen = up(i + BLOCK, LANES);
        float* here = grad_scores + i * row;
        product(BLOCK, seen, d, Matrix{grad_read + i * D, D}, {turned, row}, here, row);
        for (long r = i; r < i + BLOCK; r++, here += row) {
            Vector along{};
            for (long j = 0; j < d; j += LANES) along += load(grad_read + r * D + j) * load(read + r * D + j);
            const Vector delta = all(sum(along));  // what the softmax takes off; dropout cancels in it
            for (long c = 0; c < seen; c += LANES) {
                const Vector before = load(weights + r * row + c);
                const Vector kept = bits ? heads.dropout.factors(bits + std::min(r, T) * square + c) : all(1);
                if (bits) store(dropped + r * row + c, before * kept);
                store(here + c, scale * before * (load(here + c) * kept - delta));
            }
        }
        here = grad_scores + i * row;
        product(BLOCK, d, std::min(i + BLOCK, T), Matrix{here, row}, {k, 3 * D}, grad_qkv + i * 3 * D, 3 * D);
    }
    if (bits) after = dropped;
    for (long j = 0; j < T; j += BLOCK) {  // keys j and on are seen by queries j and on
        const long corner = j * row + j;
        product(BLOCK, d, T - j, Matrix{grad_scores + corner, 1, row}, {qkv + j * 3 * D, 3 * D}, grad_k + j * 3 * D, 3 * D);
        product(BLOCK, d, T - j, Matrix{after + corner, 1, row}, {grad_read + j * D, D}, grad_v + j * 3 * D, 3 * D);
    }
}

// -- what the step is made of ---------------------------------------------------------------------------------------

// As `Given` in step.py of this folder. Tables are those of torch; R, B, .. as above; row: floats of a run's row in the
// flat tables; table, lengths: the lines of the training data and their tokens that something follows; threshold: of
// dropout, 0 for none; pairs: whether products are of bf16
struct Given {
    int64_t R, B, longest, D, H, F, L, C, tied, row, table_row, threshold, pairs, threads;
    double beta1, beta2, epsilon, weight_decay, clip_norm, scale;
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
    struct Site {  // the random bits of one head's weights: of its first row, and how many a row has
        const uint16_t* bits;
        long square;
    };
    Given g;
    const long classes, rows;  // C rounded up to full vectors; rows of a buffer
    const Heads heads;
    const std::shared_ptr<Team> team;
    Buffer x, logits, output, grad_output, output_bias, grad_x, grad_y, grad_z, grad_hidden, grad_qkv, losses, lefts;
    std::vector<Buffer> rooms;  // of each thread
    std::vector<Layer> layers;
    std::vector<int> inputs, targets;
    std::vector<long> starts, lengths;   // of each sentence: its first row, its tokens
    std::vector<long> squares, widths;   // and where the bits of its attention begin in a layer, and their row
    std::vector<uint16_t> bits;          // of dropout, none where nothing is dropped
    std::vector<double> parts;
    long N = 0, bits_of_squares = 0;
    std::unique_ptr<Step> reader;  // of sentences that may be longer

    Step(const Given& given, std::shared_ptr<Team> threads)
        : g(given), classes(up(g.C, 16)), rows(up(g.B * g.longest, SPARE) + SPARE),
          heads{g.D, g.H, {(int32_t)g.threshold, (float)g.scale}}, team(threads), x(rows * g.D),
          logits(rows * classes), output(g.D * classes), grad_output(g.D * classes), output_bias(classes),
          grad_x(rows * g.D), grad_y(rows * g.D), grad_z(rows * g.D), grad_hidden(rows * g.F), grad_qkv(rows * 3 * g.D),
          losses(rows), lefts(g.pairs ? rows * std::max({3 * g.D, g.F, classes}) : 0) {
        const long D = g.D, widest = std::max({3 * D, g.F, classes, rows});
        const long room = std::max(HIGHEST * widest, heads.d() * heads.row(g.longest) + 2 * heads.weights(g.longest));
        const long weights = g.B * g.H * heads.weights(g.longest);
        for (long thread = 0; thread < team->size; thread++) rooms.emplace_back(room);
        for (long i = 0; i < g.L; i++)
            layers.push_back({Buffer(rows * 3 * D), Buffer(weights), Buffer(rows * D), Buffer(rows * D), Buffer(rows),
                              Buffer(rows * D), Buffer(rows * g.F), Buffer(rows * D), Buffer(rows), Buffer(rows * D)});
    }

    // stream: the state of numpy's SFC64, where something is dropped
    float update(long run, const int64_t* lines, const uint64_t* stream, double learning_rate, double updates) {
        const Parameters w(g, g.weights + run * g.row), grad(g, g.grad + run * g.row);
        pack(w, lines);
        if (g.threshold) draw(stream);
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

    // -- dropout, by the decisions of `Drawn` in model/dropout.py, in the same order

    void draw(const uint64_t* stream) {
        squares.clear(), widths.clear(), bits_of_squares = 0;
        for (size_t b = 0, first = 0; b < lengths.size(); b++) {
            if (2 * lengths[b] <= lengths[first]) first = b;  // a group of shorter sentences, see `shape_of`
            squares.push_back(bits_of_squares), widths.push_back(lengths[first] + 1);
            bits_of_squares += g.H * widths[b] * widths[b];
        }
        const long drawn = up(N * g.D + g.L * bits_of_layer(), 4);
        bits.resize(drawn + SPARE);
        uint64_t s[4];
        std::copy_n(stream, 4, s);
        for (long i = 0; i < drawn; i += 4) {  // SFC64
            const uint64_t found = s[0] + s[1] + s[3]++;
            s[0] = s[1] ^ (s[1] >> 11), s[1] = s[2] + (s[2] << 3), s[2] = (s[2] << 24 | s[2] >> 40) + found;
            std::memcpy(&bits[i], &found, 8);
        }
    }
    long bits_of_layer() const { return bits_of_squares + N * (2 * g.D + g.F); }
    const uint16_t* bits_of_words() const { return bits.empty() ? nullptr : bits.data(); }
    const uint16_t* bits_of(long layer, long more) const {
        return bits.empty() ? nullptr : bits.data() + N * g.D + layer * bits_of_layer() + more;
    }
    const uint16_t* bits_of_merge(long i) const { return bits_of(i, bits_of_squares); }
    const uint16_t* bits_of_hidden(long i) const { return bits_of(i, bits_of_squares + N * g.D); }
    const uint16_t* bits_of_ffn2(long i) const { return bits_of(i, bits_of_squares + N * (g.D + g.F)); }
    Site bits_of_weights(long i, long b, long h) const {
        if (bits.empty()) return {nullptr, 0};
        return {bits_of(i, squares[b] + h * widths[b] * widths[b]), widths[b]};
    }

    // out = y after dropout, plus x where that is given, rows as wide as they are
    void drop(long width, const uint16_t* from, const float* y, float* out, const float* x = nullptr) {
        team->split(N, 1, [&](long first, long last, long) {
            const long i = first * width;
            heads.dropout((last - first) * width, from + i, y + i, out + i, x ? x + i : nullptr);
        });
    }

    // -- products with weights, and what is done head by head, by all threads

    template <Then then = NOTHING>
    void multiply(long rows, long columns, long inner, Matrix a, Matrix b, float* out, Start start = {}, Relu relu = {}) {
        const bool pairs = HAS_PAIRS && g.pairs;
        Left left = a;
        if (pairs) {
            left = {lefts, HEIGHT * ((inner + 1) / 2), 1, HEIGHT};
            team->split(rows, LANES, [&](long from, long to, long) {
                pack_left(to - from, inner, {a.at + from * a.row, a.row, a.column}, lefts + from / HEIGHT * left.tile);
            });
        }
        team->split(columns, 2 * LANES, [&](long from, long to, long thread) {
            const auto some = pairs ? product<then, HAS_PAIRS> : product<then, false>;
            some(rows, to - from, inner, left, {b.at + from * b.column, b.row, b.column}, out + from, columns,
                 {start.at ? start.at + from : nullptr, start.row}, {relu.gave ? relu.gave + from : nullptr, relu.scale},
                 pairs || far_apart(inner, b) ? rooms[thread].at : nullptr);
        });
    }

    // what(sentence, head, its weights in a layer, room). A thread takes a head of all sentences, one after the other: in
    // blocks of rows, a sentence writes beyond its end, where the next one begins
    template <class What>
    void for_heads(float* weights, const What& what) {
        team->all([&](long thread) {
            float* at = weights;
            for (long b = 0; b < (long)lengths.size(); at += g.H * heads.weights(lengths[b++]))
                for (long h = thread; h < g.H; h += team->size)
                    what(b, h, at + h * heads.weights(lengths[b]), rooms[thread]);
        });
    }

    // The last layer's vectors
    const float* forward(const Parameters& w) {
        const long D = g.D, F = g.F, d = heads.d();
        const float* in = x;
        if (!bits.empty()) drop(D, bits_of_words(), x, x);
        for (long i = 0; i < g.L; i++) {
            const Parameters::Layer& p = w.layers[i];
            Layer& y = layers[i];
            multiply(N, 3 * D, D, {in, D}, {p.qkv, 3 * D}, y.qkv);
            for_heads(y.attention, [&](long b, long h, float* weights, float* room) {
                const Site site = bits_of_weights(i, b, h);
                attention(heads, lengths[b], y.qkv + starts[b] * 3 * D + h * d, site.bits, site.square, weights, room,
                          y.read + starts[b] * D + h * d);
            });
            // what comes in is added: before a product without dropout, after one with it
            multiply(N, D, D, {y.read, D}, {p.merge, D}, grad_x, {bits.empty() ? in : nullptr, D});  // a free buffer
            if (!bits.empty()) drop(D, bits_of_merge(i), grad_x, grad_x, in);
            team->split(N, 1, [&](long from, long to, long) {
                norm(to - from, D, grad_x + from * D, p.norm1, p.norm1_bias, y.unit1 + from * D, y.rate1 + from,
                     y.middle + from * D);
                for (long r = from; r < to && bits.empty(); r++)
                    for (long j = 0; j < D; j += LANES)
                        store(grad_y + r * D + j, load(y.middle + r * D + j) + load(p.ffn2_bias + j));
            });
            multiply<RELU>(N, F, D, {y.middle, D}, {p.ffn1, F}, y.hidden, {p.ffn1_bias});
            if (!bits.empty()) drop(F, bits_of_hidden(i), y.hidden, y.hidden);
            multiply(N, D, F, {y.hidden, F}, {p.ffn2, D}, grad_x, bits.empty() ? Start{grad_y, D} : Start{p.ffn2_bias});
            if (!bits.empty()) drop(D, bits_of_ffn2(i), grad_x, grad_x, y.middle);
            team->split(N, 1, [&](long from, long to, long) {
                norm(to - from, D, grad_x + from * D, p.norm2, p.norm2_bias, y.unit2 + from * D, y.rate2 + from,
                     y.out + from * D);
            });
            in = y.out;
        }
        return in;
    }

    void classify(const Parameters& w, const float* last) {
        const long D = g.D;
        for (long j = 0; j < D; j++)
            for (long c = 0; c < g.C; c++) output[j * classes + c] = g.tied ? w.embedding[c * D + j] : w.output[j * g.C + c];
        std::copy_n(w.output_bias, g.C, output_bias.at);
        multiply(N, classes, D, {last, D}, {output, classes}, logits, {output_bias});
    }

    // Mean cross entropy of all rows; the logits become its gradient
    float loss_and_gradient() {
        team->split(N, 1, [&](long from, long to, long) {
            for (long r = from; r < to; r++) losses[r] = loss_and_gradient_of(r);
        });
        double loss = 0;
        for (long r = 0; r < N; r++) loss += losses[r];
        return loss / N;
    }

    float loss_and_gradient_of(long r) {
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
        for (long c = 0; c < classes; c += LANES) store(z + c, load(z + c) * (1 / (normalizer * N)));
        std::fill(z + g.C, z + classes, 0.f);
        z[targets[r]] -= 1.f / N;
        return std::log(normalizer) + highest - right;
    }

    // Every gradient of the run, over what was there
    void backward(const Parameters& w, const Parameters& grad) {
        const long D = g.D, C = g.C;
        const float* last = layers.back().out;
        multiply(D, classes, N, Matrix{last, D}.turned(), {logits, classes}, grad_output);
        sum_rows(N, classes, classes, logits, output_bias);
        std::copy_n(output_bias.at, C, grad.output_bias);
        multiply(N, D, classes, {logits, classes}, Matrix{output, classes}.turned(), grad_x);
        for (long i = g.L - 1; i >= 0; i--) layer_back(i, w.layers[i], grad.layers[i]);
        if (!bits.empty()) drop(D, bits_of_words(), grad_x, grad_x);
        for (long j = 0; j < D && !g.tied; j++) std::copy_n(grad_output + j * classes, C, grad.output + j * C);
        for (long c = 0; c < C; c++)
            for (long j = 0; j < D; j++) grad.embedding[c * D + j] = g.tied ? grad_output[j * classes + c] : 0.f;
        for (long r = 0; r < N; r++) {
            float* word = grad.embedding + inputs[r] * D;
            for (long j = 0; j < D; j += LANES)
                store(word + j, load(word + j) + load(grad_x + r * D + j) * std::sqrt((float)D));
        }
    }

    // From the gradient in grad_x of what a norm gave to that of what it was given, in grad_y
    void norm_back(const float* weight, const float* unit, const float* rate, float* grad_weight, float* grad_bias) {
        const long D = g.D;
        team->split(D, LANES, [&](long from, long to, long) {
            sum_rows(N, to - from, D, grad_x + from, grad_bias + from, unit + from, grad_weight + from);
        });
        team->split(N, 1, [&](long from, long to, long) {
            ::norm_back(to - from, D, grad_x + from * D, weight, unit + from * D, rate + from, grad_y + from * D);
        });
    }

    // grad_y behind a dropout
    const float* before_drop(const uint16_t* from) {
        if (!from) return grad_y;
        drop(g.D, from, grad_y, grad_z);
        return grad_z;
    }

    void sum_all(long columns, const float* x, float* out) {
        team->split(columns, LANES, [&](long from, long to, long) { sum_rows(N, to - from, columns, x + from, out + from); });
    }

    // From the gradient of what layer i gave to that of what it was given, both in grad_x
    void layer_back(long i, const Parameters::Layer& p, const Parameters::Layer& grad) {
        const long D = g.D, F = g.F, d = heads.d();
        Layer& y = layers[i];
        const float *in = i ? layers[i - 1].out : x, *back;
        norm_back(p.norm2, y.unit2, y.rate2, grad.norm2, grad.norm2_bias);
        back = before_drop(bits_of_ffn2(i));
        multiply(F, D, N, Matrix{y.hidden, F}.turned(), {back, D}, grad.ffn2);
        sum_all(D, back, grad.ffn2_bias);
        multiply<RELU_BACK>(N, F, D, {back, D}, Matrix{p.ffn2, D}.turned(), grad_hidden, {}, {y.hidden, (float)g.scale});
        multiply(D, F, N, Matrix{y.middle, D}.turned(), {grad_hidden, F}, grad.ffn1);
        sum_all(F, grad_hidden, grad.ffn1_bias);
        multiply(N, D, F, {grad_hidden, F}, Matrix{p.ffn1, F}.turned(), grad_x, {grad_y, D});

        norm_back(p.norm1, y.unit1, y.rate1, grad.norm1, grad.norm1_bias);
        back = before_drop(bits_of_merge(i));
        multiply(D, D, N, Matrix{y.read, D}.turned(), {back, D}, grad.merge);
        multiply(N, D, D, {back, D}, Matrix{p.merge, D}.turned(), grad_x);  // of what the heads have read
        for_heads(y.attention, [&](long b, long h, const float* weights, float* room) {
            const long at = starts[b] * D + h * d, qkv = starts[b] * 3 * D + h * d;
            const Site site = bits_of_weights(i, b, h);
            attention_back(heads, lengths[b], y.qkv + qkv, site.bits, site.square, weights, y.read + at, grad_x + at, room,
                           grad_qkv + qkv);
        });
        multiply(D, 3 * D, N, Matrix{in, D}.turned(), {grad_qkv, 3 * D}, grad.qkv);
        multiply(N, D, 3 * D, {grad_qkv, 3 * D}, Matrix{p.qkv, 3 * D}.turned(), grad_x, {grad_y, D});
    }

    // What the gradients are multiplied with, so that their norm is clip_norm at most
    float clip(const float* grad) {
        constexpr long part = 4096;
        parts.assign(up(g.row, part) / part, 0);
        team->split(g.row, part, [&](long from, long to, long) {
            for (long i = from; i < to; i += part) {
                Vector squares{};
                for (long j = i; j < std::min(i + part, to); j += LANES) squares += load(grad + j) * load(grad + j);
                parts[i / part] = sum(squares);
            }
        });
        double squares = 0;
        for (double some : parts) squares += some;
        return std::min(1.0, g.clip_norm / (std::sqrt(squares) + 1e-6));
    }

    void adamw(long first, float scale, double learning_rate, double updates) {
        const float beta1 = g.beta1, rest1 = 1 - g.beta1, beta2 = g.beta2, rest2 = 1 - g.beta2, epsilon = g.epsilon;
        const float rate = learning_rate / (1 - std::pow(g.beta1, updates));
        const float correction = 1 / std::sqrt(1 - std::pow(g.beta2, updates));
        const float kept = 1 - learning_rate * g.weight_decay;
        team->split(g.row, LANES, [=, g = g](long from, long to, long) {  // by value: what is stored may be anything else
            for (long i = first + from; i < first + to; i += LANES) {
                const Vector grad = load(g.grad + i) * scale;
                const Vector mean = load(g.exp_avg + i) * beta1 + grad * rest1;
                const Vector square = load(g.exp_avg_sq + i) * beta2 + grad * grad * rest2;
                store(g.exp_avg + i, mean);
                store(g.exp_avg_sq + i, square);
                store(g.weights + i, load(g.weights + i) * kept - rate * mean / (root(square) * correction + epsilon));
            }
        });
    }
};

// -- what Python calls ----------------------------------------------------------------------------------------------

extern "C" int has_bf16() { return HAS_PAIRS; }
extern "C" Step* create(const Given* given) { return new Step(*given, std::make_shared<Team>(given->threads)); }
extern "C" void destroy(Step* step) { delete step; }

// Update number `updates` (from 1) of all runs. lines: [R, B], of the table; streams: [R, 4], see Step::update; losses:
// [R], before the update
extern "C" void update(Step* step, const int64_t* lines, const uint64_t* streams, double learning_rate, double updates,
                       float* losses) {
    for (long run = 0; run < step->g.R; run++)
        losses[run] = step->update(run, lines + run * step->g.B, streams + 4 * run, learning_rate, updates);
}

// The last layer's vectors [R, S, T, D] of token rows [R, S, T], for evaluation, in float32. sinusoids: of T positions
extern "C" void hidden(Step* step, const int64_t* tokens, int64_t S, int64_t T, const float* sinusoids, float* out) {
    Given g = step->g;
    g.longest = T, g.pairs = 0;
    if (!step->reader || step->reader->g.longest < T) step->reader = std::make_unique<Step>(g, step->team);
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
