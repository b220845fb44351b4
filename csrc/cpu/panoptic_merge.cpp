// blendmask::panoptic_merge on the CPU: instances and stuff share the pixels, run by run.
#include "labels.h"
#include "masks.h"

#include <algorithm>
#include <array>
#include <iterator>
#include <tuple>

#include <torch/csrc/stable/library.h>

#include "../check_panoptic_merge.h"

namespace blendmask {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

// Pixels [start, end), counted down the columns, and the segment that has them.
struct Run {
  int64_t start, end;
  int32_t owner;
};

// A segment: its source is the instance's number, or minus the label of stuff.
struct Found {
  int64_t source;
  Mask mask;
};

void add_run(Mask& mask, int64_t start, int64_t end, int64_t height) {
  mask.add(start, end);
  const int64_t first = start / height, last = (end - 1) / height;
  if (first == last) {
    mask.reach(first, start - first * height, end - first * height);
  } else {
    mask.reach(first, 0, height);  // it has the bottom of one column and the top of the next
    mask.reach(last, 0, height);
  }
}

// The part of a mask that nobody has yet; `taken` is ascending.
Mask free_part(const Mask& mask, const std::vector<Run>& taken, int64_t height) {
  Mask rest;
  if (mask.edges.empty()) return rest;
  auto next = std::partition_point(taken.begin(), taken.end(), [&](const Run& run) {
    return run.end <= mask.edges.front();
  });
  for (size_t i = 0; i < mask.edges.size(); i += 2) {
    int64_t start = mask.edges[i];
    const int64_t end = mask.edges[i + 1];
    while (next != taken.end() && next->end <= start) ++next;
    // Runs may reach beyond this one into the next: the iterator stays on the last.
    for (auto run = next; start < end; ++run) {
      const int64_t stop = run == taken.end() ? end : std::min(end, run->start);
      if (stop > start) add_run(rest, start, stop, height);
      if (run == taken.end() || run->end >= end) break;
      start = std::max(start, run->end);
      next = run;
    }
  }
  return rest;
}

void take(std::vector<Run>& taken, const Mask& mask, int32_t owner) {
  std::vector<Run> merged;
  merged.reserve(taken.size() + mask.edges.size() / 2);
  auto before = taken.begin();
  for (size_t i = 0; i < mask.edges.size(); i += 2) {
    while (before != taken.end() && before->start < mask.edges[i]) merged.push_back(*before++);
    merged.push_back({mask.edges[i], mask.edges[i + 1], owner});
  }
  merged.insert(merged.end(), before, taken.end());
  taken.swap(merged);
}

struct Rules {
  double score_threshold, max_overlap;
  int64_t min_stuff_area;
};

std::vector<Found> find_things(const std::vector<Mask>& masks, const Rules& rules, int64_t height,
                               std::vector<Run>& taken) {
  std::vector<Found> found;
  for (size_t i = 0; i < masks.size(); ++i) {
    const Mask& mask = masks[i];
    if (mask.area == 0) continue;
    Mask rest = free_part(mask, taken, height);
    const auto covered = static_cast<double>(mask.area - rest.area);
    if (covered / static_cast<double>(mask.area) > rules.max_overlap) continue;
    take(taken, rest, static_cast<int32_t>(found.size()) + 1);
    found.push_back({static_cast<int64_t>(i), std::move(rest)});
  }
  return found;
}

// Adds the runs of stuff between the taken ones; a column's own, `next` being the first taken run
// that ends in it or later.
void scan_column(const uint8_t* labels, int64_t start, int64_t end, const std::vector<Run>& taken,
                 std::vector<Run>& runs) {
  auto next = std::partition_point(taken.begin(), taken.end(),
                                   [&](const Run& run) { return run.end <= start; });
  while (start < end) {
    const int64_t stop = next == taken.end() ? end : std::clamp(next->start, start, end);
    while (start < stop) {
      const uint8_t label = labels[start];
      int64_t past = start + 1;
      while (past < stop && labels[past] == label) ++past;
      if (label != 0) runs.push_back({start, past, label});
      start = past;
    }
    if (next == taken.end()) break;
    start = std::max(start, next->end);
    ++next;
  }
}

constexpr int64_t kColumns = 32;  // worked on together

// The stuff that is large enough, by label; the runs' owners become segment ids, 0 for none.
std::vector<Found> find_stuff(std::vector<std::vector<Run>>& strips, int64_t min_area,
                              int64_t height, int32_t first_id) {
  std::array<int64_t, 256> areas{};
  for (const auto& strip : strips) {
    for (const Run& run : strip) areas[run.owner] += run.end - run.start;
  }
  std::array<int32_t, 256> ids{};
  std::vector<Found> found;
  for (int64_t label = 1; label < 256; ++label) {
    if (areas[label] < std::max<int64_t>(min_area, 1)) continue;
    ids[label] = first_id + static_cast<int32_t>(found.size());
    found.push_back({-label, {}});
  }
  for (auto& strip : strips) {
    for (Run& run : strip) {
      run.owner = ids[run.owner];
      if (run.owner != 0) add_run(found[run.owner - first_id].mask, run.start, run.end, height);
    }
  }
  return found;
}

// Writes the ids of some columns into the picture, (height, width) row by row.
void paint(const std::vector<Run>& taken, const std::vector<Run>& stuff, int64_t column,
           int64_t num_columns, int64_t height, int64_t width, int32_t* ids) {
  const int64_t origin = column * height, end = origin + num_columns * height;
  std::vector<int32_t> strip(num_columns * height);
  const auto fill = [&](const Run& run) {
    std::fill(strip.begin() + std::max(run.start, origin) - origin,
              strip.begin() + std::min(run.end, end) - origin, run.owner);
  };
  auto run = std::partition_point(taken.begin(), taken.end(),
                                  [&](const Run& one) { return one.end <= origin; });
  for (; run != taken.end() && run->start < end; ++run) fill(*run);
  for (const Run& one : stuff) {
    if (one.owner != 0) fill(one);
  }
  for (int64_t y = 0; y < height; ++y) {
    int32_t* row = ids + y * width + column;
    for (int64_t x = 0; x < num_columns; ++x) row[x] = strip[x * height + y];
  }
}

using Result = std::tuple<Tensor, Tensor, Tensor, Tensor, Tensor, Tensor>;

Result partition(const std::vector<Mask>& masks, const std::vector<uint8_t>& labels,
                 const Rules& rules, int64_t height, int64_t width) {
  std::vector<Run> taken;
  std::vector<Found> found = find_things(masks, rules, height, taken);
  const int64_t num_strips = (width + kColumns - 1) / kColumns;
  std::vector<std::vector<Run>> strips(num_strips);
  for_each(num_strips, height * width / 2, [&](int64_t strip) {
    const int64_t first = strip * kColumns, last = std::min(first + kColumns, width);
    for (int64_t column = first; column < last; ++column) {
      scan_column(labels.data(), column * height, (column + 1) * height, taken, strips[strip]);
    }
  });
  auto stuff = find_stuff(strips, rules.min_stuff_area, height,
                          static_cast<int32_t>(found.size()) + 1);
  std::move(stuff.begin(), stuff.end(), std::back_inserter(found));

  Tensor ids = new_tensor({height, width}, ScalarType::Int);
  auto* id = ids.mutable_data_ptr<int32_t>();
  for_each(num_strips, height * width, [&](int64_t strip) {
    const int64_t first = strip * kColumns;
    paint(taken, strips[strip], first, std::min(kColumns, width - first), height, width, id);
  });
  Tensor sources = new_tensor({static_cast<int64_t>(found.size())}, ScalarType::Long);
  auto* source = sources.mutable_data_ptr<int64_t>();
  std::vector<Mask> segments;
  for (Found& one : found) {
    *source++ = one.source;
    segments.push_back(std::move(one.mask));
  }
  PackedMasks packed = pack(segments, height * width);
  return {ids, sources, packed.areas, packed.boxes_xywh, packed.counts, packed.offsets};
}

Result panoptic_merge(Tensor probabilities, Tensor boxes_xyxy, Tensor scores, Tensor logits,
                      int64_t resized_height, int64_t resized_width, int64_t height,
                      int64_t width, double mask_threshold, double score_threshold,
                      double max_overlap, int64_t min_stuff_area) {
  check_panoptic_merge(probabilities, boxes_xyxy, scores, logits, resized_height, resized_width,
                       height, width, mask_threshold);
  const int64_t num_masks = probabilities.size(0), size = probabilities.size(1);
  const Tensor all[] = {
      torch::stable::contiguous(probabilities), torch::stable::contiguous(boxes_xyxy),
      torch::stable::contiguous(scores), torch::stable::contiguous(logits)};
  const auto* map = all[0].const_data_ptr<float>();
  const auto* box = all[1].const_data_ptr<float>();
  const auto* score = all[2].const_data_ptr<float>();
  int64_t num_good = 0;  // the first low score ends the instances
  while (num_good < num_masks && !(score[num_good] < score_threshold)) ++num_good;
  std::vector<Mask> masks(num_good);
  for_each(num_good, paste_nanoseconds(num_good, size, width), [&](int64_t i) {
    masks[i] = paste(map + i * size * size, size, box + 4 * i, height, width,
                     static_cast<float>(mask_threshold));
  });
  const Logits view{all[3].const_data_ptr<float>(), logits.size(0), logits.size(1),
                    logits.size(2)};
  const auto labels = best_labels(view, resized_height, resized_width, height, width);
  return partition(masks, labels, {score_threshold, max_overlap, min_stuff_area}, height, width);
}

}  // namespace
}  // namespace blendmask

STABLE_TORCH_LIBRARY_IMPL(blendmask, CPU, library) {
  library.impl("panoptic_merge", TORCH_BOX(&blendmask::panoptic_merge));
}
