// Run lengths, areas and tight boxes of all segments of a partition, on the device.
#pragma once

#include "device.cuh"
#include "scan.cuh"

namespace blendmask {
namespace {

// Segments 1 to *num_segments of a picture, of at most `room` that there may be.
struct Partition {
  const int32_t* ids;  // (height, width)
  const int64_t* num_segments;
  int64_t room, height, width;
  int64_t* places;  // (room, width) and one: edges in each column, then those before
  int64_t *areas, *boxes;  // boxes as left, top, right, bottom until finish_boxes
};

// Calls visit(id, start, end) for the runs of equal ids in a column.
template <class Visit>
__device__ void each_run(const Partition& partition, int64_t column, const Visit& visit) {
  int64_t start = 0;
  int32_t id = partition.ids[column];
  for (int64_t row = 1; row <= partition.height; ++row) {
    const bool at_end = row == partition.height;
    const int32_t next = at_end ? 0 : partition.ids[row * partition.width + column];
    if (!at_end && next == id) continue;
    if (id > 0) visit(id, start, row);
    id = next;
    start = row;
  }
}

// Whether the ends of a column's run are ends of the segment's run: it may come from the column
// before and go on in the next one, and none ends at the end of the picture.
__device__ bool begins(const Partition& partition, int64_t column, int32_t id, int64_t start) {
  if (start > 0 || column == 0) return true;
  return partition.ids[(partition.height - 1) * partition.width + column - 1] != id;
}
__device__ bool ends(const Partition& partition, int64_t column, int32_t id, int64_t end) {
  if (end < partition.height) return true;
  return column + 1 < partition.width && partition.ids[column + 1] != id;
}

__global__ void clear_partition(Partition partition) {
  const int64_t number = thread_number();
  if (number <= partition.room * partition.width) partition.places[number] = 0;
  if (number < partition.room) {
    partition.areas[number] = 0;
    partition.boxes[4 * number] = partition.width;
    partition.boxes[4 * number + 1] = partition.height;
    partition.boxes[4 * number + 2] = 0;
    partition.boxes[4 * number + 3] = 0;
  }
}

// A thread for each column.
__global__ void count_runs(Partition partition) {
  const int64_t column = thread_number();
  if (column >= partition.width) return;
  each_run(partition, column, [&](int32_t id, int64_t start, int64_t end) {
    const int64_t segment = id - 1;
    int64_t* box = partition.boxes + 4 * segment;
    add_to(&partition.areas[segment], end - start);
    lower_to(&box[0], column);
    lower_to(&box[1], start);
    raise_to(&box[2], column + 1);
    raise_to(&box[3], end);
    partition.places[segment * partition.width + column] +=
        begins(partition, column, id, start) + ends(partition, column, id, end);
  });
}

// Each segment has one count more than edges.
__device__ int64_t counts_before(const Partition& partition, int64_t segment) {
  return segment < *partition.num_segments ? segment : *partition.num_segments;
}

// A thread for each segment there may be, and one more.
__global__ void finish_segments(Partition partition, int64_t* offsets) {
  const int64_t segment = thread_number();
  if (segment > partition.room) return;
  offsets[segment] =
      partition.places[segment * partition.width] + counts_before(partition, segment);
  if (segment == partition.room) return;
  int64_t* box = partition.boxes + 4 * segment;
  const bool is_empty = partition.areas[segment] == 0;
  box[2] = is_empty ? 0 : box[2] - box[0];
  box[3] = is_empty ? 0 : box[3] - box[1];
  if (is_empty) box[0] = box[1] = 0;
}

// A thread for each column writes where its edges are, in the order of the counts.
__global__ void write_edges(Partition partition, int64_t* edges, int64_t num_places) {
  const int64_t column = thread_number();
  if (column >= partition.width) return;
  each_run(partition, column, [&](int32_t id, int64_t start, int64_t end) {
    const int64_t segment = id - 1;
    int64_t& next = partition.places[segment * partition.width + column];
    const auto write = [&](int64_t edge) {
      const int64_t place = next++ + counts_before(partition, segment);
      if (place < num_places) edges[place] = edge;
    };
    if (begins(partition, column, id, start)) write(column * partition.height + start);
    if (ends(partition, column, id, end)) write(column * partition.height + end);
  });
}

// A thread for each count.
__global__ void subtract_edges(Partition partition, const int64_t* edges, const int64_t* offsets,
                               int64_t* counts, int64_t num_places) {
  const int64_t place = thread_number(), num_segments = *partition.num_segments;
  if (place >= num_places || place >= offsets[num_segments]) return;
  int64_t segment = 0, beyond = num_segments;
  while (beyond - segment > 1) {
    const int64_t middle = (segment + beyond) / 2;
    if (offsets[middle] <= place) {
      segment = middle;
    } else {
      beyond = middle;
    }
  }
  const int64_t before = place > offsets[segment] ? edges[place - 1] : 0;
  const bool is_last = place + 1 == offsets[segment + 1];
  counts[place] = (is_last ? partition.height * partition.width : edges[place]) - before;
}

// Fills counts, offsets, areas and boxes as far as there is room.
void encode_partition(const Device& device, const Partition& partition, int64_t* counts,
                      int64_t num_places, int64_t* offsets) {
  const int64_t num_parts = partition.room * partition.width + 1;
  torch::stable::Tensor scratch =
      device.empty({num_places}, torch::headeronly::ScalarType::Long);
  auto* edges = scratch.mutable_data_ptr<int64_t>();
  device.run(clear_partition, num_parts, partition);
  device.run(count_runs, partition.width, partition);
  scan(device, partition.places, num_parts);
  device.run(finish_segments, partition.room + 1, partition, offsets);
  device.run(write_edges, partition.width, partition, edges, num_places);
  device.run(subtract_edges, num_places, partition, edges, offsets, counts, num_places);
}

}  // namespace
}  // namespace blendmask
