// blendmask::blend on the CPU: ROIAlign of the bases, attentions enlarged, softmax over bases,
// weighted sum and sigmoid in one pass, a row of the mask at a time.
#include "masks.h"

#include <algorithm>
#include <cmath>
#include <tuple>

#include <torch/csrc/stable/library.h>

#include "../blend_math.h"
#include "../check_blend.h"

namespace blendmask {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

template <class T>
std::vector<Tap<T>> region_taps(T low, T high, int64_t size, int64_t ratio, bool aligned,
                                int64_t num_cells) {
  const RegionAxis<T> axis(low, high, size, ratio, aligned, num_cells);
  std::vector<Tap<T>> taps(size * ratio);
  for (int64_t i = 0; i < size * ratio; ++i) taps[i] = axis.tap(i);
  return taps;
}

template <class T>
std::vector<Tap<T>> resize_taps(int64_t num_cells, int64_t size, bool bilinear) {
  std::vector<Tap<T>> taps(size);
  for (int64_t i = 0; i < size; ++i) taps[i] = resize_tap<T>(i, num_cells, size, bilinear);
  return taps;
}

// One row of logits becomes probabilities; `regions` and `weights` are (K, size).
BLENDMASK_AVX2 void finish_row(int64_t num_bases, int64_t size, const float* regions,
                               float* weights, float* __restrict highest, float* __restrict total,
                               float* __restrict out) {
  for (int64_t x = 0; x < size; ++x) highest[x] = weights[x];
  for (int64_t k = 1; k < num_bases; ++k) {
    for (int64_t x = 0; x < size; ++x) highest[x] = std::max(highest[x], weights[k * size + x]);
  }
  for (int64_t x = 0; x < size; ++x) total[x] = out[x] = 0;
  for (int64_t k = 0; k < num_bases; ++k) {
    for (int64_t x = 0; x < size; ++x) {
      const float weight = exponential(weights[k * size + x] - highest[x]);
      total[x] += weight;
      out[x] += weight * regions[k * size + x];
    }
  }
  for (int64_t x = 0; x < size; ++x) out[x] = 1 / (1 + exponential(-(out[x] / total[x])));
}

// For checks of the gradient, not for speed.
void finish_row(int64_t num_bases, int64_t size, const double* regions, double* weights,
                double* highest, double* total, double* out) {
  for (int64_t x = 0; x < size; ++x) {
    highest[x] = weights[x];
    for (int64_t k = 1; k < num_bases; ++k) highest[x] = std::max(highest[x], weights[k * size + x]);
    total[x] = out[x] = 0;
    for (int64_t k = 0; k < num_bases; ++k) {
      const double weight = std::exp(weights[k * size + x] - highest[x]);
      total[x] += weight;
      out[x] += weight * regions[k * size + x];
    }
    out[x] = 1 / (1 + std::exp(-(out[x] / total[x])));
  }
}

// Adds what one row of samples reads between two rows of a base; `ratio` samples to a bin.
template <class T>
void read_region(const T* upper, const T* lower, T upper_weight, T lower_weight,
                 const std::vector<Tap<T>>& columns, int64_t ratio, T* region) {
  const Tap<T>* column = columns.data();
  for (const Tap<T>* end = column + columns.size(); column != end; ++region) {
    for (int64_t sample = 0; sample < ratio; ++sample, ++column) {
      *region += sample_of(upper, lower, upper_weight, lower_weight, *column);
    }
  }
}

// One instance: bases (K, height, width), attentions (K, A, A), out (M, M).
template <class T>
void blend_one(const BlendGeometry& sizes, const T* bases, const T* box, const T* attentions,
               const std::vector<Tap<T>>& resize, T* out) {
  const int64_t num_bases = sizes.num_bases, size = sizes.mask, ratio = sizes.ratio;
  const auto columns = region_taps(box[0], box[2], size, ratio, sizes.aligned, sizes.width);
  const auto rows = region_taps(box[1], box[3], size, ratio, sizes.aligned, sizes.height);
  const T share = 1 / static_cast<T>(ratio * ratio);
  std::vector<T> regions(num_bases * size), weights(num_bases * size), scratch(2 * size);
  std::vector<T> line(std::max(sizes.width, sizes.attention));
  for (int64_t y = 0; y < size; ++y) {
    std::fill(regions.begin(), regions.end(), T(0));
    for (int64_t k = 0; k < num_bases; ++k) {
      const T* base = bases + k * sizes.height * sizes.width;
      for (int64_t sample = 0; sample < ratio; ++sample) {
        const Tap<T>& row = rows[y * ratio + sample];
        read_region(base + row.low * sizes.width, base + row.high * sizes.width,
                    share * row.low_weight, share * row.high_weight, columns, ratio,
                    &regions[k * size]);
      }
      const T* upper = attentions + (k * sizes.attention + resize[y].low) * sizes.attention;
      const T* lower = attentions + (k * sizes.attention + resize[y].high) * sizes.attention;
      for (int64_t x = 0; x < sizes.attention; ++x) {
        line[x] = resize[y].low_weight * upper[x] + resize[y].high_weight * lower[x];
      }
      for (int64_t x = 0; x < size; ++x) {
        weights[k * size + x] = resize[x].low_weight * line[resize[x].low] +
                                resize[x].high_weight * line[resize[x].high];
      }
    }
    finish_row(num_bases, size, regions.data(), weights.data(), scratch.data(),
               scratch.data() + size, out + y * size);
  }
}

template <class T>
Tensor blend_all(const Tensor& bases, const Tensor& boxes, const Tensor& images,
                 const Tensor& attentions, const BlendGeometry& sizes) {
  const int64_t num_instances = sizes.num_instances;
  const auto* image = images.const_data_ptr<int64_t>();
  for (int64_t i = 0; i < num_instances; ++i) {
    STD_TORCH_CHECK(image[i] >= 0 && image[i] < sizes.num_images, "blend: image ", image[i], " of ",
                    sizes.num_images);
  }
  Tensor out = new_tensor({num_instances, sizes.mask, sizes.mask}, bases.scalar_type());
  const auto* base = bases.const_data_ptr<T>();
  const auto* box = boxes.const_data_ptr<T>();
  const auto* attention = attentions.const_data_ptr<T>();
  auto* probability = out.mutable_data_ptr<T>();
  const int64_t base_size = sizes.num_bases * sizes.height * sizes.width;
  const int64_t attention_size = sizes.num_bases * sizes.attention * sizes.attention;
  const auto resize = resize_taps<T>(sizes.attention, sizes.mask, sizes.bilinear);
  const int64_t about = num_instances * sizes.mask * sizes.mask * sizes.num_bases * 4;
  for_each(num_instances, about, [&](int64_t i) {
    blend_one(sizes, base + image[i] * base_size, box + 4 * i, attention + i * attention_size,
              resize, probability + i * sizes.mask * sizes.mask);
  });
  return out;
}

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

STABLE_TORCH_LIBRARY_IMPL(blendmask, CPU, library) {
  library.impl("blend", TORCH_BOX(&blendmask::blend));
}
