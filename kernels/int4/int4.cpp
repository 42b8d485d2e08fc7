// INT4 on a CPU: fake quantization in one pass, and the routed experts of a layer in one call.
// Plain C ABI; kernels/int4/native.py builds, checks and calls it. Layouts: kernels/int4/words.py.
//
// A row block is 16 outputs. Codes −8..7 are exact in bfloat16, products and sums are float32: the weight is never rounded.

#include <omp.h>

#include "int4_common.h"
#ifdef __aarch64__
#include "int4_neon.h"
#else
#include "int4_avx.h"
#endif

namespace {

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
  for (int64_t b = first; b < last; b++, out += count * ROWS) multiply_block(isa, m.block(b), x, m.format, token, count, out);
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
    else quantize(isa, x, &codes[at * GROUP], &scale[at], &eights[at]);
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

}  // namespace

extern "C" {

// `groups` groups of 32 weights (bfloat16 or float32) to `out`, or to `words` and `scale` when these are given.
void k2_fake_quant(const void* in, void* out, uint32_t* words, uint16_t* scale, int64_t groups, int is_float, int isa,
                   int threads) {
  const QuantRows rows = fake_quant_rows(isa, is_float != 0, words != nullptr);
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
              swiglu(isa, a + at, b + at, h + half * ROWS);
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
