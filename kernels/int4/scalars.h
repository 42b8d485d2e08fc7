// Numbers of the two stored types, one at a time.

#pragma once

#include <cstdint>
#include <cstring>

#define INLINE static inline __attribute__((always_inline))

INLINE float from_bf16(uint16_t b) {
  const uint32_t bits = uint32_t(b) << 16;
  float f;
  std::memcpy(&f, &bits, 4);
  return f;
}

INLINE uint16_t to_bf16(float f) {  // to nearest, ties to even
  uint32_t bits;
  std::memcpy(&bits, &f, 4);
  const uint32_t rounded = (bits + 0x7fff + (bits >> 16 & 1)) >> 16;
  return uint16_t((bits & 0x7fffffff) > 0x7f800000 ? bits >> 16 | 0x40 : rounded);
}

INLINE float load(float x) { return x; }
INLINE float load(uint16_t b) { return from_bf16(b); }
INLINE float load(int8_t code) { return code; }
INLINE void store(float* to, float x) { *to = x; }
INLINE void store(uint16_t* to, float x) { *to = to_bf16(x); }

// e^x for |x| ≤ 87, beyond it as there: 2^n · e^f with |f| ≤ ln 2 / 2, e^f by its Taylor series to the seventh power.
INLINE float exponential(float x) {
  const float y = (x < -87.f ? -87.f : x > 87.f ? 87.f : x) * 1.44269504088896f;
  const float n = (y + 12582912.f) - 12582912.f;
  const float f = (y - n) * 0.693147180559945f;
  float p = 1.f / 5040;
  p = p * f + 1.f / 720;
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
