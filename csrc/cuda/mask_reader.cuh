// Masks stretched over their boxes, read on the device: pixel by pixel, or by the ends of runs.
#pragma once

#include "device.cuh"

#include "../paste_math.h"

namespace blendmask {
namespace {

// The rows of a picture that read the same two rows of a map are a band (see cpu/paste.cpp).
struct Masks {
  const float* maps;   // (N, size, size)
  const float* boxes;  // (N, 4)
  int64_t num_masks, size, height, width;
  float threshold;
  int64_t* bands;    // (N, size + 2): the first row of each band, and the end
  int64_t* columns;  // (N, 2): first, end
};

// One mask, read at a pixel.
struct MaskReader {
  const float* map;
  const int64_t* bands;
  int64_t size, height, width, first_column, last_column;
  float left, column_extent, top, row_extent, threshold;

  __device__ MaskReader(const Masks& masks, int64_t mask)
      : map(masks.maps + mask * masks.size * masks.size),
        bands(masks.bands + mask * (masks.size + 2)),
        size(masks.size),
        height(masks.height),
        width(masks.width),
        first_column(masks.columns[2 * mask]),
        last_column(masks.columns[2 * mask + 1]),
        left(masks.boxes[4 * mask]),
        column_extent(masks.boxes[4 * mask + 2] - left),
        top(masks.boxes[4 * mask + 1]),
        row_extent(masks.boxes[4 * mask + 3] - top),
        threshold(masks.threshold) {}

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
__global__ void find_bands(Masks masks) {
  const int64_t num_bounds = masks.size + 2;
  const int64_t mask = thread_number() / num_bounds, bound = thread_number() % num_bounds;
  if (mask >= masks.num_masks) return;
  const float* box = masks.boxes + 4 * mask;
  const auto map_size = static_cast<float>(masks.size);
  const PixelRange rows = reachable(box[1], box[3], masks.height, masks.size);
  const auto cell = static_cast<float>(bound - 1);
  masks.bands[mask * num_bounds + bound] = first_at(cell, rows, box[1], box[3] - box[1], map_size);
  if (bound != 0 && bound != num_bounds - 1) return;
  const PixelRange columns = reachable(box[0], box[2], masks.width, masks.size);
  masks.columns[2 * mask + (bound == 0 ? 0 : 1)] =
      first_at(cell, columns, box[0], box[2] - box[0], map_size);
}

}  // namespace
}  // namespace blendmask
