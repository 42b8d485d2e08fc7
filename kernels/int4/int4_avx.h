// The forms of x86-64: 16-bit activations with AVX-512 BF16, AVX-512 and AVX2, 8-bit ones with AVX-512 VNNI and AVX2.
//
// In a zmm register each 32-bit lane is one of a block's 16 outputs, so a dot product needs no horizontal sum. A word
// holds inputs 8b .. 8b+7 of its row; `vpermw` with a table of 32 entries turns (word >> 4j) into the bfloat16 pair
// (8b+j, 8b+j+4), which `vdpbf16ps` multiplies with the same pair of x.

#pragma once

#include "fake_quant_avx.h"

namespace {

// ---------------------------------------------------------------------------------------------- activations

// One group of one token from bfloat16 to pairs.
inline void make_pairs(const uint16_t* x, uint32_t* pairs) {
  for (int b = 0; b < WORDS; b++) {
    __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + 8 * b));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(pairs + 4 * b), _mm_unpacklo_epi16(eight, _mm_srli_si128(eight, 8)));
  }
}

AVX512 void make_codes_avx512(const uint16_t* x, int8_t* codes, float* scale, int32_t* eights) {
  const __m512i group = _mm512_loadu_si512(x);
  const __m512 low = widen(_mm512_castsi512_si256(group)), high = widen(_mm512_extracti64x4_epi64(group, 1));
  const float largest = _mm512_reduce_max_ps(_mm512_max_ps(_mm512_abs_ps(low), _mm512_abs_ps(high)));
  const __m512 r = _mm512_set1_ps(largest > 0 ? 127.f / largest : 0.f);
  const __m512i a = _mm512_cvtps_epi32(_mm512_mul_ps(low, r)), b = _mm512_cvtps_epi32(_mm512_mul_ps(high, r));
  const __m256i order = _mm256_set_epi64x(0x0f0d0b090e0c0a08, 0x0705030106040200, 0x0f0d0b090e0c0a08, 0x0705030106040200);
  const __m256i bytes = _mm256_set_m128i(_mm512_cvtepi32_epi8(b), _mm512_cvtepi32_epi8(a));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes), _mm256_shuffle_epi8(bytes, order));
  *scale = largest / 127.f;
  *eights = -8 * _mm512_reduce_add_epi32(_mm512_add_epi32(a, b));
}

// ---------------------------------------------------------------------------------------------- AVX-512 row blocks

BFLOAT_INLINE __m512i code_table() {
  alignas(64) static const uint16_t codes[32] = {
      0xc100, 0xc0e0, 0xc0c0, 0xc0a0, 0xc080, 0xc040, 0xc000, 0xbf80, 0x0000, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0,
      0x40c0, 0x40e0, 0xc100, 0xc0e0, 0xc0c0, 0xc0a0, 0xc080, 0xc040, 0xc000, 0xbf80, 0x0000, 0x3f80, 0x4000, 0x4040,
      0x4080, 0x40a0, 0x40c0, 0x40e0};
  return _mm512_load_si512(codes);
}

BFLOAT_INLINE __m512 dot(__m512 acc, __m512i pairs, uint32_t x) {
  return _mm512_dpbf16_ps(acc, (__m512bh)pairs, (__m512bh)_mm512_set1_epi32(int(x)));
}

AVX512_INLINE __m512i load_word(const uint32_t* p) {
  __m512i word = _mm512_loadu_si512(p);
  asm("" : "+v"(word));  // one load, not one for every shift
  return word;
}

// The 16 registers of bfloat16 pairs of one group.
template <int FORMAT>
BFLOAT_INLINE void load_pairs(const uint32_t* words, __m512i table, __m512i* w) {
  if constexpr (FORMAT == BF16) {
    for (int p = 0; p < PAIRS; p++) w[p] = _mm512_loadu_si512(words + p * ROWS);
  } else {
    for (int b = 0; b < WORDS; b++) {
      __m512i word = load_word(words + b * ROWS);
      w[4 * b] = _mm512_permutexvar_epi16(word, table);
      for (int j = 1; j < 4; j++) w[4 * b + j] = _mm512_permutexvar_epi16(_mm512_srli_epi32(word, 4 * j), table);
    }
  }
}

AVX512_INLINE __m512 load_scale(const uint16_t* s) {
  return widen(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(s)));
}

constexpr int AHEAD = 32;  // groups; words of neighbouring blocks lie one after the other, so this runs on past a block

AVX512_INLINE void prefetch_words(const Block& block, int64_t g) {
  for (int b = 0; b < WORDS; b++)
    _mm_prefetch(reinterpret_cast<const char*>(block.words + ((g + AHEAD) * WORDS + b) * ROWS), _MM_HINT_T0);
  if (g % 2 == 0) _mm_prefetch(reinterpret_cast<const char*>(block.scale + (g + AHEAD) * ROWS), _MM_HINT_T0);
}

// One token times one row block. The hardware follows a single stream of bfloat16 best by itself.
template <int FORMAT>
BFLOAT void gemv(const Block& block, const Activations& x, int64_t token, float* out) {
  const __m512i table = code_table();
  __m512 acc = _mm512_setzero_ps();
  for (int64_t g = 0; g < x.groups; g++) {
    const uint32_t* xp = x.pairs + (g * x.tokens + token) * PAIRS;
    __m512 part[4] = {_mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps(), _mm512_setzero_ps()};
    if constexpr (FORMAT == BF16) {
#pragma GCC unroll 16
      for (int p = 0; p < PAIRS; p++)
        part[p & 3] = dot(part[p & 3], _mm512_loadu_si512(block.words + (g * PAIRS + p) * ROWS), xp[p]);
    } else {
      prefetch_words(block, g);
#pragma GCC unroll 4
      for (int b = 0; b < WORDS; b++) {
        __m512i word = load_word(block.words + (g * WORDS + b) * ROWS);
        part[0] = dot(part[0], _mm512_permutexvar_epi16(word, table), xp[4 * b]);
#pragma GCC unroll 4
        for (int j = 1; j < 4; j++)
          part[j] = dot(part[j], _mm512_permutexvar_epi16(_mm512_srli_epi32(word, 4 * j), table), xp[4 * b + j]);
      }
    }
    __m512 sum = _mm512_add_ps(_mm512_add_ps(part[0], part[1]), _mm512_add_ps(part[2], part[3]));
    acc = FORMAT == BF16 ? _mm512_add_ps(acc, sum) : _mm512_fmadd_ps(sum, load_scale(block.scale + g * ROWS), acc);
  }
  _mm512_storeu_ps(out, acc);
}

VNNI void gemv_a8(const Block& block, const Activations& x, int64_t token, float* out) {
  const __m512i low = _mm512_set1_epi8(15);
  __m512 acc = _mm512_setzero_ps();
  for (int64_t g = 0; g < x.groups; g++) {
    const int64_t at = g * x.tokens + token;
    int32_t xc[8];
    std::memcpy(xc, x.codes + at * GROUP, GROUP);
    prefetch_words(block, g);
    __m512i even = _mm512_set1_epi32(x.eights[at]), odd = _mm512_setzero_si512();
#pragma GCC unroll 4
    for (int b = 0; b < WORDS; b++) {
      __m512i word = load_word(block.words + (g * WORDS + b) * ROWS);
      even = _mm512_dpbusd_epi32(even, _mm512_and_si512(word, low), _mm512_set1_epi32(xc[2 * b]));
      odd = _mm512_dpbusd_epi32(odd, _mm512_and_si512(_mm512_srli_epi32(word, 4), low),
                                _mm512_set1_epi32(xc[2 * b + 1]));
    }
    __m512 scale = _mm512_mul_ps(load_scale(block.scale + g * ROWS), _mm512_set1_ps(x.scale[at]));
    acc = _mm512_fmadd_ps(_mm512_cvtepi32_ps(_mm512_add_epi32(even, odd)), scale, acc);
  }
  _mm512_storeu_ps(out, acc);
}

// N tokens from `token` on, one group, weights in registers: acc[N][16] += scale · (w · x).
template <int FORMAT, int N>
BFLOAT_INLINE void tile(const __m512i* w, __m512 scale, const uint32_t* x, float* acc) {
  __m512 part[N];
#pragma GCC unroll 8
  for (int t = 0; t < N; t++) part[t] = _mm512_setzero_ps();
#pragma GCC unroll 16
  for (int p = 0; p < PAIRS; p++)
#pragma GCC unroll 8
    for (int t = 0; t < N; t++) part[t] = dot(part[t], w[p], x[t * PAIRS + p]);
#pragma GCC unroll 8
  for (int t = 0; t < N; t++) {
    __m512 old = _mm512_loadu_ps(acc + t * ROWS);
    old = FORMAT == BF16 ? _mm512_add_ps(old, part[t]) : _mm512_fmadd_ps(part[t], scale, old);
    _mm512_storeu_ps(acc + t * ROWS, old);
  }
}

// `count` ≤ TOKENS tokens times one row block: out[count][16].
template <int FORMAT>
BFLOAT void gemm(const Block& block, const Activations& x, int64_t token, int64_t count, float* out) {
  const __m512i table = code_table();
  const int64_t step = FORMAT == BF16 ? PAIRS * ROWS : WORDS * ROWS;
  std::memset(out, 0, count * ROWS * sizeof(float));
  for (int64_t g = 0; g < x.groups; g++) {
    __m512i w[PAIRS];
    if constexpr (FORMAT != BF16) prefetch_words(block, g);
    load_pairs<FORMAT>(block.words + g * step, table, w);
    __m512 scale = FORMAT == BF16 ? _mm512_setzero_ps() : load_scale(block.scale + g * ROWS);
    const uint32_t* xp = x.pairs + (g * x.tokens + token) * PAIRS;
    int64_t t = 0;
    for (; t + 8 <= count; t += 8) tile<FORMAT, 8>(w, scale, xp + t * PAIRS, out + t * ROWS);
    if (t + 4 <= count) tile<FORMAT, 4>(w, scale, xp + t * PAIRS, out + t * ROWS), t += 4;
    if (t + 2 <= count) tile<FORMAT, 2>(w, scale, xp + t * PAIRS, out + t * ROWS), t += 2;
    if (t < count) tile<FORMAT, 1>(w, scale, xp + t * PAIRS, out + t * ROWS);
  }
}

template <int N>
VNNI_INLINE void tile_a8(const __m512i* w, __m512 scale, const int8_t* codes, const float* xs, const int32_t* eights,
                           float* acc) {
  __m512i part[N];
#pragma GCC unroll 8
  for (int t = 0; t < N; t++) part[t] = _mm512_set1_epi32(eights[t]);
#pragma GCC unroll 8
  for (int p = 0; p < 8; p++)
#pragma GCC unroll 8
    for (int t = 0; t < N; t++) {
      int32_t x;
      std::memcpy(&x, codes + t * GROUP + 4 * p, 4);
      part[t] = _mm512_dpbusd_epi32(part[t], w[p], _mm512_set1_epi32(x));
    }
#pragma GCC unroll 8
  for (int t = 0; t < N; t++) {
    __m512 s = _mm512_mul_ps(scale, _mm512_set1_ps(xs[t]));
    _mm512_storeu_ps(acc + t * ROWS, _mm512_fmadd_ps(_mm512_cvtepi32_ps(part[t]), s, _mm512_loadu_ps(acc + t * ROWS)));
  }
}

VNNI void gemm_a8(const Block& block, const Activations& x, int64_t token, int64_t count, float* out) {
  const __m512i low = _mm512_set1_epi8(15);
  std::memset(out, 0, count * ROWS * sizeof(float));
  for (int64_t g = 0; g < x.groups; g++) {
    prefetch_words(block, g);
    __m512i w[8];
    for (int b = 0; b < WORDS; b++) {
      __m512i word = _mm512_loadu_si512(block.words + (g * WORDS + b) * ROWS);
      w[2 * b] = _mm512_and_si512(word, low);
      w[2 * b + 1] = _mm512_and_si512(_mm512_srli_epi32(word, 4), low);
    }
    __m512 scale = load_scale(block.scale + g * ROWS);
    const int64_t at = g * x.tokens + token;
    int64_t t = 0;
    for (; t + 8 <= count; t += 8)
      tile_a8<8>(w, scale, x.codes + (at + t) * GROUP, x.scale + at + t, x.eights + at + t, out + t * ROWS);
    for (; t < count; t++)
      tile_a8<1>(w, scale, x.codes + (at + t) * GROUP, x.scale + at + t, x.eights + at + t, out + t * ROWS);
  }
}

// ---------------------------------------------------------------------------------------------- AVX-512 without BF16

// T tokens times one row block in float32. The sums of a token are the same whatever T is; four of each, one for each
// place of a pair within its word, because a product waits for the one before it.
template <int FORMAT, int T>
AVX512 void tokens_avx512(const Block& block, const Activations& x, int64_t token, float* out) {
  const __m512 codes = _mm512_setr_ps(-8, -7, -6, -5, -4, -3, -2, -1, 0, 1, 2, 3, 4, 5, 6, 7);
  const __m512i high = _mm512_set1_epi32(int(0xffff0000));
  alignas(64) float x0[T][PAIRS], x1[T][PAIRS];
  __m512 total[T];
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) total[t] = _mm512_setzero_ps();
  for (int64_t g = 0; g < x.groups; g++) {
    for (int t = 0; t < T; t++) {
      const __m512i both = _mm512_loadu_si512(x.pairs + (g * x.tokens + token + t) * PAIRS);
      _mm512_store_ps(x0[t], _mm512_castsi512_ps(_mm512_slli_epi32(both, 16)));
      _mm512_store_ps(x1[t], _mm512_castsi512_ps(_mm512_and_si512(both, high)));
    }
    if constexpr (FORMAT != BF16) prefetch_words(block, g);
    __m512 sum[T][4];
#pragma GCC unroll 4
    for (int t = 0; t < T; t++)
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) sum[t][j] = _mm512_setzero_ps();
#pragma GCC unroll 4
    for (int b = 0; b < WORDS; b++) {
      __m512i word = _mm512_setzero_si512();
      if constexpr (FORMAT != BF16) word = load_word(block.words + (g * WORDS + b) * ROWS);
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) {
        const int p = 4 * b + j;
        __m512 w0, w1;
        if constexpr (FORMAT == BF16) {
          const __m512i pair = _mm512_loadu_si512(block.words + (g * PAIRS + p) * ROWS);
          w0 = _mm512_castsi512_ps(_mm512_slli_epi32(pair, 16));
          w1 = _mm512_castsi512_ps(_mm512_and_si512(pair, high));
        } else {  // the lowest four bits of a lane choose
          w0 = _mm512_permutexvar_ps(_mm512_srli_epi32(word, 4 * j), codes);
          w1 = _mm512_permutexvar_ps(_mm512_srli_epi32(word, 16 + 4 * j), codes);
        }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
          sum[t][j] = _mm512_fmadd_ps(w0, _mm512_set1_ps(x0[t][p]), sum[t][j]);
          sum[t][j] = _mm512_fmadd_ps(w1, _mm512_set1_ps(x1[t][p]), sum[t][j]);
        }
      }
    }
    __m512 scale = _mm512_set1_ps(1.f);
    if constexpr (FORMAT != BF16) scale = load_scale(block.scale + g * ROWS);
#pragma GCC unroll 4
    for (int t = 0; t < T; t++) {
      const __m512 all = _mm512_add_ps(_mm512_add_ps(sum[t][0], sum[t][1]), _mm512_add_ps(sum[t][2], sum[t][3]));
      total[t] = _mm512_fmadd_ps(all, scale, total[t]);
    }
  }
#pragma GCC unroll 4
  for (int t = 0; t < T; t++) _mm512_storeu_ps(out + t * ROWS, total[t]);
}

template <int FORMAT>
void some_avx512(const Block& block, const Activations& x, int64_t token, int64_t count, float* out) {
  int64_t t = 0;
  for (; t + 4 <= count; t += 4) tokens_avx512<FORMAT, 4>(block, x, token + t, out + t * ROWS);
  for (; t + 2 <= count; t += 2) tokens_avx512<FORMAT, 2>(block, x, token + t, out + t * ROWS);
  if (t < count) tokens_avx512<FORMAT, 1>(block, x, token + t, out + t * ROWS);
}

// ---------------------------------------------------------------------------------------------- AVX2 row block

AVX2_INLINE __m256 widen8(__m128i b) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(b), 16)); }

// Eight bfloat16 weights of the first and eight of the second input of pair p = 4b + j; `word` has its codes' signs
// turned, so that each is a number of four bits in two's complement.
AVX2_INLINE void codes_of(__m256i word, int j, __m256* w0, __m256* w1) {
  *w0 = _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(word, 28 - 4 * j), 28));
  *w1 = _mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(word, 12 - 4 * j), 28));
}

// T tokens times one row block: what is decoded serves all, and each token's sums are as if it were alone.
template <int FORMAT, int T>
AVX2 void tokens_avx2(const Block& block, const Activations& x, int64_t token, float* out) {
  const __m256i high = _mm256_set1_epi32(int(0xffff0000)), signs = _mm256_set1_epi32(int(0x88888888));
  alignas(32) float x0[T][PAIRS], x1[T][PAIRS], total[T][ROWS] = {};
  for (int64_t g = 0; g < x.groups; g++) {
    for (int t = 0; t < T; t++)
      for (int k = 0; k < PAIRS; k += 8) {
        const uint32_t* pairs = x.pairs + (g * x.tokens + token + t) * PAIRS + k;
        const __m256i both = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(pairs));
        _mm256_store_ps(&x0[t][k], _mm256_castsi256_ps(_mm256_slli_epi32(both, 16)));
        _mm256_store_ps(&x1[t][k], _mm256_castsi256_ps(_mm256_and_si256(both, high)));
      }
    __m256 sum[T][2];
    for (int t = 0; t < T; t++) sum[t][0] = sum[t][1] = _mm256_setzero_ps();
    for (int b = 0; b < WORDS; b++) {
      __m256i word[2];
      if constexpr (FORMAT != BF16)
        for (int half = 0; half < 2; half++) {
          const uint32_t* at = block.words + (g * WORDS + b) * ROWS + 8 * half;
          word[half] = _mm256_xor_si256(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), signs);
        }
#pragma GCC unroll 4
      for (int j = 0; j < 4; j++) {
        const int p = 4 * b + j;
        __m256 w0[2], w1[2];
        for (int half = 0; half < 2; half++) {
          if constexpr (FORMAT == BF16) {
            const uint32_t* at = block.words + (g * PAIRS + p) * ROWS + 8 * half;
            const __m256i w = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at));
            w0[half] = _mm256_castsi256_ps(_mm256_slli_epi32(w, 16));
            w1[half] = _mm256_castsi256_ps(_mm256_and_si256(w, high));
          } else {
            codes_of(word[half], j, &w0[half], &w1[half]);
          }
        }
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
          const __m256 a = _mm256_broadcast_ss(&x0[t][p]), c = _mm256_broadcast_ss(&x1[t][p]);
          for (int half = 0; half < 2; half++)
            sum[t][half] = _mm256_fmadd_ps(w1[half], c, _mm256_fmadd_ps(w0[half], a, sum[t][half]));
        }
      }
    }
    for (int half = 0; half < 2; half++) {
      __m256 scale = _mm256_set1_ps(1.f);
      if constexpr (FORMAT != BF16)
        scale = widen8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block.scale + g * ROWS + 8 * half)));
      for (int t = 0; t < T; t++) {
        float* sums = &total[t][8 * half];
        _mm256_store_ps(sums, _mm256_fmadd_ps(sum[t][half], scale, _mm256_load_ps(sums)));
      }
    }
  }
  std::memcpy(out, total, sizeof(total));
}

// The same of 8-bit activations.
template <int T>
AVX2 void tokens_a8_avx2(const Block& block, const Activations& x, int64_t token, float* out) {
  const __m256i low = _mm256_set1_epi8(15), ones = _mm256_set1_epi16(1);
  alignas(32) float total[T][ROWS] = {};
  for (int64_t g = 0; g < x.groups; g++) {
    const int64_t at = g * x.tokens + token;
    const int8_t* codes = x.codes + at * GROUP;
    for (int half = 0; half < 2; half++) {
      __m256i sum[T];
      for (int t = 0; t < T; t++) sum[t] = _mm256_setzero_si256();
#pragma GCC unroll 4
      for (int b = 0; b < WORDS; b++) {
        const uint32_t* words = block.words + (g * WORDS + b) * ROWS + 8 * half;
        const __m256i word = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
        const __m256i even = _mm256_and_si256(word, low), odd = _mm256_and_si256(_mm256_srli_epi32(word, 4), low);
#pragma GCC unroll 4
        for (int t = 0; t < T; t++) {
          int32_t x_even, x_odd;
          std::memcpy(&x_even, codes + t * GROUP + 8 * b, 4);
          std::memcpy(&x_odd, codes + t * GROUP + 8 * b + 4, 4);
          // 15 · 127 · 16 products of a group fit 16 bits: neither these nor their sums can saturate.
          sum[t] = _mm256_add_epi16(sum[t], _mm256_maddubs_epi16(even, _mm256_set1_epi32(x_even)));
          sum[t] = _mm256_add_epi16(sum[t], _mm256_maddubs_epi16(odd, _mm256_set1_epi32(x_odd)));
        }
      }
      const __m256 scale = widen8(_mm_loadu_si128(reinterpret_cast<const __m128i*>(block.scale + g * ROWS + 8 * half)));
      for (int t = 0; t < T; t++) {
        const __m256i wide = _mm256_add_epi32(_mm256_madd_epi16(sum[t], ones), _mm256_set1_epi32(x.eights[at + t]));
        float* sums = &total[t][8 * half];
        const __m256 of_both = _mm256_mul_ps(scale, _mm256_set1_ps(x.scale[at + t]));
        _mm256_store_ps(sums, _mm256_fmadd_ps(_mm256_cvtepi32_ps(wide), of_both, _mm256_load_ps(sums)));
      }
    }
  }
  std::memcpy(out, total, sizeof(total));
}

// `count` tokens times one row block, four, two and one at a time.
template <int T>
void some_avx2(const Block& block, const Activations& x, int format, int64_t token, float* out) {
  if (format == W4A8) tokens_a8_avx2<T>(block, x, token, out);
  else if (format == W4A16) tokens_avx2<W4A16, T>(block, x, token, out);
  else tokens_avx2<BF16, T>(block, x, token, out);
}

void gemm_avx2(const Block& block, const Activations& x, int format, int64_t token, int64_t count, float* out) {
  int64_t t = 0;
  for (; t + 4 <= count; t += 4) some_avx2<4>(block, x, format, token + t, out + t * ROWS);
  for (; t + 2 <= count; t += 2) some_avx2<2>(block, x, format, token + t, out + t * ROWS);
  if (t < count) some_avx2<1>(block, x, format, token + t, out + t * ROWS);
}

// `activate`; e^x = 2^n · 2^f with |f| ≤ ½ and 2^f by its Taylor series to the seventh power, relative error below 1e-7.
AVX512 void activate_avx512(const float* gate, const float* up, uint16_t* h) {
  const __m512 x = _mm512_loadu_ps(gate);
  const __m512 clamped = _mm512_max_ps(_mm512_min_ps(x, _mm512_set1_ps(87.f)), _mm512_set1_ps(-87.f));
  const __m512 t = _mm512_mul_ps(clamped, _mm512_set1_ps(-1.44269504088896f));
  const __m512 n = _mm512_roundscale_ps(t, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  const __m512 f = _mm512_mul_ps(_mm512_sub_ps(t, n), _mm512_set1_ps(0.693147180559945f));
  __m512 p = _mm512_set1_ps(1.f / 5040);
  for (float c : {1.f / 720, 1.f / 120, 1.f / 24, 1.f / 6, 1.f / 2, 1.f, 1.f})
    p = _mm512_fmadd_ps(p, f, _mm512_set1_ps(c));
  const __m512 e = _mm512_scalef_ps(p, n);
  const __m512 y = _mm512_mul_ps(_mm512_div_ps(x, _mm512_add_ps(e, _mm512_set1_ps(1.f))), _mm512_loadu_ps(up));
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(h), round16(y));
}

// ---------------------------------------------------------------------------------------------- which form

void quantize(int isa, const uint16_t* x, int8_t* codes, float* scale, int32_t* eights) {
  isa >= ISA_AVX512 ? make_codes_avx512(x, codes, scale, eights) : make_codes(x, codes, scale, eights);
}

void swiglu(int isa, const float* gate, const float* up, uint16_t* h) {
  isa >= ISA_AVX512 ? activate_avx512(gate, up, h) : activate(gate, up, h);
}

// `count` tokens times one row block: out[count][16].
void multiply_block(int isa, const Block& block, const Activations& x, int format, int64_t token, int64_t count,
                    float* out) {
  if (format == W4A8) {
    if (isa < ISA_VNNI) gemm_avx2(block, x, format, token, count, out);
    else if (count == 1) gemv_a8(block, x, token, out);
    else gemm_a8(block, x, token, count, out);
  } else if (isa < ISA_AVX512) {
    gemm_avx2(block, x, format, token, count, out);
  } else if (isa < ISA_BFLOAT) {
    format == BF16 ? some_avx512<BF16>(block, x, token, count, out) : some_avx512<W4A16>(block, x, token, count, out);
  } else if (count == 1) {
    format == BF16 ? gemv<BF16>(block, x, token, out) : gemv<W4A16>(block, x, token, out);
  } else {
    format == BF16 ? gemm<BF16>(block, x, token, count, out) : gemm<W4A16>(block, x, token, count, out);
  }
}

}  // namespace
