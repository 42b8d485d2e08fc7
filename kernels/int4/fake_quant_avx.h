// Fake quantization in one pass: the forms of x86-64.

#pragma once

#include <immintrin.h>

#include <type_traits>

#include "int4_common.h"

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,fma")))
#define VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,fma")))
#define BFLOAT __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni,avx512bf16,fma")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) inline
#define VNNI_INLINE VNNI __attribute__((always_inline)) inline
#define BFLOAT_INLINE BFLOAT __attribute__((always_inline)) inline
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) inline

namespace {

AVX512_INLINE __m512 widen(__m256i b) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16)); }

AVX512_INLINE uint32_t largest_magnitude(__m512i group) {  // as integers, so that a NaN is the largest
  // 0x7fff − |w|, because the only horizontal instruction finds a minimum.
  __m512i v = _mm512_andnot_si512(group, _mm512_set1_epi16(0x7fff));
  __m256i half = _mm256_min_epu16(_mm512_castsi512_si256(v), _mm512_extracti64x4_epi64(v, 1));
  __m128i quarter = _mm_min_epu16(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  return 0x7fff - (uint32_t(_mm_cvtsi128_si32(_mm_minpos_epu16(quarter))) & 0xffff);
}

// |w| ≤ 7.03 s, so no clamp is needed. w and s have 8-bit mantissas: an inexact quotient lies far from every tie, and
// one correction makes an exact one exact, so this rounds as the true float32 quotient rounds.
AVX512_INLINE __m512 quant16(__m512 w, __m512 s, __m512 r) {
  __m512 q = _mm512_mul_ps(w, r);
  q = _mm512_fmadd_ps(_mm512_fnmadd_ps(q, s, w), r, q);
  return _mm512_roundscale_ps(q, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}

AVX512_INLINE __m256i round16(__m512 x) {  // to bfloat16, to nearest even, by integers: not all have AVX-512 BF16
  const __m512i bits = _mm512_castps_si512(x);
  const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
  const __m512i up = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
  const __m512i kept = _mm512_mask_mov_epi32(up, _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q), _mm512_set1_epi32(0x7fc00000));
  return _mm512_cvtepi32_epi16(_mm512_srli_epi32(kept, 16));
}

AVX512_INLINE __m512i round_pair(__m512 low, __m512 high) {
  return _mm512_inserti64x4(_mm512_castsi256_si512(round16(low)), round16(high), 1);
}

template <bool FLOAT, bool CODES>
AVX512 void fake_quant_rows_avx512(const void* in, void* out, uint32_t* words, uint16_t* scale, int64_t first, int64_t last) {
  const ScaleTable::Entry* table = ScaleTable::get();
  const bool stream = reinterpret_cast<uintptr_t>(out) % 64 == 0;
  for (int64_t g = first; g < last; g++) {
    __m512i group;
    if constexpr (FLOAT) {
      const float* p = static_cast<const float*>(in) + g * GROUP;
      group = round_pair(_mm512_loadu_ps(p), _mm512_loadu_ps(p + 16));
    } else {
      group = _mm512_loadu_si512(static_cast<const uint16_t*>(in) + g * GROUP);
    }
    const ScaleTable::Entry& found = table[largest_magnitude(group)];
    const __m512 s = _mm512_set1_ps(found.scale), r = _mm512_set1_ps(found.reciprocal);
    const __m512 low = quant16(widen(_mm512_castsi512_si256(group)), s, r);
    const __m512 high = quant16(widen(_mm512_extracti64x4_epi64(group, 1)), s, r);
    if constexpr (CODES) {
      scale[g] = to_bf16(found.scale);
      __m256i codes = _mm256_set_m128i(_mm512_cvtepi32_epi8(_mm512_cvtps_epi32(high)),
                                       _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(low)));
      codes = _mm256_add_epi8(codes, _mm256_set1_epi8(8));
      __m256i bytes = _mm256_maddubs_epi16(codes, _mm256_set1_epi16(0x1001));  // first + 16 · second
      _mm_storeu_si128(reinterpret_cast<__m128i*>(words + g * WORDS), _mm256_cvtepi16_epi8(bytes));
      continue;
    }
    const __m512i y = round_pair(_mm512_mul_ps(low, s), _mm512_mul_ps(high, s));
    if constexpr (FLOAT) {
      float* p = static_cast<float*>(out) + g * GROUP;
      __m512 first_half = widen(_mm512_castsi512_si256(y)), second_half = widen(_mm512_extracti64x4_epi64(y, 1));
      if (stream) _mm512_stream_ps(p, first_half), _mm512_stream_ps(p + 16, second_half);
      else _mm512_storeu_ps(p, first_half), _mm512_storeu_ps(p + 16, second_half);
    } else {
      void* p = static_cast<uint16_t*>(out) + g * GROUP;
      if (stream) _mm512_stream_si512(static_cast<__m512i*>(p), y);
      else _mm512_storeu_si512(p, y);
    }
  }
  _mm_sfence();
}

// The same with AVX2: four vectors of eight, bfloat16 rounded by integers.
struct Eights {
  __m256 part[4];
};

AVX2_INLINE __m256 round_to_bf16(__m256 x) {  // to nearest even, still as float
  const __m256i bits = _mm256_castps_si256(x);
  const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
  const __m256i up = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
  return _mm256_castsi256_ps(_mm256_and_si256(up, _mm256_set1_epi32(int(0xffff0000))));
}

AVX2_INLINE __m256i narrow(__m256 low, __m256 high) {  // 16 floats that are bfloat16 already
  const __m256i both = _mm256_packus_epi32(_mm256_srli_epi32(_mm256_castps_si256(low), 16),
                                           _mm256_srli_epi32(_mm256_castps_si256(high), 16));
  return _mm256_permute4x64_epi64(both, 0xd8);
}

AVX2_INLINE uint32_t load_group(const float* p, Eights* w) {  // returns the largest magnitude, as bfloat16
  __m256i most = _mm256_setzero_si256();
  for (int k = 0; k < 4; k++) {
    const __m256 x = _mm256_loadu_ps(p + 8 * k);
    most = _mm256_max_epi32(most, _mm256_and_si256(_mm256_castps_si256(x), _mm256_set1_epi32(0x7fffffff)));
    w->part[k] = round_to_bf16(x);
  }
  __m128i half = _mm_max_epi32(_mm256_castsi256_si128(most), _mm256_extracti128_si256(most, 1));
  half = _mm_max_epi32(half, _mm_shuffle_epi32(half, 0x4e));
  const int bits = _mm_cvtsi128_si32(_mm_max_epi32(half, _mm_shuffle_epi32(half, 0xb1)));
  float largest;
  std::memcpy(&largest, &bits, 4);
  return to_bf16(largest);  // rounding keeps the order, so this is the largest of the rounded ones
}

AVX2_INLINE uint32_t load_group(const uint16_t* p, Eights* w) {
  __m256i least = _mm256_set1_epi16(-1);  // of 0x7fff − |w|
  for (int k = 0; k < 2; k++) {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p + 16 * k));
    least = _mm256_min_epu16(least, _mm256_andnot_si256(x, _mm256_set1_epi16(0x7fff)));
    const __m128i low = _mm256_castsi256_si128(x), high = _mm256_extracti128_si256(x, 1);
    w->part[2 * k] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(low), 16));
    w->part[2 * k + 1] = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(high), 16));
  }
  const __m128i half = _mm_min_epu16(_mm256_castsi256_si128(least), _mm256_extracti128_si256(least, 1));
  return 0x7fff - (uint32_t(_mm_cvtsi128_si32(_mm_minpos_epu16(half))) & 0xffff);
}

AVX2_INLINE uint32_t word_of(__m256 codes) {  // eight codes, the first in the lowest four bits
  const __m256i biased = _mm256_add_epi32(_mm256_cvtps_epi32(codes), _mm256_set1_epi32(8));
  const __m256i moved = _mm256_sllv_epi32(biased, _mm256_setr_epi32(0, 4, 8, 12, 16, 20, 24, 28));
  __m128i half = _mm_or_si128(_mm256_castsi256_si128(moved), _mm256_extracti128_si256(moved, 1));
  half = _mm_or_si128(half, _mm_shuffle_epi32(half, 0x4e));
  return uint32_t(_mm_cvtsi128_si32(_mm_or_si128(half, _mm_shuffle_epi32(half, 0xb1))));
}

template <bool FLOAT, bool CODES>
AVX2 void fake_quant_rows_avx2(const void* in, void* out, uint32_t* words, uint16_t* scale, int64_t first,
                               int64_t last) {
  using Stored = std::conditional_t<FLOAT, float, uint16_t>;
  const ScaleTable::Entry* table = ScaleTable::get();
  const bool stream = reinterpret_cast<uintptr_t>(out) % 32 == 0;
  for (int64_t g = first; g < last; g++) {
    Eights w;
    const ScaleTable::Entry& found = table[load_group(static_cast<const Stored*>(in) + g * GROUP, &w)];
    const __m256 s = _mm256_set1_ps(found.scale), r = _mm256_set1_ps(found.reciprocal);
    for (__m256& x : w.part) {
      __m256 q = _mm256_mul_ps(x, r);
      q = _mm256_fmadd_ps(_mm256_fnmadd_ps(q, s, x), r, q);
      x = _mm256_round_ps(q, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
    }
    if constexpr (CODES) {
      scale[g] = to_bf16(found.scale);
      for (int k = 0; k < WORDS; k++) words[g * WORDS + k] = word_of(w.part[k]);
      continue;
    }
    for (__m256& x : w.part) x = round_to_bf16(_mm256_mul_ps(x, s));
    Stored* p = static_cast<Stored*>(out) + g * GROUP;
    if constexpr (FLOAT) {
      for (int k = 0; k < 4; k++) {
        if (stream) _mm256_stream_ps(p + 8 * k, w.part[k]);
        else _mm256_storeu_ps(p + 8 * k, w.part[k]);
      }
    } else {
      for (int k = 0; k < 2; k++) {
        __m256i* q = reinterpret_cast<__m256i*>(p + 16 * k);
        const __m256i both = narrow(w.part[2 * k], w.part[2 * k + 1]);
        if (stream) _mm256_stream_si256(q, both);
        else _mm256_storeu_si256(q, both);
      }
    }
  }
  _mm_sfence();
}

QuantRows fake_quant_rows(int isa, bool is_float, bool codes) {
  static const QuantRows forms[2][4] = {
      {fake_quant_rows_avx2<false, false>, fake_quant_rows_avx2<false, true>, fake_quant_rows_avx2<true, false>,
       fake_quant_rows_avx2<true, true>},
      {fake_quant_rows_avx512<false, false>, fake_quant_rows_avx512<false, true>, fake_quant_rows_avx512<true, false>,
       fake_quant_rows_avx512<true, true>}};
  return forms[isa >= ISA_AVX512][2 * is_float + codes];
}

}  // namespace
