// What few_rows.cpp computes, included once per instruction set after lanes.h.

template <typename W>
void linear(const Product& p) {
  const W* w = static_cast<const W*>(p.weight);
  std::vector<const float*> x(p.tokens);
  for (int64_t t = 0; t < p.tokens; t++) x[t] = p.x + t * p.width;
  const int64_t tiles = (p.n + OUTPUTS - 1) / OUTPUTS;
#pragma omp parallel num_threads(p.threads)
  {
    std::vector<float> room(OUTPUTS * (p.tokens + p.width));
#pragma omp for schedule(static)
    for (int64_t i = 0; i < tiles; i++) {
      // The last tile begins within the one before where the outputs are no multiple of OUTPUTS.
      const int64_t first = std::min(i * OUTPUTS, p.n - OUTPUTS), known = i * OUTPUTS - first;
      outputs(w + first * p.width, p.width, x.data(), p.tokens, room.data(), room.data() + OUTPUTS * p.tokens);
      for (int64_t t = 0; t < p.tokens; t++)
        for (int64_t r = known; r < OUTPUTS; r++)
          p.y[t * p.n + first + r] = room[t * OUTPUTS + r] * (p.scale ? p.scale[first + r] : 1.f);
    }
  }
}

template <typename W>
void experts(const Layer& l, const Sorted& sorted) {
  const W *gate = static_cast<const W*>(l.gate), *up = static_cast<const W*>(l.up), *down = static_cast<const W*>(l.down);
  const int64_t rows = int64_t(sorted.choice.size()), used = int64_t(sorted.used.size());
  const int64_t inner_tiles = l.inner / OUTPUTS, tiles = l.width / OUTPUTS;
  std::vector<const float*> x(rows), h(rows);
  std::vector<float> hidden(rows * l.inner);
  for (int64_t s = 0; s < rows; s++) {
    x[s] = l.x + sorted.choice[s] / l.top_k * l.width;
    h[s] = hidden.data() + s * l.inner;
  }
#pragma omp parallel num_threads(l.threads)
  {
    std::vector<float> room(OUTPUTS * (2 * rows + std::max(l.width, l.inner)));
    float *a = room.data(), *b = a + OUTPUTS * rows, *wide = b + OUTPUTS * rows;
#pragma omp for schedule(static)
    for (int64_t piece = 0; piece < used * inner_tiles; piece++) {
      const int64_t e = sorted.used[piece / inner_tiles], first = piece % inner_tiles * OUTPUTS;
      const int64_t s = sorted.offset[e], count = sorted.offset[e + 1] - s;
      const int64_t start = e * l.inner * l.width;
      outputs(gate + start + first * l.width, l.width, x.data() + s, count, a, wide);
      outputs(up + start + first * l.width, l.width, x.data() + s, count, b, wide);
      for (int64_t i = 0; i < count; i++)
        for (int r = 0; r < OUTPUTS; r++)
          hidden[(s + i) * l.inner + first + r] = a[i * OUTPUTS + r] / (1.f + exponential(-a[i * OUTPUTS + r])) * b[i * OUTPUTS + r];
    }
    // A thread owns outputs and goes over all experts in order: no races, always the same sums.
#pragma omp for schedule(static)
    for (int64_t tile = 0; tile < tiles; tile++) {
      const int64_t first = tile * OUTPUTS;
      for (int64_t t = 0; t < l.tokens; t++) std::memset(l.y + t * l.width + first, 0, OUTPUTS * sizeof(float));
      for (int64_t e : sorted.used) {
        const int64_t s = sorted.offset[e], count = sorted.offset[e + 1] - s;
        outputs(down + (e * l.width + first) * l.inner, l.inner, h.data() + s, count, a, wide);
        for (int64_t i = 0; i < count; i++) {
          const int64_t c = sorted.choice[s + i];
          float* to = l.y + c / l.top_k * l.width + first;
          for (int r = 0; r < OUTPUTS; r++) to[r] += l.weight[c] * a[i * OUTPUTS + r];
        }
      }
    }
  }
}
