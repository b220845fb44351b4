// What the checks of all operations share: each names the operation, what is wanted and what came.
// The dispatcher has seen to it that at least one tensor is on the implementation's own device.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include <torch/csrc/stable/tensor.h>

namespace blendmask {

inline std::string shape_of(const torch::stable::Tensor& tensor) {
  std::string text = "(";
  for (int64_t i = 0; i < tensor.dim(); ++i) {
    text += (i > 0 ? ", " : "") + std::to_string(tensor.size(i));
  }
  return text + (tensor.dim() == 1 ? ",)" : ")");
}

inline void check_are_together(const char* operation,
                               std::initializer_list<const torch::stable::Tensor*> tensors) {
  const torch::stable::Tensor& first = **tensors.begin();
  for (const torch::stable::Tensor* tensor : tensors) {
    STD_TORCH_CHECK(tensor->is_cpu() == first.is_cpu() && tensor->is_cuda() == first.is_cuda() &&
                        tensor->get_device_index() == first.get_device_index(),
                    operation, ": all tensors must be on the same device");
  }
}

inline void check_type(const char* operation, const char* name,
                       const torch::stable::Tensor& tensor,
                       torch::headeronly::ScalarType wanted, const char* wanted_name) {
  STD_TORCH_CHECK(tensor.scalar_type() == wanted, operation, ": ", name, " must be ", wanted_name,
                  ", not of type number ", static_cast<int>(tensor.scalar_type()));
}

}  // namespace blendmask
