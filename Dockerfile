# Build:  docker build -t nnp-pretrain-bench .
# Run:    mkdir -p runs data
#         docker run --rm -it --user "$(id -u):$(id -g)" -v "$PWD/runs:/runs" -v "$PWD/data:/data" \
#             nnp-pretrain-bench run --suite water
# On a GPU, build with --build-arg TORCH_INDEX=https://download.pytorch.org/whl/cu130 and run with --gpus all.
FROM python:3.11-slim-bookworm

ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu

ENV PIP_DISABLE_PIP_VERSION_CHECK=1 \
    PIP_NO_CACHE_DIR=1 \
    PIP_ROOT_USER_ACTION=ignore \
    PYTHONUNBUFFERED=1

WORKDIR /src
# The dependencies first: this layer is built again only when the lock changes.
COPY requirements.lock ./
RUN python -m pip install --extra-index-url "${TORCH_INDEX}" -r requirements.lock

COPY pyproject.toml README.md LICENSE ./
COPY benchmark benchmark
COPY tasks tasks
COPY reports reports
# Without build isolation: the locked setuptools builds the project.
RUN python -m pip install --no-deps --no-build-isolation . && rm -rf build

RUN useradd --create-home --uid 1000 bench \
    && install --directory --owner=bench --group=bench /runs /data

# Caches (compiled kernels, fonts) go beside the data, where whoever runs the container may write: the user need not
# be `bench`. USER and HOME are named for libraries that ask for them, since such a user has no entry in /etc/passwd.
ENV NNP_BENCH_DATA=/data \
    XDG_CACHE_HOME=/data/.cache \
    MPLCONFIGDIR=/data/.cache/matplotlib \
    USER=bench \
    HOME=/home/bench

USER 1000
VOLUME ["/runs", "/data"]
# The default output folder, runs/, is taken relative to here: /runs.
WORKDIR /

ENTRYPOINT ["python", "-m", "benchmark"]
CMD ["--help"]
