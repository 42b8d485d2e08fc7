// What the forms of the INT4 products share: sizes, layouts, and what is computed one number at a time.

#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <vector>

#include "scalars.h"

namespace {

constexpr int GROUP = 32;       // inputs that share a scale
constexpr int ROWS = 16;        // outputs of a block
constexpr int WORDS = 4;        // words of a group in one row
constexpr int PAIRS = 16;       // bfloat16 pairs of a group
constexpr int TOKENS = 64;      // tokens whose accumulators stay in the first cache
constexpr int SPAN = 16;         // groups of inner rows that one thread makes in a row
constexpr int BF16 = 0, W4A16 = 1, W4A8 = 2;
constexpr int ISA_AVX512 = 2, ISA_VNNI = 3, ISA_BFLOAT = 4;  // levels of x86-64 above AVX2, each with those before it

constexpr float SCALE_MIN = 0x1p-100f;

// The scale and its reciprocal for each of the 2^15 largest magnitudes a group can have; only a few are ever in use.
struct ScaleTable {
  struct Entry {
    float scale, reciprocal;
  };
  std::vector<Entry> entry;

  ScaleTable() : entry(1 << 15) {
    for (uint32_t bits = 0; bits < entry.size(); bits++) {
      float largest = from_bf16(uint16_t(bits));
      float scale = bits >= 0x7f80 ? NAN : from_bf16(to_bf16(std::max(largest / 7.f, SCALE_MIN)));
      entry[bits] = {scale, 1.f / scale};
    }
  }
  static const Entry* get() {
    static const ScaleTable table;
    return table.entry.data();
  }
};

// Tokens of one projection, rearranged for the kernels: per group and token one line of 16 pairs.
struct Activations {
  int64_t tokens, groups;
  const uint32_t* pairs;   // W4A16, BF16: [groups][tokens][16], lane p = 4b+j is the pair (8b+j, 8b+j+4)
  const int8_t* codes;     // W4A8: [groups][tokens][32], per word inputs 0,2,4,6 then 1,3,5,7
  const float* scale;      // W4A8: [groups][tokens]
  const int32_t* eights;   // W4A8: [groups][tokens], −8 times the sum of the group's codes
};

// One group of one token to 8 bits: symmetric, scale absmax / 127.
inline void make_codes(const uint16_t* x, int8_t* codes, float* scale, int32_t* eights) {
  float largest = 0;
  for (int i = 0; i < GROUP; i++) largest = std::max(largest, std::fabs(from_bf16(x[i])));
  float r = largest > 0 ? 127.f / largest : 0.f;
  int32_t sum = 0;
  for (int b = 0; b < WORDS; b++)
    for (int i = 0; i < 8; i++) {
      int8_t code = int8_t(std::lrintf(from_bf16(x[8 * b + i]) * r));
      codes[8 * b + (i & 1) * 4 + (i >> 1)] = code;
      sum += code;
    }
  *scale = largest / 127.f;
  *eights = -8 * sum;
}

struct Block {
  const uint32_t* words;  // INT4: [groups][4][16]; BF16: [groups][16 pairs][16]
  const uint16_t* scale;  // [groups][16]
};

// h[0..16) = bfloat16 of silu(gate) · up.
inline void activate(const float* gate, const float* up, uint16_t* h) {
  for (int r = 0; r < ROWS; r++) h[r] = to_bf16(gate[r] / (1.f + std::exp(-gate[r])) * up[r]);
}

using QuantRows = void (*)(const void* in, void* out, uint32_t* words, uint16_t* scale, int64_t first, int64_t last);

}  // namespace
