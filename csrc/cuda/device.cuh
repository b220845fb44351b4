// What a kernel's host side needs: the tensors' device made current, the caller's stream, scratch
// memory, launches whose error is tested. Nothing here waits for the device.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <vector>

#include <torch/csrc/stable/library.h>
#include <torch/csrc/stable/ops.h>
#include <torch/csrc/stable/tensor.h>

#ifdef BLENDMASK_EMULATED
#include "emulation.h"  // the same names, run as loops on the CPU: tests/csrc
#else
#include <cuda_runtime.h>

#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/csrc/stable/accelerator.h>
#include <torch/csrc/stable/macros.h>

#define BLENDMASK_OPERATIONS(library) STABLE_TORCH_LIBRARY_IMPL(blendmask, CUDA, library)

namespace blendmask {

// The number of this thread among those of the launch; kernels return where it is too high.
__device__ inline int64_t thread_number() {
  return static_cast<int64_t>(blockIdx.x) * blockDim.x + threadIdx.x;
}

__device__ inline void add_to(int64_t* place, int64_t value) {
  static_assert(sizeof(int64_t) == sizeof(unsigned long long));
  atomicAdd(reinterpret_cast<unsigned long long*>(place), static_cast<unsigned long long>(value));
}
__device__ inline void raise_to(int64_t* place, int64_t value) {
  atomicMax(reinterpret_cast<long long*>(place), static_cast<long long>(value));
}
__device__ inline void lower_to(int64_t* place, int64_t value) {
  atomicMin(reinterpret_cast<long long*>(place), static_cast<long long>(value));
}

// The device of a tensor, current while this lives.
class Device {
 public:
  explicit Device(const torch::stable::Tensor& tensor)
      : guard_(tensor.get_device_index()), like_(tensor) {
    void* stream = nullptr;
    STABLE_TORCH_ERROR_CODE_CHECK(
        aoti_torch_get_current_cuda_stream(tensor.get_device_index(), &stream));
    stream_ = static_cast<cudaStream_t>(stream);
  }

  // Uninitialised memory on the device, given back in the stream's order.
  torch::stable::Tensor empty(std::initializer_list<int64_t> shape,
                              torch::headeronly::ScalarType dtype) const {
    const std::vector<int64_t> sizes(shape);
    return torch::stable::new_empty(like_, sizes, dtype);
  }

  // Runs a kernel in so many threads, and some more to a full block.
  template <class... Parameters, class... Arguments>
  void run(void (*kernel)(Parameters...), int64_t num_threads, Arguments... arguments) const {
    if (num_threads == 0) return;
    const int64_t num_blocks = (num_threads + kBlock - 1) / kBlock;
    STD_TORCH_CHECK(num_blocks < int64_t{1} << 31, "too much for one launch: ", num_threads,
                    " threads");
    kernel<<<static_cast<unsigned>(num_blocks), kBlock, 0, stream_>>>(
        static_cast<Parameters>(arguments)...);
    STD_CUDA_KERNEL_LAUNCH_CHECK();
  }

 private:
  static constexpr int64_t kBlock = 128;
  torch::stable::accelerator::DeviceGuard guard_;
  torch::stable::Tensor like_;
  cudaStream_t stream_ = nullptr;
};

}  // namespace blendmask
#endif
