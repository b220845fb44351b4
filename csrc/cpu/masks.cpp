#include "masks.h"

#include <algorithm>
#include <cmath>

namespace blendmask {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

void Mask::write_counts(int64_t num_pixels, int64_t* out) const {
  int64_t before = 0;
  for (const int64_t edge : edges) {
    *out++ = edge - before;
    before = edge;
  }
  if (edges.empty() || before < num_pixels) *out = num_pixels - before;
}

Tensor new_tensor(std::initializer_list<int64_t> shape, ScalarType dtype) {
  const std::vector<int64_t> sizes(shape);
  return torch::stable::empty(sizes, dtype);
}

PackedMasks pack(const std::vector<Mask>& masks, int64_t num_pixels) {
  const auto num_masks = static_cast<int64_t>(masks.size());
  PackedMasks packed;
  packed.offsets = new_tensor({num_masks + 1}, ScalarType::Long);
  packed.areas = new_tensor({num_masks}, ScalarType::Long);
  packed.boxes_xywh = new_tensor({num_masks, 4}, ScalarType::Long);
  auto* offsets = packed.offsets.mutable_data_ptr<int64_t>();
  auto* areas = packed.areas.mutable_data_ptr<int64_t>();
  auto* boxes = packed.boxes_xywh.mutable_data_ptr<int64_t>();
  offsets[0] = 0;
  for (int64_t i = 0; i < num_masks; ++i) {
    const Mask& mask = masks[i];
    offsets[i + 1] = offsets[i] + mask.num_counts(num_pixels);
    areas[i] = mask.area;
    boxes[4 * i] = mask.left;
    boxes[4 * i + 1] = mask.top;
    boxes[4 * i + 2] = mask.right - mask.left;
    boxes[4 * i + 3] = mask.bottom - mask.top;
  }
  packed.counts = new_tensor({offsets[num_masks]}, ScalarType::Long);
  auto* counts = packed.counts.mutable_data_ptr<int64_t>();
  for (int64_t i = 0; i < num_masks; ++i) masks[i].write_counts(num_pixels, counts + offsets[i]);
  return packed;
}

Axis read_axis(float low, float high, int64_t num_pixels, int64_t map_size) {
  Axis axis;
  if (!std::isfinite(low) || !std::isfinite(high) || !(high > low)) return axis;
  const double reach =
      (static_cast<double>(high) - static_cast<double>(low)) / static_cast<double>(map_size) / 2 +
      1;
  const auto pixels = static_cast<double>(num_pixels);
  const auto first =
      static_cast<int64_t>(std::clamp(std::floor(static_cast<double>(low) - reach), 0.0, pixels));
  const auto last =
      static_cast<int64_t>(std::clamp(std::ceil(static_cast<double>(high) + reach), 0.0, pixels));
  const float extent = high - low;
  const auto size = static_cast<float>(map_size);
  axis.cells.reserve(std::max<int64_t>(last - first, 0));
  axis.weights.reserve(axis.cells.capacity());
  for (int64_t pixel = first; pixel < last; ++pixel) {
    const float centre = static_cast<float>(pixel) + 0.5F;
    // grid_sample's convention without aligned corners: -1 and 1 are the map's outer edges.
    const float normalised = (centre - low) / extent * 2.0F - 1.0F;
    const float position = ((normalised + 1.0F) * size - 1.0F) / 2.0F;
    const float cell = std::floor(position);
    if (!(cell >= -1.0F && cell < size)) {
      if (axis.cells.empty()) continue;
      break;  // positions never decrease
    }
    if (axis.cells.empty()) axis.first = pixel;
    axis.cells.push_back(static_cast<int64_t>(cell) + 1);
    axis.weights.push_back(position - cell);
  }
  return axis;
}

}  // namespace blendmask
