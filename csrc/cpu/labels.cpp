// The best semantic label of every pixel, without the logits at the picture's size.
//
// Logits are enlarged four times to the canvas, cut to the picture's view and resized to the
// picture: along each axis a pixel reads two pixels of the view, and these two or three cells of
// the logits. Pixels that read the same cells form blocks. Within a block every label's value is
// a mean of its values at the block's cells, so a label that is best at all of them is best in
// the whole block; only where they disagree are values computed, and only of labels that can win.
#include "labels.h"

#include <algorithm>
#include <limits>

#include "../label_math.h"

namespace blendmask {
namespace {

std::vector<Reading> read_logits(int64_t num_pixels, int64_t view, int64_t num_cells) {
  std::vector<Reading> readings(num_pixels);
  for (int64_t i = 0; i < num_pixels; ++i) readings[i] = reading_of(i, num_pixels, view, num_cells);
  return readings;
}

// Pixels in a row that read the same cells: [start, end).
struct Span {
  int64_t start, end;
};

std::vector<Span> spans_of(const std::vector<Reading>& readings) {
  std::vector<Span> spans;
  for (int64_t i = 0; i < static_cast<int64_t>(readings.size()); ++i) {
    if (i == 0 || readings[i].first != readings[i - 1].first ||
        readings[i].count != readings[i - 1].count) {
      spans.push_back({i, i});
    }
    spans.back().end = i + 1;
  }
  return spans;
}

// The best label at every cell; the first of equals.
BLENDMASK_AVX2 void best_of_cells(const float* logits, int64_t num_labels, int64_t plane,
                                  int64_t begin, int64_t end, float* __restrict top,
                                  int32_t* __restrict best) {
  for (int64_t i = begin; i < end; ++i) {
    top[i] = logits[i];
    best[i] = 0;
  }
  for (int64_t label = 1; label < num_labels; ++label) {
    const float* values = logits + label * plane;
    const auto number = static_cast<int32_t>(label);
    for (int64_t i = begin; i < end; ++i) {
      const bool better = values[i] > top[i];
      best[i] = better ? number : best[i];
      top[i] = better ? values[i] : top[i];
    }
  }
}

// Evaluates the blocks whose cells disagree; one for each thread, for its buffers.
class Judge {
 public:
  Judge(const float* logits, int64_t num_labels, int64_t plane, int64_t row_length)
      : logits_(logits), num_labels_(num_labels), plane_(plane), row_length_(row_length) {}

  void judge(const Reading* rows, Span y, const Reading* columns, Span x, int64_t height,
             uint8_t* labels) {
    find_candidates(rows[y.start], columns[x.start]);
    const int64_t h = y.end - y.start, w = x.end - x.start;
    top_.assign(h * w, -std::numeric_limits<float>::infinity());
    best_.assign(h * w, candidates_.front());
    for (const uint8_t label : candidates_) {
      const float* corner = &values_[9 * static_cast<int64_t>(label)];
      for (int64_t j = 0; j < h; ++j) {
        const float* down = rows[y.start + j].weights;
        const float line[] = {down_of(down, corner, 0), down_of(down, corner, 1),
                              down_of(down, corner, 2)};
        for (int64_t i = 0; i < w; ++i) {
          const float value = across_of(columns[x.start + i].weights, line);
          const bool better = value > top_[j * w + i];
          top_[j * w + i] = better ? value : top_[j * w + i];
          best_[j * w + i] = better ? label : best_[j * w + i];
        }
      }
    }
    for (int64_t i = 0; i < w; ++i) {
      uint8_t* column = labels + (x.start + i) * height + y.start;
      for (int64_t j = 0; j < h; ++j) column[j] = best_[j * w + i];
    }
  }

 private:
  // Labels that can win somewhere in the block: at some cell as high as the least value that
  // some label keeps at every cell.
  void find_candidates(const Reading& row, const Reading& column) {
    values_.assign(9 * num_labels_, 0);
    highest_.resize(num_labels_);
    float kept = -std::numeric_limits<float>::infinity();
    const float* first = logits_ + row.first * row_length_ + column.first;
    for (int64_t label = 0; label < num_labels_; ++label) {
      float low = std::numeric_limits<float>::infinity(), high = -low;
      for (int64_t j = 0; j < row.count; ++j) {
        for (int64_t k = 0; k < column.count; ++k) {
          const float value = first[label * plane_ + j * row_length_ + k];
          values_[9 * label + 3 * j + k] = value;
          low = std::min(low, value);
          high = std::max(high, value);
        }
      }
      highest_[label] = high;
      kept = std::max(kept, low);
    }
    candidates_.clear();
    for (int64_t label = 0; label < num_labels_; ++label) {
      if (highest_[label] >= kept) candidates_.push_back(static_cast<uint8_t>(label));
    }
    if (candidates_.empty()) candidates_.push_back(0);  // nothing but NaN
  }

  const float* logits_;
  int64_t num_labels_, plane_, row_length_;
  std::vector<float> values_, highest_, top_;
  std::vector<uint8_t> candidates_, best_;
};

}  // namespace

std::vector<uint8_t> best_labels(const Logits& logits, int64_t view_height, int64_t view_width,
                                 int64_t height, int64_t width) {
  const int64_t plane = logits.height * logits.width;
  std::vector<float> top(plane);
  std::vector<int32_t> best(plane);
  for_each(logits.height, plane * logits.num_labels / 4, [&](int64_t row) {
    best_of_cells(logits.values, logits.num_labels, plane, row * logits.width,
                  (row + 1) * logits.width, top.data(), best.data());
  });
  const auto rows = read_logits(height, view_height, logits.height);
  const auto columns = read_logits(width, view_width, logits.width);
  const auto down = spans_of(rows), across = spans_of(columns);
  std::vector<uint8_t> labels(height * width);
  for_each(static_cast<int64_t>(down.size()), height * width, [&](int64_t number) {
    Judge judge(logits.values, logits.num_labels, plane, logits.width);
    const Span y = down[number];
    const Reading& row = rows[y.start];
    for (const Span& x : across) {
      const Reading& column = columns[x.start];
      const int32_t* cells = &best[row.first * logits.width + column.first];
      bool same = true;
      for (int64_t j = 0; j < row.count; ++j) {
        for (int64_t k = 0; k < column.count; ++k) same &= cells[j * logits.width + k] == cells[0];
      }
      if (!same) {
        judge.judge(rows.data(), y, columns.data(), x, height, labels.data());
        continue;
      }
      for (int64_t i = x.start; i < x.end; ++i) {
        uint8_t* column_labels = labels.data() + i * height;
        std::fill(column_labels + y.start, column_labels + y.end, static_cast<uint8_t>(cells[0]));
      }
    }
  });
  return labels;
}

}  // namespace blendmask
