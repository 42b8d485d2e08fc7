// What decode.cpp computes, included once per instruction set after lanes.h.

template <typename T>
INLINE float inverse_rms(const T* x, int64_t width, float eps) {
  float squares = 0;
#pragma omp simd reduction(+ : squares)
  for (int64_t k = 0; k < width; k++) squares += load(x[k]) * load(x[k]);
  return 1.f / std::sqrt(squares / float(width) + eps);
}

// y = gain · (x / rms(x)), each of the two products rounded to the type.
template <typename T>
INLINE void norm_row(const T* x, const T* gain, T* y, int64_t width, float eps) {
  const float r = inverse_rms(x, width, eps);
  for (int64_t k = 0; k < width; k++) {
    T rounded;
    store(&rounded, load(x[k]) * r);
    store(y + k, load(rounded) * load(gain[k]));
  }
}

template <typename T>
void norm(const void* x, const void* gain, void* y, int64_t rows, int64_t width, float eps) {
  const T* from = static_cast<const T*>(x);
  T* to = static_cast<T*>(y);
  for (int64_t row = 0; row < rows; row++)
    norm_row(from + row * width, static_cast<const T*>(gain), to + row * width, width, eps);
}

// Rotates pairs of `x` by the angles of a row.
template <typename From, typename To>
INLINE void rotate(const Step& s, int64_t row, const From* x, To* to) {
  const float* cos = s.cos + row * (s.rope / 2);
  const float* sin = s.sin + row * (s.rope / 2);
  for (int64_t i = 0; i < s.rope / 2; i++) {
    const float even = load(x[2 * i]), odd = load(x[2 * i + 1]);
    store(to + 2 * i, even * cos[i] - odd * sin[i]);
    store(to + 2 * i + 1, even * sin[i] + odd * cos[i]);
  }
}

// Norms and rotates the new token of a row and writes it into the cache.
template <typename T>
void remember(const Step& s, int64_t row) {
  const int64_t width = s.latent + s.rope;
  const T* kv = static_cast<const T*>(s.kv) + row * width;
  T* to = static_cast<T*>(s.cache) + (s.slot[row] * s.length + s.position[row]) * width;
  norm_row(kv, static_cast<const T*>(s.norm), to, s.latent, s.eps);
  rotate(s, row, kv + s.latent, to + s.latent);
}

// The queries of one head in the space of the cache: query [rows][heads][latent + rope].
template <typename T>
void absorb(const Step& s, int64_t head, float* query) {
  const int64_t width = s.latent + s.rope;
  const T* key = static_cast<const T*>(s.kv_b) + head * (s.nope + s.value) * s.latent;
  std::vector<float> nope(s.rows * s.nope);
  std::vector<const float*> from(s.rows);
  std::vector<float*> to(s.rows);
  for (int64_t row = 0; row < s.rows; row++) {
    const T* q = static_cast<const T*>(s.q) + (row * s.heads + head) * (s.nope + s.rope);
    for (int64_t n = 0; n < s.nope; n++) nope[row * s.nope + n] = load(q[n]);
    from[row] = nope.data() + row * s.nope;
    to[row] = query + (row * s.heads + head) * width;
    rotate(s, row, q + s.nope, to[row] + s.latent);
  }
  weighted_rows(from.data(), s.rows, key, s.nope, s.latent, s.latent, to.data());
}

// Heads [first, last) of one row: what they see of the cache, context [rows][heads][latent].
template <typename T>
void attend(const Step& s, int64_t row, int64_t first, int64_t last, const float* query, float* context) {
  const int64_t width = s.latent + s.rope, seen = s.position[row] + 1, heads = last - first;
  const T* cached = static_cast<const T*>(s.cache) + s.slot[row] * s.length * width;
  std::vector<float> room(heads * seen + OUTPUTS * (heads + width));
  float *p = room.data(), *four = p + heads * seen, *wide = four + OUTPUTS * heads;
  std::vector<T> end(OUTPUTS * width);  // what the last tile reads must be there
  std::vector<const float*> q(heads), p_of(heads);
  std::vector<float*> to(heads);
  for (int64_t h = 0; h < heads; h++) {
    q[h] = query + (row * s.heads + first + h) * width;
    p_of[h] = p + h * seen;
    to[h] = context + (row * s.heads + first + h) * s.latent;
  }
  for (int64_t t = 0; t < seen; t += OUTPUTS) {
    const int64_t count = std::min<int64_t>(OUTPUTS, seen - t);
    const T* x = cached + t * width;
    if (count < OUTPUTS) {
      std::copy(x, x + count * width, end.data());
      x = end.data();
    }
    outputs(x, width, q.data(), heads, four, wide);
    for (int64_t h = 0; h < heads; h++)
      for (int64_t i = 0; i < count; i++) p[h * seen + t + i] = four[h * OUTPUTS + i] * s.scale;
  }
  for (int64_t h = 0; h < heads; h++) {
    float* mine = p + h * seen;
    const float largest = *std::max_element(mine, mine + seen);
    float total = 0;
#pragma omp simd reduction(+ : total)
    for (int64_t t = 0; t < seen; t++) {
      mine[t] = exponential(mine[t] - largest);
      total += mine[t];
    }
    for (int64_t t = 0; t < seen; t++) mine[t] /= total;
  }
  weighted_rows(p_of.data(), heads, cached, seen, width, s.latent, to.data());
}

// The values of one head for all rows.
template <typename T>
void decompress(const Step& s, int64_t head, const float* context) {
  const T* values = static_cast<const T*>(s.kv_b) + (head * (s.nope + s.value) + s.nope) * s.latent;
  std::vector<const float*> from(s.rows);
  for (int64_t row = 0; row < s.rows; row++) from[row] = context + (row * s.heads + head) * s.latent;
  std::vector<float> room(OUTPUTS * (s.rows + s.latent));
  for (int64_t v = 0; v < s.value; v += OUTPUTS) {
    const int64_t begin = std::min(v, s.value - OUTPUTS);
    outputs(values + begin * s.latent, s.latent, from.data(), s.rows, room.data(), room.data() + OUTPUTS * s.rows);
    for (int64_t row = 0; row < s.rows; row++) {
      T* out = static_cast<T*>(s.out) + (row * s.heads + head) * s.value + begin;
      for (int r = 0; r < OUTPUTS; r++) store(out + r, room[row * OUTPUTS + r]);
    }
  }
}

template <typename T>
void step(const Step& s) {
  std::vector<float> query(s.rows * s.heads * (s.latent + s.rope)), context(s.rows * s.heads * s.latent);
  // Heads share what they read of the cache; a row's are parted only where there are fewer rows than threads.
  const int64_t parts = std::min<int64_t>(s.heads, (s.threads + s.rows - 1) / s.rows);
  const int64_t share = (s.heads + parts - 1) / parts;
#pragma omp parallel num_threads(s.threads)
  {
#pragma omp for schedule(static)
    for (int64_t row = 0; row < s.rows; row++) remember<T>(s, row);
#pragma omp for schedule(static)
    for (int64_t head = 0; head < s.heads; head++) absorb<T>(s, head, query.data());
#pragma omp for schedule(dynamic, 1)
    for (int64_t i = 0; i < s.rows * parts; i++) {
      const int64_t first = std::min(s.heads, i % parts * share), last = std::min(s.heads, first + share);
      if (first < last) attend<T>(s, i / parts, first, last, query.data(), context.data());
    }
#pragma omp for schedule(static)
    for (int64_t head = 0; head < s.heads; head++) decompress<T>(s, head, context.data());
  }
}
