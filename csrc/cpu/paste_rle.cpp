// blendmask::paste_rle on the CPU. What it must return: `model/operations/ops.py`.
#include "masks.h"

#include <tuple>

#include <torch/csrc/stable/library.h>

#include "../check_paste_rle.h"

namespace blendmask {
namespace {

using torch::stable::Tensor;

std::tuple<Tensor, Tensor, Tensor, Tensor> paste_rle(Tensor probabilities, Tensor boxes_xyxy,
                                                     int64_t height, int64_t width,
                                                     double threshold) {
  check_paste_rle(probabilities, boxes_xyxy, height, width, threshold);
  const int64_t num_masks = probabilities.size(0), size = probabilities.size(1);
  const Tensor maps = torch::stable::contiguous(probabilities);
  const Tensor boxes = torch::stable::contiguous(boxes_xyxy);
  const auto* map = maps.const_data_ptr<float>();
  const auto* box = boxes.const_data_ptr<float>();
  std::vector<Mask> masks(num_masks);
  for_each(num_masks, paste_nanoseconds(num_masks, size, width), [&](int64_t i) {
    masks[i] = paste(map + i * size * size, size, box + 4 * i, height, width,
                     static_cast<float>(threshold));
  });
  PackedMasks packed = pack(masks, height * width);
  return {packed.counts, packed.offsets, packed.areas, packed.boxes_xywh};
}

}  // namespace
}  // namespace blendmask

STABLE_TORCH_LIBRARY_IMPL(blendmask, CPU, library) {
  library.impl("paste_rle", TORCH_BOX(&blendmask::paste_rle));
}
