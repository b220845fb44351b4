// blendmask::blend on a CUDA device: one thread for each cell of each mask.
#include "device.cuh"

#include "../blend_math.h"
#include "../check_blend.h"

namespace blendmask {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <class T>
struct Arguments {
  const T* bases;        // (N, K, height, width)
  const T* boxes;        // (R, 4)
  const int64_t* images;  // (R,)
  const T* attentions;   // (R, K, A, A)
};

// What a cell of the mask reads of one basis.
template <class T>
__device__ T region_at(const BlendGeometry& sizes, const T* basis, const RegionAxis<T>& columns,
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
__global__ void blend_cells(BlendGeometry sizes, Arguments<T> given, T* out) {
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
                 const Tensor& attentions, const BlendGeometry& sizes) {
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
  const BlendGeometry sizes = check_blend(bases, boxes_xyxy, images, attentions, mask_size,
                                          sampling_ratio, aligned, bilinear);
  const Tensor all[] = {torch::stable::contiguous(bases), torch::stable::contiguous(boxes_xyxy),
                        torch::stable::contiguous(images), torch::stable::contiguous(attentions)};
  if (bases.scalar_type() == ScalarType::Double) {
    return blend_all<double>(all[0], all[1], all[2], all[3], sizes);
  }
  return blend_all<float>(all[0], all[1], all[2], all[3], sizes);
}

}  // namespace
}  // namespace blendmask

BLENDMASK_OPERATIONS(library) { library.impl("blend", TORCH_BOX(&blendmask::blend)); }
