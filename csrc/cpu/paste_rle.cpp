// blendmask::paste_rle on the CPU. What it must return: `model/operations/ops.py`.
#include "masks.h"

#include <tuple>

#include <torch/csrc/stable/library.h>

namespace blendmask {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

std::tuple<Tensor, Tensor, Tensor, Tensor> paste_rle(Tensor probabilities, Tensor boxes_xyxy,
                                                     int64_t height, int64_t width,
                                                     double threshold) {
  STD_TORCH_CHECK(probabilities.is_cpu() && boxes_xyxy.is_cpu(),
                  "paste_rle: probabilities and boxes must both be on the CPU");
  STD_TORCH_CHECK(probabilities.scalar_type() == ScalarType::Float &&
                      boxes_xyxy.scalar_type() == ScalarType::Float,
                  "paste_rle: probabilities and boxes must be float32, not types number ",
                  static_cast<int>(probabilities.scalar_type()), " and ",
                  static_cast<int>(boxes_xyxy.scalar_type()));
  STD_TORCH_CHECK(probabilities.dim() == 3 && probabilities.size(1) == probabilities.size(2),
                  "paste_rle: probabilities must be (N, M, M), not of ", probabilities.dim(),
                  " dimensions or oblong");
  const int64_t num_masks = probabilities.size(0), size = probabilities.size(1);
  STD_TORCH_CHECK(size >= 1, "paste_rle: the maps have no cells");
  STD_TORCH_CHECK(
      boxes_xyxy.dim() == 2 && boxes_xyxy.size(0) == num_masks && boxes_xyxy.size(1) == 4,
      "paste_rle: boxes must be (", num_masks, ", 4)");
  STD_TORCH_CHECK(height >= 1 && width >= 1, "paste_rle: a picture of ", width, " by ", height,
                  " has no pixels");
  STD_TORCH_CHECK(threshold > 0 && threshold <= 1, "paste_rle: threshold is ", threshold,
                  "; it must be above 0 and at most 1");
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
