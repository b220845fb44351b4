// Ends of runs without visiting every pixel.
//
// Along a column of the picture, the pixels between two rows of the map (a band) all have the
// value a + w * (b - a), w being their place in the band. In float32 every step of this rounds
// monotonically and w never decreases from pixel to pixel, so neither rises nor falls change
// direction within a band: comparing the band's first and last pixel tells whether a run starts
// or ends inside it, and a search by exact values finds where. That holds without tolerance;
// a NaN (from an infinite difference times a weight of zero) can only come first in a band and
// compares as background, like the other pixels before a rise.
#include "masks.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>

#include "../paste_math.h"

namespace blendmask {
namespace {

constexpr int64_t kLanes = 32;

// The rows of the picture, in bands that read the same two rows of the map.
struct Bands {
  std::vector<int64_t> cells;   // the upper of the two rows
  std::vector<int64_t> starts;  // the band's first row of the picture, counted from the axis's
  std::vector<float> first, last;  // weights of its first and last row; zeros to a full vector
  int64_t count = 0, padded = 0;
};

Bands bands_of(const Axis& rows) {
  Bands bands;
  for (int64_t i = 0; i < rows.size(); ++i) {
    if (i == 0 || rows.cells[i] != rows.cells[i - 1]) {
      bands.cells.push_back(rows.cells[i]);
      bands.starts.push_back(i);
      bands.first.push_back(rows.weights[i]);
      bands.last.push_back(0);
    }
    bands.last.back() = rows.weights[i];
  }
  bands.starts.push_back(rows.size());
  bands.count = static_cast<int64_t>(bands.cells.size());
  bands.padded = (bands.count + kLanes - 1) / kLanes * kLanes;
  bands.first.resize(bands.padded, 0.0F);
  bands.last.resize(bands.padded, 0.0F);
  return bands;
}

// For each column of the bordered map, the values above and below each band: (size + 2, padded).
void gather(const float* map, int64_t size, const Bands& bands, std::vector<float>& above,
            std::vector<float>& below) {
  above.assign((size + 2) * bands.padded, 0.0F);
  below.assign((size + 2) * bands.padded, 0.0F);
  for (int64_t s = 0; s < bands.count; ++s) {
    const int64_t upper = bands.cells[s] - 1, lower = bands.cells[s];  // rows without the border
    for (int64_t column = 0; column < size; ++column) {
      const int64_t place = (column + 1) * bands.padded + s;
      if (upper >= 0) above[place] = map[upper * size + column];
      if (lower < size) below[place] = map[lower * size + column];
    }
  }
}

// One column of the picture: the value above each band, the way to the value below it, and
// whether the band's first and last pixel are the object's.
struct Column {
  std::unique_ptr<float[]> value, slope;
  std::unique_ptr<uint8_t[]> first, last;
  explicit Column(int64_t padded)
      : value(new float[padded]),
        slope(new float[padded]),
        first(new uint8_t[padded]),
        last(new uint8_t[padded]) {}
};

BLENDMASK_AVX2 void read_column(int64_t padded, const float* above, const float* above_next,
                                const float* below, const float* below_next, float weight,
                                const float* first_weight, const float* last_weight,
                                float threshold, float* __restrict value, float* __restrict slope,
                                uint8_t* __restrict first, uint8_t* __restrict last) {
  for (int64_t s = 0; s < padded; ++s) {
    const float upper = interpolated(above[s], above_next[s], weight);
    const float lower = interpolated(below[s], below_next[s], weight);
    const float way = lower - upper;
    value[s] = upper;
    slope[s] = way;
    first[s] = upper + first_weight[s] * way >= threshold;
    last[s] = upper + last_weight[s] * way >= threshold;
  }
}

// 32 flags as bits.
uint64_t bits_of(const uint8_t* flags) {
  uint64_t bits = 0;
  for (int part = 0; part < 4; ++part) {
    uint64_t eight = 0;
    for (int i = 0; i < 8; ++i) eight |= static_cast<uint64_t>(flags[8 * part + i]) << (8 * i);
    // Gathers the lowest bit of each byte in the highest byte.
    bits |= (eight * 0x0102040810204080ULL >> 56) << (8 * part);
  }
  return bits;
}

}  // namespace

Mask paste(const float* map, int64_t size, const float* box, int64_t height, int64_t width,
           float threshold) {
  Mask mask;
  const Axis columns = read_axis(box[0], box[2], width, size);
  const Axis rows = read_axis(box[1], box[3], height, size);
  if (columns.size() == 0 || rows.size() == 0) return mask;
  const Bands bands = bands_of(rows);
  std::vector<float> above, below;
  gather(map, size, bands, above, below);
  Column column(bands.padded);
  for (int64_t x = 0; x < columns.size(); ++x) {
    const int64_t here = columns.cells[x] * bands.padded, next = here + bands.padded;
    read_column(bands.padded, &above[here], &above[next], &below[here], &below[next],
                columns.weights[x], bands.first.data(), bands.last.data(), threshold,
                column.value.get(), column.slope.get(), column.first.get(), column.last.get());
    const int64_t origin = (columns.first + x) * height + rows.first;
    int64_t start = -1, top = -1, bottom = -1;  // of the open run; of the column
    const auto turn = [&](int64_t row) {
      if (start < 0) {
        start = row;
        if (top < 0) top = row;
      } else {
        mask.add(origin + start, origin + row);
        start = -1;
        bottom = row;
      }
    };
    uint64_t carried = 0;  // the state at the end of the band before
    for (int64_t block = 0; block < bands.padded; block += kLanes) {
      const uint64_t first = bits_of(&column.first[block]), last = bits_of(&column.last[block]);
      const uint64_t between = (first ^ (last << 1 | carried)) & 0xFFFFFFFFULL;
      carried = last >> (kLanes - 1);
      for (uint64_t left = between | (first ^ last); left != 0; left &= left - 1) {
        const int64_t bit = std::countr_zero(left), band = block + bit;
        // Bands of padding are background from their start: where the column ends.
        if (between >> bit & 1) turn(band < bands.count ? bands.starts[band] : rows.size());
        if ((first ^ last) >> bit & 1) {
          const auto weight_of = [&](int64_t row) { return rows.weights[row]; };
          turn(crossing(column.value[band], column.slope[band], threshold, weight_of,
                        bands.starts[band], bands.starts[band + 1], last >> bit & 1));
        }
      }
    }
    if (start >= 0) turn(rows.size());
    if (top >= 0) mask.reach(columns.first + x, rows.first + top, rows.first + bottom);
  }
  return mask;
}

}  // namespace blendmask
