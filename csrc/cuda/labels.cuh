// The best semantic label of a pixel, on the device; the rule of cpu/labels.cpp.
#pragma once

#include "device.cuh"

#include "../label_math.h"

namespace blendmask {
namespace {

// Logits at a quarter of the canvas: (num_labels, height, width); the view is a part of the canvas.
struct Logits {
  const float* values;
  int64_t num_labels, height, width, view_height, view_width;
  int32_t* best;  // (height, width): the best label of every cell
};

// A thread for each cell; the first of equals.
__global__ void find_best(Logits logits) {
  const int64_t cell = thread_number(), plane = logits.height * logits.width;
  if (cell >= plane) return;
  float top = logits.values[cell];
  int32_t best = 0;
  for (int64_t label = 1; label < logits.num_labels; ++label) {
    const float value = logits.values[label * plane + cell];
    if (value > top) {
      top = value;
      best = static_cast<int32_t>(label);
    }
  }
  logits.best[cell] = best;
}

// One label's values at the cells that a pixel reads.
struct Corner {
  float values[9] = {0, 0, 0, 0, 0, 0, 0, 0, 0};
  float low = INFINITY, high = -INFINITY;

  __device__ Corner(const Logits& logits, int64_t label, const Reading& row,
                    const Reading& column) {
    const float* first = logits.values +
                         (label * logits.height + row.first) * logits.width + column.first;
    for (int64_t j = 0; j < row.count; ++j) {
      for (int64_t k = 0; k < column.count; ++k) {
        const float value = first[j * logits.width + k];
        values[3 * j + k] = value;
        if (value < low) low = value;
        if (high < value) high = value;
      }
    }
  }
};

__device__ int32_t label_at(const Logits& logits, const Reading& row, const Reading& column) {
  const int32_t* cells = logits.best + row.first * logits.width + column.first;
  bool same = true;
  for (int64_t j = 0; j < row.count; ++j) {
    for (int64_t k = 0; k < column.count; ++k) same &= cells[j * logits.width + k] == cells[0];
  }
  if (same) return cells[0];
  // Only labels can win that are at some cell as high as the least value that some label keeps.
  float kept = -INFINITY;
  for (int64_t label = 0; label < logits.num_labels; ++label) {
    const Corner corner(logits, label, row, column);
    if (kept < corner.low) kept = corner.low;
  }
  float top = -INFINITY;
  int32_t best = -1;
  for (int64_t label = 0; label < logits.num_labels; ++label) {
    const Corner corner(logits, label, row, column);
    if (!(corner.high >= kept)) continue;
    if (best < 0) best = static_cast<int32_t>(label);
    const float line[] = {down_of(row.weights, corner.values, 0),
                          down_of(row.weights, corner.values, 1),
                          down_of(row.weights, corner.values, 2)};
    const float value = across_of(column.weights, line);
    if (value > top) {
      top = value;
      best = static_cast<int32_t>(label);
    }
  }
  return best < 0 ? 0 : best;
}

}  // namespace
}  // namespace blendmask
