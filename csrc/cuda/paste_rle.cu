// blendmask::paste_rle on a CUDA device. What it must return: `model/ops.py`.
//
// A thread walks a few columns of one mask, twice: first to count the ends of runs, then, the
// counts being summed up, to write the run lengths where they belong. The number of run lengths
// is known on the device alone; `counts` has room for most masks, and offsets beyond it say that
// it did not do.
#include "device.cuh"

#include <algorithm>
#include <tuple>

#include "../paste_math.h"

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
  const float* maps;
  const float* boxes;
  int64_t num_masks, size, height, width, num_parts;  // parts of a mask
  float threshold;
  int64_t* bands;    // (N, size + 2): the first row of each band, and the end
  int64_t* columns;  // (N, 2): first, end
  Part* parts;       // (N, num_parts)
  int64_t* last_edges;  // (N,)
};

// One mask, read at a pixel.
struct MaskReader {
  const float* map;
  const int64_t* bands;
  int64_t size, height, width, first_column, last_column;
  float left, column_extent, top, row_extent, threshold;

  __device__ MaskReader(const Job& job, int64_t mask)
      : map(job.maps + mask * job.size * job.size),
        bands(job.bands + mask * (job.size + 2)),
        size(job.size),
        height(job.height),
        width(job.width),
        first_column(job.columns[2 * mask]),
        last_column(job.columns[2 * mask + 1]),
        left(job.boxes[4 * mask]),
        column_extent(job.boxes[4 * mask + 2] - left),
        top(job.boxes[4 * mask + 1]),
        row_extent(job.boxes[4 * mask + 3] - top),
        threshold(job.threshold) {}

  // How far a pixel's centre lies behind the cell before it.
  __device__ float row_weight(int64_t row) const {
    const float position = position_of(row, top, row_extent, static_cast<float>(size));
    return position - std::floor(position);
  }

  // The map with a border of zeros.
  __device__ float cell(int64_t row, int64_t column) const {
    const bool within = row >= 1 && row <= size && column >= 1 && column <= size;
    return within ? map[(row - 1) * size + column - 1] : 0.0F;
  }

  struct Column {
    int64_t cell;
    float weight;
  };
  __device__ Column column_at(int64_t column) const {
    const float position = position_of(column, left, column_extent, static_cast<float>(size));
    const float cell = std::floor(position);
    return {static_cast<int64_t>(cell) + 1, position - cell};
  }
  __device__ float along_x(int64_t row, const Column& column) const {
    return interpolated(cell(row, column.cell), cell(row, column.cell + 1), column.weight);
  }

  // Whether a pixel anywhere in the picture is the object's.
  __device__ bool is_object(int64_t column, int64_t row) const {
    if (column < first_column || column >= last_column) return false;
    if (row < bands[0] || row >= bands[size + 1]) return false;
    const float position = position_of(row, top, row_extent, static_cast<float>(size));
    const auto band = static_cast<int64_t>(std::floor(position)) + 1;
    const Column place = column_at(column);
    const float upper = along_x(band, place), lower = along_x(band + 1, place);
    return upper + row_weight(row) * (lower - upper) >= threshold;
  }

  // Calls turn(row) where a column turns from background to object and back, from top to bottom.
  template <class Turn>
  __device__ void each_turn(int64_t column, const Turn& turn) const {
    const Column place = column_at(column);
    bool state = false;
    int64_t known_row = -1;
    float known = 0;
    for (int64_t band = 0; band <= size; ++band) {
      const int64_t start = bands[band], end = bands[band + 1];
      if (start == end) continue;
      const float upper = known_row == band ? known : along_x(band, place);
      const float lower = along_x(band + 1, place);
      known_row = band + 1;
      known = lower;
      const float way = lower - upper;
      const bool first = upper + row_weight(start) * way >= threshold;
      const bool last = upper + row_weight(end - 1) * way >= threshold;
      if (first != state) turn(start);
      if (first != last) {
        const auto weight_of = [this](int64_t row) { return row_weight(row); };
        turn(crossing(upper, way, threshold, weight_of, start, end, last));
      }
      state = last;
    }
    if (state) turn(bands[size + 1]);
  }

  // Whether the turn is an end of a run, too: not where the run goes on in the next column, and
  // not at the end of the picture.
  __device__ bool is_edge(int64_t column, int64_t row) const {
    if (row == 0) return !is_object(column - 1, height - 1);
    if (row == height) return column + 1 < width && !is_object(column + 1, 0);
    return true;
  }
};

// The first pixel that reads the map at a cell or behind it.
__device__ int64_t first_at(float cell, const PixelRange& range, float low, float extent,
                            float map_size) {
  int64_t first = range.first, last = range.last;
  while (first < last) {
    const int64_t middle = (first + last) / 2;
    if (std::floor(position_of(middle, low, extent, map_size)) >= cell) {
      last = middle;
    } else {
      first = middle + 1;
    }
  }
  return first;
}

// A thread for each mask and band boundary.
__global__ void find_bands(Job job) {
  const int64_t num_bounds = job.size + 2;
  const int64_t mask = thread_number() / num_bounds, bound = thread_number() % num_bounds;
  if (mask >= job.num_masks) return;
  const float* box = job.boxes + 4 * mask;
  const auto map_size = static_cast<float>(job.size);
  const PixelRange rows = reachable(box[1], box[3], job.height, job.size);
  const auto cell = static_cast<float>(bound - 1);
  job.bands[mask * num_bounds + bound] = first_at(cell, rows, box[1], box[3] - box[1], map_size);
  if (bound != 0 && bound != num_bounds - 1) return;
  const PixelRange columns = reachable(box[0], box[2], job.width, job.size);
  job.columns[2 * mask + (bound == 0 ? 0 : 1)] =
      first_at(cell, columns, box[0], box[2] - box[0], map_size);
}

// A thread for each part of each mask.
__global__ void count_edges(Job job) {
  const int64_t mask = thread_number() / job.num_parts, number = thread_number() % job.num_parts;
  if (mask >= job.num_masks) return;
  const MaskReader reader(job, mask);
  const int64_t start = reader.first_column + number * kColumns;
  if (start >= reader.last_column) return;
  const int64_t end =
      start + kColumns < reader.last_column ? start + kColumns : reader.last_column;
  Part part = {0, 0, 0, job.width, 0, job.height, 0};
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
  if (mask >= job.num_masks) return;
  const int64_t num_columns = job.columns[2 * mask + 1] - job.columns[2 * mask];
  const int64_t num_parts = (num_columns + kColumns - 1) / kColumns;
  Part whole = {0, 0, 0, job.width, 0, job.height, 0};
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
  if (mask >= job.num_masks) return;
  if (number == job.num_parts) {
    const int64_t place = offsets[mask + 1] - 1;
    if (place < num_places) counts[place] = job.height * job.width - job.last_edges[mask];
    return;
  }
  const MaskReader reader(job, mask);
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
  STD_TORCH_CHECK(is_here(probabilities) && is_here(boxes_xyxy) &&
                      probabilities.get_device_index() == boxes_xyxy.get_device_index(),
                  "paste_rle: probabilities and boxes must be on the same CUDA device");
  STD_TORCH_CHECK(probabilities.scalar_type() == ScalarType::Float &&
                      boxes_xyxy.scalar_type() == ScalarType::Float,
                  "paste_rle: probabilities and boxes must be float32, not types number ",
                  static_cast<int>(probabilities.scalar_type()), " and ",
                  static_cast<int>(boxes_xyxy.scalar_type()));
  STD_TORCH_CHECK(probabilities.dim() == 3 && probabilities.size(1) == probabilities.size(2),
                  "paste_rle: probabilities must be (N, M, M), not of ", probabilities.dim(),
                  " dimensions or oblong");
  const int64_t num_masks = probabilities.size(0), size = probabilities.size(1);
  STD_TORCH_CHECK(size >= 1, "paste_rle: the maps have no cells");
  STD_TORCH_CHECK(
      boxes_xyxy.dim() == 2 && boxes_xyxy.size(0) == num_masks && boxes_xyxy.size(1) == 4,
      "paste_rle: boxes must be (", num_masks, ", 4)");
  STD_TORCH_CHECK(height >= 1 && width >= 1, "paste_rle: a picture of ", width, " by ", height,
                  " has no pixels");
  STD_TORCH_CHECK(threshold > 0 && threshold <= 1, "paste_rle: threshold is ", threshold,
                  "; it must be above 0 and at most 1");
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
  job.maps = maps.const_data_ptr<float>();
  job.boxes = boxes.const_data_ptr<float>();
  job.num_masks = num_masks;
  job.size = size;
  job.height = height;
  job.width = width;
  job.num_parts = num_parts;
  job.threshold = static_cast<float>(threshold);
  job.bands = bands.mutable_data_ptr<int64_t>();
  job.columns = columns.mutable_data_ptr<int64_t>();
  job.parts = reinterpret_cast<Part*>(parts.mutable_data_ptr<int64_t>());
  job.last_edges = last_edges.mutable_data_ptr<int64_t>();
  auto* number = num_counts.mutable_data_ptr<int64_t>();
  auto* offset = offsets.mutable_data_ptr<int64_t>();
  device.run(find_bands, num_masks * (size + 2), job);
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
