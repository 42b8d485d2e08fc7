// What a decoding step does between its large products, one call each: RMSNorm, the choice of experts, and attention of
// one new position per row in the space of the compressed cache. Plain C ABI; kernels/int4/native.py builds this with
// int4.cpp; kernels/decode.py and kernels/decode_attention.py have the same in plain torch. Weights and cache are
// bfloat16 or float32, everything between them is float32, and a row's result depends on that row alone. The loops are
// written for the compiler to vectorize, once per instruction set.

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#define INLINE __attribute__((always_inline)) inline
#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma,prefer-vector-width=512")))
#define AVX2 __attribute__((target("avx2,fma")))

namespace {

struct Step {
  const void* q;          // [rows][heads][nope + rope], not yet rotated
  const void* kv;         // [rows][latent + rope], neither normed nor rotated
  const void* norm;       // [latent], the gain of the latent's RMSNorm
  const void* kv_b;       // [heads][nope + value][latent]
  const float* cos;       // [rows][rope / 2]
  const float* sin;       // [rows][rope / 2]
  void* cache;            // [slots][length][latent + rope]
  const int64_t* slot;    // [rows]
  const int64_t* position;  // [rows], of the new token; it attends to 0 .. position
  void* out;              // [rows][heads][value]
  int64_t rows, heads, nope, rope, latent, value, length;
  float scale, eps;
  int isa, threads;
};

INLINE float load(float x) { return x; }
INLINE float load(uint16_t b) {
  const uint32_t bits = uint32_t(b) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

INLINE void store(float* to, float x) { *to = x; }
INLINE void store(uint16_t* to, float f) {  // to nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  *to = uint16_t((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded);
}

// e^x for x ≤ 0: 2^n · e^f with |f| ≤ ln 2 / 2, e^f by its Taylor series to the sixth power, relative error below 3e-7.
INLINE float exponential(float x) {
  const float y = std::max(x, -87.f) * 1.44269504088896f;
  const float n = (y + 12582912.f) - 12582912.f;
  const float f = (y - n) * 0.693147180559945f;
  float p = 1.f / 720;
  p = p * f + 1.f / 120;
  p = p * f + 1.f / 24;
  p = p * f + 1.f / 6;
  p = p * f + 0.5f;
  p = p * f + 1.f;
  p = p * f + 1.f;
  const int32_t bits = (int32_t(n) + 127) << 23;
  float power;
  std::memcpy(&power, &bits, 4);
  return p * power;
}

template <typename T>
INLINE float inverse_rms(const T* x, int64_t width, float eps) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t k = 0; k < width; k++) squares += load(x[k]) * load(x[k]);
  return 1.f / std::sqrt(squares / float(width) + eps);
}

// y = gain · (x / rms(x)), each of the two products rounded to the type.
template <typename T>
INLINE void norm_row(const T* x, const T* gain, T* y, int64_t width, float eps) {
  const float r = inverse_rms(x, width, eps);
  for (int64_t k = 0; k < width; k++) {
    T rounded;
    store(&rounded, load(x[k]) * r);
    store(y + k, load(rounded) * load(gain[k]));
  }
}

template <typename T>
AVX512 void norm_avx512(const T* x, const T* gain, T* y, int64_t width, float eps) { norm_row(x, gain, y, width, eps); }
template <typename T>
AVX2 void norm_avx2(const T* x, const T* gain, T* y, int64_t width, float eps) { norm_row(x, gain, y, width, eps); }

template <typename T>
void norm(const void* x, const void* gain, void* y, int64_t rows, int64_t width, float eps, int isa) {
  const auto one = isa == 2 ? norm_avx512<T> : norm_avx2<T>;
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  for (int64_t row = 0; row < rows; row++)
    one(from + row * width, static_cast<const T*>(gain), to + row * width, width, eps);
}

// Norms and rotates the new token of a row and writes it into the cache.
template <typename T>
INLINE void remember(const Step& s, int64_t row) {
  const int64_t width = s.latent + s.rope;
  const T* kv = static_cast<const T*>(s.kv) + row * width;
  T* to = static_cast<T*>(s.cache) + (s.slot[row] * s.length + s.position[row]) * width;
  norm_row(kv, static_cast<const T*>(s.norm), to, s.latent, s.eps);
  const float* cos = s.cos + row * (s.rope / 2);
  const float* sin = s.sin + row * (s.rope / 2);
  for (int64_t i = 0; i < s.rope / 2; i++) {
    const float even = load(kv[s.latent + 2 * i]), odd = load(kv[s.latent + 2 * i + 1]);
    store(to + s.latent + 2 * i, even * cos[i] - odd * sin[i]);
    store(to + s.latent + 2 * i + 1, even * sin[i] + odd * cos[i]);
  }
}

// One head of one row. `p` has room for position + 1 numbers, `query` for latent + rope, `context` for latent.
template <typename T>
INLINE void attend(const Step& s, int64_t row, int64_t head, float* p, float* query, float* context) {
  const int64_t width = s.latent + s.rope, seen = s.position[row] + 1;
  const T* q = static_cast<const T*>(s.q) + (row * s.heads + head) * (s.nope + s.rope);
  const T* key = static_cast<const T*>(s.kv_b) + head * (s.nope + s.value) * s.latent;
  const T* cached = static_cast<const T*>(s.cache) + s.slot[row] * s.length * width;

  std::fill(query, query + s.latent, 0.f);
  for (int64_t n = 0; n < s.nope; n++) {
    const float x = load(q[n]);
    const T* from = key + n * s.latent;
#pragma omp simd
    for (int64_t k = 0; k < s.latent; k++) query[k] += x * load(from[k]);
  }
  const float* cos = s.cos + row * (s.rope / 2);
  const float* sin = s.sin + row * (s.rope / 2);
  for (int64_t i = 0; i < s.rope / 2; i++) {
    const float even = load(q[s.nope + 2 * i]), odd = load(q[s.nope + 2 * i + 1]);
    query[s.latent + 2 * i] = even * cos[i] - odd * sin[i];
    query[s.latent + 2 * i + 1] = even * sin[i] + odd * cos[i];
  }

  float largest = -INFINITY;
  for (int64_t t = 0; t < seen; t++) {
    const T* x = cached + t * width;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < width; k++) sum += query[k] * load(x[k]);
    p[t] = sum * s.scale;
    largest = std::max(largest, p[t]);
  }
  float total = 0;
#pragma omp simd reduction(+ : total)
  for (int64_t t = 0; t < seen; t++) {
    p[t] = exponential(p[t] - largest);
    total += p[t];
  }

  std::fill(context, context + s.latent, 0.f);
  int64_t t = 0;
  for (; t + 4 <= seen; t += 4) {
    const T* x = cached + t * width;
    const float a = p[t], b = p[t + 1], c = p[t + 2], d = p[t + 3];
#pragma omp simd
    for (int64_t k = 0; k < s.latent; k++)
      context[k] += a * load(x[k]) + b * load(x[width + k]) + c * load(x[2 * width + k]) + d * load(x[3 * width + k]);
  }
  for (; t < seen; t++) {
    const T* x = cached + t * width;
#pragma omp simd
    for (int64_t k = 0; k < s.latent; k++) context[k] += p[t] * load(x[k]);
  }

  T* out = static_cast<T*>(s.out) + (row * s.heads + head) * s.value;
  for (int64_t v = 0; v < s.value; v++) {
    const T* from = key + (s.nope + v) * s.latent;
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t k = 0; k < s.latent; k++) sum += context[k] * load(from[k]);
    store(out + v, sum / total);
  }
}

template <typename T>
AVX512 void remember_avx512(const Step& s, int64_t row) { remember<T>(s, row); }
template <typename T>
AVX2 void remember_avx2(const Step& s, int64_t row) { remember<T>(s, row); }
template <typename T>
AVX512 void attend_avx512(const Step& s, int64_t row, int64_t head, float* p, float* q, float* c) {
  attend<T>(s, row, head, p, q, c);
}
template <typename T>
AVX2 void attend_avx2(const Step& s, int64_t row, int64_t head, float* p, float* q, float* c) {
  attend<T>(s, row, head, p, q, c);
}

template <typename T>
void step(const Step& s) {
  const auto head_of = s.isa == 2 ? attend_avx512<T> : attend_avx2<T>;
  const auto write = s.isa == 2 ? remember_avx512<T> : remember_avx2<T>;
  const int64_t seen = *std::max_element(s.position, s.position + s.rows) + 1;
#pragma omp parallel num_threads(s.threads)
  {
    std::vector<float> room(seen + 2 * s.latent + s.rope);
    float* query = room.data() + seen;
#pragma omp for schedule(static)
    for (int64_t row = 0; row < s.rows; row++) write(s, row);
    // Heads outside: a head's share of kv_b stays in the cache over the rows.
#pragma omp for schedule(static) collapse(2)
    for (int64_t head = 0; head < s.heads; head++)
      for (int64_t row = 0; row < s.rows; row++)
        head_of(s, row, head, room.data(), query, query + s.latent + s.rope);
  }
}

}  // namespace

extern "C" {

// y [rows][width] = RMSNorm of x.
void k2_rms_norm(const void* x, const void* gain, void* y, int64_t rows, int64_t width, float eps, int is_float,
                 int isa) {
  is_float ? norm<float>(x, gain, y, rows, width, eps, isa) : norm<uint16_t>(x, gain, y, rows, width, eps, isa);
}

// The top_k experts with the largest sigmoid + bias, and their sigmoids as weights: expert, weight [rows][top_k].
void k2_choose(const float* logits, const float* bias, int64_t* expert, float* weight, int64_t rows, int64_t experts,
               int64_t top_k, int normalise, float factor) {
  std::vector<float> score(experts), choice(experts);
  for (int64_t row = 0; row < rows; row++, expert += top_k, weight += top_k, logits += experts) {
    for (int64_t e = 0; e < experts; e++) {
      score[e] = 1.f / (1.f + std::exp(-logits[e]));
      choice[e] = score[e] + bias[e];
    }
    float sum = 0;
    for (int64_t k = 0; k < top_k; k++) {
      expert[k] = std::max_element(choice.begin(), choice.end()) - choice.begin();
      choice[expert[k]] = -INFINITY;
      weight[k] = score[expert[k]];
      sum += weight[k];
    }
    for (int64_t k = 0; k < top_k; k++) weight[k] *= normalise ? factor / (sum + 1e-20f) : factor;
  }
}

// Two rows never share a slot. Returns 0, or 1 where a row stands outside the cache; then nothing was written.
int k2_decode_attention(const void* q, const void* kv, const void* norm, const void* kv_b, const float* cos,
                        const float* sin, void* cache, const int64_t* slot, const int64_t* position, void* out,
                        int64_t rows, int64_t heads, int64_t nope, int64_t rope, int64_t latent, int64_t value,
                        int64_t slots, int64_t length, float scale, float eps, int is_float, int isa, int threads) {
  for (int64_t row = 0; row < rows; row++)
    if (slot[row] < 0 || slot[row] >= slots || position[row] < 0 || position[row] >= length) return 1;
  const Step s{q,    kv,    norm, kv_b, cos,    sin,   cache,  slot,  position, out, rows,
               heads, nope, rope, latent, value, length, scale, eps,   isa,      threads};
  is_float ? step<float>(s) : step<uint16_t>(s);
  return 0;
}
}
