// blendmask::paste_rle on a CUDA device. What it must return: `model/operations/ops.py`.
//
// A thread walks a few columns of one mask, twice: first to count the ends of runs, then, the
// counts being summed up, to write the run lengths where they belong. The number of run lengths
// is known on the device alone; `counts` has room for most masks, and offsets beyond it say that
// it did not do.
#include "device.cuh"
#include "mask_reader.cuh"

#include <tuple>

#include "../check_paste_rle.h"

namespace blendmask {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

constexpr int64_t kColumns = 4;  // of a thread

// Room for as many run lengths as a mask with one run in every column of the picture has; masks
// are narrower than that, which leaves room for those with more.
int64_t room(int64_t num_masks, int64_t width) { return num_masks * (2 * width + 64); }

// What one thread found in its columns; positions count along the columns, column after column.
struct Part {
  int64_t num_edges;  // then: how many edges of this mask come before
  int64_t last_edge;  // then: the last edge before, 0 if none
  int64_t area, left, right, top, bottom;
};
constexpr int64_t kPartFields = sizeof(Part) / sizeof(int64_t);

struct Job {
  Masks masks;
  int64_t num_parts;    // of a mask
  Part* parts;          // (N, num_parts)
  int64_t* last_edges;  // (N,)
};
// A thread for each part of each mask.
__global__ void count_edges(Job job) {
  const int64_t mask = thread_number() / job.num_parts, number = thread_number() % job.num_parts;
  if (mask >= job.masks.num_masks) return;
  const MaskReader reader(job.masks, mask);
  const int64_t start = reader.first_column + number * kColumns;
  if (start >= reader.last_column) return;
  const int64_t end =
      start + kColumns < reader.last_column ? start + kColumns : reader.last_column;
  Part part = {0, 0, 0, job.masks.width, 0, job.masks.height, 0};
  for (int64_t column = start; column < end; ++column) {
    int64_t open = -1;  // where the column's open run began
    reader.each_turn(column, [&](int64_t row) {
      if (reader.is_edge(column, row)) {
        ++part.num_edges;
        part.last_edge = column * reader.height + row;
      }
      if (open < 0) {
        open = row;
        if (row < part.top) part.top = row;
        if (column < part.left) part.left = column;
        part.right = column + 1;
      } else {
        part.area += row - open;
        open = -1;
        if (row > part.bottom) part.bottom = row;
      }
    });
  }
  job.parts[mask * job.num_parts + number] = part;
}

// A thread for each mask: where each part's edges go, and the sums.
__global__ void sum_parts(Job job, int64_t* num_counts, int64_t* areas, int64_t* boxes_xywh) {
  const int64_t mask = thread_number();
  if (mask >= job.masks.num_masks) return;
  const int64_t num_columns = job.masks.columns[2 * mask + 1] - job.masks.columns[2 * mask];
  const int64_t num_parts = (num_columns + kColumns - 1) / kColumns;
  Part whole = {0, 0, 0, job.masks.width, 0, job.masks.height, 0};
  Part* parts = job.parts + mask * job.num_parts;
  for (int64_t i = 0; i < num_parts; ++i) {
    const Part part = parts[i];
    parts[i].num_edges = whole.num_edges;
    parts[i].last_edge = whole.last_edge;
    if (part.num_edges > 0) whole.last_edge = part.last_edge;
    whole.num_edges += part.num_edges;
    whole.area += part.area;
    if (part.left < whole.left) whole.left = part.left;
    if (part.right > whole.right) whole.right = part.right;
    if (part.top < whole.top) whole.top = part.top;
    if (part.bottom > whole.bottom) whole.bottom = part.bottom;
  }
  const bool is_empty = whole.area == 0;
  job.last_edges[mask] = whole.last_edge;
  num_counts[mask] = whole.num_edges + 1;
  areas[mask] = whole.area;
  boxes_xywh[4 * mask] = is_empty ? 0 : whole.left;
  boxes_xywh[4 * mask + 1] = is_empty ? 0 : whole.top;
  boxes_xywh[4 * mask + 2] = is_empty ? 0 : whole.right - whole.left;
  boxes_xywh[4 * mask + 3] = is_empty ? 0 : whole.bottom - whole.top;
}

// One thread: masks are few.
__global__ void sum_counts(const int64_t* num_counts, int64_t num_masks, int64_t* offsets) {
  if (thread_number() > 0) return;
  int64_t sum = 0;
  for (int64_t mask = 0; mask < num_masks; ++mask) {
    offsets[mask] = sum;
    sum += num_counts[mask];
  }
  offsets[num_masks] = sum;
}

// A thread for each part of each mask, and one more for the count that ends it.
__global__ void write_counts(Job job, const int64_t* offsets, int64_t* counts, int64_t num_places) {
  const int64_t num_parts = job.num_parts + 1;
  const int64_t mask = thread_number() / num_parts, number = thread_number() % num_parts;
  if (mask >= job.masks.num_masks) return;
  if (number == job.num_parts) {
    const int64_t place = offsets[mask + 1] - 1;
    if (place < num_places) counts[place] = job.masks.height * job.masks.width - job.last_edges[mask];
    return;
  }
  const MaskReader reader(job.masks, mask);
  const int64_t start = reader.first_column + number * kColumns;
  if (start >= reader.last_column) return;
  const int64_t end =
      start + kColumns < reader.last_column ? start + kColumns : reader.last_column;
  const Part& part = job.parts[mask * job.num_parts + number];
  int64_t place = offsets[mask] + part.num_edges, before = part.last_edge;
  for (int64_t column = start; column < end; ++column) {
    reader.each_turn(column, [&](int64_t row) {
      if (!reader.is_edge(column, row)) return;
      const int64_t edge = column * reader.height + row;
      if (place < num_places) counts[place] = edge - before;
      ++place;
      before = edge;
    });
  }
}

std::tuple<Tensor, Tensor, Tensor, Tensor> paste_rle(Tensor probabilities, Tensor boxes_xyxy,
                                                     int64_t height, int64_t width,
                                                     double threshold) {
  check_paste_rle(probabilities, boxes_xyxy, height, width, threshold);
  const int64_t num_masks = probabilities.size(0), size = probabilities.size(1);
  const Device device(probabilities);
  const Tensor maps = torch::stable::contiguous(probabilities);
  const Tensor boxes = torch::stable::contiguous(boxes_xyxy);
  const int64_t num_parts = (width + kColumns - 1) / kColumns;
  const int64_t num_places = room(num_masks, width);
  Tensor bands = device.empty({num_masks, size + 2}, ScalarType::Long);
  Tensor columns = device.empty({num_masks, 2}, ScalarType::Long);
  Tensor parts = device.empty({num_masks, num_parts, kPartFields}, ScalarType::Long);
  Tensor last_edges = device.empty({num_masks}, ScalarType::Long);
  Tensor num_counts = device.empty({num_masks}, ScalarType::Long);
  Tensor counts = device.empty({num_places}, ScalarType::Long);
  Tensor offsets = device.empty({num_masks + 1}, ScalarType::Long);
  Tensor areas = device.empty({num_masks}, ScalarType::Long);
  Tensor boxes_xywh = device.empty({num_masks, 4}, ScalarType::Long);
  Job job;
  job.masks = {maps.const_data_ptr<float>(), boxes.const_data_ptr<float>(), num_masks, size,
               height, width, static_cast<float>(threshold), bands.mutable_data_ptr<int64_t>(),
               columns.mutable_data_ptr<int64_t>()};
  job.num_parts = num_parts;
  job.parts = reinterpret_cast<Part*>(parts.mutable_data_ptr<int64_t>());
  job.last_edges = last_edges.mutable_data_ptr<int64_t>();
  auto* number = num_counts.mutable_data_ptr<int64_t>();
  auto* offset = offsets.mutable_data_ptr<int64_t>();
  device.run(find_bands, num_masks * (size + 2), job.masks);
  device.run(count_edges, num_masks * num_parts, job);
  device.run(sum_parts, num_masks, job, number, areas.mutable_data_ptr<int64_t>(),
             boxes_xywh.mutable_data_ptr<int64_t>());
  device.run(sum_counts, 1, number, num_masks, offset);
  device.run(write_counts, num_masks * (num_parts + 1), job, offset,
             counts.mutable_data_ptr<int64_t>(), num_places);
  return {counts, offsets, areas, boxes_xywh};
}

}  // namespace
}  // namespace blendmask

BLENDMASK_OPERATIONS(library) { library.impl("paste_rle", TORCH_BOX(&blendmask::paste_rle)); }
