// What blendmask::panoptic_merge is given, checked.
#pragma once

#include "check_paste_rle.h"

namespace blendmask {

constexpr int64_t kMostLabels = 256;  // a label is a byte

inline void check_panoptic_merge(const torch::stable::Tensor& probabilities,
                                 const torch::stable::Tensor& boxes_xyxy,
                                 const torch::stable::Tensor& scores,
                                 const torch::stable::Tensor& logits, int64_t resized_height,
                                 int64_t resized_width, int64_t height, int64_t width,
                                 double mask_threshold) {
  constexpr auto kFloat = torch::headeronly::ScalarType::Float;
  check_are_together("panoptic_merge", {&probabilities, &boxes_xyxy, &scores, &logits});
  check_masks("panoptic_merge", probabilities, boxes_xyxy, height, width, mask_threshold);
  check_type("panoptic_merge", "scores", scores, kFloat, "float32");
  check_type("panoptic_merge", "logits", logits, kFloat, "float32");
  const int64_t num_masks = probabilities.size(0);
  STD_TORCH_CHECK(scores.dim() == 1 && scores.size(0) == num_masks,
                  "panoptic_merge: scores must be (", num_masks, ",), not ", shape_of(scores));
  STD_TORCH_CHECK(logits.dim() == 3 && logits.size(0) >= 1 && logits.size(0) <= kMostLabels &&
                      logits.size(1) >= 1 && logits.size(2) >= 1,
                  "panoptic_merge: logits must be (1 to ", kMostLabels,
                  ", h, w) and not empty, not ", shape_of(logits));
  const int64_t canvas_height = 4 * logits.size(1), canvas_width = 4 * logits.size(2);
  STD_TORCH_CHECK(resized_height >= 1 && resized_height <= canvas_height && resized_width >= 1 &&
                      resized_width <= canvas_width,
                  "panoptic_merge: a view of ", resized_width, "×", resized_height,
                  " is not within a canvas of ", canvas_width, "×", canvas_height);
}

}  // namespace blendmask
