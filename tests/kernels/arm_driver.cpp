// Calls one function of the kernels' library with arguments from a file, and writes its buffers back; for an emulator.
//
// The file: the function's name, then one line for each argument, `i NUMBER`, `f NUMBER` or `p BYTES OFFSET`, each of the
// last with its buffer's bytes in the file BUFFERS one after the other. On 64-bit ARM with Linux whole numbers and pointers
// take one place each, in registers or on the stack, and floats others: one signature serves all functions.

#include <dlfcn.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <vector>

int main(int, char** argv) {
  FILE* script = std::fopen(argv[1], "r");
  FILE* buffers = std::fopen(argv[2], "r+b");
  char name[64], kind;
  if (!script || !buffers || std::fscanf(script, "%63s", name) != 1) return 2;
  void* function = dlsym(RTLD_DEFAULT, name);
  if (!function) return 3;
  std::vector<std::vector<char>> held;
  int64_t whole[24] = {};
  float real[4] = {};
  int wholes = 0, reals = 0;
  while (std::fscanf(script, " %c", &kind) == 1) {
    if (kind == 'f') {
      if (std::fscanf(script, "%f", &real[reals++]) != 1) return 4;
      continue;
    }
    long long value, offset;
    if (std::fscanf(script, "%lld", &value) != 1) return 4;
    if (kind == 'p') {
      if (std::fscanf(script, "%lld", &offset) != 1) return 4;
      held.emplace_back(value + 64);
      if (std::fread(held.back().data(), 1, value, buffers) != size_t(value)) return 5;
      value = reinterpret_cast<int64_t>(held.back().data()) + offset;
    }
    whole[wholes++] = value;
  }
  using Any = int (*)(int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                      int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t,
                      int64_t, int64_t, float, float, float, float);
  const int64_t* w = whole;
  const int result = reinterpret_cast<Any>(function)(
      w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7], w[8], w[9], w[10], w[11], w[12], w[13], w[14], w[15], w[16], w[17],
      w[18], w[19], w[20], w[21], w[22], w[23], real[0], real[1], real[2], real[3]);
  std::rewind(buffers);
  for (const std::vector<char>& buffer : held) std::fwrite(buffer.data(), 1, buffer.size() - 64, buffers);
  std::fclose(buffers);
  std::printf("%d\n", result);
}
