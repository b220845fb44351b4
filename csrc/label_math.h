// How the pixels of a picture read logits at a quarter of the canvas: the arithmetic of every
// implementation. Compile without contraction to multiply-adds, or near ties go another way.
#pragma once

#include <cstdint>

#include "portable.h"

namespace blendmask {

// What a pixel of the picture reads along one axis: `count` cells from `first` on.
struct Reading {
  int64_t first = 0, count = 1;
  float weights[3] = {0, 0, 0};
};

// F.interpolate's rule (bilinear, corners not aligned).
struct Pair {
  int64_t low, high;
  float low_weight, high_weight;
};
BLENDMASK_BOTH inline Pair read_pair(int64_t pixel, float scale, int64_t num_cells) {
  const float wanted = scale * (static_cast<float>(pixel) + 0.5F) - 0.5F;
  const float place = wanted < 0.0F ? 0.0F : wanted;
  const auto cell = static_cast<int64_t>(place);
  const int64_t low = cell < num_cells - 1 ? cell : num_cells - 1;
  const float beyond = place - static_cast<float>(low);
  const float weight = beyond < 0.0F ? 0.0F : (beyond > 1.0F ? 1.0F : beyond);
  return {low, low + 1 < num_cells - 1 ? low + 1 : num_cells - 1, 1 - weight, weight};
}

BLENDMASK_BOTH inline void add_cell(Reading& reading, int64_t cell, float weight) {
  reading.weights[cell - reading.first] += weight;
  if (cell - reading.first + 1 > reading.count) reading.count = cell - reading.first + 1;
}

BLENDMASK_BOTH inline void add_pixel(Reading& reading, int64_t pixel, float share,
                                     int64_t num_cells) {
  if (share == 0) return;
  const Pair inner = read_pair(pixel, 0.25F, num_cells);
  if (inner.low_weight != 0) add_cell(reading, inner.low, share * inner.low_weight);
  if (inner.high_weight != 0) add_cell(reading, inner.high, share * inner.high_weight);
}

// The canvas is four times the cells; `view` of its pixels become `num_pixels`.
BLENDMASK_BOTH inline Reading reading_of(int64_t pixel, int64_t num_pixels, int64_t view,
                                         int64_t num_cells) {
  const float scale = static_cast<float>(view) / static_cast<float>(num_pixels);
  const Pair outer = read_pair(pixel, scale, view);
  Reading reading;
  reading.first = read_pair(outer.low, 0.25F, num_cells).low;
  add_pixel(reading, outer.low, outer.low_weight, num_cells);
  add_pixel(reading, outer.high, outer.high_weight, num_cells);
  return reading;
}

// The mean of three by three cells that a pixel reads; first down, then across.
BLENDMASK_BOTH inline float down_of(const float* down, const float* corner, int64_t k) {
  return down[0] * corner[k] + down[1] * corner[3 + k] + down[2] * corner[6 + k];
}
BLENDMASK_BOTH inline float across_of(const float* across, const float* line) {
  return across[0] * line[0] + across[1] * line[1] + across[2] * line[2];
}

}  // namespace blendmask
