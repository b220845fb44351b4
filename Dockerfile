# syntax=docker/dockerfile:1
# The server's image and, with --target train, the training's. docker/README.md has the arguments.

# Every stage stands on this one, so that what one has made runs in another.
ARG BASE=docker.io/library/python:3.11-slim-bookworm

FROM ${BASE} AS base
RUN groupadd --gid 10001 blendmask \
    && useradd --uid 10001 --gid 10001 --create-home --shell /usr/sbin/nologin blendmask \
    && install --directory --owner=10001 --group=10001 /var/cache/blendmask
ENV PATH=/opt/venv/bin:$PATH \
    PYTHONUNBUFFERED=1


# Files of their own: whatever else changes in pyproject.toml, nothing is installed anew.
FROM base AS requirements
ARG TORCH_VERSION=
COPY pyproject.toml constraints.txt docker/requirements.py /context/
RUN mkdir /requirements \
    && python /context/requirements.py /context /requirements "${TORCH_VERSION}"


# The dependencies, /opt/venv. pip settings of your own, such as a mirror's, are lent with
# --secret id=pip.conf,src=FILE; nothing of them stays.
FROM base AS dependencies
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_ROOT_USER_ACTION=ignore
ARG TORCH_INDEX=
COPY --from=requirements /requirements/constraints.txt /requirements/serve.txt /requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    python -m venv --without-pip /opt/venv \
    && pip --python /opt/venv/bin/python install --quiet \
        ${TORCH_INDEX:+--extra-index-url "${TORCH_INDEX}"} \
        --constraint /requirements/constraints.txt --requirement /requirements/serve.txt \
    && echo /opt/blendmask > "$(python -c 'import site; print(site.getsitepackages()[0])')/blendmask.pth"
ARG VARIANT=cuda
COPY docker/check_torch.py /requirements/
RUN python /requirements/check_torch.py "${VARIANT}"


# The code, /opt/blendmask, with its operations compiled.
FROM dependencies AS build
RUN apt-get update --quiet \
    && apt-get install --quiet --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*
ARG VARIANT=cuda
ENV CUDA_HOME=/opt/cuda
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --quiet \
        --constraint /requirements/constraints.txt setuptools \
    && if [ "${VARIANT}" = cuda ]; then \
        cuda="$(python -c 'import torch; print(torch.version.cuda)').*" \
        && pip install --quiet --no-deps --target /opt/toolkit "nvidia-cuda-nvcc==${cuda}" \
            "nvidia-cuda-crt==${cuda}" "nvidia-nvvm==${cuda}" "nvidia-cuda-cccl==${cuda}" \
            "nvidia-cuda-runtime==${cuda}" \
        && ln -s /opt/toolkit/nvidia/cu* /opt/cuda \
        && ln -s lib /opt/cuda/lib64; \
    fi
WORKDIR /source
# The operations by themselves: a change of the Python code compiles nothing.
COPY pyproject.toml setup.py ./
COPY csrc csrc
# Such as "80 90"; empty: all that setup.py names, 8.0 to 12.0.
ARG CUDA_ARCHITECTURES=
RUN mkdir -p model/weights model/answers/bundled_font \
    && touch README.md LICENSE model/weights/NOTICE model/answers/bundled_font/LICENSE \
    && BLENDMASK_CUDA_ARCHITECTURES="${CUDA_ARCHITECTURES}" python setup.py --quiet build_ext \
    && ls build/lib*/model/operations/_ops_cpu.*.so \
    && if [ "${VARIANT}" = cuda ]; then ls build/lib*/model/operations/_ops_cuda.*.so; fi
COPY LICENSE README.md ./
COPY model model
COPY service service
RUN pip --python /opt/venv/bin/python install --quiet --no-index --no-deps \
        --no-build-isolation --target /opt/blendmask . \
    && ls /opt/blendmask/model/operations/_ops_cpu.*.so


FROM base AS common
LABEL org.opencontainers.image.title="BlendMask server" \
      org.opencontainers.image.description="Instance and panoptic segmentation over HTTP" \
      org.opencontainers.image.licenses="Apache-2.0"
# No NVIDIA_VISIBLE_DEVICES: which devices a container sees is said where it is started.
ENV PYTHONDONTWRITEBYTECODE=1 \
    BLENDMASK_HOST=0.0.0.0 \
    BLENDMASK_CACHE=/var/cache/blendmask \
    HF_HOME=/var/cache/blendmask/huggingface \
    HF_HUB_DISABLE_TELEMETRY=1 \
    NVIDIA_DRIVER_CAPABILITIES=compute,utility
COPY --from=dependencies /opt/venv /opt/venv
COPY --from=build /opt/blendmask /opt/blendmask
WORKDIR /home/blendmask


FROM common AS train
COPY --from=requirements /requirements/constraints.txt /requirements/train.txt /requirements/
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf \
    --mount=type=cache,target=/root/.cache/pip \
    pip --python /opt/venv/bin/python install --quiet \
        --constraint /requirements/constraints.txt --requirement /requirements/train.txt
USER 10001:10001
ENTRYPOINT ["python", "-m", "model.train"]


FROM common AS weights
ARG WEIGHTS=
# LICENSE is there so that there is something to copy where there is no folder weights/.
COPY LICENSE weight[s] /context/weights/
RUN --mount=type=cache,target=/var/cache/blendmask \
    mkdir /weights \
    && cd /context \
    && if [ -n "${WEIGHTS}" ]; then \
        python -m model.convert "${WEIGHTS}" /weights/weights.safetensors; \
    fi


FROM common AS serve
ARG WEIGHTS=
COPY --from=weights /weights /opt/weights
# Empty: the server's own default.
ENV BLENDMASK_WEIGHTS=${WEIGHTS:+/opt/weights/weights.safetensors}
ARG VERSION=
ARG REVISION=
LABEL org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${REVISION}"
USER 10001:10001
EXPOSE 8000
# The server is process 1. It takes the signals itself, and waits for its children: the workers,
# which have none. On SIGTERM it drains, which takes up to grace_s + deadline_s.
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s --retries=3 \
    CMD ["python", "-ISc", "import os, urllib.request as r; r.urlopen('http://127.0.0.1:' + os.environ.get('BLENDMASK_PORT', '8000') + '/healthz', timeout=4)"]
ENTRYPOINT ["python", "-m", "service"]
