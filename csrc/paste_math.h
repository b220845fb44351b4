// Reading a map that is stretched over a box, and the ends of runs along a column: the float32
// arithmetic of every implementation. Compile without contraction to multiply-adds, or the bytes
// differ.
#pragma once

#include <cmath>
#include <cstdint>

#include "portable.h"

namespace blendmask {

// Where the centre of a pixel lies on the map, in cells; never decreases from pixel to pixel.
BLENDMASK_BOTH inline float position_of(int64_t pixel, float low, float extent, float map_size) {
  const float centre = static_cast<float>(pixel) + 0.5F;
  // grid_sample's convention without aligned corners: -1 and 1 are the map's outer edges.
  const float normalised = (centre - low) / extent * 2.0F - 1.0F;
  return ((normalised + 1.0F) * map_size - 1.0F) / 2.0F;
}

// The value a share `weight` of the way from one value to the next.
BLENDMASK_BOTH inline float interpolated(float value, float next, float weight) {
  return value + weight * (next - value);
}

BLENDMASK_BOTH inline double clamped(double value, double low, double high) {
  return value < low ? low : (value > high ? high : value);
}

// Pixels [first, last) of an axis, among them all that read the map; none where the box has no
// extent along it.
struct PixelRange {
  int64_t first = 0, last = 0;
};
BLENDMASK_BOTH inline PixelRange reachable(float low, float high, int64_t num_pixels,
                                           int64_t map_size) {
  PixelRange range;
  if (!std::isfinite(low) || !std::isfinite(high) || !(high > low)) return range;
  const auto from = static_cast<double>(low), to = static_cast<double>(high);
  const double reach = (to - from) / static_cast<double>(map_size) / 2 + 1;
  const auto pixels = static_cast<double>(num_pixels);
  range.first = static_cast<int64_t>(clamped(std::floor(from - reach), 0, pixels));
  range.last = static_cast<int64_t>(clamped(std::ceil(to + reach), 0, pixels));
  return range;
}

// The first row in (start, end) whose state is that of the last row, by exact values. The rows
// read `value + weight_of(row) * slope`; the first one's state differs from the last one's.
template <class Weights>
BLENDMASK_BOTH inline int64_t crossing(float value, float slope, float threshold,
                                       const Weights& weight_of, int64_t start, int64_t end,
                                       bool state_after) {
  int64_t before = start, after = end - 1;
  const float place = (threshold - value) / slope;
  const float step =
      (weight_of(after) - weight_of(before)) / static_cast<float>(after - before);
  const float guess = static_cast<float>(before) + (place - weight_of(before)) / step;
  int64_t probe = (before + after) / 2;
  if (guess > static_cast<float>(before) && guess < static_cast<float>(after)) {
    probe = static_cast<int64_t>(guess);
  }
  for (int tries = 0; after - before > 1; ++tries) {
    // The guess and its neighbours nearly always settle it; halving ends the rest.
    if (tries >= 3) probe = (before + after) / 2;
    if (probe <= before) probe = before + 1;
    if (probe >= after) probe = after - 1;
    if ((value + weight_of(probe) * slope >= threshold) == state_after) {
      after = probe--;
    } else {
      before = probe++;
    }
  }
  return after;
}

}  // namespace blendmask
