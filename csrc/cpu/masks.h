// Run lengths of one mask, and the reading of a mask map along an axis: what the CPU operations
// share. Tensors stop at the operations' own files; here are plain numbers only.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>
#include <vector>

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

// A second copy of the hot loops for processors with AVX2, chosen when the library is loaded.
// It needs GNU ifuncs, which the sanitizers don't survive.
#if defined(__x86_64__) && defined(__linux__) && defined(__GNUC__) && !defined(__clang__) && \
    !defined(__SANITIZE_ADDRESS__)
#define BLENDMASK_AVX2 __attribute__((target_clones("avx2", "default")))
#else
#define BLENDMASK_AVX2
#endif

namespace blendmask {

// A mask read column by column: [start, end) of each run as positions column * height + row,
// ascending; two runs never touch.
struct Mask {
  std::vector<int64_t> edges;  // start, end, start, end ...
  int64_t area = 0;
  int64_t left = 0, top = 0, right = 0, bottom = 0;  // tight, right and bottom exclusive

  void add(int64_t start, int64_t end) {
    area += end - start;
    if (!edges.empty() && edges.back() == start) {
      edges.back() = end;  // a run goes on over the end of a column
    } else {
      edges.push_back(start);
      edges.push_back(end);
    }
  }

  // Widens the tight box by rows [first, last) of a column; columns come in ascending order.
  void reach(int64_t column, int64_t first, int64_t last) {
    if (right == 0) {
      left = column;
      top = first;
      bottom = last;
    }
    right = column + 1;
    top = first < top ? first : top;
    bottom = last > bottom ? last : bottom;
  }

  int64_t num_counts(int64_t num_pixels) const {
    const bool tail = edges.empty() || edges.back() < num_pixels;
    return static_cast<int64_t>(edges.size()) + tail;
  }
  void write_counts(int64_t num_pixels, int64_t* out) const;
};

// Where the pixels of one axis read the map: cell of the bordered map, and the weight of the
// next one. The same float32 operations in the same order as the reference's `_cells`.
struct Axis {
  int64_t first = 0;
  std::vector<int64_t> cells;
  std::vector<float> weights;
  int64_t size() const { return static_cast<int64_t>(cells.size()); }
};
Axis read_axis(float low, float high, int64_t num_pixels, int64_t map_size);

// The mask of a map (size × size, row-major) stretched over a box.
Mask paste(const float* map, int64_t size, const float* box_xyxy, int64_t height, int64_t width,
           float threshold);

// About how long so many take: 100 ns a column, 2 a band of it.
inline int64_t paste_nanoseconds(int64_t num_masks, int64_t size, int64_t width) {
  return num_masks * (std::min(width, int64_t{1000}) / 5) * (100 + 2 * size);
}

// Packs masks as tensors: counts (T,), offsets (N + 1,), areas (N,), boxes_xywh (N, 4).
// Hidden like the tensors it holds.
struct C10_HIDDEN PackedMasks {
  torch::stable::Tensor counts, offsets, areas, boxes_xywh;
};
PackedMasks pack(const std::vector<Mask>& masks, int64_t num_pixels);

// Calls f(i) for i in [0, n) on torch's threads; whoever is free takes the next. Work of less
// than a few hundred microseconds stays on the caller's: on a busy machine waking the others and
// waiting for them costs more.
constexpr int64_t kWorthThreads = 300'000;

template <class F>
void for_each(int64_t n, int64_t nanoseconds, const F& f) {
  const int64_t threads = nanoseconds < kWorthThreads ? 1 : torch::stable::get_num_threads();
  const int64_t workers = std::min(n, threads);
  std::atomic<int64_t> next{0};
  torch::stable::parallel_for(0, workers, 1, [&](int64_t, int64_t) {
    for (int64_t i = next++; i < n; i = next++) f(i);
  });
}

torch::stable::Tensor new_tensor(std::initializer_list<int64_t> shape,
                                 torch::headeronly::ScalarType dtype);

}  // namespace blendmask
