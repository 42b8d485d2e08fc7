// What a decoding step does between its large products, one call each: RMSNorm, the choice of experts, and attention of
// one new position per row in the space of the compressed cache. Plain C ABI; kernels/int4/native.py builds this with
// int4.cpp; kernels/decode.py and kernels/decode_attention.py have the same in plain torch. Weights and cache are
// bfloat16 or float32, everything between them is float32, and a row's result depends on that row alone.

#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "scalars.h"

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
  int threads;
};

#define BODY "decode.h"
#include "forms.h"

}  // namespace

extern "C" {

// y [rows][width] = RMSNorm of x.
void k2_rms_norm(const void* x, const void* gain, void* y, int64_t rows, int64_t width, float eps, int is_float,
                 int isa) {
  if (is_float) FORM(isa, norm<float>(x, gain, y, rows, width, eps));
  else FORM(isa, norm<uint16_t>(x, gain, y, rows, width, eps));
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
               heads, nope, rope, latent, value, length, scale, eps,   threads};
  is_float ? FORM(isa, step<float>(s)) : FORM(isa, step<uint16_t>(s));
  return 0;
}
}
