// Functions that the CPU's operations and the kernels share are marked BLENDMASK_BOTH.
#pragma once

#ifdef __CUDACC__
#define BLENDMASK_BOTH __host__ __device__
#else
#define BLENDMASK_BOTH
#endif
