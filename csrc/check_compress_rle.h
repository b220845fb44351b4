// What blendmask::compress_rle is given, checked; where the offsets point, no device is asked.
#pragma once

#include "check_tensors.h"

namespace blendmask {

inline void check_compress_rle(const torch::stable::Tensor& counts,
                               const torch::stable::Tensor& offsets) {
  constexpr auto kLong = torch::headeronly::ScalarType::Long;
  check_are_together("compress_rle", {&counts, &offsets});
  check_type("compress_rle", "counts", counts, kLong, "int64");
  check_type("compress_rle", "offsets", offsets, kLong, "int64");
  STD_TORCH_CHECK(counts.dim() == 1, "compress_rle: counts must be (T,), not ", shape_of(counts));
  STD_TORCH_CHECK(offsets.dim() == 1 && offsets.size(0) >= 1,
                  "compress_rle: offsets must be (R + 1,), not ", shape_of(offsets));
}

}  // namespace blendmask
