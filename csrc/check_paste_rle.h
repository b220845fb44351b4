// What blendmask::paste_rle is given, checked; and maps over boxes wherever else they come.
#pragma once

#include "check_tensors.h"

namespace blendmask {

inline void check_masks(const char* operation, const torch::stable::Tensor& probabilities,
                        const torch::stable::Tensor& boxes_xyxy, int64_t height, int64_t width,
                        double threshold) {
  constexpr auto kFloat = torch::headeronly::ScalarType::Float;
  check_type(operation, "probabilities", probabilities, kFloat, "float32");
  check_type(operation, "boxes", boxes_xyxy, kFloat, "float32");
  STD_TORCH_CHECK(probabilities.dim() == 3 && probabilities.size(1) == probabilities.size(2) &&
                      probabilities.size(1) >= 1,
                  operation, ": probabilities must be (R, M, M), M 1 or more, not ",
                  shape_of(probabilities));
  const int64_t num_masks = probabilities.size(0);
  STD_TORCH_CHECK(
      boxes_xyxy.dim() == 2 && boxes_xyxy.size(0) == num_masks && boxes_xyxy.size(1) == 4,
      operation, ": boxes must be (", num_masks, ", 4), not ", shape_of(boxes_xyxy));
  STD_TORCH_CHECK(height >= 1 && width >= 1, operation, ": a picture of ", width, "×", height,
                  " has no pixels");
  STD_TORCH_CHECK(threshold > 0 && threshold <= 1, operation, ": threshold is ", threshold,
                  "; it must be above 0 and at most 1");
}

inline void check_paste_rle(const torch::stable::Tensor& probabilities,
                            const torch::stable::Tensor& boxes_xyxy, int64_t height, int64_t width,
                            double threshold) {
  check_are_together("paste_rle", {&probabilities, &boxes_xyxy});
  check_masks("paste_rle", probabilities, boxes_xyxy, height, width, threshold);
}

}  // namespace blendmask
