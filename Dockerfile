# Build:  make docker    (docker build -t nnp-pretrain-bench --build-arg COMMIT=... .)
# Run:    mkdir -p runs data
#         docker run --rm -it --user "$(id -u):$(id -g)" -v "$PWD/runs:/runs" -v "$PWD/data:/data" \
#             nnp-pretrain-bench run --suite water
# With a read-only root, add --tmpfs /tmp, or --env TMPDIR=/data.
# For a GPU: make docker DEVICE=cu130, and run with --gpus all.
ARG DEVICE=cpu

FROM python:3.11-slim-bookworm AS build

WORKDIR /src
COPY requirements-build.lock pyproject.toml README.md LICENSE ./
COPY benchmark benchmark
COPY tasks tasks
COPY reports reports
# Without build isolation: the locked setuptools builds the project.
RUN python -m pip install --no-cache-dir --no-deps -r requirements-build.lock \
    && python -m pip wheel --no-cache-dir --no-deps --no-build-isolation --wheel-dir /wheels .

FROM python:3.11-slim-bookworm

ARG DEVICE
ARG TORCH_INDEX=https://download.pytorch.org/whl/${DEVICE}

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

# What compiles training steps on a CPU; without it they are computed eagerly, which takes up to three times as long.
RUN apt-get update \
    && apt-get install --yes --no-install-recommends g++ \
    && rm -rf /var/lib/apt/lists/*

# The dependencies first: these layers are built again only when the locks change. torch comes from its own index and no
# other, so that one that cannot be reached ends the build at once, and does not bring several GB of CUDA from PyPI.
COPY requirements-build.lock requirements-runtime.lock requirements-torch.lock /tmp/locks/
RUN python -m pip install --no-deps --index-url "${TORCH_INDEX}" -r /tmp/locks/requirements-torch.lock
# All else by its hash, and what is built from source with the locked tools. Then what torch alone needs, in the
# versions that it fixes itself: the CUDA libraries, of which the CPU's build has none.
RUN python -m pip install --no-deps -r /tmp/locks/requirements-build.lock \
    && python -m pip install --no-deps --no-build-isolation -r /tmp/locks/requirements-runtime.lock \
    && python -m pip install --index-url "${TORCH_INDEX}" -r /tmp/locks/requirements-torch.lock \
    && python -m pip check

COPY --from=build /wheels /tmp/wheels
RUN python -m pip install --no-deps /tmp/wheels/*.whl \
    && useradd --create-home --uid 1000 bench \
    && install --directory --owner=bench --group=bench /runs /data \
    && rm -rf /tmp/wheels /tmp/locks

# Last, so that another commit builds no layer again. Provenance notes it, as there is no repository in the image.
ARG COMMIT=""
ARG VERSION=""
LABEL org.opencontainers.image.title="nnp-pretrain-bench" \
      org.opencontainers.image.description="Benchmark of pretraining strategies for neural network potentials" \
      org.opencontainers.image.licenses="MIT" \
      org.opencontainers.image.version="${VERSION}" \
      org.opencontainers.image.revision="${COMMIT}"

# Caches (compiled kernels, fonts) go beside the data, where whoever runs the container may write: the user need not
# be `bench`. USER and HOME are named for libraries that ask for them, since such a user has no entry in /etc/passwd.
# PYTHONSAFEPATH: a benchmark.py in the working directory is not ours.
ENV NNP_BENCH_DATA=/data \
    NNP_BENCH_COMMIT="${COMMIT}" \
    XDG_CACHE_HOME=/data/.cache \
    MPLCONFIGDIR=/data/.cache/matplotlib \
    PYTHONSAFEPATH=1 \
    USER=bench \
    HOME=/home/bench

USER 1000
VOLUME ["/runs", "/data"]
# The default output folder, runs/, is taken relative to here: /runs.
WORKDIR /

ENTRYPOINT ["nnp-bench"]
CMD ["--help"]
