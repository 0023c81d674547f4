# The steps of README.md and docs/get_started.md. A CPU by default; for CUDA:
#   docker build --build-arg CUDA=12.8.1 --build-arg TORCH=2.9.1+cu128 --build-arg TORCH_INDEX=... .
# with the wheel index of that torch, which pytorch.org names. With CUDA mmcv is compiled.
ARG CUDA=
ARG BASE=${CUDA:+nvidia/cuda:${CUDA}-devel-ubuntu22.04}
FROM ${BASE:-python:3.11-slim-bookworm}

ARG CUDA=
ARG TORCH=
ARG TORCH_INDEX=
ARG JOBS=
ENV DEBIAN_FRONTEND=noninteractive PATH=/mmpfcn/.venv${CUDA:+-ops}/bin:$PATH
# mmcv compiles its CUDA operators although no GPU is there at build time
ENV OPS=${CUDA:+1} FORCE_CUDA=${CUDA:+1} TORCH_CUDA_ARCH_LIST=${CUDA:+7.0;7.5;8.0;8.6;9.0}

# a compiler, make and git; Python with its headers where the base has none (Ubuntu 22.04: 3.10)
RUN apt-get update \
    && apt-get install -y --no-install-recommends g++ git make \
        ${CUDA:+python3 python3-dev python3-venv} \
    && rm -rf /var/lib/apt/lists/*

WORKDIR /mmpfcn
COPY . .
RUN make venv
CMD ["bash"]
