// The vector functions of x86-64 on any processor: SIMDe's, and those that it lacks, one number at a time.

#pragma once

#include <cmath>
#include <cstring>

#define SIMDE_ENABLE_NATIVE_ALIASES
#include <simde/x86/avx512.h>
#include <simde/x86/fma.h>

template <typename To, typename From>
static inline To in_memory(From from) {
  To to;
  static_assert(sizeof(To) == sizeof(From));
  std::memcpy(&to, &from, sizeof(to));
  return to;
}

struct Floats {
  float of[16];
};
struct Ints {
  int32_t of[16];
};
template <typename Each>
struct Narrow {
  Each of[16];
};

template <typename Each>
static inline Narrow<Each> narrowed(__m512i from) {
  const Ints wide = in_memory<Ints>(from);
  Narrow<Each> out;
  for (int i = 0; i < 16; i++) out.of[i] = Each(wide.of[i]);
  return out;
}

static inline __m128i emulated_cvtepi32_epi8(__m512i from) { return in_memory<__m128i>(narrowed<int8_t>(from)); }
static inline __m256i emulated_cvtepi32_epi16(__m512i from) { return in_memory<__m256i>(narrowed<int16_t>(from)); }

static inline __m512i emulated_cvtepu16_epi32(__m256i from) {
  const auto halves = in_memory<Narrow<uint16_t>>(from);
  Ints wide;
  for (int i = 0; i < 16; i++) wide.of[i] = halves.of[i];
  return in_memory<__m512i>(wide);
}

static inline __m512i emulated_cvtepi8_epi32(__m128i from) {
  const auto bytes = in_memory<Narrow<int8_t>>(from);
  Ints wide;
  for (int i = 0; i < 16; i++) wide.of[i] = bytes.of[i];
  return in_memory<__m512i>(wide);
}

static inline __m512 emulated_cvtepi32_ps(__m512i from) {
  const Ints ints = in_memory<Ints>(from);
  Floats floats;
  for (int i = 0; i < 16; i++) floats.of[i] = float(ints.of[i]);
  return in_memory<__m512>(floats);
}

static inline __m512i emulated_cvtps_epi32(__m512 from) {
  const Floats floats = in_memory<Floats>(from);
  Ints ints;
  for (int i = 0; i < 16; i++) ints.of[i] = int32_t(std::lrintf(floats.of[i]));
  return in_memory<__m512i>(ints);
}

static inline float emulated_reduce_max_ps(__m512 from) {
  const Floats floats = in_memory<Floats>(from);
  float most = floats.of[0];
  for (float x : floats.of) most = std::fmax(most, x);
  return most;
}

static inline int32_t emulated_reduce_add_epi32(__m512i from) {
  int32_t sum = 0;
  for (int32_t x : in_memory<Ints>(from).of) sum += x;
  return sum;
}

static inline void emulated_stream_ps(float* to, __m512 from) { std::memcpy(to, &from, sizeof(from)); }
static inline void emulated_stream_si512(void* to, __m512i from) { std::memcpy(to, &from, sizeof(from)); }

static inline __m128i emulated_cvtepi16_epi8(__m256i from) {
  const auto wide = in_memory<Narrow<int16_t>>(from);
  Narrow<int8_t> out;
  for (int i = 0; i < 16; i++) out.of[i] = int8_t(wide.of[i]);
  return in_memory<__m128i>(out);
}

#define _mm256_cvtepi16_epi8 emulated_cvtepi16_epi8
#define _mm512_cvtepi32_epi8 emulated_cvtepi32_epi8
#define _mm512_cvtepi32_epi16 emulated_cvtepi32_epi16
#define _mm512_cvtepu16_epi32 emulated_cvtepu16_epi32
#define _mm512_cvtepi8_epi32 emulated_cvtepi8_epi32
#define _mm512_cvtepi32_ps emulated_cvtepi32_ps
#define _mm512_cvtps_epi32 emulated_cvtps_epi32
#define _mm512_reduce_max_ps emulated_reduce_max_ps
#define _mm512_reduce_add_epi32 emulated_reduce_add_epi32
#define _mm512_stream_ps emulated_stream_ps
#define _mm512_stream_si512 emulated_stream_si512
