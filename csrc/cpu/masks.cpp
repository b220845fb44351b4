#include "masks.h"

#include <algorithm>
#include <cmath>

#include "../paste_math.h"

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
  const PixelRange range = reachable(low, high, num_pixels, map_size);
  const float extent = high - low;
  const auto size = static_cast<float>(map_size);
  axis.cells.reserve(std::max<int64_t>(range.last - range.first, 0));
  axis.weights.reserve(axis.cells.capacity());
  for (int64_t pixel = range.first; pixel < range.last; ++pixel) {
    const float position = position_of(pixel, low, extent, size);
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
