// blendmask::compress_rle on a CUDA device: run lengths to COCO's strings. A thread writes a few
// counts; where, the sums of all lengths before it tell.
#include "device.cuh"
#include "scan.cuh"

#include <tuple>

#include "../check_compress_rle.h"
#include "../rle_math.h"

namespace blendmask {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kCounts = 8;  // of a thread

struct Runs {
  const int64_t* counts;
  const int64_t* offsets;  // (num_masks + 1,); may go beyond the counts that there was room for
  int64_t num_counts, num_masks;
};

// Calls visit(number, value) for the counts that one thread writes.
template <class Visit>
__device__ void each_value(const Runs& runs, int64_t thread, const Visit& visit) {
  const int64_t first = runs.offsets[0] > thread * kCounts ? runs.offsets[0] : thread * kCounts;
  const int64_t ends[] = {(thread + 1) * kCounts, runs.num_counts, runs.offsets[runs.num_masks]};
  int64_t last = ends[0];
  if (ends[1] < last) last = ends[1];
  if (ends[2] < last) last = ends[2];
  if (first < 0 || first >= last) return;
  // The last mask that begins at the first count or before it.
  int64_t mask = 0, beyond = runs.num_masks;
  while (beyond - mask > 1) {
    const int64_t middle = (mask + beyond) / 2;
    if (runs.offsets[middle] <= first) {
      mask = middle;
    } else {
      beyond = middle;
    }
  }
  for (int64_t number = first; number < last; ++number) {
    while (mask + 1 < runs.num_masks && runs.offsets[mask + 1] <= number) ++mask;
    visit(number, written_value(runs.counts + number, number - runs.offsets[mask]));
  }
}

__device__ int64_t length_of(int64_t value) {
  int64_t length = 0;
  each_character(value, [&](uint8_t) { ++length; });
  return length;
}

__global__ void measure(Runs runs, int64_t num_threads, int64_t* lengths) {
  const int64_t thread = thread_number();
  if (thread >= num_threads) return;
  int64_t length = 0;
  each_value(runs, thread, [&](int64_t, int64_t value) { length += length_of(value); });
  lengths[thread] = length;
}

__global__ void write_text(Runs runs, int64_t num_threads, const int64_t* places, uint8_t* text) {
  const int64_t thread = thread_number();
  if (thread >= num_threads) return;
  int64_t place = places[thread];
  each_value(runs, thread, [&](int64_t, int64_t value) {
    each_character(value, [&](uint8_t character) { text[place++] = character; });
  });
}

// A thread for each offset. `places` has one entry more than there are threads that write.
__global__ void find_offsets(Runs runs, int64_t num_threads, const int64_t* places,
                             int64_t* text_offsets) {
  const int64_t mask = thread_number();
  if (mask > runs.num_masks) return;
  int64_t offset = runs.offsets[mask];
  if (offset < 0) offset = 0;
  if (offset > runs.num_counts) offset = runs.num_counts;
  const int64_t thread = offset / kCounts;
  int64_t place = places[thread];
  if (thread < num_threads) {
    each_value(runs, thread, [&](int64_t number, int64_t value) {
      if (number < offset) place += length_of(value);
    });
  }
  text_offsets[mask] = place;
}

std::tuple<Tensor, Tensor> compress_rle(Tensor counts, Tensor offsets) {
  check_compress_rle(counts, offsets);
  const Device device(counts);
  const Tensor packed = torch::stable::contiguous(counts);
  const Tensor bounds = torch::stable::contiguous(offsets);
  const int64_t num_counts = packed.size(0), num_masks = bounds.size(0) - 1;
  const Runs runs = {packed.const_data_ptr<int64_t>(), bounds.const_data_ptr<int64_t>(),
                     num_counts, num_masks};
  const int64_t num_threads = (num_counts + kCounts - 1) / kCounts;
  Tensor lengths = device.empty({num_threads + 1}, ScalarType::Long);
  Tensor text = device.empty({kMostCharacters * num_counts}, ScalarType::Byte);
  Tensor text_offsets = device.empty({num_masks + 1}, ScalarType::Long);
  auto* places = lengths.mutable_data_ptr<int64_t>();
  // One thread more than needed finds no counts and leaves a zero, where the scan puts the sum.
  device.run(measure, num_threads + 1, runs, num_threads + 1, places);
  scan(device, places, num_threads + 1);
  device.run(write_text, num_threads, runs, num_threads, places, text.mutable_data_ptr<uint8_t>());
  device.run(find_offsets, num_masks + 1, runs, num_threads, places,
             text_offsets.mutable_data_ptr<int64_t>());
  return {text, text_offsets};
}

}  // namespace
}  // namespace blendmask

BLENDMASK_OPERATIONS(library) {
  library.impl("compress_rle", TORCH_BOX(&blendmask::compress_rle));
}
