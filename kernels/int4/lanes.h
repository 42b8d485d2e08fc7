// Tiles of products in vectors of LANES numbers; included once per instruction set, within its target and namespace.
//
// The sums of a tile stay in registers, TILE rows at a time, and each is added up in the same order whatever is computed
// beside it: a row's result depends on that row alone.

using Lanes = float __attribute__((vector_size(LANES * 4)));
using LanesInMemory = float __attribute__((vector_size(LANES * 4), aligned(4), may_alias));
using HalvesInMemory = uint16_t __attribute__((vector_size(LANES * 2), aligned(2), may_alias));
using Words = uint32_t __attribute__((vector_size(LANES * 4)));

constexpr int OUTPUTS = 4;  // of a tile of dot products
constexpr int SPREAD = 4;   // vectors of a tile of sums

INLINE Lanes lanes(const float* p) { return *reinterpret_cast<const LanesInMemory*>(p); }
INLINE Lanes lanes(const uint16_t* p) {
  return reinterpret_cast<Lanes>(__builtin_convertvector(*reinterpret_cast<const HalvesInMemory*>(p), Words) << 16);
}

INLINE Lanes lanes(const int8_t* p) {
#ifdef __aarch64__
  uint32_t four;
  std::memcpy(&four, p, sizeof(four));
  return (Lanes)vcvtq_f32_s32(vmovl_s16(vget_low_s16(vmovl_s8(vcreate_s8(four)))));
#elif LANES == 8
  return (Lanes)_mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
#else
  return (Lanes)_mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
#endif
}

// The sums of four vectors.
#ifdef __aarch64__
using Four = float32x4_t;
INLINE Four sums(Lanes a, Lanes b, Lanes c, Lanes d) {
  return vpaddq_f32(vpaddq_f32((Four)a, (Four)b), vpaddq_f32((Four)c, (Four)d));
}
#else
using Four = __m128;
INLINE __m256 folded(Lanes v) {  // until it has eight numbers
  __m256 part[LANES / 8];
  std::memcpy(part, &v, sizeof(v));
  return LANES == 8 ? part[0] : part[0] + part[LANES / 8 - 1];
}
INLINE Four sums(Lanes a, Lanes b, Lanes c, Lanes d) {
  const __m256 ab = _mm256_hadd_ps(folded(a), folded(b)), cd = _mm256_hadd_ps(folded(c), folded(d));
  const __m256 all = _mm256_hadd_ps(ab, cd);
  return _mm256_castps256_ps128(all) + _mm256_extractf128_ps(all, 1);
}
#endif

// OUTPUTS neighbouring rows of a matrix times T rows of x: out[t][0 .. OUTPUTS).
template <int T, bool AHEAD, typename W>
INLINE void dots(const W* w, int64_t width, const float* const* x, float* out) {
  Lanes sum[OUTPUTS][T];
#pragma GCC unroll 4
  for (int r = 0; r < OUTPUTS; r++)
#pragma GCC unroll 6
    for (int t = 0; t < T; t++) sum[r][t] = Lanes{};
  int64_t k = 0;
  for (; k + LANES <= width; k += LANES) {
    Lanes a[T];
#pragma GCC unroll 6
    for (int t = 0; t < T; t++) a[t] = lanes(x[t] + k);
#pragma GCC unroll 4
    for (int r = 0; r < OUTPUTS; r++) {
      const W* at = w + r * width + k;
      if constexpr (AHEAD) __builtin_prefetch(at + OUTPUTS * width);
      const Lanes b = lanes(at);
#pragma GCC unroll 6
      for (int t = 0; t < T; t++) sum[r][t] += a[t] * b;
    }
  }
#pragma GCC unroll 6
  for (int t = 0; t < T; t++) {
    const Four all = sums(sum[0][t], sum[1][t], sum[2][t], sum[3][t]);
    float four[OUTPUTS];
    std::memcpy(four, &all, sizeof(four));
    for (int64_t rest = k; rest < width; rest++)
      for (int r = 0; r < OUTPUTS; r++) four[r] = __builtin_fmaf(load(w[r * width + rest]), x[t][rest], four[r]);
    std::memcpy(out + t * OUTPUTS, four, sizeof(four));
  }
}

// OUTPUTS neighbouring rows times any number of rows of x: out[count][OUTPUTS]. The first tile brings in what comes next.
void outputs(const float* w, int64_t width, const float* const* x, int64_t count, float* out, float*) {
  int64_t t = 0;
  if (count >= TILE) dots<TILE, true>(w, width, x, out), t = TILE;
  else if (count == 2) return dots<2, true>(w, width, x, out);
  else if (count == 1) return dots<1, true>(w, width, x, out);
  for (; t + TILE <= count; t += TILE) dots<TILE, false>(w, width, x + t, out + t * OUTPUTS);
  for (; t + 2 <= count; t += 2) dots<2, false>(w, width, x + t, out + t * OUTPUTS);
  if (t < count) dots<1, false>(w, width, x + t, out + t * OUTPUTS);
}

// The same of bfloat16 and of 8 bits, which many rows find widened in `room` [OUTPUTS][width].
template <typename W>
void outputs(const W* w, int64_t width, const float* const* x, int64_t count, float* out, float* room) {
  if (count == 1) return dots<1, true>(w, width, x, out);
  if (count == 2) return dots<2, true>(w, width, x, out);
  for (int64_t k = 0; k < OUTPUTS * width; k++) room[k] = load(w[k]);
  outputs(room, width, x, count, out, nullptr);
}

// T sums of `count` rows of a matrix, each row times a number: out[t][k .. k + V · LANES) = Σ a[t][i] · w[i][k ..].
template <int T, int V, typename W>
INLINE void sums_of_rows(const float* const* a, const W* w, int64_t count, int64_t stride, float* const* out, int64_t k) {
  Lanes sum[T][V];
#pragma GCC unroll 6
  for (int t = 0; t < T; t++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) sum[t][v] = Lanes{};
  for (int64_t i = 0; i < count; i++) {
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) {
      const Lanes b = lanes(w + i * stride + k + v * LANES);
#pragma GCC unroll 6
      for (int t = 0; t < T; t++) sum[t][v] += a[t][i] * b;
    }
  }
#pragma GCC unroll 6
  for (int t = 0; t < T; t++)
#pragma GCC unroll 4
    for (int v = 0; v < V; v++) *reinterpret_cast<LanesInMemory*>(out[t] + k + v * LANES) = sum[t][v];
}

template <int T, typename W>
INLINE void weighted(const float* const* a, const W* w, int64_t count, int64_t stride, int64_t width, float* const* out) {
  int64_t k = 0;
  for (; k + SPREAD * LANES <= width; k += SPREAD * LANES) sums_of_rows<T, SPREAD>(a, w, count, stride, out, k);
  for (; k + LANES <= width; k += LANES) sums_of_rows<T, 1>(a, w, count, stride, out, k);
  for (; k < width; k++)
    for (int t = 0; t < T; t++) {
      out[t][k] = 0;
      for (int64_t i = 0; i < count; i++) out[t][k] = __builtin_fmaf(a[t][i], load(w[i * stride + k]), out[t][k]);
    }
}

// Sums of the first `width` columns of `count` rows that lie `stride` apart: out[t][k] = Σ_i a[t][i] · w[i][k], t < rows.
template <typename W>
void weighted_rows(const float* const* a, int64_t rows, const W* w, int64_t count, int64_t stride, int64_t width,
                   float* const* out) {
  int64_t t = 0;
  for (; t + TILE <= rows; t += TILE) weighted<TILE>(a + t, w, count, stride, width, out + t);
  for (; t < rows; t++) weighted<1>(a + t, w, count, stride, width, out + t);
}
