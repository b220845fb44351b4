// What one cell of a mask reads of the bases and of the attentions, and the exponential of the
// softmax and the sigmoid: the arithmetic of every implementation. Compile without contraction to
// multiply-adds, or the last bits differ.
#pragma once

#include <cmath>
#include <cstdint>

#include "portable.h"

namespace blendmask {

// e^x to about 2 units in the last place; exactly 1 at 0, so that a logit of 0 is exactly 0.5.
// Inlined into loops, where the compiler makes vectors of it; std::exp stays a call.
BLENDMASK_BOTH inline float exponential(float x) {
  x = x < -87.0F ? -87.0F : x;
  x = x > 88.0F ? 88.0F : x;
  const float shifted = x * 1.44269504F + 12582912.0F;  // the magic number rounds to an integer
  const float n = shifted - 12582912.0F;
  const float r = (x - n * 0.693359375F) - n * -2.12194440e-4F;
  float p = 1.9875691500e-4F;
  p = p * r + 1.3981999507e-3F;
  p = p * r + 8.3334519073e-3F;
  p = p * r + 4.1665795894e-2F;
  p = p * r + 1.6666665459e-1F;
  p = p * r + 5.0000001201e-1F;
  p = p * r * r + r + 1.0F;
  const uint32_t power = __builtin_bit_cast(uint32_t, shifted) - 0x4B400000U + 127U;
  return p * __builtin_bit_cast(float, power << 23);
}
BLENDMASK_BOTH inline double exponential(double x) { return std::exp(x); }

template <class T>
BLENDMASK_BOTH inline T larger(T a, T b) {
  return a < b ? b : a;
}

// Two neighbouring cells and the weights of what is read between them.
template <class T>
struct Tap {
  int64_t low = 0, high = 0;
  T low_weight = 0, high_weight = 0;
};

// ROIAlign's samples along one axis, `ratio` for each of `size` bins: torchvision's rule.
template <class T>
struct RegionAxis {
  T start, bin;
  int64_t ratio, num_cells;

  BLENDMASK_BOTH RegionAxis(T low, T high, int64_t size, int64_t ratio, bool aligned,
                            int64_t num_cells)
      : ratio(ratio), num_cells(num_cells) {
    const T scale = static_cast<T>(0.25), offset = aligned ? static_cast<T>(0.5) : T(0);
    start = low * scale - offset;
    const T end = high * scale - offset;
    const T extent = aligned ? end - start : larger(end - start, T(1));
    bin = extent / static_cast<T>(size);
  }

  // Where a sample lies off the map both weights are zero.
  BLENDMASK_BOTH Tap<T> tap(int64_t sample) const {
    Tap<T> tap;
    T place = start + static_cast<T>(sample / ratio) * bin +
              (static_cast<T>(sample % ratio) + static_cast<T>(0.5)) * bin / static_cast<T>(ratio);
    if (!(place >= -1 && place <= static_cast<T>(num_cells))) return tap;
    place = larger(place, T(0));
    tap.low = static_cast<int64_t>(place);
    if (tap.low >= num_cells - 1) {
      tap.low = tap.high = num_cells - 1;
      tap.low_weight = 1;
      return tap;
    }
    tap.high = tap.low + 1;
    tap.high_weight = place - static_cast<T>(tap.low);
    tap.low_weight = 1 - tap.high_weight;
    return tap;
  }
};

// How F.interpolate enlarges `num_cells` to `size`.
template <class T>
BLENDMASK_BOTH inline Tap<T> resize_tap(int64_t i, int64_t num_cells, int64_t size,
                                        bool bilinear) {
  Tap<T> tap;
  if (!bilinear) {
    const int64_t cell = i * num_cells / size;
    tap.low = tap.high = cell < num_cells - 1 ? cell : num_cells - 1;
    tap.low_weight = 1;
    return tap;
  }
  const T scale = static_cast<T>(num_cells) / static_cast<T>(size), half = static_cast<T>(0.5);
  const T place = larger(scale * (static_cast<T>(i) + half) - half, T(0));
  const auto cell = static_cast<int64_t>(place);
  tap.low = cell < num_cells - 1 ? cell : num_cells - 1;
  tap.high = tap.low + 1 < num_cells - 1 ? tap.low + 1 : num_cells - 1;
  const T weight = place - static_cast<T>(tap.low);
  tap.high_weight = weight < T(0) ? T(0) : (weight > T(1) ? T(1) : weight);
  tap.low_weight = 1 - tap.high_weight;
  return tap;
}

// What a sample adds to its bin; the weights of its row hold its share of the bin.
template <class T>
BLENDMASK_BOTH inline T sample_of(const T* upper, const T* lower, T upper_weight, T lower_weight,
                                  const Tap<T>& column) {
  return column.low_weight * (upper_weight * upper[column.low] + lower_weight * lower[column.low]) +
         column.high_weight *
             (upper_weight * upper[column.high] + lower_weight * lower[column.high]);
}

}  // namespace blendmask
