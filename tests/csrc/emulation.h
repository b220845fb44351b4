// The kernels' surroundings as plain C++, so that their very code runs on a CPU: a launch is a
// loop over its threads, in a scrambled order, and fresh memory is full of rubbish.
// It stands in for what csrc/cuda/device.cuh has of CUDA.
#pragma once

#include <cstdint>
#include <cstring>
#include <initializer_list>
#include <numeric>
#include <vector>

#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#define __global__ static
#define __device__
#define __host__
#define BLENDMASK_OPERATIONS(library) STABLE_TORCH_LIBRARY_IMPL(blendmask_emulated, CPU, library)

namespace blendmask {

inline thread_local int64_t current_thread = 0;
inline int64_t thread_number() { return current_thread; }
inline void add_to(int64_t* place, int64_t value) { *place += value; }
inline void raise_to(int64_t* place, int64_t value) { *place = std::max(*place, value); }
inline void lower_to(int64_t* place, int64_t value) { *place = std::min(*place, value); }

class Device {
 public:
  explicit Device(const torch::stable::Tensor& tensor) : like_(tensor) {}

  torch::stable::Tensor empty(std::initializer_list<int64_t> shape,
                              torch::headeronly::ScalarType dtype) const {
    const std::vector<int64_t> sizes(shape);
    torch::stable::Tensor tensor = torch::stable::new_empty(like_, sizes, dtype);
    if (tensor.numel() > 0) {
      std::memset(tensor.mutable_data_ptr(), 0xA5, tensor.numel() * tensor.element_size());
    }
    return tensor;
  }

  template <class... Parameters, class... Arguments>
  void run(void (*kernel)(Parameters...), int64_t num_threads, Arguments... arguments) const {
    const int64_t count = (num_threads + kBlock - 1) / kBlock * kBlock;
    int64_t stride = count * 5 / 8 + 1;
    while (count > 0 && std::gcd(stride, count) != 1) ++stride;
    for (int64_t i = 0, thread = count / 3; i < count; ++i, thread = (thread + stride) % count) {
      current_thread = thread;
      kernel(static_cast<Parameters>(arguments)...);
    }
  }

 private:
  static constexpr int64_t kBlock = 128;
  torch::stable::Tensor like_;
};

}  // namespace blendmask
