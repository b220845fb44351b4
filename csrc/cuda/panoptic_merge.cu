// blendmask::panoptic_merge on a CUDA device. What it must return: `model/operations/ops.py`; how many
// segments there are is known on the device alone, so there is room for more (model/prediction/panoptic.py).
//
// Whether an instance gets its pixels depends on those before it: two launches each, one that
// counts and one that takes. Until all is decided the picture holds an instance's number plus
// one, or minus the label of stuff.
#include "device.cuh"
#include "labels.cuh"
#include "mask_reader.cuh"
#include "partition_runs.cuh"

#include <algorithm>
#include <limits>
#include <tuple>

#include "../check_panoptic_merge.h"

namespace blendmask {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kThreads = 16384;  // that share the pixels of one instance
constexpr int64_t kRows = 32;        // of a column that one thread counts
constexpr int64_t kNothing = std::numeric_limits<int64_t>::min();  // the source of no segment

struct Scene {
  Masks masks;
  const float* scores;
  double score_threshold, max_overlap;
  int64_t min_stuff_area, num_threads;
  int32_t* ids;
  int64_t *num_good, *areas, *free_areas;  // (), (R,), (R,)
  int64_t* label_areas;                    // (kMostLabels,)
  int64_t *thing_numbers, *stuff_numbers;  // segments of instances and of labels, 0 for none
};

__global__ void clear_scene(Scene scene) {
  const int64_t number = thread_number();
  if (number < scene.masks.height * scene.masks.width) scene.ids[number] = 0;
  if (number < kMostLabels) scene.label_areas[number] = 0;
  if (number < scene.masks.num_masks) scene.areas[number] = scene.free_areas[number] = 0;
  if (number > 0) return;
  int64_t good = 0;  // the first low score ends the instances
  while (good < scene.masks.num_masks && !(scene.scores[good] < scene.score_threshold)) ++good;
  *scene.num_good = good;
}

// Calls visit(pixel) for this thread's share of the pixels of a mask.
template <class Visit>
__device__ void each_pixel(const Scene& scene, int64_t mask, const Visit& visit) {
  if (thread_number() >= scene.num_threads || mask >= *scene.num_good) return;
  const MaskReader reader(scene.masks, mask);
  const int64_t top = reader.bands[0], left = reader.first_column;
  const int64_t width = reader.last_column - left;
  const int64_t num_pixels = width * (reader.bands[reader.size + 1] - top);
  for (int64_t i = thread_number(); i < num_pixels; i += scene.num_threads) {
    const int64_t row = top + i / width, column = left + i % width;
    if (reader.is_object(column, row)) visit(row * scene.masks.width + column);
  }
}

__global__ void count_pixels(Scene scene, int64_t mask) {
  int64_t area = 0, free_area = 0;
  each_pixel(scene, mask, [&](int64_t pixel) {
    ++area;
    free_area += scene.ids[pixel] == 0;
  });
  if (area > 0) add_to(&scene.areas[mask], area);
  if (free_area > 0) add_to(&scene.free_areas[mask], free_area);
}

__device__ bool is_accepted(const Scene& scene, int64_t mask) {
  const int64_t area = scene.areas[mask];
  if (mask >= *scene.num_good || area == 0) return false;
  const auto covered = static_cast<double>(area - scene.free_areas[mask]);
  return !(covered / static_cast<double>(area) > scene.max_overlap);
}

__global__ void take_pixels(Scene scene, int64_t mask) {
  if (!is_accepted(scene, mask)) return;
  each_pixel(scene, mask, [&](int64_t pixel) {
    if (scene.ids[pixel] == 0) scene.ids[pixel] = static_cast<int32_t>(mask) + 1;
  });
}

// A thread for each pixel that no instance has.
__global__ void label_pixels(Scene scene, Logits logits) {
  const int64_t pixel = thread_number(), height = scene.masks.height, width = scene.masks.width;
  if (pixel >= height * width || scene.ids[pixel] != 0) return;
  const Reading row = reading_of(pixel / width, height, logits.view_height, logits.height);
  const Reading column = reading_of(pixel % width, width, logits.view_width, logits.width);
  scene.ids[pixel] = -label_at(logits, row, column);
}

// A thread for each kRows pixels of a column.
__global__ void count_labels(Scene scene) {
  const int64_t height = scene.masks.height, width = scene.masks.width;
  const int64_t column = thread_number() % width, first = thread_number() / width * kRows;
  if (first >= height) return;
  const int64_t last = first + kRows < height ? first + kRows : height;
  int64_t start = first;
  int32_t id = scene.ids[first * width + column];
  for (int64_t row = first + 1; row <= last; ++row) {
    const int32_t next = row < last ? scene.ids[row * width + column] : 0;
    if (row < last && next == id) continue;
    if (id < 0) add_to(&scene.label_areas[-id], row - start);
    id = next;
    start = row;
  }
}

// One thread: things in their order, then stuff by its label.
__global__ void number_segments(Scene scene, int64_t room, int64_t* sources,
                                int64_t* num_segments) {
  if (thread_number() > 0) return;
  int64_t number = 0;
  for (int64_t mask = 0; mask < scene.masks.num_masks; ++mask) {
    const bool accepted = is_accepted(scene, mask);
    scene.thing_numbers[mask] = accepted ? number + 1 : 0;
    if (accepted) sources[number++] = mask;
  }
  const int64_t least = scene.min_stuff_area > 1 ? scene.min_stuff_area : 1;
  for (int64_t label = 0; label < kMostLabels; ++label) {
    const bool large = label > 0 && scene.label_areas[label] >= least;
    scene.stuff_numbers[label] = large ? number + 1 : 0;
    if (large) sources[number++] = -label;
  }
  *num_segments = number;
  while (number < room) sources[number++] = kNothing;
}

// A thread for each pixel.
__global__ void rename_pixels(Scene scene) {
  const int64_t pixel = thread_number();
  if (pixel >= scene.masks.height * scene.masks.width) return;
  const int32_t id = scene.ids[pixel];
  const int64_t number = id > 0 ? scene.thing_numbers[id - 1] : scene.stuff_numbers[-id];
  scene.ids[pixel] = static_cast<int32_t>(number);
}

using Result = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

struct Given {
  Tensor probabilities, boxes_xyxy, scores, logits;
};

// Everything but the checks.
Result merge(const Given& given, Scene scene, Logits logits) {
  const Device device(given.logits);
  Masks& masks = scene.masks;
  const int64_t num_masks = masks.num_masks, num_pixels = masks.height * masks.width;
  const int64_t room = num_masks + logits.num_labels - 1;
  const int64_t num_places = room + 128 * masks.width;
  Tensor bands = device.empty({num_masks, masks.size + 2}, ScalarType::Long);
  Tensor state = device.empty({2 + 2 * kMostLabels + 5 * num_masks}, ScalarType::Long);
  Tensor best = device.empty({logits.height, logits.width}, ScalarType::Int);
  Tensor places = device.empty({room * masks.width + 1}, ScalarType::Long);
  Tensor ids = device.empty({masks.height, masks.width}, ScalarType::Int);
  Tensor sources = device.empty({room}, ScalarType::Long);
  Tensor areas = device.empty({room}, ScalarType::Long);
  Tensor boxes_xywh = device.empty({room, 4}, ScalarType::Long);
  Tensor counts = device.empty({num_places}, ScalarType::Long);
  Tensor offsets = device.empty({room + 1}, ScalarType::Long);

  auto* next = state.mutable_data_ptr<int64_t>();
  const auto part = [&](int64_t count) { return (next += count) - count; };
  masks.bands = bands.mutable_data_ptr<int64_t>();
  masks.columns = part(2 * num_masks);
  scene.num_good = part(1);
  int64_t* num_segments = part(1);
  scene.areas = part(num_masks);
  scene.free_areas = part(num_masks);
  scene.thing_numbers = part(num_masks);
  scene.label_areas = part(kMostLabels);
  scene.stuff_numbers = part(kMostLabels);
  scene.ids = ids.mutable_data_ptr<int32_t>();
  scene.num_threads = std::min(kThreads, num_pixels);
  logits.best = best.mutable_data_ptr<int32_t>();

  device.run(find_bands, num_masks * (masks.size + 2), masks);
  device.run(clear_scene, std::max({num_pixels, kMostLabels, num_masks}), scene);
  for (int64_t mask = 0; mask < num_masks; ++mask) {
    device.run(count_pixels, scene.num_threads, scene, mask);
    device.run(take_pixels, scene.num_threads, scene, mask);
  }
  device.run(find_best, logits.height * logits.width, logits);
  device.run(label_pixels, num_pixels, scene, logits);
  device.run(count_labels, masks.width * ((masks.height + kRows - 1) / kRows), scene);
  device.run(number_segments, 1, scene, room, sources.mutable_data_ptr<int64_t>(), num_segments);
  device.run(rename_pixels, num_pixels, scene);
  const Partition partition = {scene.ids,
                               num_segments,
                               room,
                               masks.height,
                               masks.width,
                               places.mutable_data_ptr<int64_t>(),
                               areas.mutable_data_ptr<int64_t>(),
                               boxes_xywh.mutable_data_ptr<int64_t>()};
  encode_partition(device, partition, counts.mutable_data_ptr<int64_t>(), num_places,
                   offsets.mutable_data_ptr<int64_t>());
  return {ids, sources, areas, boxes_xywh, counts, offsets};
}

Result panoptic_merge(Tensor probabilities, Tensor boxes_xyxy, Tensor scores, Tensor logits,
                      int64_t resized_height, int64_t resized_width, int64_t height,
                      int64_t width, double mask_threshold, double score_threshold,
                      double max_overlap, int64_t min_stuff_area) {
  check_panoptic_merge(probabilities, boxes_xyxy, scores, logits, resized_height, resized_width,
                       height, width, mask_threshold);
  const int64_t num_masks = probabilities.size(0), size = probabilities.size(1);
  const Device device(logits);
  const Given given = {
      torch::stable::contiguous(probabilities), torch::stable::contiguous(boxes_xyxy),
      torch::stable::contiguous(scores), torch::stable::contiguous(logits)};
  Scene scene = {};
  scene.masks.maps = given.probabilities.const_data_ptr<float>();
  scene.masks.boxes = given.boxes_xyxy.const_data_ptr<float>();
  scene.masks.num_masks = num_masks;
  scene.masks.size = size;
  scene.masks.height = height;
  scene.masks.width = width;
  scene.masks.threshold = static_cast<float>(mask_threshold);
  scene.scores = given.scores.const_data_ptr<float>();
  scene.score_threshold = score_threshold;
  scene.max_overlap = max_overlap;
  scene.min_stuff_area = min_stuff_area;
  const Logits view = {given.logits.const_data_ptr<float>(),
                       logits.size(0),
                       logits.size(1),
                       logits.size(2),
                       resized_height,
                       resized_width,
                       nullptr};
  return merge(given, scene, view);
}

}  // namespace
}  // namespace blendmask

BLENDMASK_OPERATIONS(library) {
  library.impl("panoptic_merge", TORCH_BOX(&blendmask::panoptic_merge));
}
