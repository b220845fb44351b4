// Exclusive prefix sums on the device, without waiting for it.
#pragma once

#include "device.cuh"

namespace blendmask {

constexpr int64_t kScanned = 64;  // numbers to a thread

namespace {

__global__ void sum_groups(const int64_t* numbers, int64_t count, int64_t* sums) {
  const int64_t first = thread_number() * kScanned;
  if (first >= count) return;
  const int64_t last = first + kScanned < count ? first + kScanned : count;
  int64_t sum = 0;
  for (int64_t i = first; i < last; ++i) sum += numbers[i];
  sums[thread_number()] = sum;
}

// `sums` holds what comes before each group; null for a single group.
__global__ void scan_groups(int64_t* numbers, int64_t count, const int64_t* sums) {
  const int64_t first = thread_number() * kScanned;
  if (first >= count) return;
  const int64_t last = first + kScanned < count ? first + kScanned : count;
  int64_t sum = sums == nullptr ? 0 : sums[thread_number()];
  for (int64_t i = first; i < last; ++i) {
    const int64_t number = numbers[i];
    numbers[i] = sum;
    sum += number;
  }
}

// Replaces each number by the sum of those before it.
void scan(const Device& device, int64_t* numbers, int64_t count) {
  const int64_t num_groups = (count + kScanned - 1) / kScanned;
  if (num_groups <= 1) {
    device.run(scan_groups, num_groups, numbers, count, nullptr);
    return;
  }
  torch::stable::Tensor sums =
      device.empty({num_groups}, torch::headeronly::ScalarType::Long);
  auto* sum = sums.mutable_data_ptr<int64_t>();
  device.run(sum_groups, num_groups, numbers, count, sum);
  scan(device, sum, num_groups);
  device.run(scan_groups, num_groups, numbers, count, sum);
}

}  // namespace
}  // namespace blendmask
