// INT4 on a CPU: fake quantization in one pass, and the routed experts of a layer in one call.
// Plain C ABI; kernels/int4/native.py builds, checks and calls it. Layouts: kernels/int4/words.py.
//
// A row block is 16 outputs. In a zmm register each 32-bit lane is one of them, so a dot product needs no
// horizontal sum. A word holds inputs 8b .. 8b+7 of its row; `vpermw` with a table of 32 entries turns
// (word >> 4j) into the bfloat16 pair (8b+j, 8b+j+4), which `vdpbf16ps` multiplies with the same pair of x. Codes −8..7
// are exact in bfloat16, products and sums are float32: the weight is never rounded.

#include <immintrin.h>
#include <omp.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <type_traits>
#include <vector>

#define AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512bf16,avx512vnni,fma")))
#define AVX512_INLINE AVX512 __attribute__((always_inline)) inline
#define AVX2 __attribute__((target("avx2,fma")))
#define AVX2_INLINE AVX2 __attribute__((always_inline)) inline

namespace {

constexpr int GROUP = 32;       // inputs that share a scale
constexpr int ROWS = 16;        // outputs of a block
constexpr int WORDS = 4;        // words of a group in one row
constexpr int PAIRS = 16;       // bfloat16 pairs of a group
constexpr int TOKENS = 64;      // tokens whose accumulators stay in the first cache
constexpr int SPAN = 16;         // groups of inner rows that one thread makes in a row
constexpr int BF16 = 0, W4A16 = 1, W4A8 = 2;
constexpr int ISA_AVX2 = 1, ISA_AVX512 = 2;

inline float from_bf16(uint16_t b) {
  uint32_t bits = uint32_t(b) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

inline uint16_t to_bf16(float f) {
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  if ((bits & 0x7fffffff) > 0x7f800000) return uint16_t(bits >> 16 | 0x40);
  return uint16_t((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

// ---------------------------------------------------------------------------------------------- fake quantization

constexpr float SCALE_MIN = 0x1p-100f;

AVX512_INLINE __m512 widen(__m256i b) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(b), 16)); }

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

AVX512_INLINE __m512i round_pair(__m512 low, __m512 high) {  // no denormals come here that would matter
  return (__m512i)_mm512_cvtne2ps_pbh(high, low);
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

// ---------------------------------------------------------------------------------------------- activations

// Tokens of one projection, rearranged for the kernels: per group and token one line of 16 pairs.
struct Activations {
  int64_t tokens, groups;
  const uint32_t* pairs;   // W4A16, BF16: [groups][tokens][16], lane p = 4b+j is the pair (8b+j, 8b+j+4)
  const int8_t* codes;     // W4A8: [groups][tokens][32], per word inputs 0,2,4,6 then 1,3,5,7
  const float* scale;      // W4A8: [groups][tokens]
  const int32_t* eights;   // W4A8: [groups][tokens], −8 times the sum of the group's codes
};

// One group of one token from bfloat16 to pairs.
inline void make_pairs(const uint16_t* x, uint32_t* pairs) {
  for (int b = 0; b < WORDS; b++) {
    __m128i eight = _mm_loadu_si128(reinterpret_cast<const __m128i*>(x + 8 * b));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(pairs + 4 * b), _mm_unpacklo_epi16(eight, _mm_srli_si128(eight, 8)));
  }
}

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

struct Block {
  const uint32_t* words;  // INT4: [groups][4][16]; BF16: [groups][16 pairs][16]
  const uint16_t* scale;  // [groups][16]
};

AVX512_INLINE __m512i code_table() {
  alignas(64) static const uint16_t codes[32] = {
      0xc100, 0xc0e0, 0xc0c0, 0xc0a0, 0xc080, 0xc040, 0xc000, 0xbf80, 0x0000, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0,
      0x40c0, 0x40e0, 0xc100, 0xc0e0, 0xc0c0, 0xc0a0, 0xc080, 0xc040, 0xc000, 0xbf80, 0x0000, 0x3f80, 0x4000, 0x4040,
      0x4080, 0x40a0, 0x40c0, 0x40e0};
  return _mm512_load_si512(codes);
}

AVX512_INLINE __m512 dot(__m512 acc, __m512i pairs, uint32_t x) {
  return _mm512_dpbf16_ps(acc, (__m512bh)pairs, (__m512bh)_mm512_set1_epi32(int(x)));
}

AVX512_INLINE __m512i load_word(const uint32_t* p) {
  __m512i word = _mm512_loadu_si512(p);
  asm("" : "+v"(word));  // one load, not one for every shift
  return word;
}

// The 16 registers of bfloat16 pairs of one group.
template <int FORMAT>
AVX512_INLINE void load_pairs(const uint32_t* words, __m512i table, __m512i* w) {
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
AVX512 void gemv(const Block& block, const Activations& x, int64_t token, float* out) {
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

AVX512 void gemv_a8(const Block& block, const Activations& x, int64_t token, float* out) {
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
AVX512_INLINE void tile(const __m512i* w, __m512 scale, const uint32_t* x, float* acc) {
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
AVX512 void gemm(const Block& block, const Activations& x, int64_t token, int64_t count, float* out) {
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
AVX512_INLINE void tile_a8(const __m512i* w, __m512 scale, const int8_t* codes, const float* xs, const int32_t* eights,
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

AVX512 void gemm_a8(const Block& block, const Activations& x, int64_t token, int64_t count, float* out) {
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

// ---------------------------------------------------------------------------------------------- one matrix, any tokens

struct Matrix {
  const uint32_t* words;
  const uint16_t* scale;
  int64_t n, groups;
  int format;

  Block block(int64_t index) const {
    int64_t step = format == BF16 ? PAIRS * ROWS : WORDS * ROWS;
    return {words + index * groups * step, scale ? scale + index * groups * ROWS : nullptr};
  }
  Matrix expert(int64_t e) const {
    Block first = block(e * (n / ROWS));
    return {first.words, first.scale, n, groups, format};
  }
};

// Row blocks [first, last) for tokens [token, token + count): out[(block − first) · 16 ..] for each token, token-major
// within a block: out[block − first][count][16].
void multiply(const Matrix& m, const Activations& x, int64_t token, int64_t count, int64_t first, int64_t last,
              int isa, float* out) {
  if (isa == ISA_AVX2) {
    for (int64_t b = first; b < last; b++, out += count * ROWS)
      gemm_avx2(m.block(b), x, m.format, token, count, out);
    return;
  }
  if (count == 1) {
    for (int64_t b = first; b < last; b++, out += ROWS) {
      if (m.format == W4A8) gemv_a8(m.block(b), x, token, out);
      else if (m.format == W4A16) gemv<W4A16>(m.block(b), x, token, out);
      else gemv<BF16>(m.block(b), x, token, out);
    }
    return;
  }
  for (int64_t b = first; b < last; b++, out += count * ROWS) {
    if (m.format == W4A8) gemm_a8(m.block(b), x, token, count, out);
    else if (m.format == W4A16) gemm<W4A16>(m.block(b), x, token, count, out);
    else gemm<BF16>(m.block(b), x, token, count, out);
  }
}

// Rows that are multiplied with the same matrix: [first, first + count). Their lines lie together.
struct Span {
  int64_t first, count;
};

// Activations of `rows` rows of width 32 · groups, a `Span` after the other.
struct Buffers {
  std::vector<uint32_t> pairs;
  std::vector<int8_t> codes;
  std::vector<float> scale;
  std::vector<int32_t> eights;
  int64_t groups;
  int format;

  Buffers(int64_t rows, int64_t groups, int format) : groups(groups), format(format) {
    if (format == W4A8) {
      codes.resize(rows * groups * GROUP);
      scale.resize(rows * groups);
      eights.resize(rows * groups);
    } else {
      pairs.resize(rows * groups * PAIRS);
    }
  }
  int64_t place(Span span, int64_t row, int64_t g) const {
    return span.first * groups + g * span.count + row - span.first;
  }
  void set(Span span, int64_t row, int64_t g, const uint16_t* x, int isa) {
    int64_t at = place(span, row, g);
    if (format != W4A8) make_pairs(x, &pairs[at * PAIRS]);
    else if (isa == ISA_AVX512) make_codes_avx512(x, &codes[at * GROUP], &scale[at], &eights[at]);
    else make_codes(x, &codes[at * GROUP], &scale[at], &eights[at]);
  }
  void copy(int64_t at, const Buffers& from, int64_t there) {
    if (format == W4A8) {
      std::memcpy(&codes[at * GROUP], &from.codes[there * GROUP], GROUP);
      scale[at] = from.scale[there];
      eights[at] = from.eights[there];
    } else {
      std::memcpy(&pairs[at * PAIRS], &from.pairs[there * PAIRS], PAIRS * 4);
    }
  }
  Activations view(Span span) const {
    const int64_t at = span.first * groups;
    return {span.count, groups, pairs.data() + at * PAIRS, codes.data() + at * GROUP, scale.data() + at,
            eights.data() + at};
  }
};

// h[0..16) = bfloat16 of silu(gate) · up.
void activate(const float* gate, const float* up, uint16_t* h) {
  for (int r = 0; r < ROWS; r++) h[r] = to_bf16(gate[r] / (1.f + std::exp(-gate[r])) * up[r]);
}

// The same; e^x = 2^n · 2^f with |f| ≤ ½ and 2^f by its Taylor series to the seventh power, relative error below 1e-7.
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
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(h), (__m256i)_mm512_cvtneps_pbh(y));
}

}  // namespace

extern "C" {

// `groups` groups of 32 weights (bfloat16 or float32) to `out`, or to `words` and `scale` when these are given.
void k2_fake_quant(const void* in, void* out, uint32_t* words, uint16_t* scale, int64_t groups, int is_float, int isa,
                   int threads) {
  using Rows = decltype(&fake_quant_rows_avx2<true, true>);
  static const Rows forms[2][4] = {
      {fake_quant_rows_avx2<false, false>, fake_quant_rows_avx2<false, true>, fake_quant_rows_avx2<true, false>,
       fake_quant_rows_avx2<true, true>},
      {fake_quant_rows_avx512<false, false>, fake_quant_rows_avx512<false, true>, fake_quant_rows_avx512<true, false>,
       fake_quant_rows_avx512<true, true>}};
  const Rows rows = forms[isa == ISA_AVX512][2 * (is_float != 0) + (words != nullptr)];
  const int64_t share = (groups + threads - 1) / threads;
#pragma omp parallel for num_threads(threads) schedule(static, 1)
  for (int t = 0; t < threads; t++) rows(in, out, words, scale, t * share, std::min(groups, (t + 1) * share));
}

// y[tokens][n] (float32) = x[tokens][32 · groups] (bfloat16) times the transpose of one matrix.
void k2_linear(const uint16_t* x, const uint32_t* words, const uint16_t* scale, float* y, int64_t tokens, int64_t n,
               int64_t groups, int format, int isa, int threads) {
  Buffers buffers(tokens, groups, format);
  const Span all{0, tokens};
  const Matrix m{words, scale, n, groups, format};
  const int64_t blocks = n / ROWS, share = (blocks + threads - 1) / threads;
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int64_t t = 0; t < tokens; t++)
      for (int64_t g = 0; g < groups; g++) buffers.set(all, t, g, x + (t * groups + g) * GROUP, isa);
    const Activations view = buffers.view(all);
    const int64_t first = omp_get_thread_num() * share, last = std::min(blocks, first + share);
    alignas(64) float out[TOKENS * ROWS];
    if (tokens == 1) {
      multiply(m, view, 0, 1, first, std::max(first, last), isa, y + first * ROWS);
    } else {
      for (int64_t b = first; b < last; b++)
        for (int64_t t = 0; t < tokens; t += TOKENS) {
          int64_t count = std::min<int64_t>(TOKENS, tokens - t);
          multiply(m, view, t, count, b, b + 1, isa, out);
          for (int64_t i = 0; i < count; i++) std::memcpy(y + (t + i) * n + b * ROWS, out + i * ROWS, ROWS * 4);
        }
    }
  }
}

// The routed experts of a layer: y [tokens][width] float32 = Σ weight · down(silu(gate(x)) · up(x)).
//   x [tokens][width] bfloat16; expert, weight [tokens][top_k], an expert out of range is skipped
//   gate, up: [experts] of [inner, width]; down: [experts] of [width, inner]
void k2_experts(const uint16_t* x, const int64_t* expert, const float* weight, const uint32_t* gate_words,
                const uint16_t* gate_scale, const uint32_t* up_words, const uint16_t* up_scale,
                const uint32_t* down_words, const uint16_t* down_scale, float* y, int64_t tokens, int64_t top_k,
                int64_t width, int64_t inner, int64_t experts, int format, int isa, int threads) {
  const Matrix gate{gate_words, gate_scale, inner, width / GROUP, format};
  const Matrix up{up_words, up_scale, inner, width / GROUP, format};
  const Matrix down{down_words, down_scale, width, inner / GROUP, format};

  // Rows sorted by expert: row s is choice choice[s]; rows offset[e] .. offset[e+1] belong to expert e.
  std::vector<int64_t> offset(experts + 1, 0), choice(tokens * top_k), used;
  for (int64_t c = 0; c < tokens * top_k; c++)
    if (expert[c] >= 0 && expert[c] < experts) offset[expert[c] + 1]++;
  for (int64_t e = 0; e < experts; e++) {
    if (offset[e + 1]) used.push_back(e);
    offset[e + 1] += offset[e];
  }
  std::vector<int64_t> next(offset.begin(), offset.end() - 1);
  for (int64_t c = 0; c < tokens * top_k; c++)
    if (expert[c] >= 0 && expert[c] < experts) choice[next[expert[c]]++] = c;
  const int64_t rows = offset[experts];

  const Span all{0, tokens};
  Buffers each(tokens, gate.groups, format), in(rows, gate.groups, format), hidden(rows, down.groups, format);
  // A piece is `span` groups of 32 inner rows of one expert, long streams when there are few tokens; each group is
  // quantized where it is computed.
  const int64_t span = std::min<int64_t>(down.groups, rows <= 4 * int64_t(used.size()) ? SPAN : 1);
  const int64_t pieces_each = (down.groups + span - 1) / span, pieces = int64_t(used.size()) * pieces_each;
  const int64_t blocks = width / ROWS, share = (blocks + threads - 1) / threads;
#pragma omp parallel num_threads(threads)
  {
#pragma omp for schedule(static)
    for (int64_t t = 0; t < tokens; t++)
      for (int64_t g = 0; g < gate.groups; g++) each.set(all, t, g, x + t * width + g * GROUP, isa);
#pragma omp for schedule(static)
    for (size_t u = 0; u < used.size(); u++) {
      const Span span{offset[used[u]], offset[used[u] + 1] - offset[used[u]]};
      for (int64_t g = 0; g < gate.groups; g++)
        for (int64_t s = span.first; s < span.first + span.count; s++)
          in.copy(in.place(span, s, g), each, each.place(all, choice[s] / top_k, g));
    }

    alignas(64) float a[2 * SPAN * TOKENS * ROWS], b[2 * SPAN * TOKENS * ROWS];
#pragma omp for schedule(dynamic, 1)
    for (int64_t piece = 0; piece < pieces; piece++) {
      const int64_t e = used[piece / pieces_each], first_group = piece % pieces_each * span;
      const int64_t last_group = std::min(down.groups, first_group + span);
      const Matrix ge = gate.expert(e), ue = up.expert(e);
      const Span span{offset[e], offset[e + 1] - offset[e]};
      const Activations view = in.view(span);
      for (int64_t s = 0; s < span.count; s += TOKENS) {
        const int64_t count = std::min<int64_t>(TOKENS, span.count - s);
        multiply(ge, view, s, count, 2 * first_group, 2 * last_group, isa, a);
        multiply(ue, view, s, count, 2 * first_group, 2 * last_group, isa, b);
        for (int64_t g = first_group; g < last_group; g++)
          for (int64_t i = 0; i < count; i++) {
            uint16_t h[GROUP];
            for (int half = 0; half < 2; half++) {
              const int64_t at = ((2 * (g - first_group) + half) * count + i) * ROWS;
              if (isa == ISA_AVX512) activate_avx512(a + at, b + at, h + half * ROWS);
              else activate(a + at, b + at, h + half * ROWS);
            }
            hidden.set(span, span.first + s + i, g, h, isa);
          }
      }
    }

    // Each thread owns rows of the output and goes over all experts in order: no races, always the same sums.
    const int64_t first = std::min<int64_t>(blocks, omp_get_thread_num() * share);
    const int64_t last = std::min(blocks, first + share);
    for (int64_t t = 0; t < tokens; t++) std::fill(y + t * width + first * ROWS, y + t * width + last * ROWS, 0.f);
    for (int64_t e : used) {
      const Matrix de = down.expert(e);
      const Span span{offset[e], offset[e + 1] - offset[e]};
      const Activations view = hidden.view(span);
      for (int64_t block = first; block < last; block += 2) {
        const int64_t stop = std::min(block + 2, last);
        for (int64_t s = 0; s < span.count; s += TOKENS) {
          const int64_t count = std::min<int64_t>(TOKENS, span.count - s);
          multiply(de, view, s, count, block, stop, isa, a);
          for (int64_t k = block; k < stop; k++)
            for (int64_t i = 0; i < count; i++) {
              const int64_t c = choice[span.first + s + i];
              float* row = y + c / top_k * width + k * ROWS;
              const float* from = a + ((k - block) * count + i) * ROWS;
              for (int r = 0; r < ROWS; r++) row[r] += weight[c] * from[r];
            }
        }
      }
    }
  }
}
}
