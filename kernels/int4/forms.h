// Includes BODY after lanes.h once for each set of vector instructions, in a namespace of its own; FORM calls the one asked
// for. On x86-64 a library holds several and the processor decides, on ARM there is one.

#ifdef __aarch64__

#include <arm_neon.h>

#define LANES 4
#define TILE 5
namespace neon {
#include "lanes.h"
#include BODY
}  // namespace neon
#define FORM(isa, call) neon::call

#else

#include <immintrin.h>

#pragma GCC push_options
#pragma GCC target("avx2,fma")
#define LANES 8
#define TILE 3
namespace avx2 {
#include "lanes.h"
#include BODY
}  // namespace avx2
#undef LANES
#undef TILE
#pragma GCC pop_options

#pragma GCC push_options
#pragma GCC target("avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,prefer-vector-width=512")
#define LANES 16
#define TILE 6
namespace avx512 {
#include "lanes.h"
#include BODY
}  // namespace avx512
#pragma GCC pop_options
#define FORM(isa, call) ((isa) >= 2 ? avx512::call : avx2::call)

#endif
