# diffir as a command or a service, on CPUs or NVIDIA's GPUs.
#
#   docker build --target cpu -t diffir .
#   docker run --rm -v "$PWD:/pictures" diffir restore photo.jpg -o restored.png
#   docker run --rm -p 8000:8000 -e DIFFIR_API_KEY=… diffir serve --host 0.0.0.0
#   docker build --target cuda -t diffir:cuda . && docker run --rm --gpus all … diffir:cuda …

FROM python:3.12-slim AS wheel
WORKDIR /source
COPY pyproject.toml README.md LICENSE NOTICE ./
COPY src src
RUN pip wheel --no-cache-dir --no-deps --wheel-dir /wheel .

FROM python:3.12-slim AS base
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN useradd --create-home --uid 1000 diffir && mkdir /pictures && chown diffir /pictures
WORKDIR /pictures
EXPOSE 8000
ENTRYPOINT ["diffir"]
CMD ["--help"]

FROM base AS cuda
# torch's wheels for Linux bring the CUDA libraries; the driver is the host's.
RUN --mount=from=wheel,source=/wheel,target=/wheel pip install "$(ls /wheel/*.whl)[serve,video]"
USER diffir

FROM base AS cpu
RUN pip install torch --index-url https://download.pytorch.org/whl/cpu
RUN --mount=from=wheel,source=/wheel,target=/wheel pip install "$(ls /wheel/*.whl)[serve,video]"
USER diffir
