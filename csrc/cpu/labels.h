// The best semantic label of every pixel of a picture.
#pragma once

#include "masks.h"

namespace blendmask {

// Logits at a quarter of the canvas: (num_labels, height, width), at most 256 labels.
struct Logits {
  const float* values;
  int64_t num_labels, height, width;
};

// Labels of a height × width picture, column by column; the view is its part of the canvas.
std::vector<uint8_t> best_labels(const Logits& logits, int64_t view_height, int64_t view_width,
                                 int64_t height, int64_t width);

}  // namespace blendmask
