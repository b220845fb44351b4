// blendmask::blend on a CUDA device: one thread for each cell of each mask.
#include "device.cuh"

#include "../blend_math.h"

namespace blendmask {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

struct Sizes {
  int64_t num_instances, num_images, num_bases, height, width, attention, mask, ratio;
  bool aligned, bilinear;
};

template <class T>
struct Arguments {
  const T* bases;        // (N, K, height, width)
  const T* boxes;        // (R, 4)
  const int64_t* images;  // (R,)
  const T* attentions;   // (R, K, A, A)
};

// What a cell of the mask reads of one basis.
template <class T>
__device__ T region_at(const Sizes& sizes, const T* basis, const RegionAxis<T>& columns,
                       const RegionAxis<T>& rows, int64_t x, int64_t y) {
  const T share = 1 / static_cast<T>(sizes.ratio * sizes.ratio);
  T region = 0;
  for (int64_t j = 0; j < sizes.ratio; ++j) {
    const Tap<T> row = rows.tap(y * sizes.ratio + j);
    const T* upper = basis + row.low * sizes.width;
    const T* lower = basis + row.high * sizes.width;
    for (int64_t i = 0; i < sizes.ratio; ++i) {
      region += sample_of(upper, lower, share * row.low_weight, share * row.high_weight,
                          columns.tap(x * sizes.ratio + i));
    }
  }
  return region;
}

template <class T>
__device__ T attention_at(const T* map, int64_t size, const Tap<T>& column, const Tap<T>& row) {
  const T* upper = map + row.low * size;
  const T* lower = map + row.high * size;
  const T low = row.low_weight * upper[column.low] + row.high_weight * lower[column.low];
  const T high = row.low_weight * upper[column.high] + row.high_weight * lower[column.high];
  return column.low_weight * low + column.high_weight * high;
}

template <class T>
__global__ void blend_cells(Sizes sizes, Arguments<T> given, T* out) {
  const int64_t cells = sizes.mask * sizes.mask;
  const int64_t instance = thread_number() / cells, cell = thread_number() % cells;
  if (instance >= sizes.num_instances) return;
  const int64_t image = given.images[instance];
  if (image < 0 || image >= sizes.num_images) {
    out[thread_number()] = static_cast<T>(NAN);
    return;
  }
  const int64_t x = cell % sizes.mask, y = cell / sizes.mask;
  const T* box = given.boxes + 4 * instance;
  const RegionAxis<T> columns(box[0], box[2], sizes.mask, sizes.ratio, sizes.aligned, sizes.width);
  const RegionAxis<T> rows(box[1], box[3], sizes.mask, sizes.ratio, sizes.aligned, sizes.height);
  const Tap<T> column = resize_tap<T>(x, sizes.attention, sizes.mask, sizes.bilinear);
  const Tap<T> row = resize_tap<T>(y, sizes.attention, sizes.mask, sizes.bilinear);
  const int64_t attention_size = sizes.attention * sizes.attention;
  const T* attentions = given.attentions + instance * sizes.num_bases * attention_size;
  const T* bases = given.bases + image * sizes.num_bases * sizes.height * sizes.width;
  T highest = attention_at(attentions, sizes.attention, column, row);
  for (int64_t k = 1; k < sizes.num_bases; ++k) {
    highest = larger(highest, attention_at(attentions + k * attention_size, sizes.attention,
                                           column, row));
  }
  T total = 0, logit = 0;
  for (int64_t k = 0; k < sizes.num_bases; ++k) {
    const T attention =
        attention_at(attentions + k * attention_size, sizes.attention, column, row);
    const T weight = exponential(attention - highest);
    total += weight;
    logit += weight * region_at(sizes, bases + k * sizes.height * sizes.width, columns, rows, x, y);
  }
  out[thread_number()] = 1 / (1 + exponential(-(logit / total)));
}

template <class T>
Tensor blend_all(const Tensor& bases, const Tensor& boxes, const Tensor& images,
                 const Tensor& attentions, const Sizes& sizes) {
  const Device device(bases);
  Tensor out = device.empty({sizes.num_instances, sizes.mask, sizes.mask}, bases.scalar_type());
  const Arguments<T> given = {bases.const_data_ptr<T>(), boxes.const_data_ptr<T>(),
                              images.const_data_ptr<int64_t>(), attentions.const_data_ptr<T>()};
  device.run(blend_cells<T>, out.numel(), sizes, given, out.mutable_data_ptr<T>());
  return out;
}

// An image that isn't there gives NaN: to raise an error would mean to wait for the device.
Tensor blend(Tensor bases, Tensor boxes_xyxy, Tensor images, Tensor attentions, int64_t mask_size,
             int64_t sampling_ratio, bool aligned, bool bilinear) {
  for (const Tensor* tensor : {&bases, &boxes_xyxy, &images, &attentions}) {
    STD_TORCH_CHECK(is_here(*tensor) && tensor->get_device_index() == bases.get_device_index(),
                    "blend: all tensors must be on the same CUDA device");
  }
  const ScalarType dtype = bases.scalar_type();
  STD_TORCH_CHECK(dtype == ScalarType::Float || dtype == ScalarType::Double,
                  "blend: bases must be float32 or float64, not type number ",
                  static_cast<int>(dtype));
  STD_TORCH_CHECK(boxes_xyxy.scalar_type() == dtype && attentions.scalar_type() == dtype,
                  "blend: boxes and attentions must be of the type of bases");
  STD_TORCH_CHECK(images.scalar_type() == ScalarType::Long, "blend: images must be int64");
  STD_TORCH_CHECK(bases.dim() == 4 && bases.size(1) >= 1 && bases.size(2) >= 1 && bases.size(3) >= 1,
                  "blend: bases must be (N, K, H, W) and not empty");
  const int64_t num_instances = boxes_xyxy.dim() == 2 ? boxes_xyxy.size(0) : -1;
  STD_TORCH_CHECK(num_instances >= 0 && boxes_xyxy.size(1) == 4, "blend: boxes must be (R, 4)");
  STD_TORCH_CHECK(images.dim() == 1 && images.size(0) == num_instances, "blend: images must be (",
                  num_instances, ",)");
  STD_TORCH_CHECK(attentions.dim() == 4 && attentions.size(0) == num_instances &&
                      attentions.size(1) == bases.size(1) && attentions.size(2) >= 1 &&
                      attentions.size(2) == attentions.size(3),
                  "blend: attentions must be (", num_instances, ", ", bases.size(1), ", A, A)");
  STD_TORCH_CHECK(mask_size >= 1 && sampling_ratio >= 1, "blend: mask_size ", mask_size,
                  " and sampling_ratio ", sampling_ratio, " must be 1 or more");
  const Sizes sizes = {num_instances, bases.size(0), bases.size(1), bases.size(2), bases.size(3),
                       attentions.size(2), mask_size, sampling_ratio, aligned, bilinear};
  const Tensor all[] = {torch::stable::contiguous(bases), torch::stable::contiguous(boxes_xyxy),
                        torch::stable::contiguous(images), torch::stable::contiguous(attentions)};
  if (dtype == ScalarType::Double) return blend_all<double>(all[0], all[1], all[2], all[3], sizes);
  return blend_all<float>(all[0], all[1], all[2], all[3], sizes);
}

}  // namespace
}  // namespace blendmask

BLENDMASK_OPERATIONS(library) { library.impl("blend", TORCH_BOX(&blendmask::blend)); }
