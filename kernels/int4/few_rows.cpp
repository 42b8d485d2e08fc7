// Products of few rows with a weight as it is stored, [outputs][inputs] in float32 or bfloat16: a linear, also of 8 bits
// with a scale for each output, and the experts of a layer in one call. Nothing is packed, so the weights may be in training. Sums are float32. Plain C ABI;
// kernels/int4/native.py builds this with int4.cpp, kernels/few_rows.py calls it.

#include <omp.h>

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <vector>

#include "scalars.h"

namespace {

struct Product {
  const float* x;      // [tokens][width]
  const void* weight;  // [n][width]
  const float* scale;  // [n], or none
  float* y;            // [tokens][n]
  int64_t tokens, n, width;
  int threads;
};

struct Layer {
  const float* x;                    // [tokens][width]
  const int64_t* expert;             // [tokens][top_k]
  const float* weight;               // [tokens][top_k]
  const void *gate, *up, *down;      // [experts][inner][width], the same, [experts][width][inner]
  float* y;                          // [tokens][width]
  int64_t tokens, top_k, width, inner, experts;
  int threads;
};

// Choices sorted by expert: `choice[offset[e]]` to `choice[offset[e + 1]]` are those of expert e.
struct Sorted {
  std::vector<int64_t> offset, choice, used;

  explicit Sorted(const Layer& l) : offset(l.experts + 1, 0) {
    const int64_t all = l.tokens * l.top_k;
    for (int64_t c = 0; c < all; c++) offset[l.expert[c] + 1]++;
    for (int64_t e = 0; e < l.experts; e++) {
      if (offset[e + 1]) used.push_back(e);
      offset[e + 1] += offset[e];
    }
    std::vector<int64_t> next(offset.begin(), offset.end() - 1);
    choice.resize(all);
    for (int64_t c = 0; c < all; c++) choice[next[l.expert[c]]++] = c;
  }
};

#define BODY "few_rows.h"
#include "forms.h"

}  // namespace

extern "C" {

// y = x times the transpose of one matrix with at least four rows, of `bits` 32 (float32), 16 (bfloat16) or 8 (codes).
void k2_few_linear(const float* x, const void* weight, const float* scale, float* y, int64_t tokens, int64_t n,
                   int64_t width, int bits, int isa, int threads) {
  const Product p{x, weight, scale, y, tokens, n, width, threads};
  if (bits == 32) FORM(isa, linear<float>(p));
  else if (bits == 16) FORM(isa, linear<uint16_t>(p));
  else FORM(isa, linear<int8_t>(p));
}

// y = Σ weight · down(silu(gate(x)) · up(x)) over a token's experts; width and inner are multiples of
// four. Returns 0, or 1 where an expert is chosen that there is not; then nothing was written.
int k2_few_experts(const float* x, const int64_t* expert, const float* weight, const void* gate, const void* up,
                    const void* down, float* y, int64_t tokens, int64_t top_k, int64_t width, int64_t inner,
                    int64_t experts, int is_float, int isa, int threads) {
  for (int64_t c = 0; c < tokens * top_k; c++)
    if (expert[c] < 0 || expert[c] >= experts) return 1;
  const Layer l{x, expert, weight, gate, up, down, y, tokens, top_k, width, inner, experts, threads};
  const Sorted sorted(l);
  is_float ? FORM(isa, experts<float>(l, sorted)) : FORM(isa, experts<uint16_t>(l, sorted));
  return 0;
}
}
