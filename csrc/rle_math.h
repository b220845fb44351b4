// COCO's characters for one run length: five bits each, lowest first.
#pragma once

#include <cstdint>

#include "portable.h"

namespace blendmask {

constexpr int64_t kMostCharacters = 13;  // of 64 bits

// What is written for a mask's count number `index`: from the fourth on, the difference to the
// count two before. `counts` points at the count itself.
BLENDMASK_BOTH inline int64_t written_value(const int64_t* count, int64_t index) {
  return index > 2 ? count[0] - count[-2] : count[0];
}

// Calls put(character) for each character of a value.
template <class Put>
BLENDMASK_BOTH inline void each_character(int64_t value, const Put& put) {
  bool more = true;
  while (more) {
    const int64_t low = value & 31;
    value >>= 5;
    // Bit 4 is the sign: the number is complete when the rest only repeats it.
    more = (low & 16) != 0 ? value != -1 : value != 0;
    put(static_cast<uint8_t>(48 + low + (more ? 32 : 0)));
  }
}

}  // namespace blendmask
