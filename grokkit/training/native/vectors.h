// Vectors by the compiler's own extension, as wide as the processor has them, and what is done with one or two of them.
#pragma once
#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#if defined(__AVX512BF16__)
#include <immintrin.h>
#endif

#if defined(__AVX512F__)
constexpr long LANES = 16, HEIGHT = 8, BREADTH = 3;  // the sums of a tile fill 24 of 32 registers
#elif defined(__AVX__)
constexpr long LANES = 8, HEIGHT = 4, BREADTH = 3;  // 12 of 16
#elif defined(__aarch64__)
constexpr long LANES = 4, HEIGHT = 4, BREADTH = 4;  // 16 of 32
#else
constexpr long LANES = 4, HEIGHT = 4, BREADTH = 2;  // 8 of 16
#endif
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

// -- pairs: two numbers in bf16, one after the other in a sum, where a float stands otherwise --------------------------

#if defined(__AVX512BF16__)
constexpr bool HAS_PAIRS = true;
static inline void add_products(Vector& sums, float left, Vector right) {  // of both members of 16 pairs
    int32_t pair;
    std::memcpy(&pair, &left, 4);
    sums = (Vector)_mm512_dpbf16_ps((__m512)sums, (__m512bh)_mm512_set1_epi32(pair), (__m512bh)right);
}
static inline Vector pairs_of(Vector first, Vector second) {  // lane by lane
    const __m512i both = (__m512i)_mm512_cvtne2ps_pbh((__m512)second, (__m512)first);
    const __m512i order = _mm512_add_epi32(_mm512_set1_epi32(16 << 16),
                                           _mm512_mullo_epi32((__m512i)numbers(), _mm512_set1_epi32(0x10001)));
    return (Vector)_mm512_permutexvar_epi16(order, both);
}
static inline void store_pairs(float* to, Vector neighbours) {  // 8 pairs of what stands side by side
    _mm256_storeu_si256((__m256i*)to, (__m256i)_mm512_cvtneps_pbh((__m512)neighbours));
}
#else
constexpr bool HAS_PAIRS = false;
static inline void add_products(Vector&, float, Vector) {}
static inline Vector pairs_of(Vector first, Vector) { return first; }
static inline void store_pairs(float*, Vector) {}
#endif
