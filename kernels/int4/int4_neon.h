// The forms of ARM with NEON and its dot products of bytes: four of a block's 16 outputs in a register.

#pragma once

#include <arm_neon.h>

#include <type_traits>

#include "int4_common.h"

namespace {

constexpr int QUADS = ROWS / 4;

// ---------------------------------------------------------------------------------------------- fake quantization

// The group as float32 that is bfloat16; returns its largest magnitude as bfloat16, by its bits, so that a NaN is the
// largest.
template <typename Stored>
inline uint32_t load_group(const Stored* p, float* w) {
  uint32_t largest = 0;
  for (int i = 0; i < GROUP; i++) {
    uint16_t b;
    if constexpr (std::is_same_v<Stored, float>) b = to_bf16(p[i]);
    else b = p[i];
    largest = std::max(largest, uint32_t(b & 0x7fff));
    w[i] = from_bf16(b);
  }
  return largest;
}

template <bool FLOAT, bool CODES>
void quant_rows(const void* in, void* out, uint32_t* words, uint16_t* scale, int64_t first, int64_t last) {
  using Stored = std::conditional_t<FLOAT, float, uint16_t>;
  const ScaleTable::Entry* table = ScaleTable::get();
  for (int64_t g = first; g < last; g++) {
    float w[GROUP];
    const ScaleTable::Entry& found = table[load_group(static_cast<const Stored*>(in) + g * GROUP, w)];
    for (int k = 0; k < GROUP; k += 4) {  // one correction makes an exact quotient exact, as in fake_quant_avx.h
      const float32x4_t x = vld1q_f32(w + k);
      float32x4_t q = vmulq_n_f32(x, found.reciprocal);
      q = vfmaq_n_f32(q, vfmsq_n_f32(x, q, found.scale), found.reciprocal);
      vst1q_f32(w + k, vrndnq_f32(q));
    }
    if constexpr (CODES) {
      scale[g] = to_bf16(found.scale);
      for (int b = 0; b < WORDS; b++) {
        uint32_t word = 0;
        for (int i = 0; i < 8; i++) word |= uint32_t(int32_t(w[8 * b + i]) + 8) << 4 * i;
        words[g * WORDS + b] = word;
      }
    } else {
      Stored* y = static_cast<Stored*>(out) + g * GROUP;
      for (int i = 0; i < GROUP; i++) {
        const uint16_t b = to_bf16(w[i] * found.scale);
        if constexpr (FLOAT) y[i] = from_bf16(b);
        else y[i] = b;
      }
    }
  }
}

QuantRows fake_quant_rows(int, bool is_float, bool codes) {
  static const QuantRows forms[4] = {quant_rows<false, false>, quant_rows<false, true>, quant_rows<true, false>,
                                     quant_rows<true, true>};
  return forms[2 * is_float + codes];
}

// ---------------------------------------------------------------------------------------------- activations

inline void make_pairs(const uint16_t* x, uint32_t* pairs) {
  for (int b = 0; b < WORDS; b++)
    for (int j = 0; j < 4; j++) pairs[4 * b + j] = x[8 * b + j] | uint32_t(x[8 * b + j + 4]) << 16;
}

void quantize(int, const uint16_t* x, int8_t* codes, float* scale, int32_t* eights) {
  make_codes(x, codes, scale, eights);
}

void swiglu(int, const float* gate, const float* up, uint16_t* h) { activate(gate, up, h); }

// ---------------------------------------------------------------------------------------------- row block

inline float32x4_t scale_of(const Block& block, int64_t g, int quad) {
  return vreinterpretq_f32_u32(vshll_n_u16(vld1_u16(block.scale + g * ROWS + 4 * quad), 16));
}

// T tokens times one row block: what is decoded serves all, and each token's sums are as if it were alone.
template <int FORMAT, int T>
void tokens_neon(const Block& block, const Activations& x, int64_t token, float* out) {
  float32x4_t total[T][QUADS];
  for (int t = 0; t < T; t++)
    for (int quad = 0; quad < QUADS; quad++) total[t][quad] = vdupq_n_f32(0);
  for (int64_t g = 0; g < x.groups; g++) {
    const uint32_t* pairs = x.pairs + (g * x.tokens + token) * PAIRS;
    float32x4_t sum[T][QUADS];
    for (int t = 0; t < T; t++)
      for (int quad = 0; quad < QUADS; quad++) sum[t][quad] = vdupq_n_f32(0);
    for (int b = 0; b < WORDS; b++)
      for (int i = 0; i < 8; i++) {  // input 8b + i
        float32x4_t w[QUADS];
        for (int quad = 0; quad < QUADS; quad++) {
          if constexpr (FORMAT == BF16) {
            const uint32x4_t pair = vld1q_u32(block.words + (g * PAIRS + 4 * b + i % 4) * ROWS + 4 * quad);
            const uint32x4_t bits = i < 4 ? vshlq_n_u32(pair, 16) : vandq_u32(pair, vdupq_n_u32(0xffff0000));
            w[quad] = vreinterpretq_f32_u32(bits);
          } else {
            // The sign of a code is turned, so that it is a number of four bits in two's complement.
            const uint32x4_t word = vld1q_u32(block.words + (g * WORDS + b) * ROWS + 4 * quad);
            const uint32x4_t top = vshlq_u32(veorq_u32(word, vdupq_n_u32(0x88888888)), vdupq_n_s32(28 - 4 * i));
            w[quad] = vcvtq_f32_s32(vshrq_n_s32(vreinterpretq_s32_u32(top), 28));
          }
        }
        for (int t = 0; t < T; t++) {
          const uint32_t pair = pairs[t * PAIRS + 4 * b + i % 4];
          const float value = from_bf16(uint16_t(i < 4 ? pair : pair >> 16));
          for (int quad = 0; quad < QUADS; quad++) sum[t][quad] = vfmaq_n_f32(sum[t][quad], w[quad], value);
        }
      }
    for (int t = 0; t < T; t++)
      for (int quad = 0; quad < QUADS; quad++) {
        if constexpr (FORMAT == BF16) total[t][quad] = vaddq_f32(total[t][quad], sum[t][quad]);
        else total[t][quad] = vfmaq_f32(total[t][quad], sum[t][quad], scale_of(block, g, quad));
      }
  }
  for (int t = 0; t < T; t++)
    for (int quad = 0; quad < QUADS; quad++) vst1q_f32(out + t * ROWS + 4 * quad, total[t][quad]);
}

// The same of 8-bit activations.
template <int T>
void tokens_a8_neon(const Block& block, const Activations& x, int64_t token, float* out) {
  float32x4_t total[T][QUADS];
  for (int t = 0; t < T; t++)
    for (int quad = 0; quad < QUADS; quad++) total[t][quad] = vdupq_n_f32(0);
  for (int64_t g = 0; g < x.groups; g++) {
    const int64_t at = g * x.tokens + token;
    int32x4_t sum[T][QUADS];
    for (int t = 0; t < T; t++)
      for (int quad = 0; quad < QUADS; quad++) sum[t][quad] = vdupq_n_s32(x.eights[at + t]);
    for (int b = 0; b < WORDS; b++)
      for (int quad = 0; quad < QUADS; quad++) {
        const uint32x4_t word = vld1q_u32(block.words + (g * WORDS + b) * ROWS + 4 * quad);
        const uint8x16_t bytes = vreinterpretq_u8_u32(word);
        const int8x16_t even = vreinterpretq_s8_u8(vandq_u8(bytes, vdupq_n_u8(15)));
        const int8x16_t odd = vreinterpretq_s8_u8(vshrq_n_u8(bytes, 4));
        for (int t = 0; t < T; t++) {
          int32_t x_even, x_odd;
          std::memcpy(&x_even, x.codes + (at + t) * GROUP + 8 * b, 4);
          std::memcpy(&x_odd, x.codes + (at + t) * GROUP + 8 * b + 4, 4);
          sum[t][quad] = vdotq_s32(sum[t][quad], even, vreinterpretq_s8_s32(vdupq_n_s32(x_even)));
          sum[t][quad] = vdotq_s32(sum[t][quad], odd, vreinterpretq_s8_s32(vdupq_n_s32(x_odd)));
        }
      }
    for (int t = 0; t < T; t++)
      for (int quad = 0; quad < QUADS; quad++) {
        const float32x4_t both = vmulq_n_f32(scale_of(block, g, quad), x.scale[at + t]);
        total[t][quad] = vfmaq_f32(total[t][quad], vcvtq_f32_s32(sum[t][quad]), both);
      }
  }
  for (int t = 0; t < T; t++)
    for (int quad = 0; quad < QUADS; quad++) vst1q_f32(out + t * ROWS + 4 * quad, total[t][quad]);
}

template <int T>
void some(const Block& block, const Activations& x, int format, int64_t token, float* out) {
  if (format == W4A8) tokens_a8_neon<T>(block, x, token, out);
  else if (format == W4A16) tokens_neon<W4A16, T>(block, x, token, out);
  else tokens_neon<BF16, T>(block, x, token, out);
}

// `count` tokens times one row block: out[count][16].
void multiply_block(int, const Block& block, const Activations& x, int format, int64_t token, int64_t count,
                    float* out) {
  int64_t t = 0;
  for (; t + 4 <= count; t += 4) some<4>(block, x, format, token + t, out + t * ROWS);
  for (; t < count; t++) some<1>(block, x, format, token + t, out + t * ROWS);
}

}  // namespace
