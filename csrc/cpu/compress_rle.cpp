// blendmask::compress_rle on the CPU: run lengths to COCO's strings.
#include "masks.h"

#include <string>
#include <tuple>

#include <torch/csrc/stable/library.h>

#include "../check_compress_rle.h"
#include "../rle_math.h"

namespace blendmask {
namespace {

using torch::headeronly::ScalarType;
using torch::stable::Tensor;

std::string compress(const int64_t* counts, int64_t num_counts) {
  std::string text;
  for (int64_t i = 0; i < num_counts; ++i) {
    each_character(written_value(counts + i, i),
                   [&](uint8_t character) { text.push_back(static_cast<char>(character)); });
  }
  return text;
}

std::tuple<Tensor, Tensor> compress_rle(Tensor counts, Tensor offsets) {
  check_compress_rle(counts, offsets);
  const Tensor packed = torch::stable::contiguous(counts);
  const Tensor bounds = torch::stable::contiguous(offsets);
  const auto* count = packed.const_data_ptr<int64_t>();
  const auto* bound = bounds.const_data_ptr<int64_t>();
  const int64_t num_masks = bounds.size(0) - 1, num_counts = packed.size(0);
  STD_TORCH_CHECK(bound[0] >= 0 && bound[num_masks] <= num_counts,
                  "compress_rle: offsets go beyond the ", num_counts, " counts");
  for (int64_t i = 0; i < num_masks; ++i) {
    STD_TORCH_CHECK(bound[i] <= bound[i + 1], "compress_rle: offset ", i + 1, " is below offset ",
                    i);
  }
  std::vector<std::string> texts(num_masks);
  for_each(num_masks, 4 * num_counts, [&](int64_t i) {
    texts[i] = compress(count + bound[i], bound[i + 1] - bound[i]);
  });
  Tensor text_offsets = new_tensor({num_masks + 1}, ScalarType::Long);
  auto* place = text_offsets.mutable_data_ptr<int64_t>();
  place[0] = 0;
  for (int64_t i = 0; i < num_masks; ++i) {
    place[i + 1] = place[i] + static_cast<int64_t>(texts[i].size());
  }
  Tensor text = new_tensor({place[num_masks]}, ScalarType::Byte);
  auto* out = text.mutable_data_ptr<uint8_t>();
  for (int64_t i = 0; i < num_masks; ++i) std::copy(texts[i].begin(), texts[i].end(), out + place[i]);
  return {text, text_offsets};
}

}  // namespace
}  // namespace blendmask

STABLE_TORCH_LIBRARY_IMPL(blendmask, CPU, library) {
  library.impl("compress_rle", TORCH_BOX(&blendmask::compress_rle));
}
