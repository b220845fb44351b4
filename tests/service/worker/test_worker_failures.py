from __future__ import annotations

import pytest
import torch

from service.worker.failures import Failure, failure_of, one_line


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (MemoryError(), Failure.MEMORY),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB."), Failure.MEMORY),
        (torch.AcceleratorError("CUDA error: out of memory", 2), Failure.MEMORY),
        (RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"), Failure.MEMORY),
        (torch.AcceleratorError("an illegal memory access", 700), Failure.DEVICE),
        (RuntimeError("CUDA error: unspecified launch failure"), Failure.DEVICE),
        (RuntimeError("CUDA error: device-side assert triggered"), Failure.DEVICE),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR"), Failure.DEVICE),
        (RuntimeError("CUBLAS_STATUS_EXECUTION_FAILED when calling"), Failure.DEVICE),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED"), Failure.DEFECT),
        (RuntimeError("mat1 and mat2 shapes cannot be multiplied"), Failure.DEFECT),
        (ValueError("CUDA error"), Failure.DEFECT),
    ],
)
def test_failures_are_told_apart(error: BaseException, expected: Failure) -> None:
    assert failure_of(error) is expected


def test_the_cpus_allocator_is_understood() -> None:
    with pytest.raises(RuntimeError) as failure:
        torch.empty(10**15)
    assert failure_of(failure.value) is Failure.MEMORY


def test_text_is_one_line() -> None:
    assert one_line(ValueError("a\n  b")) == "ValueError: a b"
