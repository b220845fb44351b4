// What blendmask::blend is given, checked; whether the images are there, no device is asked.
#pragma once

#include "check_tensors.h"

namespace blendmask {

// Sizes of the maps, and how they are read.
struct BlendGeometry {
  int64_t num_instances, num_images, num_bases, height, width, attention, mask, ratio;
  bool aligned, bilinear;
};

inline BlendGeometry check_blend(const torch::stable::Tensor& bases,
                                 const torch::stable::Tensor& boxes_xyxy,
                                 const torch::stable::Tensor& images,
                                 const torch::stable::Tensor& attentions, int64_t mask_size,
                                 int64_t sampling_ratio, bool aligned, bool bilinear) {
  using torch::headeronly::ScalarType;
  check_are_together("blend", {&bases, &boxes_xyxy, &images, &attentions});
  const ScalarType dtype = bases.scalar_type();
  STD_TORCH_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double,
                  "blend: bases must be float32 or float64, not of type number ",
                  static_cast<int>(dtype));
  STD_TORCH_CHECK(boxes_xyxy.scalar_type() == dtype && attentions.scalar_type() == dtype,
                  "blend: boxes and attentions must be of the type of bases");
  check_type("blend", "images", images, ScalarType::Long, "int64");
  STD_TORCH_CHECK(
      bases.dim() == 4 && bases.size(1) >= 1 && bases.size(2) >= 1 && bases.size(3) >= 1,
      "blend: bases must be (N, K, H, W) and not empty, not ", shape_of(bases));
  STD_TORCH_CHECK(boxes_xyxy.dim() == 2 && boxes_xyxy.size(1) == 4,
                  "blend: boxes must be (R, 4), not ", shape_of(boxes_xyxy));
  const int64_t num_instances = boxes_xyxy.size(0);
  STD_TORCH_CHECK(images.dim() == 1 && images.size(0) == num_instances, "blend: images must be (",
                  num_instances, ",), not ", shape_of(images));
  STD_TORCH_CHECK(attentions.dim() == 4 && attentions.size(0) == num_instances &&
                      attentions.size(1) == bases.size(1) && attentions.size(2) >= 1 &&
                      attentions.size(2) == attentions.size(3),
                  "blend: attentions must be (", num_instances, ", ", bases.size(1),
                  ", A, A), A 1 or more, not ", shape_of(attentions));
  STD_TORCH_CHECK(mask_size >= 1, "blend: mask_size is ", mask_size, "; it must be 1 or more");
  STD_TORCH_CHECK(sampling_ratio >= 1, "blend: sampling_ratio is ", sampling_ratio,
                  "; it must be 1 or more");
  return {num_instances,      bases.size(0), bases.size(1),  bases.size(2), bases.size(3),
          attentions.size(2), mask_size,     sampling_ratio, aligned,       bilinear};
}

}  // namespace blendmask
